/* fake_trace.c - arrays that answer as an opened file would. */
#include "fake_trace.h"
#include "format/wire/writer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MAX 256

struct pair {
	const char *key;
	const char *value;
	uint64_t number;
};

struct gt_trace {
	struct gt_event *events;
	size_t count, room, at;
	struct pair metas[TABLE_MAX], strings[TABLE_MAX], losses[TABLE_MAX];
	size_t meta_count, string_count, loss_count;
	struct gt_trace_pc pcs[TABLE_MAX];
	struct gt_trace_line lines[TABLE_MAX];
	size_t pc_count;
	struct gt_trace_stack stacks[TABLE_MAX];
	uint64_t stack_ids[TABLE_MAX];
	size_t stack_count;
	struct gt_trace_thread threads[TABLE_MAX];
	size_t thread_count;
	struct gt_trace_goroutine goroutines[TABLE_MAX];
	size_t goroutine_count;
	struct gt_trace_damage damage;
	int64_t complete_ns;
};

struct gt_trace *fake_new(void)
{
	struct gt_trace *trace = calloc(1, sizeof(*trace));

	assert(trace);
	return trace;
}

void fake_free(struct gt_trace *trace)
{
	free(trace->events);
	free(trace);
}

void fake_event(struct gt_trace *trace, enum gt_event_kind kind, uint64_t m, int64_t time_ns, const uint64_t *args)
{
	struct gt_event *event;

	if (trace->count == trace->room) {
		trace->room = trace->room ? trace->room * 2 : 64;
		trace->events = realloc(trace->events, trace->room * sizeof(*trace->events));
		assert(trace->events);
	}
	event = &trace->events[trace->count++];
	*event = (struct gt_event){.ticks = (uint64_t)time_ns, .time_ns = time_ns, .m = m, .kind = (uint8_t)kind};
	memcpy(event->args, args, sizeof(event->args));
}

void fake_meta(struct gt_trace *trace, const char *key, const char *value)
{
	trace->metas[trace->meta_count++] = (struct pair){key, value, 0};
}

void fake_string(struct gt_trace *trace, uint64_t id, const char *text)
{
	trace->strings[trace->string_count++] = (struct pair){NULL, text, id};
}

void fake_pc(struct gt_trace *trace, uint64_t pc, const char *function, const char *file, uint32_t line)
{
	size_t at = trace->pc_count++;

	trace->lines[at] = (struct gt_trace_line){function, file, line};
	trace->pcs[at] = (struct gt_trace_pc){pc, 1, &trace->lines[at]};
}

void fake_stack(struct gt_trace *trace, uint64_t id, const uint64_t *pcs, uint32_t count)
{
	trace->stack_ids[trace->stack_count] = id;
	trace->stacks[trace->stack_count++] = (struct gt_trace_stack){count, pcs};
}

void fake_thread(struct gt_trace *trace, uint64_t m, uint64_t tid, const char *name)
{
	trace->threads[trace->thread_count++] = (struct gt_trace_thread){m, tid, name};
}

void fake_goroutine(struct gt_trace *trace, uint64_t g, uint64_t start_pc)
{
	trace->goroutines[trace->goroutine_count++] = (struct gt_trace_goroutine){g, 0, start_pc, 0};
}

void fake_loss(struct gt_trace *trace, const char *what, uint64_t count)
{
	trace->losses[trace->loss_count++] = (struct pair){NULL, what, count};
}

void fake_complete(struct gt_trace *trace, int64_t complete_ns)
{
	trace->complete_ns = complete_ns;
}

struct gt_trace_damage *fake_damage(struct gt_trace *trace)
{
	return &trace->damage;
}

static void write_tables(const struct gt_trace *trace, struct gt_writer *writer)
{
	for (size_t i = 0; i < trace->meta_count; i++)
		gt_writer_meta(writer, trace->metas[i].key, trace->metas[i].value);
	/* Once here: within a block of events no string can be written. */
	for (size_t i = 0; i < trace->string_count; i++)
		gt_writer_string(writer, trace->strings[i].value, strlen(trace->strings[i].value));
	for (size_t i = 0; i < trace->pc_count; i++) {
		const struct gt_trace_line *line = &trace->lines[i];
		struct gt_writer_line written = {.line = line->line};

		written.function = gt_writer_string(writer, line->function, strlen(line->function));
		written.file = gt_writer_string(writer, line->file, strlen(line->file));
		gt_writer_pc(writer, trace->pcs[i].pc, &written, 1);
	}
	for (size_t i = 0; i < trace->stack_count; i++)
		gt_writer_stack(writer, trace->stack_ids[i], trace->stacks[i].pcs, trace->stacks[i].count);
	for (size_t i = 0; i < trace->thread_count; i++)
		gt_writer_thread(writer, trace->threads[i].m, trace->threads[i].tid, trace->threads[i].name);
}

/* Strings have the ids that the writer gives them. */
static void write_event(const struct gt_trace *trace, struct gt_writer *writer, const struct gt_event *event)
{
	const struct gt_event_spec *spec = &gt_event_specs[event->kind];
	uint64_t args[GT_EVENT_ARGS_MAX];

	memcpy(args, event->args, sizeof(args));
	for (unsigned int i = 0; i < spec->arg_count; i++) {
		const char *text = spec->args[i].type == GT_ARG_STR ? gt_trace_string(trace, args[i]) : NULL;

		if (text)
			args[i] = gt_writer_string(writer, text, strlen(text));
	}
	gt_writer_event(writer, event->kind, event->ticks, args);
}

