/* api_cpu.c - what the kernel did with an M's thread while a slice lasted: on a CPU, or which other thread had that meanwhile. */
#include "viewer/api_put.h"

#include <stdlib.h>

#define STAYS_MAX  4096    /* of the thread on a CPU, in one slice */
#define VISITS_MAX 1000000 /* slices of CPUs that are looked at */
#define TAKERS_MAX 8

/* One stay of the thread on a CPU; who has that after it. */
struct stay {
	int64_t since_ns, end_ns;
	uint32_t next_tid; /* 0: nobody is known */
	bool next_other;   /* of another process */
	uint8_t left;      /* enum gt_index_left */
};

struct taker {
	uint32_t tid; /* 0: nobody */
	bool other;
	int64_t ns;
	uint32_t count;
};

struct looked {
	struct stay stays[STAYS_MAX];
	uint32_t count;
	bool more;
};

static void look(const struct gt_index_row *row, uint32_t tid, int64_t since_ns, int64_t end_ns, struct looked *out,
	uint32_t *visits)
{
	for (uint32_t i = gt_index_at(row, since_ns); i < row->count; i++) {
		struct gt_index_slice slice = *gt_index_slice(row, i);
		const struct gt_index_slice *next;

		if (slice.since_ns >= end_ns)
			return;
		if (++*visits > VISITS_MAX || out->count == STAYS_MAX) {
			out->more = true;
			return;
		}
		if (slice.detail != tid || slice.state != GT_STATE_RUNNING || slice.end_ns <= since_ns)
			continue;
		next = i + 1 < row->count ? gt_index_slice(row, i + 1) : NULL;
		if (next && next->since_ns != slice.end_ns)
			next = NULL;
		out->stays[out->count++] = (struct stay){
			.since_ns = slice.since_ns > since_ns ? slice.since_ns : since_ns,
			.end_ns = slice.end_ns < end_ns ? slice.end_ns : end_ns,
			.next_tid = next ? next->detail : 0,
			.next_other = next && next->state != GT_STATE_RUNNING,
			.left = (uint8_t)slice.p,
		};
	}
}

static int by_time(const void *a, const void *b)
{
	const struct stay *x = a, *y = b;

	return x->since_ns < y->since_ns ? -1 : x->since_ns > y->since_ns;
}

/* The last place takes who comes when all others are taken. */
static void add(struct taker takers[TAKERS_MAX], uint32_t tid, bool other, int64_t ns)
{
	for (unsigned int i = 0; i < TAKERS_MAX; i++) {
		if (takers[i].count && (takers[i].tid != tid || takers[i].other != other) && i + 1 < TAKERS_MAX)
			continue;
		if (!takers[i].count) {
			takers[i].tid = tid;
			takers[i].other = other;
		}
		takers[i].ns += ns;
		takers[i].count++;
		return;
	}
}

static void put_takers(const struct gt_index *index, struct gt_sink *out, const struct taker takers[TAKERS_MAX])
{
	for (unsigned int i = 0; i < TAKERS_MAX && takers[i].count; i++) {
		const uint64_t *name = gt_map_find(&index->threads, takers[i].tid);

		gt__put_number(out, i ? ",{\"ns\":" : "{\"ns\":", takers[i].ns);
		gt__put_number(out, ",\"count\":", takers[i].count);
		if (takers[i].tid) {
			gt__put_number(out, ",\"tid\":", takers[i].tid);
			gt__put_string(out, ",\"name\":", name ? gt_trace_string(index->trace, *name) : "");
			gt__put(out, takers[i].other ? ",\"other\":true" : ",\"other\":false");
		}
		gt__put(out, "}");
	}
}

void gt__put_cpu(const struct gt_index *index, struct gt_sink *out, uint64_t m, int64_t since_ns, int64_t end_ns)
{
	const struct gt_trace_thread *thread = index->kinds[GT_INDEX_CPU] ? gt_trace_thread(index->trace, m) : NULL;
	const uint64_t *told = gt_map_find(&index->thread_of, m);
	uint64_t tid = told ? *told : thread ? thread->tid : 0;
	struct taker takers[TAKERS_MAX] = {0};
	int64_t on_ns = 0, waits_ns = 0, at_ns;
	struct looked *looked;
	uint32_t visits = 0;

	if (!index->kinds[GT_INDEX_CPU] || !tid || tid > UINT32_MAX || end_ns <= since_ns)
		return;
	looked = calloc(1, sizeof(*looked));
	for (uint32_t i = 0; looked && i < index->row_count; i++)
		if (index->rows[i].kind == GT_INDEX_CPU)
			look(&index->rows[i], (uint32_t)tid, since_ns, end_ns, looked, &visits);
	/* Where the thread never was on a CPU, the kernel's layer does not know it: its goroutine ran. */
	if (!looked || !looked->count) {
		free(looked);
		return;
	}
	qsort(looked->stays, looked->count, sizeof(looked->stays[0]), by_time);
	at_ns = since_ns;
	for (uint32_t i = 0; i < looked->count; i++) {
		const struct stay *stay = &looked->stays[i];
		int64_t until_ns = i + 1 < looked->count ? stay[1].since_ns : end_ns;

		on_ns += stay->end_ns > at_ns ? stay->end_ns - (stay->since_ns > at_ns ? stay->since_ns : at_ns) : 0;
		at_ns = stay->end_ns > at_ns ? stay->end_ns : at_ns;
		if (until_ns <= at_ns)
			continue;
		if (stay->left == GT_INDEX_LEFT_WAITING)
			waits_ns += until_ns - at_ns;
		else
			add(takers, stay->next_tid, stay->next_other, until_ns - at_ns);
	}
	gt__put_number(out, ",\"cpu\":{\"on\":", on_ns);
	gt__put_number(out, ",\"waits\":", waits_ns);
	gt__put(out, looked->more ? ",\"more\":true,\"off\":[" : ",\"off\":[");
	put_takers(index, out, takers);
	gt__put(out, "]}");
	free(looked);
}
