/* main.c - the table of commands, and what they share. */
#include "cli/cli.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct gt_command commands[] = {
	{"record", gt_cmd_record, "run a program and record what its scheduler does"},
	{"attach", gt_cmd_attach, "record a program that runs already, from now on"},
	{"snapshot", gt_cmd_snapshot, "write what a flight recorder holds now"},
	{"convert", gt_cmd_convert, "turn a trace into Perfetto's format, Chrome JSON, pprof, CSV or text"},
	{"report", gt_cmd_report, "say what happened in a trace, the culprit first; compare two"},
	{"view", gt_cmd_view, "show a trace in the browser"},
	{"info", gt_cmd_info, "say what a trace holds"},
	{"recover", gt_cmd_recover, "turn the crash file of a program's own flight recorder into a trace"},
	{"check", gt_cmd_check, "is the trace a possible execution? name the first impossible event"},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static int usage(FILE *to, int status)
{
	fprintf(to, "usage: gtrace COMMAND [ARG...]\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fprintf(to, "\n`gtrace COMMAND --help' tells more. gtrace traces Go programs (1.19 to 1.27, stripped ones too) "
		    "and C "
		    "programs\nthat link libtrace; nothing has to be prepared: gtrace record ./app\n");
	return fflush(to) || ferror(to) ? gt_die_text(GT_EXIT_FAILURE, "cannot write: standard output") : status;
}

/*
 * A closed standard descriptor would be given to the next file that is opened, the trace or its memory, and our words would be
 * written there. What takes its place fails as a closed one does, and a recorded program finds it closed.
 */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/", O_PATH | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	static char help[] = "--help";

	fill_standard_descriptors();
	if (argc < 2)
		return usage(stderr, GT_EXIT_USAGE);
	if (strcmp(argv[1], "help") == 0 && argc > 2) {
		/* gtrace help COMMAND */
		argv[1] = argv[2];
		argv[2] = help;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout, 0);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("gtrace %s\n", GTRACE_VERSION);
		return fflush(stdout) ? gt_die_text(GT_EXIT_FAILURE, "cannot write: standard output") : 0;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		char name[64];

		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		/* argp names the program by argv[0] in its messages. */
		snprintf(name, sizeof(name), "gtrace %s", commands[i].name);
		argv[1] = name;
		return commands[i].run(argc - 1, argv + 1);
	}
	if (strchr(argv[1], '/') && access(argv[1], X_OK) == 0)
		return gt_die_text(
			GT_EXIT_USAGE, "no such command: %s: to record it: gtrace record %s", argv[1], argv[1]);
	if (access(argv[1], R_OK) == 0)
		return gt_die_text(
			GT_EXIT_USAGE, "no such command: %s: to read a trace: gtrace report %s", argv[1], argv[1]);
	return gt_die_text(GT_EXIT_USAGE, "no such command: %s: see gtrace --help", argv[1]);
}

int gt_die(int status, const struct gt_error *err)
{
	fprintf(stderr, "gtrace: %s\n", err->text);
	return status;
}

int gt_die_text(int status, const char *format, ...)
{
	char text[2 * PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "gtrace: %s\n", gt_one_line(text));
	return status;
}
