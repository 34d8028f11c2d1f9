/* odd.c - writes DIR/NAME.pftrace of traces at the edges: small, empty, window, many goroutines, hostile names and events. */
#include "format/convert/perfetto.h"
#include "small.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void empty_trace(struct gt_trace *trace)
{
	(void)trace;
}

/* Begins in the midst of things, misses some, ends in the midst of others. */
static void window_trace(struct gt_trace *trace)
{
	fake_complete(trace, 2000);
	FAKE_EVENT(trace, GO_READY, 0, 1000, 5, GT_STATE_WAITING, 0);
	FAKE_EVENT(trace, GO_BLOCK, 0, 3000, 6, GT_REASON_SELECT, 0);
	FAKE_EVENT(trace, GO_RUN, 0, 4000, 5, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, LOST, 0, 5000, 7);
	/* G5 blocked in what is missing. */
	FAKE_EVENT(trace, GO_RUN, 0, 8000, 6, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, GO_SYSCALL, 0, 9000, 6, 0);
	FAKE_EVENT(trace, GO_READY, 1, 9500, 5, GT_STATE_WAITING, 0);
	FAKE_EVENT(trace, GO_RUN, 1, 9600, 5, GT_STATE_RUNNABLE, 2);
	/* Out of its syscall without a P, then with one. */
	FAKE_EVENT(trace, GO_SYSEXIT, 0, 9700, 6, GT_STATE_RUNNING);
	FAKE_EVENT(trace, GO_END, 1, 9800, 5);
	FAKE_EVENT(trace, M_IDLE, 1, 9900);
}

/* A goroutine for callbacks from C rests dead between them, and after the last. */
static void callbacks_trace(struct gt_trace *trace)
{
	for (int64_t now = 1000; now <= 3000; now += 2000) {
		FAKE_EVENT(trace, GO_STATE, 7, now, 18, GT_STATE_DEAD, GT_STATE_SYSCALL, 0);
		FAKE_EVENT(trace, GO_SYSEXIT, 7, now + 100, 18, GT_STATE_RUNNING);
		FAKE_EVENT(trace, P_START, 7, now + 100, 1);
		FAKE_EVENT(trace, GO_SYSCALL, 7, now + 300, 18, 0);
		FAKE_EVENT(trace, GO_STATE, 7, now + 400, 18, GT_STATE_SYSCALL, GT_STATE_DEAD, 0);
	}
	FAKE_EVENT(trace, M_IDLE, 7, 9000);
}

/* All live at once. */
static void many_trace(struct gt_trace *trace)
{
	const uint64_t count = 100000;

	fake_pc(trace, 0x1000, "main.worker", "/src/main.go", 10);
	for (uint64_t g = 1; g <= count; g++)
		FAKE_EVENT(trace, GO_CREATE, 0, (int64_t)g, g, GT_STATE_RUNNABLE, 0, 0x1000, 0);
	for (uint64_t g = 1; g <= count; g++) {
		FAKE_EVENT(trace, GO_RUN, 0, (int64_t)(count + 10 * g), g, GT_STATE_RUNNABLE, 1);
		FAKE_EVENT(trace, GO_BLOCK, 0, (int64_t)(count + 10 * g + 5), g, GT_REASON_CHAN_RECEIVE, 0);
	}
	FAKE_EVENT(trace, M_IDLE, 0, (int64_t)(count * 12));
}

static const char *const names[] = {"", "\xff\xfe", "\xc3", "\xed\xa0\x80 half of a pair", "a\nb\tc\x01", "\"}],{\"",
	"<script>alert(1)</script>", "%s%n", "größe 名前 😀"};

