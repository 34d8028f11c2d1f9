/* fuzz_view.c - any bytes as a trace: its index, and whatever the page may ask of it. */
#include "viewer/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROWS   12
#define SLICES 40

struct question {
	char values[6][64]; /* of the names below */
};

static const char *const names[6] = {"row", "slice", "rows", "at", "id", "ids"};

static const char *param(void *request, const char *name)
{
	struct question *question = request;

	for (int i = 0; i < 6; i++)
		if (strcmp(name, names[i]) == 0)
			return question->values[i];
	return NULL;
}

static void ask(const struct gt_index *index, const char *what, struct question *question)
{
	struct gt_api_answer answer;

	gt_index_enter(index);
	gt_api(index, what, param, question, &answer);
	gt_index_leave(index);
	if (!answer.bytes)
		abort();
	free(answer.bytes);
}

static void ask_all(const struct gt_index *index)
{
	static const char *const of_all[] = {"info", "goroutines", "counters", "flames", "latencies", "functions",
		"durations", "longest", "spans", "marks"};
	struct question question = {0};

	for (size_t i = 0; i < sizeof(of_all) / sizeof(of_all[0]); i++)
		ask(index, of_all[i], &question);
	for (uint32_t row = 0; row <= index->row_count && row < ROWS; row++) {
		snprintf(question.values[0], 64, "%u", row);
		for (int i = 2; i < 6; i += i == 2 ? 2 : 1)
			snprintf(question.values[i], 64, "%u", row);
		ask(index, "regions", &question);
		ask(index, "rows", &question);
		ask(index, "pieces", &question);
		ask(index, "marks", &question);
		ask(index, "durations", &question);
		ask(index, "strings", &question);
		ask(index, "task", &question);
		for (uint32_t slice = 0; row < index->row_count && slice <= index->rows[row].count && slice < SLICES;
			slice++) {
			snprintf(question.values[1], 64, "%u", slice);
			ask(index, "slice", &question);
			ask(index, "chain", &question);
		}
	}
}

/* What all questions rest on. */
static void check_rows(const struct gt_index *index)
{
	uint64_t slices = 0;

	for (uint32_t i = 0; i < index->row_count; i++) {
		const struct gt_index_row *row = &index->rows[i];
		uint64_t total[GT_INDEX_STATES] = {0};
		int64_t end_ns = INT64_MIN;

		for (uint32_t k = 0; k < row->count; k++) {
			const struct gt_index_slice *slice = gt_index_slice(row, k);

			if (slice->since_ns < end_ns || slice->end_ns < slice->since_ns ||
				slice->state >= GT_INDEX_STATES)
				abort();
			end_ns = slice->end_ns;
			total[slice->state] += (uint64_t)(slice->end_ns - slice->since_ns);
		}
		if (memcmp(total, row->total_ns, sizeof(total)) != 0 || (row->count && row->end_ns != end_ns))
			abort();
		if (row->kind == GT_INDEX_GOROUTINE && row->group >= index->group_count)
			abort();
		slices += row->count;
	}
	if (slices != index->slices)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Enough, and too little. */
	static const uint64_t limits[] = {1ull << 28, 1 << 15};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct gt_index_config config = {.bytes_max = limits[i]};
		struct gt_index *index;
		struct gt_trace *trace;
		struct gt_error err;

		if (gt_trace_open_memory(data, size, &trace, &err) < 0)
			return 0;
		if (gt_index_new(trace, &config, &index, &err) == 0) {
			ask_all(index);
			(void)gt_index_read(index, &err);
			check_rows(index);
			ask_all(index);
			gt_index_free(index);
		}
		gt_trace_close(trace);
	}
	return 0;
}
