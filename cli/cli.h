/*
 * cli.h - what the commands share: the table, exit codes, units, one way to say an error.
 */
#ifndef GT_CLI_H
#define GT_CLI_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* As shells and those who call programs expect them. */
enum {
	GT_EXIT_FAILURE = 1,
	GT_EXIT_USAGE = 2,
	GT_EXIT_RECORD = 125, /* record's own failure; the program did not run, or its trace is lost */
	GT_EXIT_NOT_EXECUTABLE = 126,
	GT_EXIT_NOT_FOUND = 127,
};

struct gt_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

int gt_cmd_record(int argc, char **argv);
int gt_cmd_attach(int argc, char **argv);
int gt_cmd_snapshot(int argc, char **argv);
int gt_cmd_convert(int argc, char **argv);
int gt_cmd_view(int argc, char **argv);
int gt_cmd_info(int argc, char **argv);
int gt_cmd_check(int argc, char **argv);
int gt_cmd_recover(int argc, char **argv);
int gt_cmd_report(int argc, char **argv);

/* "gtrace: LINE" on stderr; returns @status, so that a command can `return gt_die(...)`. */
int gt_die(int status, const struct gt_error *err);
int gt_die_text(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The FILE of a command that takes nothing else; wrong usage and --help end the program. */
const char *gt_one_file(int argc, char **argv, const char *doc);

/* 250ms, 5s, 2m, 10us, 7ns; a number alone is refused but for 0. 64K, 16M, 1G, 4096 (bytes). False when it is none. */
bool gt_parse_duration(const char *text, uint64_t *ns);
bool gt_parse_size(const char *text, uint64_t *bytes);

/* Into @out, which holds at least 32 bytes: "1.234 s", "12.3 ms"; "16.0 MiB", "812 B". Returns @out. */
char *gt_format_duration(uint64_t ns, char *out);
char *gt_format_size(uint64_t bytes, char *out);

#endif