/* In blocks of one M each, as a collector hands them over. */
void fake_write(const struct gt_trace *trace, const char *path)
{
	struct gt_writer_config config = {.path = path, .ticks_per_second = 1000000000};
	enum { BATCH = 500, MS = 16 };
	struct gt_writer *writer;
	struct gt_error err;
	int ret = gt_writer_open(&config, &writer, &err);

	if (ret == 0) {
		write_tables(trace, writer);
		for (size_t from = 0; from < trace->count; from += BATCH) {
			size_t to = from + BATCH < trace->count ? from + BATCH : trace->count;

			for (uint64_t m = 0; m < MS; m++) {
				gt_writer_events_begin(writer, m, trace->events[from].ticks);
				for (size_t i = from; i < to; i++)
					if (trace->events[i].m == m)
						write_event(trace, writer, &trace->events[i]);
				gt_writer_events_end(writer);
			}
			gt_writer_watermark(writer, trace->events[to - 1].ticks);
		}
		ret = gt_writer_close(writer, trace->events[trace->count - 1].ticks,
			(int64_t)trace->events[trace->count - 1].ticks, &err);
	}
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", path, err.text);
		exit(1);
	}
}

/* ---- trace.h ---- */

int gt_trace_next(struct gt_trace *trace, struct gt_event *event)
{
	if (trace->at == trace->count)
		return 0;
	*event = trace->events[trace->at++];
	return 1;
}

int gt_trace_rewind(struct gt_trace *trace)
{
	trace->at = 0;
	return 0;
}

const char *gt_trace_meta(const struct gt_trace *trace, const char *key)
{
	for (size_t i = 0; i < trace->meta_count; i++)
		if (strcmp(trace->metas[i].key, key) == 0)
			return trace->metas[i].value;
	return NULL;
}

const char *gt_trace_string(const struct gt_trace *trace, uint64_t id)
{
	if (!id)
		return "";
	for (size_t i = 0; i < trace->string_count; i++)
		if (trace->strings[i].number == id)
			return trace->strings[i].value;
	return NULL;
}

const struct gt_trace_pc *gt_trace_pc(const struct gt_trace *trace, uint64_t pc)
{
	for (size_t i = 0; i < trace->pc_count; i++)
		if (trace->pcs[i].pc == pc)
			return &trace->pcs[i];
	return NULL;
}

const char *gt_trace_function(const struct gt_trace *trace, uint64_t pc)
{
	const struct gt_trace_pc *found = gt_trace_pc(trace, pc);

	return found ? found->lines[0].function : NULL;
}

const struct gt_trace_stack *gt_trace_stack(const struct gt_trace *trace, uint64_t id)
{
	for (size_t i = 0; i < trace->stack_count; i++)
		if (trace->stack_ids[i] == id)
			return &trace->stacks[i];
	return NULL;
}

const struct gt_trace_thread *gt_trace_thread(const struct gt_trace *trace, uint64_t m)
{
	for (size_t i = 0; i < trace->thread_count; i++)
		if (trace->threads[i].m == m)
			return &trace->threads[i];
	return NULL;
}

const struct gt_trace_goroutine *gt_trace_goroutine(const struct gt_trace *trace, uint64_t g)
{
	for (size_t i = 0; i < trace->goroutine_count; i++)
		if (trace->goroutines[i].g == g)
			return &trace->goroutines[i];
	return NULL;
}

bool gt_trace_metas(const struct gt_trace *trace, size_t *at, const char **key, const char **value)
{
	if (*at == trace->meta_count)
		return false;
	*key = trace->metas[*at].key;
	*value = trace->metas[(*at)++].value;
	return true;
}

bool gt_trace_losses(const struct gt_trace *trace, size_t *at, const char **what, uint64_t *count)
{
	if (*at == trace->loss_count)
		return false;
	*what = trace->losses[*at].value;
	*count = trace->losses[(*at)++].number;
	return true;
}

void gt_trace_info(const struct gt_trace *trace, struct gt_trace_info *out)
{
	memset(out, 0, sizeof(*out));
	out->events = trace->count;
	out->complete_ns = trace->complete_ns;
}

/* Its ticks are ns. */
int64_t gt_trace_end_ns(const struct gt_trace *trace, bool *gone)
{
	const char *end = gt_trace_meta(trace, "end_ticks");

	*gone = gt_trace_meta(trace, "exit") != NULL;

	return end ? atoll(end) : 0;
}

void gt_trace_damage(const struct gt_trace *trace, struct gt_trace_damage *out)
{
	*out = trace->damage;
}

const char *gt_trace_object(
	const struct gt_trace *trace, unsigned int what, uint64_t object, char out[GT_TRACE_OBJECT_BYTES])
{
	(void)trace;
	snprintf(out, GT_TRACE_OBJECT_BYTES, "%s \"%llx\"", gt_object_text(what), (unsigned long long)object);
	return out;
}

uint64_t gt_trace_fd(const struct gt_trace *trace, uint64_t fd)
{
	return 0;
}

uint64_t gt_trace_syscall_fd(const struct gt_trace *trace, uint64_t number, uint64_t arg0)
{
	return 0;
}

const char *gt_trace_syscall(const struct gt_trace *trace, uint64_t number)
{
	(void)trace;
	return number == 1 ? "write" : NULL;
}
