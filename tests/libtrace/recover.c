/*
 * recover.c - gtrace recover's reader on crash files that were cut or damaged: a clear line or a trace, never a crash.
 *
 * Cut: every length. Damaged: every byte of the heads, and of the rest one in some hundred (GTRACE_RUNS=long: one in 101).
 */
#include "cli/recover.h"
#include "crash_image.h"
#include "format/reading/trace.h"
#include "libtrace/crash.h"
#include "libtrace/shm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t *image, *copy;
static size_t size;
static int errors;

static int try(size_t bytes, const char *what, size_t at)
{
	struct gt_recovered told = {{0}};
	struct gt_error err = {{0}};
	int ret = gt_recover(copy, bytes, "/dev/null", &told, &err);

	if ((ret < 0 ? !err.text[0] || strchr(err.text, '\n') : !told.text[0]) && errors++ < 10)
		fprintf(stderr, "%s at %zu: %d without a line\n", what, at, ret);
	return ret;
}

static void damage(size_t at)
{
	static const uint8_t with[] = {0xff, 0x01, 0x80};

	for (size_t i = 0; i < sizeof(with); i++) {
		memcpy(copy, image, size);
		copy[at] ^= with[i];
		try(size, "damaged", at);
	}
}

static void check_good(void)
{
	struct gt_recovered told;
	struct gt_error err = {{0}};
	char path[] = "/tmp/gtrace-recover-XXXXXX";
	struct gt_trace *trace;
	struct gt_event event;
	uint64_t counts[GT_EVENT_KIND_COUNT] = {0};
	int fd = mkstemp(path);

	memcpy(copy, image, size);
	if (fd < 0 || gt_recover(copy, size, path, &told, &err) < 0 || gt_trace_open(path, &trace, &err) < 0) {
		fprintf(stderr, "the whole file: %s\n", err.text);
		exit(1);
	}
	close(fd);
	while (gt_trace_next(trace, &event) > 0) {
		counts[event.kind]++;
		if (event.kind == GT_EV_LOG && strcmp(gt_trace_string(trace, event.args[2]), "key") != 0)
			errors++;
		if (event.kind == GT_EV_GO_CREATE &&
			(!gt_trace_function(trace, event.args[3]) ||
				strcmp(gt_trace_function(trace, event.args[3]), "work") != 0)) {
			fprintf(stderr, "the start function has another name\n");
			errors++;
		}
	}
	if (counts[GT_EV_GO_CREATE] != 4 || counts[GT_EV_LOG] != 800 || counts[GT_EV_GO_BLOCK] != 800) {
		fprintf(stderr, "%s: %lu created\n", told.text, (unsigned long)counts[GT_EV_GO_CREATE]);
		errors++;
	}
	gt_trace_close(trace);
	unlink(path);
}

int main(void)
{
	const char *runs = getenv("GTRACE_RUNS");
	size_t step = runs && strcmp(runs, "long") == 0 ? 101 : 3001, second, tries = 0;
	struct gt_crash *crash;

	image = crash_image(&size);
	copy = malloc(size);
	if (!copy)
		return 1;
	check_good();
	memcpy(copy, image, size);
	for (size_t bytes = 0; bytes < size; bytes++)
		if (try(bytes, "cut", bytes) >= 0 && errors++ < 10)
			fprintf(stderr, "%zu bytes of %zu were taken\n", bytes, size);

	second = (size_t)((const struct gt_shm *)(const void *)image)->total_bytes;
	for (size_t at = 0; at < size; at += at < sizeof(struct gt_shm) ? 3 : step, tries++)
		damage(at);
	for (size_t at = second; at < second + offsetof(struct gt_crash, clock); at++, tries++)
		damage(at);
	/* Versions of the future. */
	memcpy(copy, image, size);
	((struct gt_shm *)(void *)copy)->abi++;
	errors += try(size, "another ABI", 0) != -EPROTONOSUPPORT;
	memcpy(copy, image, size);
	crash = (struct gt_crash *)(void *)(copy + second);
	crash->abi++;
	errors += try(size, "another ABI", 1) != -EPROTONOSUPPORT;
	printf("recover: %zu lengths, %zu bytes changed\n", size, tries);
	free(copy);
	free(image);
	return errors != 0;
}
