/* chrome_spans.c - see chrome_spans.h. */
#include "format/convert/chrome_spans.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PID_CPUS = 3, PID_GC = 6 };

enum kind { CPU, CYCLE, STOP, ASSIST, SWEEP };

#define THREADS_MAX 65536
#define TID_ASSIST  UINT64_C(1000)       /* + the goroutine: rows of the collector come first */
#define TID_SWEEP   UINT64_C(0xb0000000) /* + the P */

struct row {
	uint64_t key;
	int64_t since_ns; /* -1: nothing is open */
	uint64_t id;      /* CPU, goroutine or P + 1 */
	uint64_t detail;  /* thread, cycle, string */
	int64_t stopped_ns;
	uint8_t kind;
	bool named;
};

struct thread {
	uint64_t name; /* string */
	uint64_t m;    /* M + 1; 0 none */
};

void gt__spans_init(struct gt__spans *spans, struct gt_sink *sink, struct gt__texts *texts)
{
	memset(spans, 0, sizeof(*spans));
	spans->sink = sink;
	spans->texts = texts;
}

static char *begin(struct gt__spans *spans)
{
	spans->records++;
	return gt_sink_room(spans->sink, GT_SINK_RECORD_MAX);
}

static char *put_text(char *to, const struct gt__text *text)
{
	memcpy(to, text->bytes, text->size);
	return to + text->size;
}

static void name_process(struct gt__spans *spans, unsigned int pid, const char *name, unsigned int order)
{
	char *to = begin(spans);

	to += sprintf(to,
		",\n{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_name\",\"args\":{\"name\":\"%s\"}},\n"
		"{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%u}}",
		pid, name, pid, order);
	spans->sink->at = to;
	spans->records++;
}

static uint32_t tid_of(const struct row *row)
{
	switch (row->kind) {
	case CPU:
		return (uint32_t)(row->id + 1);
	case CYCLE:
		return 1;
	case STOP:
		return 2;
	case ASSIST:
		return (uint32_t)(TID_ASSIST + row->id % (TID_SWEEP - TID_ASSIST));
	default:
		return (uint32_t)(TID_SWEEP + row->id % 65536);
	}
}

static void name_row(struct gt__spans *spans, struct row *row)
{
	unsigned int pid = row->kind == CPU ? PID_CPUS : PID_GC;
	char name[48];

	row->named = true;
	if (row->kind == CPU && !spans->cpus_named)
		name_process(spans, PID_CPUS, "CPUS", 6);
	if (row->kind != CPU && !spans->gc_named)
		name_process(spans, PID_GC, "GC", 3);
	spans->cpus_named |= row->kind == CPU;
	spans->gc_named |= row->kind != CPU;
	switch (row->kind) {
	case CPU:
		snprintf(name, sizeof(name), "CPU %" PRIu64, row->id);
		break;
	case CYCLE:
		snprintf(name, sizeof(name), "cycles");
		break;
	case STOP:
		snprintf(name, sizeof(name), "stops of the world");
		break;
	case ASSIST:
		snprintf(name, sizeof(name), "G%" PRIu64 " assists", row->id);
		break;
	default:
		snprintf(name, sizeof(name), "P%" PRIu64 " sweeps", row->id - 1);
		break;
	}
	spans->sink->at += sprintf(begin(spans),
		",\n{\"ph\":\"M\",\"pid\":%u,\"tid\":%" PRIu32
		",\"name\":\"thread_name\",\"args\":{\"name\":\"%s\"}},\n"
		"{\"ph\":\"M\",\"pid\":%u,\"tid\":%" PRIu32
		",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%" PRIu32 "}}",
		pid, tid_of(row), name, pid, tid_of(row), tid_of(row) & INT32_MAX);
	spans->records++;
}

static struct row *row_of(struct gt__spans *spans, enum kind kind, uint64_t id)
{
	uint64_t key = (uint64_t)kind << 60 | (id & ((1ull << 60) - 1));
	struct row *row = gt__map_get(&spans->rows, key);

	if (row)
		return row;
	row = calloc(1, sizeof(*row));
	if (!row || gt__map_put(&spans->rows, key, row) < 0) {
		free(row);
		spans->failed = true;
		return NULL;
	}
	*row = (struct row){.key = key, .since_ns = -1, .id = id, .kind = (uint8_t)kind};
	if (!spans->lazy)
		name_row(spans, row);
	return row;
}

/* ---- one span ---- */

