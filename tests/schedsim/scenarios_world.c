/*
 * scenarios_world.c - what comes from outside: system calls, descriptors, slices that end, GOMAXPROCS, plain threads, deadlocks.
 */
#include "tests/schedsim/world.h"

#include <gtrace/io.h>
#include <gtrace/sync.h>

static struct gt_wg group;
static _Atomic uint32_t flag;
static _Atomic long count;

static void add_one(void *arg)
{
	__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
	gt_wg_done(&group);
}

/* ---- system calls ---- */

static void caller(void *arg)
{
	for (int i = 0; i < 5; i++) {
		gt_syscall_enter();
		switch (sim_below(4)) {
		case 0:
			break;
		case 1:
			sim_work(sim_below(30));
			break;
		case 2:
			sim_block((int64_t)sim_below(100) * GT_MICROSECOND);
			break;
		default:
			sim_block(20 * GT_MILLISECOND);
		}
		gt_syscall_exit();
		if (sim_one_in(2))
			gt_yield();
	}
	gt_wg_done(&group);
}

static void spawner(void *arg)
{
	for (int i = 0; i < 10; i++) {
		gt_wg_add(&group, 1);
		gt_go(add_one, NULL);
		sim_work(sim_below(20));
		if (sim_one_in(3))
			gt_sleep(5 * GT_MICROSECOND);
	}
	gt_wg_done(&group);
}

static int syscalls(int argc, char **argv)
{
	gt_wg_add(&group, 4);
	for (int i = 0; i < 3; i++)
		gt_go(caller, NULL);
	gt_go(spawner, NULL);
	gt_wg_wait(&group);
	sim_check(count == 10);
	return 0;
}

/* More goroutines than Ps, all of them in and out of calls that are just long enough to lose the P. */
static void short_caller(void *arg)
{
	for (int i = 0; i < 10; i++) {
		gt_syscall_enter();
		sim_block((int64_t)sim_below(120) * GT_MICROSECOND);
		gt_syscall_exit();
		if (sim_one_in(3)) {
			gt_wg_add(&group, 1);
			gt_go(add_one, NULL);
		}
	}
	gt_wg_done(&group);
}

static int syscalls_short(int argc, char **argv)
{
	gt_wg_add(&group, 4);
	for (int i = 0; i < 4; i++)
		gt_go(short_caller, NULL);
	gt_wg_wait(&group);
	return 0;
}

/* The only P goes into a system call with work in its queue: others must get it. */
static void sets_flag(void *arg)
{
	atomic_store_explicit(&flag, 1, memory_order_release);
}

static int hand_off(int argc, char **argv)
{
	gt_go(sets_flag, NULL);
	gt_syscall_enter();
	for (int i = 0; !atomic_load_explicit(&flag, memory_order_acquire); i++) {
		sim_block(GT_MILLISECOND);
		if (i > 100)
			sim_fail("a P in a system call was not taken back");
	}
	gt_syscall_exit();
	return 0;
}

/* A timer in the heap of a P that sits in a system call. */
static int hand_off_timer(int argc, char **argv)
{
	gt_timer t = gt_after_func(50 * GT_MICROSECOND, sets_flag, NULL);

	gt_syscall_enter();
	for (int i = 0; !atomic_load_explicit(&flag, memory_order_acquire); i++) {
		sim_block(GT_MILLISECOND);
		if (i > 100)
			sim_fail("a timer of a P in a system call never ran");
	}
	gt_syscall_exit();
	gt_chan_free(t);
	return 0;
}

/* ---- descriptors ---- */

static struct gt_fd *reading, *writing;
static int raw[2];

static void pipe_writer(void *arg)
{
	uint8_t bytes[20];

	for (int i = 0; i < 6; i++) {
		for (int k = 0; k < 20; k++)
			bytes[k] = (uint8_t)(i * 20 + k);
		sim_check(gt_fd_write(writing, bytes, 20) == 20);
		if (sim_one_in(3))
			gt_sleep((int64_t)sim_below(30) * GT_MICROSECOND);
	}
	gt_fd_close(writing);
	gt_wg_done(&group);
}

static int pipes(int argc, char **argv)
{
	uint8_t bytes[32];
	int total = 0;
	ssize_t got;

	sim_pipe(raw, 16);
	sim_check(gt_fd_new(raw[0], &reading) == 0 && gt_fd_new(raw[1], &writing) == 0);
	gt_wg_add(&group, 1);
	gt_go(pipe_writer, NULL);
	while ((got = gt_fd_read(reading, bytes, 1 + sim_below(32))) > 0)
		for (ssize_t i = 0; i < got; i++)
			sim_check(bytes[i] == (uint8_t)total++);
	sim_check(got == 0 && total == 120);
	gt_fd_close(reading);
	gt_wg_wait(&group);
	return 0;
}

