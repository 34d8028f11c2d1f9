/*
 * early.c - viewer_early FILE: the index is asked while it is read. What was told of it stays true, the end is what reading at
 * once gives; a reader that is stopped stops; one that may take no more memory keeps what it has.
 */
#include "viewer/api.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int good, const char *what, int line)
{
	if (good)
		return;
	fprintf(stderr, "line %d: %s\n", line, what);
	exit(1);
}
#define MUST(x) must(x, #x, __LINE__)

static struct gt_index *begin(const char *path, uint64_t bytes_max)
{
	const struct gt_index_config config = {.bytes_max = bytes_max};
	struct gt_trace *trace;
	struct gt_index *index;
	struct gt_error err;

	MUST(gt_trace_open(path, &trace, &err) == 0);
	MUST(gt_index_new(trace, &config, &index, &err) == 0);
	return index;
}

static void end(struct gt_index *index)
{
	struct gt_trace *trace = index->trace;

	gt_index_free(index);
	gt_trace_close(trace);
}

struct reader {
	struct gt_index *index;
	pthread_t thread;
	int ret;
};

static void *read_it(void *context)
{
	struct reader *reader = context;
	struct gt_error err;

	reader->ret = gt_index_read(reader->index, &err);
	return NULL;
}

static const char *param(void *request, const char *name)
{
	return strcmp(name, "rows") == 0 || strcmp(name, "row") == 0 ? request : NULL;
}

static void ask(const struct gt_index *index, const char *what, const char *row)
{
	struct gt_api_answer answer;

	gt_api(index, what, param, (void *)(uintptr_t)row, &answer);
	MUST(answer.bytes && answer.status == 200);
	free(answer.bytes);
}

/* What was seen of a row: its slices are so for ever, and only more come. */
struct seen {
	uint32_t count;
	struct gt_index_slice last;
};

#define SEEN 50

static void compare(const struct gt_index *index, struct seen seen[SEEN])
{
	for (uint32_t i = 0; i < SEEN && i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];

		MUST(row->count >= seen[i].count);
		if (seen[i].count)
			MUST(memcmp(&seen[i].last, gt_index_slice(row, seen[i].count - 1), sizeof(seen[i].last)) == 0);
		seen[i].count = row->count;
		if (row->count)
			seen[i].last = *gt_index_slice(row, row->count - 1);
	}
}

static unsigned int ask_while_reading(struct gt_index *index)
{
	static const char *const questions[] = {"info", "counters", "goroutines", "pieces", "flames", "slice", "rows"};
	struct reader reader = {.index = index};
	struct seen seen[SEEN] = {0};
	unsigned int asked = 0;
	bool reading = true;

	MUST(pthread_create(&reader.thread, NULL, read_it, &reader) == 0);
	while (reading) {
		gt_index_enter(index);
		reading = index->reading;
		compare(index, seen);
		ask(index, questions[asked % 7], "1");
		MUST(index->read_ns <= index->span_ns);
		gt_index_leave(index);
		asked += reading;
	}
	MUST(pthread_join(reader.thread, NULL) == 0);
	MUST(reader.ret == 0);
	return asked;
}

static void same(const struct gt_index *a, const struct gt_index *b)
{
	MUST(a->row_count == b->row_count && a->events == b->events && a->slices == b->slices);
	MUST(a->begin_ns == b->begin_ns && a->span_ns == b->span_ns && a->wake_count == b->wake_count);
	for (uint32_t i = 0; i < a->row_count; i++) {
		const struct gt_index_row *x = &a->rows[i], *y = &b->rows[i];

		MUST(x->id == y->id && x->count == y->count && x->size == y->size && x->born_ns == y->born_ns);
		MUST(memcmp(x->bytes, y->bytes, x->size) == 0);
		MUST(strcmp(a->groups[x->group].function, b->groups[y->group].function) == 0);
	}
}

/* A reader that is told to stop, here or there. */
static void stop(const char *path)
{
	struct gt_index *index = begin(path, 0);
	struct reader reader = {.index = index};
	uint64_t events = 0;

	MUST(pthread_create(&reader.thread, NULL, read_it, &reader) == 0);
	while (!events) {
		gt_index_enter(index);
		events = index->events;
		gt_index_leave(index);
	}
	gt_index_stop(index);
	MUST(pthread_join(reader.thread, NULL) == 0);
	MUST(reader.ret == 0 || reader.ret == -ECANCELED);
	ask(index, "info", "0");
	end(index);
}

static void limit(const char *path, const struct gt_index *whole)
{
	struct gt_index *index = begin(path, whole->bytes / 2);
	struct gt_error err;

	MUST(gt_index_read(index, &err) == -ENOMEM);
	MUST(strstr(err.text, "--max-memory") != NULL);
	MUST(index->stopped && !index->reading && index->bytes <= whole->bytes / 2);
	MUST(index->events > whole->events / 8 && index->events < whole->events);
	MUST(index->span_ns == index->read_ns && index->span_ns < whole->span_ns);
	ask(index, "info", "0");
	ask(index, "pieces", "0,1,2,3,4,5,6,7");
	end(index);
}

int main(int argc, char **argv)
{
	struct gt_index *whole, *early;
	struct gt_error err;
	unsigned int asked;

	if (argc != 2)
		return 2;
	whole = begin(argv[1], 0);
	MUST(gt_index_read(whole, &err) == 0);
	early = begin(argv[1], 0);
	asked = ask_while_reading(early);
	MUST(asked > 0);
	same(whole, early);
	end(early);
	stop(argv[1]);
	limit(argv[1], whole);
	printf("asked %u times while %llu events were read\n", asked, (unsigned long long)whole->events);
	end(whole);
	return 0;
}
