/* metas.c - see metas.h. */
#include "cli/metas.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

void gt_metas_host(struct gt_writer *writer)
{
	struct utsname host;
	cpu_set_t cpus;
	char text[256];

	gt_writer_meta(writer, "gtrace", GTRACE_VERSION);
	if (uname(&host) == 0) {
		gt_writer_meta(writer, "host", host.nodename);
		snprintf(text, sizeof(text), "%s %s %s", host.sysname, host.release, host.machine);
		gt_writer_meta(writer, "kernel", text);
		gt_writer_meta(writer, "machine", host.machine);
	}
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		gt_writer_meta_number(writer, "cpus", (uint64_t)CPU_COUNT(&cpus));
}

static bool plain(const char *arg)
{
	if (!*arg)
		return false;
	for (; *arg; arg++)
		if (!isalnum((unsigned char)*arg) && !strchr("%+,-./:=@_^", *arg))
			return false;
	return true;
}

void gt_metas_args(struct gt_writer *writer, char *const *argv)
{
	/* An argument of n bytes takes at most 4n + 3: each quote becomes '\''. */
	size_t size = 1, used = 0;
	char *text;

	for (char *const *arg = argv; *arg; arg++)
		size += 4 * strlen(*arg) + 3;
	text = malloc(size);
	if (!text)
		return;
	text[0] = '\0';
	for (char *const *arg = argv; *arg; arg++) {
		if (used)
			text[used++] = ' ';
		if (plain(*arg)) {
			memcpy(text + used, *arg, strlen(*arg));
			used += strlen(*arg);
		} else {
			text[used++] = '\'';
			for (const char *at = *arg; *at; at++) {
				if (*at == '\'') {
					memcpy(text + used, "'\\''", 4);
					used += 4;
				} else {
					text[used++] = *at;
				}
			}
			text[used++] = '\'';
		}
		text[used] = '\0';
	}
	gt_writer_meta(writer, "args", text);
	free(text);
}