static void hostile_names(struct gt_trace *trace)
{
	static char huge[100000], umlauts[4096];
	static uint64_t deep[20000], stack[8];

	memset(huge, 'x', sizeof(huge) - 1);
	for (size_t i = 0; i + 2 < sizeof(umlauts); i += 2)
		memcpy(umlauts + i, "\xc3\xbc", 2);
	for (size_t i = 0; i < sizeof(deep) / sizeof(*deep); i++)
		deep[i] = 0x1000 + i % 600;
	for (size_t i = 0; i < sizeof(stack) / sizeof(*stack); i++)
		stack[i] = 0x1000 + i;
	fake_meta(trace, "pid", "99999999999999999999");
	fake_meta(trace, "program", "/\xff\xfe/\x01");
	fake_meta(trace, "a key \xff", huge);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		fake_string(trace, i + 1, names[i]);
		fake_pc(trace, 0x1000 + i, names[i], names[i], (uint32_t)-1);
		fake_thread(trace, i, UINT64_MAX - i, names[i]);
		FAKE_EVENT(trace, THREAD_BEGIN, 9, (int64_t)i, 100 + i, 0, i + 1);
		FAKE_EVENT(trace, CPU_IN, 9, (int64_t)i, 100 + i, i);
	}
	fake_string(trace, 20, huge);
	fake_string(trace, 21, umlauts);
	fake_pc(trace, 0x1020, huge, huge, 0);
	fake_pc(trace, 0x1021, umlauts, umlauts, 0);
	fake_stack(trace, 1, deep, sizeof(deep) / sizeof(*deep));
	fake_stack(trace, 2, stack, sizeof(stack) / sizeof(*stack));
	fake_stack(trace, 3, stack, 0);
	fake_loss(trace, huge, UINT64_MAX);
	memset(fake_damage(trace)->first, 0xff, sizeof(fake_damage(trace)->first) - 1);
	fake_damage(trace)->records_bad = UINT64_MAX;
	/* What each name is good for. */
	for (uint64_t i = 1; i <= 33; i++) {
		int64_t now = (int64_t)i * 1000;

		FAKE_EVENT(trace, GO_CREATE, 0, now, i, GT_STATE_RUNNABLE, i - 1, 0x1000 + i - 1, 0x1000 + i - 1);
		FAKE_EVENT(trace, GO_RUN, 0, now + 100, i, GT_STATE_RUNNABLE, 1);
		FAKE_EVENT(trace, TASK_BEGIN, 0, now + 110, i, i, 0, i);
		FAKE_EVENT(trace, REGION_BEGIN, 0, now + 120, i, i, i);
		FAKE_EVENT(trace, LOG, 0, now + 130, i, i, i, i);
		FAKE_EVENT(trace, WAITS_ON, 0, now + 140, i, GT_OBJECT_MUTEX, UINT64_MAX, i - 1);
		FAKE_EVENT(trace, GO_BLOCK, 0, now + 150, i, GT_REASON_SYNC_MUTEX_LOCK, i % 4);
	}
}

/* Any kinds with any arguments, small and huge. */
static void hostile_events(struct gt_trace *trace, unsigned int seed)
{
	int64_t now = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		fake_string(trace, i + 1, names[i]);
	for (int i = 0; i < 30000; i++) {
		uint64_t args[GT_EVENT_ARGS_MAX];

		for (int a = 0; a < GT_EVENT_ARGS_MAX; a++) {
			args[a] = (uint64_t)rand_r(&seed) % 7;
			if (rand_r(&seed) % 50 == 0)
				args[a] = UINT64_MAX >> (rand_r(&seed) % 64);
		}
		now += rand_r(&seed) % 1000 - 10;
		fake_event(trace, (enum gt_event_kind)(rand_r(&seed) % 96), (uint64_t)rand_r(&seed) % 5, now, args);
	}
}

static void hostile_1(struct gt_trace *trace)
{
	hostile_events(trace, 1);
}

static void hostile_2(struct gt_trace *trace)
{
	hostile_events(trace, 2);
}

static const struct {
	const char *name;
	void (*make)(struct gt_trace *trace);
} traces[] = {{"small", small_trace}, {"empty", empty_trace}, {"window", window_trace}, {"callbacks", callbacks_trace},
	{"many", many_trace}, {"names", hostile_names}, {"events1", hostile_1}, {"events2", hostile_2}};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(traces) / sizeof(*traces); i++) {
		struct gt_trace *trace = fake_new();
		struct gt_sink sink;
		struct gt_error err;
		char path[4096];
		int fd, ret;

		traces[i].make(trace);
		snprintf(path, sizeof(path), "%s/%s.pftrace", argv[1], traces[i].name);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (fd < 0 || gt_sink_open_fd(&sink, fd, path) < 0) {
			perror(path);
			return 1;
		}
		ret = gt_convert_perfetto(trace, &sink, NULL, &err);
		if (gt_sink_close(&sink, NULL, NULL, ret < 0 ? NULL : &err) < 0 || ret < 0) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		close(fd);
		fake_free(trace);
	}
	return argc == 2 ? 0 : 2;
}
