/*
 * text.c - profiles for eyes: debug=1 as Go's legacy text, goroutines as in a panic (debug=2).
 */
#include "runtime/profile/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT "%lld"
#define ll(x) ((long long)(x))

static void put_stack(FILE *to, struct gt_symbolizer *s, const uintptr_t *pcs, size_t depth)
{
	struct gt_symbols_line lines[GT_PROFILE_LINES];

	for (size_t i = 0; i < depth; i++) {
		size_t count = gt__symbolizer_lines(s, pcs[i], lines, GT_PROFILE_LINES);

		if (!count)
			fprintf(to, "#\t0x%zx\n", pcs[i]);
		for (size_t k = 0; k < count; k++)
			fprintf(to, "#\t0x%zx\t%s\t%s:%u\n", pcs[i], lines[k].function[0] ? lines[k].function : "?",
				lines[k].file[0] ? lines[k].file : "?", lines[k].line);
	}
	fputc('\n', to);
}

static void put_bucket(FILE *to, struct gt_symbolizer *s, const struct gt_bucket *bucket, const char *numbers)
{
	char name[25] = "";

	fprintf(to, "%s @", numbers);
	for (size_t i = 0; i < bucket->depth; i++)
		fprintf(to, " 0x%zx", bucket->pcs[i]);
	if (!bucket->depth)
		fprintf(to, " 0x0"); /* readers want one */
	fputc('\n', to);
	memcpy(name, &bucket->tags[1], 24);
	if (name[0])
		fprintf(to, "# labels: {\"name\":\"%s\"}\n", name);
	put_stack(to, s, bucket->pcs, bucket->depth);
}

static int by_first(const void *a, const void *b)
{
	const struct gt_bucket *x = *(const struct gt_bucket *const *)a, *y = *(const struct gt_bucket *const *)b;

	return x->values[0] < y->values[0] ? 1 : x->values[0] > y->values[0] ? -1 : x->hash < y->hash ? -1 : 1;
}

static int by_second(const void *a, const void *b)
{
	const struct gt_bucket *x = *(const struct gt_bucket *const *)a, *y = *(const struct gt_bucket *const *)b;

	return x->values[1] < y->values[1] ? 1 : x->values[1] > y->values[1] ? -1 : x->hash < y->hash ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
	const struct gt_bucket *x = *(const struct gt_bucket *const *)a, *y = *(const struct gt_bucket *const *)b;

	return x->tags[0] > y->tags[0] ? 1 : -1;
}

static void put_head(FILE *to, const struct gt_profile_kind *kind, const struct gt_profile_data *data)
{
	int64_t sum[4] = {0, 0, 0, 0};

	for (const struct gt_bucket *bucket = data->buckets.first; bucket; bucket = bucket->next)
		for (int i = 0; i < 4; i++)
			sum[i] += bucket->values[i];
	if (strcmp(kind->name, "heap") == 0 || strcmp(kind->name, "allocs") == 0)
		fprintf(to, "heap profile: " COUNT ": " COUNT " [" COUNT ": " COUNT "] @ heap/" COUNT "\n", ll(sum[2]),
			ll(sum[3]), ll(sum[0]), ll(sum[1]), ll(2 * data->period));
	else if (strcmp(kind->name, "block") == 0)
		fprintf(to, "--- contention:\ncycles/second=1000000000\n");
	else if (strcmp(kind->name, "mutex") == 0)
		fprintf(to, "--- mutex:\ncycles/second=1000000000\nsampling period=" COUNT "\n", ll(data->period));
	else
		fprintf(to, "%s profile: total " COUNT "\n", kind->name, ll(sum[0]));
}

static void put_heap_end(FILE *to, const struct gt_profile_input *in)
{
	if (!in->heap_known) {
		fprintf(to, "# the program runs without libgtrace_malloc: nothing is counted\n");
		return;
	}
	fprintf(to,
		"\n# runtime.MemStats\n# Alloc = " COUNT "\n# TotalAlloc = " COUNT "\n# Mallocs = " COUNT
		"\n# Frees = " COUNT "\n",
		ll(in->alloc_bytes - in->free_bytes), ll(in->alloc_bytes), ll(in->allocs), ll(in->frees));
}

