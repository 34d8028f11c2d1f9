/*
 * embedded.c - a program that traces itself: two files, one after the other, each with what happened between gt_start and gt_stop.
 *
 * usage: embedded DIRECTORY GTRACE: GTRACE is the command, which must find both possible and count what we count.
 */
#include <errno.h>
#include <gtrace/gtrace.h>
#include <gtrace/hooks.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 3
#define RUNS    5000

static void *work(void *arg)
{
	uint64_t g = (uint64_t)(uintptr_t)arg;
	uint32_t p = (uint32_t)(g % THREADS);

	gt_hook_thread(GT_THREAD_START);
	gt_hook_slot(GT_SLOT_START, p);
	gt_hook_create(g, GT_STATE_RUNNABLE, 0, (const void *)(uintptr_t)work, NULL);
	for (int i = 0; i < RUNS; i++) {
		gt_hook_run(g, GT_STATE_RUNNABLE, p);
		gt_hook_yield(g, GT_REASON_GOSCHED);
	}
	gt_hook_run(g, GT_STATE_RUNNABLE, p);
	gt_region_begin(0, "last");
	gt_region_end(0, "last");
	gt_hook_end(g);
	gt_hook_slot(GT_SLOT_STOP, p);
	gt_hook_thread(GT_THREAD_END);
	return NULL;
}

static int run(const char *path, uint64_t first)
{
	pthread_t threads[THREADS];

	if (gt_start(path) < 0) {
		fprintf(stderr, "%s\n", gt_start_error());
		return 1;
	}
	for (uint64_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(first + i)) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	if (gt_stop() < 0) {
		fprintf(stderr, "%s\n", gt_start_error());
		return 1;
	}
	return 0;
}

/* The command says "possible", 0 lost, and our number of events. */
static int check(const char *gtrace, const char *path)
{
	unsigned long expected = THREADS * (1 + 2 * RUNS + 2 + 2 + 2 + 2), events = 0, lost = 1;
	char command[4096], line[4096];
	bool possible = false;
	FILE *pipe;

	snprintf(command, sizeof(command), "'%s' check '%s' 2>&1", gtrace, path);
	pipe = popen(command, "r");
	if (!pipe)
		return 1;
	while (fgets(line, sizeof(line), pipe)) {
		const char *text = strstr(line, ": ");

		if (text)
			sscanf(text, ": %lu events, %lu lost", &events, &lost);
		if (strncmp(line, "possible", 8) == 0)
			possible = true;
	}
	if (pclose(pipe) != 0 || !possible || events != expected || lost != 0) {
		fprintf(stderr, "%s: %lu events of %lu, %lu lost%s\n", path, events, expected, lost,
			possible ? "" : ", not possible");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	char first[1024], second[1024];
	pid_t child;
	int status, ret;

	if (argc != 3)
		return 2;
	if (access(argv[2], X_OK) != 0) {
		puts("skipped: the gtrace command is not built");
		return 77;
	}
	snprintf(first, sizeof(first), "%s/embedded-1.gtrace", argv[1]);
	snprintf(second, sizeof(second), "%s/embedded-2.gtrace", argv[1]);
	gt_hook_run(1, GT_STATE_RUNNABLE, 0); /* nothing listens */
	ret = run(first, 1);
	gt_hook_run(1, GT_STATE_RUNNABLE, 0);
	ret |= run(second, 101);
	ret |= check(argv[2], first);
	ret |= check(argv[2], second);

	/* What cannot be: no file, a second one at once, a stop without a start; a forked child records nothing. */
	ret |= gt_stop() != -EINVAL;
	ret |= gt_start("/no/such/folder/x.gtrace") >= 0 || gt_start_error()[0] == '\0';
	ret |= gt_start(first) != 0;
	ret |= gt_start(second) != -EBUSY;
	child = fork();
	if (child == 0) {
		gt_hook_run(7, GT_STATE_RUNNABLE, 0);
		_exit(gt_tracing() || gt_stop() != -EINVAL);
	}
	ret |= waitpid(child, &status, 0) != child || status != 0;
	ret |= !gt_tracing();
	ret |= gt_stop() != 0;
	ret |= gt_tracing();
	unlink(first);
	unlink(second);
	return ret;
}
