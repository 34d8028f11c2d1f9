/*
 * sample.c - viewer_sample FILE.gtrace hostile|told|crowd [EVENTS GOROUTINES]: traces for the page.
 *
 *   hostile   a simulated scheduler's, with names that are HTML and worse, a loss, and a window's edge
 *   told      all that events tell besides slices: calls with descriptors, allocations with types, logs, causes, stacks of events
 *   crowd     so many goroutines that wake each other in turn, so many events in all
 */
#include "../convert/simulate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hostile(struct gt_trace *trace)
{
	static const uint64_t pcs[] = {0x9001, 0x9002};

	fake_pc(trace, 0x9001, "<img src=x onerror=\"document.title='owned'\">",
		"</script><script>alert(1)</script>.go", 1);
	fake_pc(trace, 0x9002, "main.\"'&lt;b>\x01\xff\xe2\x80\xae", "a.go", 2);
	fake_stack(trace, 7001, pcs, 2);
	fake_string(trace, 900, "<svg onload=alert(2)>");
	FAKE_EVENT(trace, M_START, 0, 1000, 4242);
	FAKE_EVENT(trace, P_START, 0, 1100, 1);
	FAKE_EVENT(trace, GO_CREATE, 0, 1200, 1, GT_STATE_RUNNABLE, 0, 0x9001, 0);
	FAKE_EVENT(trace, GO_RUN, 0, 2000, 1, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, GO_CREATE, 0, 3000, 2, GT_STATE_RUNNABLE, 1, 0x9002, 0x9001);
	FAKE_EVENT(trace, TASK_BEGIN, 0, 3500, 1, 5, 0, 900);
	FAKE_EVENT(trace, REGION_BEGIN, 0, 3600, 1, 5, 900);
	FAKE_EVENT(trace, GO_BLOCK, 0, 9000, 1, GT_REASON_CHAN_RECEIVE, 7001);
	FAKE_EVENT(trace, GO_RUN, 0, 12000, 2, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, GO_READY, 0, 60000, 1, GT_STATE_WAITING, 2);
	FAKE_EVENT(trace, GO_BLOCK, 0, 70000, 2, GT_REASON_SELECT, 7001);
	FAKE_EVENT(trace, GO_RUN, 0, 80000, 1, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, REGION_END, 0, 85000, 1, 5, 900);
	FAKE_EVENT(trace, TASK_END, 0, 90000, 1, 5);
	FAKE_EVENT(trace, HEAP, 0, 91000, 1 << 20, 0);
	FAKE_EVENT(trace, GC_BEGIN, 0, 92000, 1, 1, 0);
	FAKE_EVENT(trace, STW_BEGIN, 0, 93000, 0, 900, 0);
	FAKE_EVENT(trace, STW_END, 0, 94000, 0);
	FAKE_EVENT(trace, GC_END, 0, 95000, 1);
	FAKE_EVENT(trace, LOST, 0, 98000, 17);
	FAKE_EVENT(trace, GO_RUN, 0, 99000, 2, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, GO_END, 0, 100000, 2);
	fake_meta(trace, "program", "/bin/<i>app</i>");
}

static void told_by_g1(struct gt_trace *trace)
{
	FAKE_EVENT(trace, FD_NAME, 0, 4000, 3, 901);
	FAKE_EVENT(trace, SYSCALL_INFO, 0, 5000, 1, 0, 3, 512);
	FAKE_EVENT(trace, SYSCALL_RESULT, 0, 7000, 1, 0, 512, 0);
	FAKE_EVENT(trace, SYSCALL_INFO, 0, 8000, 1, 1, 3, 64);
	FAKE_EVENT(trace, SYSCALL_RESULT, 0, 8500, 1, 1, 0, 28);
	FAKE_EVENT(trace, ALLOC, 0, 9000, 1, 0xc000010000, 64, 64, 7001);
	FAKE_EVENT(trace, ALLOC_TYPE, 0, 9000, 1, 902);
	FAKE_EVENT(trace, LOG, 0, 10000, 1, 0, 903, 904);
	FAKE_EVENT(trace, ASSIST_BEGIN, 0, 11000, 1, 7001);
	FAKE_EVENT(trace, ASSIST_END, 0, 12000, 1);
	FAKE_EVENT(trace, TIMER_SET, 0, 13000, 1, 0xc000020000, 5000000);
}