/* The other side is no goroutine: only the set of descriptors can tell. */
static void outside_writer(void *arg)
{
	for (int i = 0; i < 5; i++) {
		gt__port_sleep((int64_t)sim_below(20000) * GT_MICROSECOND);
		while (write(raw[1], "x", 1) != 1)
			gt__port_sleep(GT_MICROSECOND);
	}
	gt__port_sleep(GT_MILLISECOND);
	close(raw[1]);
}

static int poll_outside(int argc, char **argv)
{
	ssize_t got, total = 0;
	char bytes[8];

	sim_pipe(raw, 16);
	sim_check(gt_fd_new(raw[0], &reading) == 0);
	gt__port_thread(outside_writer, NULL);
	while ((got = gt_fd_read(reading, bytes, sizeof(bytes))) > 0)
		total += got;
	sim_check(got == 0 && total == 5);
	gt_fd_close(reading);
	return 0;
}

/* It comes just when the reader has been busy so long that sysmon looks, and is about to wait. */
static _Atomic int expected;

static void writes_when_expected(void *arg)
{
	for (int told = 0; told < 10; told++) {
		while (atomic_load_explicit(&expected, memory_order_relaxed) <= told)
			gt__port_sleep(5 * GT_MICROSECOND);
		sim_work(sim_below(120));
		while (write(raw[1], "x", 1) != 1)
			continue;
	}
}

static int poll_late(int argc, char **argv)
{
	char byte;

	sim_pipe(raw, 16);
	sim_check(gt_fd_new(raw[0], &reading) == 0);
	gt__port_thread(writes_when_expected, NULL);
	for (int i = 0; i < 10; i++) {
		sim.now += 11 * GT_MILLISECOND;
		atomic_store_explicit(&expected, i + 1, memory_order_seq_cst);
		sim_check(gt_fd_read(reading, &byte, 1) == 1);
	}
	gt_fd_close(reading);
	return 0;
}

/* The same while others keep every P busy, and sleep. */
static void busy(void *arg)
{
	for (int i = 0; i < 20; i++) {
		sim_work(20);
		if (i % 4 == 0)
			gt_sleep(10 * GT_MICROSECOND);
		else
			gt_yield();
	}
	gt_wg_done(&group);
}

static int poll_busy(int argc, char **argv)
{
	gt_wg_add(&group, 4);
	for (int i = 0; i < 4; i++)
		gt_go(busy, NULL);
	poll_outside(0, NULL);
	gt_wg_wait(&group);
	return 0;
}

static int deadlines(int argc, char **argv)
{
	char byte;

	sim_pipe(raw, 16);
	sim_check(gt_fd_new(raw[0], &reading) == 0);
	for (int i = 0; i < 4; i++) {
		int64_t when = gt_now() + (int64_t)sim_below(60) * GT_MICROSECOND;

		gt_fd_read_deadline(reading, when);
		sim_check(gt_fd_read(reading, &byte, 1) == -ETIMEDOUT);
		sim_check(gt_now() >= when);
		gt_fd_read_deadline(reading, 0);
		if (sim_one_in(2)) {
			while (write(raw[1], "y", 1) != 1)
				continue;
			sim_check(gt_fd_read(reading, &byte, 1) == 1 && byte == 'y');
		}
	}
	gt_fd_close(reading);
	return 0;
}

static void closes_it(void *arg)
{
	gt_sleep((int64_t)sim_below(30) * GT_MICROSECOND);
	sim_check(gt_fd_close(reading) == 0);
	gt_wg_done(&group);
}

static int close_while_reading(int argc, char **argv)
{
	char byte;

	sim_pipe(raw, 16);
	sim_check(gt_fd_new(raw[0], &reading) == 0);
	gt_fd_read_deadline(reading, gt_now() + GT_SECOND);
	gt_wg_add(&group, 1);
	gt_go(closes_it, NULL);
	sim_check(gt_fd_read(reading, &byte, 1) == -ECANCELED);
	gt_wg_wait(&group);
	return 0;
}

/* ---- slices ---- */

/* It makes no call: only a signal can stop it. */
static int preempt_spinner(int argc, char **argv)
{
	gt_go(sets_flag, NULL);
	for (int i = 0; !atomic_load_explicit(&flag, memory_order_acquire); i++) {
		sim_work(1);
		sim.now += 20 * GT_MICROSECOND;
		if (i > 200000)
			sim_fail("a spinning goroutine was not stopped");
	}
	return 0;
}