static void put_goroutine(
	FILE *to, const struct gt_profile_input *in, struct gt_symbolizer *s, const struct gt_bucket *bucket)
{
	struct gt_symbols_line lines[GT_PROFILE_LINES];
	char name[25] = "";

	memcpy(name, &bucket->tags[1], 24);
	fprintf(to, "goroutine " COUNT " [%s]:%s%s\n", ll(bucket->tags[0]),
		in->what_it_does((uint32_t)bucket->values[2], (uint32_t)bucket->values[3]), name[0] ? " " : "", name);
	for (size_t i = 0; i < bucket->depth; i++) {
		size_t count = gt__symbolizer_lines(s, bucket->pcs[i], lines, GT_PROFILE_LINES);

		if (!count)
			fprintf(to, "0x%zx\n", bucket->pcs[i]);
		for (size_t k = 0; k < count; k++)
			fprintf(to, "%s(...)\n\t%s:%u\n", lines[k].function[0] ? lines[k].function : "?",
				lines[k].file[0] ? lines[k].file : "?", lines[k].line);
	}
	if (bucket->values[1])
		fprintf(to, "created by goroutine " COUNT "\n", ll(bucket->values[1]));
	fputc('\n', to);
}

static void put_all(
	FILE *to, const struct gt_profile_input *in, struct gt_symbolizer *s, const struct gt_bucket **sorted)
{
	const struct gt_profile_kind *kind = in->kind;
	const struct gt_profile_data *data = in->data;
	int debug = in->debug;
	bool heap = strcmp(kind->name, "heap") == 0 || strcmp(kind->name, "allocs") == 0;
	bool waits = strcmp(kind->name, "block") == 0 || strcmp(kind->name, "mutex") == 0;
	bool each = debug >= 2 && strcmp(kind->name, "goroutine") == 0;
	size_t count = 0;
	char numbers[128];

	for (const struct gt_bucket *bucket = data->buckets.first; bucket; bucket = bucket->next)
		sorted[count++] = bucket;
	qsort(sorted, count, sizeof(*sorted), each ? by_id : waits || heap ? by_second : by_first);
	if (!each)
		put_head(to, kind, data);
	for (size_t i = 0; i < count; i++) {
		const int64_t *v = sorted[i]->values;

		if (each) {
			put_goroutine(to, in, s, sorted[i]);
			continue;
		}
		if (heap)
			snprintf(numbers, sizeof(numbers), COUNT ": " COUNT " [" COUNT ": " COUNT "]", ll(v[2]),
				ll(v[3]), ll(v[0]), ll(v[1]));
		else if (waits)
			snprintf(numbers, sizeof(numbers), COUNT " " COUNT, ll(v[1]), ll(v[0]));
		else
			snprintf(numbers, sizeof(numbers), COUNT, ll(v[0]));
		put_bucket(to, s, sorted[i], numbers);
	}
	if (heap)
		put_heap_end(to, in);
	if (data->lost)
		fprintf(to, "# " COUNT " samples were lost: no room\n", ll(data->lost));
}

int gt__profile_text(const struct gt_profile_input *in, struct gt_symbolizer *s, void **bytes, size_t *size)
{
	const struct gt_bucket **sorted = calloc(in->data->buckets.count + 1, sizeof(*sorted));
	char *text = NULL;
	FILE *to = sorted ? open_memstream(&text, size) : NULL;
	bool bad = !to;

	if (to) {
		put_all(to, in, s, sorted);
		bad = ferror(to);
		bad |= fclose(to) != 0;
	}
	free((void *)sorted);
	if (bad) {
		free(text);
		return -ENOMEM;
	}
	*bytes = text;
	return 0;
}
