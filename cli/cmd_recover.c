/* cmd_recover.c - gtrace recover FILE: the crash file of a program's own flight recorder (gtrace/flight.h) as a trace. */
#include "cli/recover.h"
#include "cli/cli.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (2ull << 30)

struct options {
	const char *file, *output;
	bool force, quiet;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'o':
		options->output = arg;
		return 0;
	case 'f':
		options->force = true;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->file)
			argp_error(state, "one FILE only");
		options->file = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "FILE is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{"output", 'o', "OUT", 0, "the trace (FILE.gtrace)", 0},
	{"force", 'f', NULL, 0, "even while its process lives: what it is writing just now may be left out", 0},
	{"quiet", 'q', NULL, 0, "say nothing when all went well", 0},
	{0},
};

/* Read, not mapped: a file that somebody cuts meanwhile would end us by a signal. */
static void *read_all(int fd, uint64_t bytes, uint64_t *got)
{
	uint8_t *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	for (*got = 0; *got < bytes;) {
		ssize_t size = pread(fd, map + *got, bytes - *got, (off_t)*got);

		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			break;
		*got += (uint64_t)size;
	}
	return map;
}

static int check_dead(int fd, const struct options *options)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK || options->force)
		return 0;
	return gt_die_text(GT_EXIT_FAILURE,
		"cannot recover: %s: process %d lives and records into it: ask it for a snapshot, or give --force",
		options->file, (int)lock.l_pid);
}

static int recover(const struct options *options, int fd)
{
	char output[4096], text[32];
	struct gt_recovered told;
	struct stat status, there;
	struct gt_error err;
	uint64_t got = 0;
	void *map;
	int ret;

	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return gt_die_text(GT_EXIT_FAILURE, "cannot recover: %s: it is no plain file", options->file);
	if (status.st_size == 0 || (uint64_t)status.st_size > FILE_BYTES_MAX)
		return gt_die_text(GT_EXIT_FAILURE, "cannot recover: %s: %s: no crash file has this size",
			options->file, gt_format_size((uint64_t)status.st_size, text));
	ret = check_dead(fd, options);
	if (ret)
		return ret;
	snprintf(output, sizeof(output), "%s.gtrace", options->file);
	if (options->output && stat(options->output, &there) == 0 && there.st_dev == status.st_dev &&
		there.st_ino == status.st_ino)
		return gt_die_text(GT_EXIT_FAILURE,
			"cannot write: %s: it is what is to be read: choose another name with -o", options->output);
	map = read_all(fd, (uint64_t)status.st_size, &got);
	if (!map)
		return gt_die_text(GT_EXIT_FAILURE, "cannot recover: %s: no memory for %s", options->file,
			gt_format_size((uint64_t)status.st_size, text));
	ret = gt_recover(map, got, options->output ? options->output : output, &told, &err);
	munmap(map, (size_t)status.st_size);
	if (ret < 0)
		return gt_die_text(GT_EXIT_FAILURE, "cannot recover: %s: %s", options->file, err.text);
	if (!options->quiet)
		fprintf(stderr, "gtrace: %s: %s\n", options->output ? options->output : output, told.text);
	return 0;
}

int gt_cmd_recover(int argc, char **argv)
{
	static const struct argp argp = {.options = argp_options,
		.parser = parse,
		.args_doc = "FILE",
		.doc = "Turns the crash file of a program's own flight recorder into a trace, after the program's "
		       "death."};
	struct options options = {0};
	int fd, ret;

	signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error like others */
	argp_err_exit_status = GT_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	fd = open(options.file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return gt_die_text(GT_EXIT_FAILURE, "cannot recover: %s: %s", options.file, strerror(errno));
	ret = recover(&options, fd);
	close(fd);
	return ret;
}