/* sysmon has gone to sleep meanwhile. */
static int preempt_after_idle(int argc, char **argv)
{
	gt_sleep(500 * GT_MILLISECOND);
	return preempt_spinner(0, NULL);
}

static int preempt_caller(int argc, char **argv)
{
	gt_go(sets_flag, NULL);
	for (int i = 0; !atomic_load_explicit(&flag, memory_order_acquire); i++) {
		gt_checkpoint();
		sim.now += 20 * GT_MICROSECOND;
		if (i > 200000)
			sim_fail("a goroutine that makes calls was not stopped");
	}
	return 0;
}

/* In system calls all the time, each a short one: its P is never taken from it there. */
static int preempt_syscalls(int argc, char **argv)
{
	gt_go(sets_flag, NULL);
	for (int i = 0; !atomic_load_explicit(&flag, memory_order_acquire); i++) {
		gt_syscall_enter();
		sim_work(1);
		sim.now += 2 * GT_MICROSECOND;
		gt_syscall_exit();
		if (i > 20000)
			sim_fail("a goroutine in short system calls was not stopped in 40 ms");
	}
	return 0;
}

static void spins(void *arg)
{
	for (int i = 0; i < 60; i++) {
		sim_work(5);
		sim.now += 400 * GT_MICROSECOND;
	}
	gt_wg_done(&group);
}

/* Several that spin, several that yield, timers in between: many are stopped, bound to their threads. */
static int preempt_many(int argc, char **argv)
{
	gt_wg_add(&group, 6);
	for (int i = 0; i < 4; i++)
		gt_go(spins, NULL);
	for (int i = 0; i < 2; i++)
		gt_go(busy, NULL);
	gt_wg_wait(&group);
	return 0;
}

/* ---- GOMAXPROCS ---- */

static void changer(void *arg)
{
	for (int i = 0; i < 6; i++) {
		gt_gomaxprocs(1 + (int)sim_below(4));
		if (sim_one_in(2))
			gt_sleep((int64_t)sim_below(50) * GT_MICROSECOND);
	}
	gt_wg_done(&group);
}

static void works(void *arg)
{
	for (int i = 0; i < 8; i++) {
		switch (sim_below(5)) {
		case 0:
			gt_sleep((int64_t)sim_below(30) * GT_MICROSECOND);
			break;
		case 1:
			gt_syscall_enter();
			sim_block((int64_t)sim_below(60) * GT_MICROSECOND);
			gt_syscall_exit();
			break;
		case 2:
			gt_wg_add(&group, 1);
			gt_go(add_one, NULL);
			break;
		case 3:
			sim_work(sim_below(60));
			break;
		default:
			gt_yield();
		}
	}
	gt_wg_done(&group);
}

static int procs_up_down(int argc, char **argv)
{
	gt_wg_add(&group, 6);
	gt_go(changer, NULL);
	for (int i = 0; i < 5; i++)
		gt_go(works, NULL);
	gt_wg_wait(&group);
	return 0;
}

/* Two that change it at once. */
static int procs_two_changers(int argc, char **argv)
{
	gt_wg_add(&group, 5);
	gt_go(changer, NULL);
	gt_go(changer, NULL);
	for (int i = 0; i < 3; i++)
		gt_go(works, NULL);
	gt_wg_wait(&group);
	return 0;
}

/* sysmon follows the machine, which changes. */
static int procs_of_machine(int argc, char **argv)
{
	gt_wg_add(&group, 4);
	for (int i = 0; i < 4; i++)
		gt_go(works, NULL);
	for (int i = 0; i < 5; i++) {
		gt_sleep(700 * GT_MILLISECOND);
		sim_work(sim_below(50));
	}
	gt_wg_wait(&group);
	return 0;
}

/* All timers lie with Ps that go, and everybody sleeps. */
static void sleeps_once(void *arg)
{
	gt_sleep((int64_t)sim_below(6000) * GT_MICROSECOND);
	gt_wg_done(&group);
}

static int procs_timers(int argc, char **argv)
{
	for (int i = 0; i < 4; i++) {
		gt_gomaxprocs(3);
		gt_wg_add(&group, 4);
		for (int k = 0; k < 4; k++)
			gt_go(sleeps_once, NULL);
		gt_sleep((int64_t)sim_below(20) * GT_MICROSECOND);
		gt_gomaxprocs(1);
		gt_wg_wait(&group);
	}
	return 0;
}

/* Down to one while a spinner has the P that goes. */
static int procs_down_spinner(int argc, char **argv)
{
	gt_wg_add(&group, 4);
	for (int i = 0; i < 3; i++)
		gt_go(spins, NULL);
	gt_go(busy, NULL);
	gt_gomaxprocs(1);
	gt_gomaxprocs(3);
	gt_wg_wait(&group);
	return 0;
}

