/* death.c - see death.h. */
#include "cli/death.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* memory.events (v2) and memory.oom_control (v1) have the same line. */
static bool read_kills(const char *path, uint64_t *kills)
{
	FILE *in = *path ? fopen(path, "re") : NULL;
	bool found = false;
	char line[128];

	while (in && !found && fgets(line, sizeof(line), in))
		found = sscanf(line, "oom_kill %" SCNu64, kills) == 1;
	if (in)
		fclose(in);
	return found;
}

void gt_death_watch(struct gt_death *death, pid_t pid)
{
	char path[64], line[PATH_MAX];
	FILE *in;

	memset(death, 0, sizeof(*death));
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	in = fopen(path, "re");
	while (in && !death->events[0] && fgets(line, sizeof(line), in)) {
		char *name = strstr(line, ":/"), *memory = strstr(line, ":memory:");
		int size;

		line[strcspn(line, "\n")] = 0;
		if (!name)
			continue;
		if (strncmp(line, "0::", 3) == 0)
			size = snprintf(
				death->events, sizeof(death->events), "/sys/fs/cgroup%s/memory.events", name + 1);
		else if (memory)
			size = snprintf(death->events, sizeof(death->events),
				"/sys/fs/cgroup/memory%s/memory.oom_control", name + 1);
		else
			continue;
		if (size >= (int)sizeof(death->events) || !read_kills(death->events, &death->oom_kills))
			death->events[0] = 0;
	}
	if (in)
		fclose(in);
}

void gt_death_exit_text(const struct gt_death *death, int status, char *out)
{
	uint64_t kills;

	if (!WIFSIGNALED(status)) {
		snprintf(out, GT_DEATH_TEXT, "status %d", WEXITSTATUS(status));
		return;
	}
	snprintf(out, GT_DEATH_TEXT, "signal %d (%s)%s%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
		WCOREDUMP(status) ? ", core dumped" : "",
		WTERMSIG(status) == SIGKILL && read_kills(death->events, &kills) && kills > death->oom_kills
			? ", by the OOM killer"
			: "");
}

void gt_death_cause(const struct gt_death *death, int status, bool go, char *out)
{
	char text[GT_DEATH_TEXT];
	bool ended = !WIFSIGNALED(status);

	gt_death_exit_text(death, status, text);
	snprintf(out, GT_DEATH_TEXT, "%s%.100s%s", ended ? "program ended with " : "program died: ", text,
		ended && go && WEXITSTATUS(status) == 2 ? " (of a Go program: a panic or fatal error, or os.Exit(2))"
							: "");
}