static void told(struct gt_trace *trace)
{
	static const uint64_t pcs[] = {0x9001, 0x9002};

	fake_pc(trace, 0x9001, "main.waker", "a.go", 1);
	fake_pc(trace, 0x9002, "main.main", "a.go", 2);
	fake_pc(trace, 0x9003, "main.reader", "a.go", 3);
	fake_stack(trace, 7001, pcs, 2);
	fake_string(trace, 901, "/tmp/<b>file</b>");
	fake_string(trace, 902, "map[string]main.T");
	fake_string(trace, 903, "category");
	fake_string(trace, 904, "hello");
	fake_string(trace, 905, "/etc/later");
	fake_meta(trace, "machine", "x86_64");
	for (uint64_t m = 0; m < 2; m++) {
		FAKE_EVENT(trace, M_START, m, 1000 + (int64_t)m, 4242 + m);
		FAKE_EVENT(trace, P_START, m, 1100 + (int64_t)m, m + 1);
	}
	for (uint64_t g = 1; g <= 3; g++)
		FAKE_EVENT(
			trace, GO_CREATE, 0, 1200 + (int64_t)g, g, GT_STATE_RUNNABLE, 0, g == 1 ? 0x9002 : 0x9003, 0);
	FAKE_EVENT(trace, GO_RUN, 0, 2000, 1, GT_STATE_RUNNABLE, 1);
	FAKE_EVENT(trace, GO_RUN, 1, 2100, 3, GT_STATE_RUNNABLE, 2);
	FAKE_EVENT(trace, GO_BLOCK, 1, 3000, 3, GT_REASON_CHAN_RECEIVE, 7001);
	told_by_g1(trace);
	FAKE_EVENT(trace, FD_NAME, 0, 30000, 3, 905);
	FAKE_EVENT(trace, GO_RUN, 1, 31000, 2, GT_STATE_RUNNABLE, 2);
	FAKE_EVENT(trace, WAITS_ON, 1, 32000, 2, GT_OBJECT_FD_READ, 3, 0);
	FAKE_EVENT(trace, GO_BLOCK, 1, 32000, 2, GT_REASON_IO_WAIT, 7001);
	FAKE_EVENT(trace, WAKE_CAUSE, 1, 50000, 2, GT_CAUSE_NETPOLL, 3);
	FAKE_EVENT(trace, GO_READY, 1, 50000, 2, GT_STATE_WAITING, 0);
	FAKE_EVENT(trace, GO_RUN, 1, 51000, 2, GT_STATE_RUNNABLE, 2);
	FAKE_EVENT(trace, GO_END, 1, 52000, 2);
	FAKE_EVENT(trace, GO_READY, 0, 70000, 3, GT_STATE_WAITING, 1);
	FAKE_EVENT(trace, EVENT_STACK, 0, 70000, 1, 7001);
	FAKE_EVENT(trace, GO_RUN, 1, 71000, 3, GT_STATE_RUNNABLE, 2);
	FAKE_EVENT(trace, GO_END, 1, 90000, 3);
	FAKE_EVENT(trace, GO_END, 0, 100000, 1);
}

/* Each wakes the next, and waits. */
static void crowd(struct gt_trace *trace, uint64_t events, uint64_t goroutines)
{
	int64_t now = 1000;
	uint64_t put = 2;

	fake_pc(trace, 0x9001, "main.worker", "main.go", 10);
	fake_pc(trace, 0x9002, "main.reader", "main.go", 20);
	FAKE_EVENT(trace, M_START, 0, now, 4242);
	FAKE_EVENT(trace, P_START, 0, now + 1, 1);
	for (uint64_t g = 1; g <= goroutines; g++, put++)
		FAKE_EVENT(trace, GO_CREATE, 0, now += 50, g, GT_STATE_RUNNABLE, 0, g % 3 ? 0x9001 : 0x9002, 0);
	/* The first time around nobody has to be woken. */
	for (uint64_t g = 1, turns = 1; put + 3 <= events; put += 3, turns++) {
		uint64_t next = g % goroutines + 1;

		FAKE_EVENT(trace, GO_RUN, 0, now += 100, g, GT_STATE_RUNNABLE, 1);
		if (turns >= goroutines)
			FAKE_EVENT(trace, GO_READY, 0, now += 300, next, GT_STATE_WAITING, g);
		else
			put--;
		FAKE_EVENT(trace, GO_BLOCK, 0, now += 200, g, GT_REASON_CHAN_RECEIVE, 0);
		g = next;
	}
}

int main(int argc, char **argv)
{
	struct gt_trace *trace = fake_new();

	if (argc < 3) {
		fprintf(stderr, "usage: viewer_sample FILE hostile|told|crowd [EVENTS GOROUTINES]\n");
		return 2;
	}
	if (strcmp(argv[2], "hostile") == 0)
		hostile(trace);
	else if (strcmp(argv[2], "told") == 0)
		told(trace);
	else
		crowd(trace, argc > 3 ? strtoull(argv[3], NULL, 10) : 300000,
			argc > 4 ? strtoull(argv[4], NULL, 10) : 3000);
	fake_write(trace, argv[1]);
	fake_free(trace);
	return 0;
}