/* ---- plain threads ---- */

static void outside(void *arg)
{
	for (int i = 0; i < 6; i++) {
		gt__port_sleep((int64_t)sim_below(2) * sim_below(3000) * GT_MICROSECOND);
		gt_go(add_one, NULL);
	}
}

/* Something is always to come, so that nobody speaks of a deadlock. */
static int outside_threads(int argc, char **argv)
{
	gt_timer long_one = gt_after(100 * GT_SECOND);

	gt_wg_add(&group, 12);
	gt__port_thread(outside, NULL);
	gt__port_thread(outside, NULL);
	gt_wg_wait(&group);
	sim_check(count == 12);
	gt_chan_free(long_one);
	return 0;
}

/* ---- deadlocks ---- */

static gt_chan(int) never;

static void waits(void *arg)
{
	int value;

	if (arg)
		gt_sleep((int64_t)sim_below(40) * GT_MICROSECOND);
	gt_recv(never, &value);
}

static int deadlock(int argc, char **argv)
{
	int value;

	never = gt_chan_make(int);
	for (intptr_t i = 0; i < 4; i++)
		gt_go(waits, (void *)(i % 2));
	gt_recv(never, &value);
	return 0;
}

/* Busy with everything before it comes to it. */
static int deadlock_late(int argc, char **argv)
{
	syscalls(0, NULL);
	gt_gomaxprocs(2);
	gt_sleep(GT_MICROSECOND);
	return deadlock(0, NULL);
}

/* A descriptor may still tell of something: no deadlock. */
static void reads_it(void *arg)
{
	char byte;

	sim_check(gt_fd_read(reading, &byte, 1) == 1);
	gt_send(never, 1);
}

static int no_deadlock_poll(int argc, char **argv)
{
	int value;

	never = gt_chan_make(int);
	sim_pipe(raw, 16);
	sim_check(gt_fd_new(raw[0], &reading) == 0);
	gt__port_thread(outside_writer, NULL);
	gt_go(reads_it, NULL);
	sim_check(gt_recv(never, &value) && value == 1);
	return 0;
}

/* Nor while somebody is in a system call. */
static void calls_then_sends(void *arg)
{
	gt_syscall_enter();
	sim_block(50 * GT_MILLISECOND);
	gt_syscall_exit();
	gt_send(never, 1);
}

static int no_deadlock_syscall(int argc, char **argv)
{
	int value;

	never = gt_chan_make(int);
	gt_go(calls_then_sends, NULL);
	sim_check(gt_recv(never, &value) && value == 1);
	return 0;
}

#define ASLEEP "fatal error: all goroutines are asleep - deadlock!"

const struct sim_scenario sim_scenarios_world[] = {
	{.name = "syscalls", .main_fn = syscalls},
	{.name = "syscalls-short", .main_fn = syscalls_short, .procs = 2},
	{.name = "hand-off", .main_fn = hand_off, .procs = 1},
	{.name = "hand-off-timer", .main_fn = hand_off_timer},
	{.name = "pipes", .main_fn = pipes},
	{.name = "poll-outside", .main_fn = poll_outside},
	{.name = "poll-late", .main_fn = poll_late},
	{.name = "poll-busy", .main_fn = poll_busy},
	{.name = "deadlines", .main_fn = deadlines},
	{.name = "close-while-reading", .main_fn = close_while_reading},
	{.name = "preempt-spinner", .main_fn = preempt_spinner, .procs = 1},
	{.name = "preempt-after-idle", .main_fn = preempt_after_idle, .procs = 1},
	{.name = "preempt-caller", .main_fn = preempt_caller, .procs = 1},
	{.name = "preempt-syscalls", .main_fn = preempt_syscalls, .procs = 1, .share = 4},
	{.name = "preempt-many", .main_fn = preempt_many},
	{.name = "procs-up-down", .main_fn = procs_up_down},
	{.name = "procs-two-changers", .main_fn = procs_two_changers},
	{.name = "procs-of-machine", .main_fn = procs_of_machine, .procs = -1},
	{.name = "procs-timers", .main_fn = procs_timers, .procs = 1},
	{.name = "procs-down-spinner", .main_fn = procs_down_spinner, .procs = 3},
	{.name = "outside-threads", .main_fn = outside_threads},
	{.name = "deadlock", .main_fn = deadlock, .last_words = ASLEEP},
	{.name = "deadlock-late", .main_fn = deadlock_late, .last_words = ASLEEP},
	{.name = "no-deadlock-poll", .main_fn = no_deadlock_poll},
	{.name = "no-deadlock-syscall", .main_fn = no_deadlock_syscall},
	{.name = NULL},
};
