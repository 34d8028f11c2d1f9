/* crash_image.c - see crash_image.h. */
#include "crash_image.h"

#include <fcntl.h>
#include <gtrace/flight.h>
#include <gtrace/gtrace.h>
#include <gtrace/hooks.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *work(void *arg)
{
	uint64_t g = (uint64_t)(uintptr_t)arg;

	gt_hook_thread(GT_THREAD_START);
	gt_hook_create(g, GT_STATE_RUNNABLE, 0, (const void *)(uintptr_t)work, (const void *)(uintptr_t)crash_image);
	for (int i = 0; i < 200; i++) {
		gt_hook_run(g, GT_STATE_RUNNABLE, (uint32_t)g);
		gt_log(0, "key", i % 2 ? "one" : "other");
		gt_hook_block_on(g, GT_REASON_CHAN_SEND, GT_OBJECT_WORD(GT_OBJECT_MUTEX, 0x1000), 0, 0);
		gt_hook_ready(g, GT_STATE_WAITING, 0);
	}
	return NULL;
}

static void die(const char *path)
{
	const struct gt_flight_config config = {.max_bytes = 512 << 10, .crash_file = path};
	struct gt_flight *flight;

	if (gt_flight_start(&config, &flight) < 0) {
		fprintf(stderr, "%s\n", gt_flight_error());
		_exit(1);
	}
	for (uintptr_t i = 1; i <= 3; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, (void *)i) == 0)
			pthread_join(thread, NULL);
	}
	work((void *)4);
	/* The collector has read all of it: names are there. */
	if (gt_flight_snapshot(flight, "/dev/null") < 0)
		_exit(1);
	kill(getpid(), SIGKILL);
}

uint8_t *crash_image(size_t *size)
{
	char folder[] = "/tmp/gtrace-image-XXXXXX", path[64];
	struct stat status;
	uint8_t *bytes;
	pid_t child;
	int fd;

	if (!mkdtemp(folder))
		abort();
	snprintf(path, sizeof(path), "%s/crash", folder);
	child = fork();
	if (child == 0)
		die(path);
	waitpid(child, NULL, 0);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &status) < 0)
		abort();
	*size = (size_t)status.st_size;
	bytes = malloc(*size);
	if (!bytes || read(fd, bytes, *size) != (ssize_t)*size)
		abort();
	close(fd);
	unlink(path);
	rmdir(folder);
	return bytes;
}
