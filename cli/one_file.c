/* one_file.c - the options of commands that take one FILE and nothing else. */
#include "cli/cli.h"

#include <argp.h>

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	const char **path = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (*path)
			argp_error(state, "one FILE only");
		*path = arg;
		return 0;
	case ARGP_KEY_END:
		if (!*path)
			argp_error(state, "FILE is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *gt_one_file(int argc, char **argv, const char *doc)
{
	const struct argp argp = {.parser = parse_option, .args_doc = "FILE", .doc = doc};
	const char *path = NULL;

	argp_err_exit_status = GT_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &path);
	return path;
}