static char *put_name(struct gt__spans *spans, char *to, const struct row *row)
{
	const struct thread *thread;
	const struct gt__text *text;

	switch (row->kind) {
	case CPU:
		thread = gt__map_get(&spans->threads, row->detail);
		text = thread ? gt__texts_string(spans->texts, thread->name) : NULL;
		if (text && text->size) {
			to = put_text(to, text);
			*to++ = ' ';
		}
		return gt_json_u64(to, row->detail);
	case CYCLE:
		to = GT_JSON_PUT(to, "cycle ");
		return gt_json_u64(to, row->detail);
	case STOP:
		text = gt__texts_string(spans->texts, row->detail);
		return text && text->size ? put_text(to, text) : GT_JSON_PUT(to, "stop");
	case ASSIST:
		return GT_JSON_PUT(to, "assist");
	default:
		return GT_JSON_PUT(to, "sweep");
	}
}

/* @more: of args, without a comma before it; may be empty. */
static void end_span(struct gt__spans *spans, struct row *row, int64_t end_ns, const char *more)
{
	const struct thread *thread;
	char *to;

	if (row->since_ns < 0)
		return;
	if (end_ns < row->since_ns)
		end_ns = row->since_ns;
	if (row->since_ns < spans->from_ns)
		row->since_ns = end_ns > spans->from_ns ? spans->from_ns : -1;
	if (row->since_ns < 0)
		return;
	if (!row->named)
		name_row(spans, row);
	to = begin(spans);
	to += sprintf(to, ",\n{\"ph\":\"X\",\"pid\":%d,\"tid\":%" PRIu32 ",\"name\":\"",
		row->kind == CPU ? PID_CPUS : PID_GC, tid_of(row));
	to = put_name(spans, to, row);
	to = GT_JSON_PUT(to, "\",\"ts\":");
	to = gt_json_near_time(&spans->clock, to, (uint64_t)row->since_ns);
	to = GT_JSON_PUT(to, ",\"dur\":");
	to = gt_json_time(to, (uint64_t)(end_ns - row->since_ns));
	thread = row->kind == CPU ? gt__map_get(&spans->threads, row->detail) : NULL;
	if (*more || (thread && thread->m)) {
		to = GT_JSON_PUT(to, ",\"args\":{");
		if (thread && thread->m)
			to += sprintf(to, "\"m\":%" PRIu64 "%s", thread->m - 1, *more ? "," : "");
		to += sprintf(to, "%s}", more);
	}
	spans->sink->at = GT_JSON_PUT(to, "}");
	spans->slices++;
	row->since_ns = -1;
}

static void begin_span(struct gt__spans *spans, struct row *row, const struct gt_event *event, uint64_t detail)
{
	if (!row)
		return;
	end_span(spans, row, event->time_ns, "");
	row->since_ns = event->time_ns;
	row->stopped_ns = -1;
	row->detail = detail;
}

static struct row *find(struct gt__spans *spans, enum kind kind, uint64_t id)
{
	return gt__map_get(&spans->rows, (uint64_t)kind << 60 | (id & ((1ull << 60) - 1)));
}

/* ---- threads ---- */

static struct thread *thread_of(struct gt__spans *spans, uint64_t tid)
{
	struct thread *thread = gt__map_get(&spans->threads, tid);

	if (thread || spans->threads.count >= THREADS_MAX)
		return thread;
	thread = calloc(1, sizeof(*thread));
	if (thread && gt__map_put(&spans->threads, tid, thread) < 0) {
		free(thread);
		thread = NULL;
	}
	return thread;
}

static void thread_named(struct gt__spans *spans, uint64_t tid, uint64_t name)
{
	struct thread *thread = thread_of(spans, tid);

	if (thread && name)
		thread->name = name;
}

/* ---- events ---- */

static void on_cpu(struct gt__spans *spans, const struct gt_event *event)
{
	struct row *row = row_of(spans, CPU, event->args[1]);

	if (!row)
		return;
	if (event->kind == GT_EV_CPU_IN) {
		begin_span(spans, row, event, event->args[0]);
	} else {
		/* It was there before the trace: since when is not known. */
		if (row->since_ns >= 0 && row->detail == event->args[0])
			end_span(spans, row, event->time_ns,
				event->args[2] ? "\"then\":\"preempted\"" : "\"then\":\"waits\"");
		row->since_ns = -1;
	}
}

static void on_stop(struct gt__spans *spans, const struct gt_event *event)
{
	struct row *row = event->kind == GT_EV_STW_BEGIN ? row_of(spans, STOP, 0) : find(spans, STOP, 0);
	char more[96] = "";

	if (!row)
		return;
	if (event->kind == GT_EV_STW_BEGIN) {
		begin_span(spans, row, event, event->args[1]);
	} else if (event->kind == GT_EV_STW_STOPPED) {
		row->stopped_ns = event->time_ns;
	} else {
		if (row->since_ns >= 0 && row->stopped_ns >= row->since_ns)
			snprintf(more, sizeof(more), "\"stopping_ns\":%" PRId64, row->stopped_ns - row->since_ns);
		end_span(spans, row, event->time_ns, more);
	}
}

