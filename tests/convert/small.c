/* small.c - a program of three goroutines, one of each thing that can happen to them. */
#include "small.h"

static const uint64_t wait_stack[] = {0x2010, 0x2020, 0x2030};

void small_trace(struct gt_trace *trace)
{
	fake_meta(trace, "program", "/tmp/bin/app");
	fake_meta(trace, "pid", "4242");
	fake_meta(trace, "args", "app --name=\"a b\"");
	fake_string(trace, 1, "load");
	fake_string(trace, 2, "parse \"x\"");
	fake_string(trace, 3, "step");
	fake_string(trace, 4,
		"42\tof\xff"
		"\n7");
	fake_pc(trace, 0x1000, "main.main", "/src/app/main.go", 10);
	fake_pc(trace, 0x1100, "main.worker", "/src/app/main.go", 20);
	fake_pc(trace, 0x1200, "main.main.func1", "/src/app/main.go", 33);
	fake_pc(trace, 0x2010, "sync.(*WaitGroup).Wait", "/go/src/sync/waitgroup.go", 118);
	fake_pc(trace, 0x2020, "main.main", "/src/app/main.go", 15);
	fake_stack(trace, 1, wait_stack, 3);
	fake_thread(trace, 0, 4242, "app");
	fake_thread(trace, 3, 4245, "app");

	/* G1 was there before the trace began. */
	fake_goroutine(trace, 1, 0x1000);
	FAKE_EVENT(trace, M_START, 3, 500, 4245);
	FAKE_EVENT(trace, GO_CREATE, 0, 1000, 7, 1, 1, 0x1100, 0x2020);
	FAKE_EVENT(trace, GO_CREATE, 0, 1250, 8, 1, 1, 0x1200, 0);
	FAKE_EVENT(trace, TASK_BEGIN, 0, 1300, 1, 5, 0, 1);
	FAKE_EVENT(trace, GO_BLOCK, 0, 2000, 1, 24, 1);
	FAKE_EVENT(trace, GO_RUN, 0, 2100, 7, 1, 1);
	FAKE_EVENT(trace, P_START, 3, 2150, 2);
	FAKE_EVENT(trace, GO_RUN, 3, 2200, 8, 1, 2);
	FAKE_EVENT(trace, REGION_BEGIN, 3, 2300, 8, 5, 2);
	FAKE_EVENT(trace, LOG, 3, 2400, 8, 5, 3, 4);
	FAKE_EVENT(trace, GO_SYSCALL, 0, 3000, 7, 0);
	FAKE_EVENT(trace, GO_YIELD, 3, 3100, 8, 64, 0);
	FAKE_EVENT(trace, GO_RUN, 3, 3150, 8, 1, 2);
	/* A third M takes P0 while G7 is in its system call. */
	FAKE_EVENT(trace, M_START, 4, 3200, 4246);
	FAKE_EVENT(trace, P_START, 4, 3300, 1);
	FAKE_EVENT(trace, P_STOP, 4, 3400, 1);
	FAKE_EVENT(trace, P_IDLE, 4, 3400, 1);
	FAKE_EVENT(trace, M_IDLE, 4, 3450);
	FAKE_EVENT(trace, GO_SYSEXIT, 0, 5000, 7, 2);
	FAKE_EVENT(trace, P_START, 0, 5010, 1);
	FAKE_EVENT(trace, GO_READY, 0, 6000, 1, 4, 7);
	FAKE_EVENT(trace, GO_END, 0, 6100, 7);
	FAKE_EVENT(trace, REGION_END, 3, 6200, 8, 5, 2);
	FAKE_EVENT(trace, TASK_END, 3, 6300, 8, 5);
	FAKE_EVENT(trace, LOST, 3, 7000, 12);
	FAKE_EVENT(trace, GO_RUN, 0, 8000, 1, 1, 1);
	FAKE_EVENT(trace, GO_SYSCALL, 3, 8500, 8, 0);
	FAKE_EVENT(trace, M_IDLE, 4, 1234567);
	fake_loss(trace, "threads without a block", 3);
	fake_damage(trace)->events_lost = 15;
}

static const uint64_t wrapped_stacks[][2] = {{0x110, 0x101}, {0x210, 0x101}, {0x310, 0x301}};

void wrapped_trace(struct gt_trace *trace)
{
	fake_pc(trace, 0x100, "sync.(*WaitGroup).Go.func1", "waitgroup.go", 1);
	fake_pc(trace, 0x101, "sync.(*WaitGroup).Go.func1", "waitgroup.go", 2);
	fake_pc(trace, 0x110, "main.fetch", "main.go", 10);
	fake_pc(trace, 0x210, "main.store", "main.go", 20);
	fake_pc(trace, 0x300, "main.run.gowrap1", "main.go", 30);
	fake_pc(trace, 0x301, "main.run.gowrap1", "main.go", 30);
	fake_pc(trace, 0x310, "main.serve", "main.go", 40);
	for (uint64_t i = 0; i < 3; i++)
		fake_stack(trace, i + 1, wrapped_stacks[i], 2);
	for (uint64_t g = 11; g <= 13; g++)
		fake_goroutine(trace, g, 0x100);
	for (uint64_t g = 21; g <= 22; g++)
		fake_goroutine(trace, g, 0x300);
	for (uint64_t g = 11; g <= 22; g += g == 13 ? 8 : 1) {
		int64_t at = (int64_t)g * 1000;

		FAKE_EVENT(trace, GO_CREATE, 0, at, g, GT_STATE_RUNNABLE, 0, g < 20 ? 0x100 : 0x300, 0);
		FAKE_EVENT(trace, GO_RUN, 0, at + 100, g, GT_STATE_RUNNABLE, 1);
		/* The last of each wrapper ends without having told a stack. */
		if (g != 13 && g != 22)
			FAKE_EVENT(trace, GO_BLOCK, 0, at + 500, g, GT_REASON_SELECT, g == 11 ? 1 : g == 12 ? 2 : 3);
		else
			FAKE_EVENT(trace, GO_END, 0, at + 500, g);
	}
	FAKE_EVENT(trace, M_IDLE, 0, 90000);
}
