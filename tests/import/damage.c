/*
 * damage.c FILE... - what damage does to Go's traces: whatever was done to the bytes, reading ends, tells one line when something is
 * wrong, gives events in the order of time, and a second time the same ones. What a file cut since 1.26 gives is a prefix of the whole one;
 * before, it may end inside a generation that lacks a thread.
 *
 * Each mutilated file is read in a buffer of exactly its size, so that a sanitizer sees one byte too many.
 */
#include "format/import/gotrace.h"
#include "format/reading/validate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed;
static const char *name;

struct seen {
	uint64_t events, raw, hash;
	bool opened, wrong;
};

/* Of all that an event is. */
static uint64_t mix(uint64_t hash, const struct gt_gotrace_event *event)
{
	uint64_t words[] = {event->type, (uint64_t)event->time_ns, event->m, event->p, event->g};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15u;
	return hash;
}

/* @hashes (may be NULL): one for each prefix of the events. */
static void read_raw(const char *bytes, size_t size, struct seen *seen, uint64_t *hashes, size_t room)
{
	struct gt_gotrace_event event;
	struct gt_gotrace *trace;
	struct gt_error err;

	if (gt_gotrace_open_memory(bytes, size, &trace, &err) < 0)
		return;
	while (gt_gotrace_next(trace, &event) > 0) {
		uint64_t hash = mix(seen->hash, &event);

		/* What tells a generation stands at the least time of all its batches. */
		if (event.type == GT_GOTRACE_SYNC)
			continue;
		seen->hash = hash;
		if (hashes && seen->raw < room)
			hashes[seen->raw] = hash;
		seen->raw++;
	}
	seen->wrong = gt_gotrace_error(trace) != NULL;
	gt_gotrace_close(trace);
}

static struct seen read_all(const char *bytes, size_t size)
{
	struct seen seen = {0};
	struct gt_trace_damage damage;
	struct gt_verdict verdict;
	struct gt_trace *trace;
	struct gt_error err;
	struct gt_event event;
	int64_t last = INT64_MIN;
	char *copy = malloc(size ? size : 1);

	memcpy(copy, bytes, size);
	seen.opened = !gt_trace_open_memory(copy, size, &trace, &err);
	if (!seen.opened) {
		if (strchr(err.text, '\n') || !err.text[0])
			failed = 1;
		free(copy);
		return seen;
	}
	while (gt_trace_next(trace, &event) > 0) {
		if (event.time_ns < last)
			failed = 1;
		last = event.time_ns;
		seen.events++;
	}
	gt_trace_damage(trace, &damage);
	if (gt_validate(trace, &verdict) < 0 || verdict.events != seen.events) {
		fprintf(stderr, "%s: a second pass gives %" PRIu64 " events, not %" PRIu64 "\n", name, verdict.events,
			seen.events);
		failed = 1;
	}
	gt_trace_close(trace);
	read_raw(copy, size, &seen, NULL, 0);
	if (seen.wrong != (damage.first[0] != 0)) {
		fprintf(stderr, "%s: damage is not told\n", name);
		failed = 1;
	}
	free(copy);
	return seen;
}

static void cut(const char *bytes, size_t size, const uint64_t *hashes, size_t count)
{
	bool prefixes = !memcmp(bytes, "go 1.26", 7);

	for (size_t length = 0; length < size; length++) {
		struct seen seen = read_all(bytes, length);

		if (prefixes && (seen.raw > count || (seen.raw && seen.hash != hashes[seen.raw - 1]))) {
			fprintf(stderr, "%s cut at byte %zu: not a prefix of the whole\n", name, length);
			failed = 1;
			return;
		}
	}
}

static void change(const char *bytes, size_t size)
{
	static const uint8_t changes[] = {0x01, 0x80, 0xff};
	char *copy = malloc(size);

	memcpy(copy, bytes, size);
	for (size_t at = 0; at < size; at++) {
		copy[at] ^= (char)changes[at % sizeof(changes)];
		read_all(copy, size);
		copy[at] = bytes[at];
	}
	free(copy);
}

static void one(const char *path)
{
	FILE *file = fopen(path, "rb");
	static char bytes[1 << 20];
	size_t size = file ? fread(bytes, 1, sizeof(bytes), file) : 0, room = size;
	uint64_t *hashes = calloc(room + 1, sizeof(*hashes));
	struct seen whole = {0};

	if (file)
		fclose(file);
	name = path;
	read_raw(bytes, size, &whole, hashes, room);
	if (!whole.raw || whole.raw > room) {
		fprintf(stderr, "%s: cannot be read\n", path);
		failed = 1;
	} else {
		cut(bytes, size, hashes, (size_t)whole.raw);
		change(bytes, size);
	}
	free(hashes);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		one(argv[i]);
	if (argc < 2) {
		fprintf(stderr, "usage: damage FILE...\n");
		return 2;
	}
	return failed;
}