static void on_sweep_end(struct gt__spans *spans, const struct gt_event *event)
{
	struct row *row = find(spans, SWEEP, event->args[0]);
	char more[96];

	snprintf(more, sizeof(more), "\"swept\":%" PRIu64 ",\"reclaimed\":%" PRIu64, event->args[1], event->args[2]);
	if (row)
		end_span(spans, row, event->time_ns, more);
}

static void put_goal(struct gt__spans *spans, int64_t time_ns)
{
	char *to = GT_JSON_PUT(begin(spans), ",\n{\"ph\":\"C\",\"pid\":2,\"name\":\"heap goal\",\"ts\":");

	to = gt_json_near_time(&spans->clock, to, (uint64_t)time_ns);
	to = GT_JSON_PUT(to, ",\"args\":{\"bytes\":");
	to = gt_json_u64(to, spans->goal);
	spans->sink->at = GT_JSON_PUT(to, "}}");
}

void gt__spans_resume(struct gt__spans *spans)
{
	if (spans->goal)
		put_goal(spans, spans->from_ns);
}

void gt__spans_event(struct gt__spans *spans, const struct gt_event *event)
{
	struct thread *thread;
	struct row *row;

	switch (event->kind) {
	case GT_EV_CPU_IN:
	case GT_EV_CPU_OUT:
		on_cpu(spans, event);
		break;
	case GT_EV_THREAD_BEGIN:
		thread_named(spans, event->args[0], event->args[2]);
		break;
	case GT_EV_M_START:
		thread = thread_of(spans, event->args[0]);
		if (thread)
			thread->m = event->m + 1;
		break;
	case GT_EV_GC_BEGIN:
		begin_span(spans, row_of(spans, CYCLE, 0), event, event->args[1]);
		break;
	case GT_EV_GC_END:
		row = find(spans, CYCLE, 0);
		if (row)
			end_span(spans, row, event->time_ns, "");
		break;
	case GT_EV_STW_BEGIN:
	case GT_EV_STW_STOPPED:
	case GT_EV_STW_END:
		on_stop(spans, event);
		break;
	case GT_EV_ASSIST_BEGIN:
		begin_span(spans, row_of(spans, ASSIST, event->args[0]), event, 0);
		break;
	case GT_EV_ASSIST_END:
		row = find(spans, ASSIST, event->args[0]);
		if (row)
			end_span(spans, row, event->time_ns, "");
		break;
	case GT_EV_SWEEP_BEGIN:
		begin_span(spans, row_of(spans, SWEEP, event->args[0]), event, 0);
		break;
	case GT_EV_SWEEP_END:
		on_sweep_end(spans, event);
		break;
	case GT_EV_HEAP_GOAL:
		spans->goal = event->args[0];
		if (event->time_ns >= spans->from_ns)
			put_goal(spans, event->time_ns);
		break;
	case GT_EV_GO_END:
		/* Its row stays in the picture; its number is never used again. */
		row = find(spans, ASSIST, event->args[0]);
		if (row) {
			end_span(spans, row, event->time_ns, "");
			gt__map_remove(&spans->rows, row->key);
			free(row);
		}
		break;
	default:
		break;
	}
}

/* In order of their rows, so that the same trace gives the same bytes. */
static int by_key(const void *a, const void *b)
{
	const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;

	return x->key < y->key ? -1 : x->key > y->key;
}

void gt__spans_finish(struct gt__spans *spans, int64_t now_ns)
{
	struct row **sorted = malloc((spans->rows.count + 1) * sizeof(*sorted)), *row;
	size_t at = 0, count = 0;

	while ((row = gt__map_each(&spans->rows, &at)))
		if (sorted)
			sorted[count++] = row;
	if (sorted)
		qsort(sorted, count, sizeof(*sorted), by_key);
	for (size_t i = 0; i < count; i++)
		end_span(spans, sorted[i], now_ns, "");
	free(sorted);
}

void gt__spans_free(struct gt__spans *spans)
{
	size_t at = 0;
	void *each;

	while ((each = gt__map_each(&spans->rows, &at)))
		free(each);
	at = 0;
	while ((each = gt__map_each(&spans->threads, &at)))
		free(each);
	gt__map_free(&spans->rows);
	gt__map_free(&spans->threads);
}
