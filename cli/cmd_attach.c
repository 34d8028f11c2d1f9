/* cmd_attach.c - gtrace attach: a running Go program is recorded from now on. The work: attach_loop.c. */
#include "cli/attach.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_DURATION = 512 };

static const struct argp_option options[] = {
	{"duration", KEY_DURATION, "TIME", 0, "end after so long (default: at Ctrl-C, or when the program ends)", 0},
	{0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct gt_attach_options *o = state->input;
	char *end;
	long pid;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = o->record;
		return 0;
	case KEY_DURATION:
		if (!gt_parse_duration(arg, &o->duration_ns) || !o->duration_ns)
			argp_error(state, "--duration takes a time with its unit (250ms, 5s): %s", arg);
		return 0;
	case ARGP_KEY_ARG:
		pid = strtol(arg, &end, 10);
		if (o->pid)
			argp_error(state, "one PID at a time");
		if (*end || end == arg || pid <= 0 || pid > INT_MAX)
			argp_error(state, "no number of a process: %s", arg);
		o->pid = (pid_t)pid;
		return 0;
	case ARGP_KEY_END:
		if (!o->pid)
			argp_error(state, "PID is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int gt_cmd_attach(int argc, char **argv)
{
	static const struct argp_child children[] = {{&gt_record_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.children = children,
		.args_doc = "PID",
		.doc = "Records what the scheduler of the running program PID does, until Ctrl-C, --duration or the "
		       "program's end; then the program is as it was. PID is any Go program (nothing has to be "
		       "prepared; "
		       "stripped ones too; it stands still for some milliseconds while hooks are put in, and out), or "
		       "one "
		       "on gtrace's own runtime, which keeps its memory for events, empty, for the next time."
		       "\vThe exit status is 0, whatever becomes of the program; 1 when it could not be attached to: "
		       "then "
		       "nothing was changed.\n\nExamples:\n  gtrace attach --duration 10s 4711\n"
		       "  gtrace attach --flight --min-age 5s --max-bytes 16M 4711",
	};
	static struct gt_recording recording;
	struct gt_attach_options o = {.record = &recording.options};

	gt_record_defaults(&recording.options);
	argp_err_exit_status = GT_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	return gt_attach_run(&recording, &o);
}
