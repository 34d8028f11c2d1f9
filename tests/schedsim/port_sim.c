/*
 * port_sim.c - runtime/port.h on the simulated machine, and what scenarios do to a kernel thread.
 */
#include "tests/schedsim/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t gt__port_now(void)
{
	sim_point("now", "");
	sim.now += 1 + sim_below(64);
	return sim.now;
}

uint64_t gt__port_seed(void)
{
	return sim_random();
}

int gt__port_thread(void (*main_fn)(void *arg), void *arg)
{
	int ret;

	sim_flush();
	ret = sim_start(main_fn, arg);
	sim_point("thread", "started");
	return ret;
}

bool gt__port_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline_ns)
{
	struct sim_fiber *self;

	sim_point("futex wait", "");
	sim_flush();
	/* The kernel looks again, and the caller is in the queue or is not. */
	if (*word != value || sim_one_in(50))
		return true;
	self = sim.current;
	sim_sleep(word, deadline_ns < 0 ? SIM_NEVER : deadline_ns, "futex wait");
	return self->in_time;
}

void gt__port_exact(bool exact)
{
}

void gt__port_wake(_Atomic uint32_t *word, int count)
{
	sim_point("futex wake", "");
	sim_flush();
	for (uint32_t i = 0; i < sim.fibers && count > 0; i++)
		if (sim.fiber[i].state == FIBER_ASLEEP && sim.fiber[i].word == (const void *)word) {
			sim_wake(&sim.fiber[i]);
			count--;
		}
	sim_point("futex wake", "done");
}

/* Half of the seeds are of a kernel without it. */
bool gt__port_barrier(void)
{
	sim_point("membarrier", "");
	if (sim.config.seed % 2)
		return false;
	sim_flush_all();
	sim_point("membarrier", "done");
	return true;
}

void gt__port_pause(void)
{
	sim_back_off();
}

void gt__port_give_cpu(void)
{
	sim_back_off();
}

void gt__port_sleep(int64_t ns)
{
	int64_t until = sim.now + ns;

	sim_point("sleep", "");
	sim_flush();
	if (sim.now < until)
		sim_sleep(NULL, until, "sleep");
}

int gt__port_thread_id(void)
{
	return (int)sim_index(sim.current) + 1;
}

void gt__port_signal(int thread_id, int signal)
{
	struct sim_fiber *fiber;

	sim_flush();
	sim_point("tgkill", "");
	if (thread_id < 1 || (uint32_t)thread_id > sim.fibers)
		sim_fail("a signal to thread %d, which is none", thread_id);
	fiber = &sim.fiber[thread_id - 1];
	fiber->signal = signal;
	if (fiber->state == FIBER_ASLEEP && !fiber->in_handler)
		sim_wake(fiber); /* EINTR */
}

void *gt__port_memory(void *old, size_t old_bytes, size_t bytes)
{
	void *memory = sim_aligned_alloc(4096, bytes);

	if (!memory)
		return NULL;
	memset(memory, 0, bytes);
	if (old)
		memcpy(memory, old, old_bytes);
	sim_free(old);
	return memory;
}

void gt__port_stack(void **low, size_t *bytes)
{
	*low = sim.current->stack;
	*bytes = sim.current->bytes;
}

void gt__port_say(const char *what, const char *format, va_list args)
{
	char text[sizeof(sim.result.text)];
	int length = snprintf(text, sizeof(text), "%s: ", what);

	vsnprintf(text + length, sizeof(text) - (size_t)length, format, args);
	sim_flush_all();
	snprintf(sim.result.text, sizeof(sim.result.text), "%s", text);
	sim_end(SIM_DIED, 2, NULL, args);
}

void gt__port_exit(int code, bool at_once)
{
	va_list none;

	memset(&none, 0, sizeof(none));
	sim_flush_all();
	sim_end(SIM_EXITED, code, NULL, none);
}

int gt__port_cpus(void)
{
	/* Somebody changes the affinity mask now and then. */
	if (sim.config.procs < 0 && gt__sched.cpus && sim_one_in(4))
		return 1 + (int)sim_below(4);
	return sim.config.cpus;
}

double gt__port_cpu_limit(void)
{
	if (sim.config.procs < 0 && sim_one_in(4))
		sim.config.cpu_limit = sim_below(9) / 2.0;
	return sim.config.cpu_limit;
}

int sim_sigaction(int signal, const struct sigaction *action, struct sigaction *before);
int sim_sigaction(int signal, const struct sigaction *action, struct sigaction *before)
{
	if (signal == SIGURG)
		sim.handler = action->sa_sigaction;
	if (before)
		memset(before, 0, sizeof(*before));
	return 0;
}

/* ---- for scenarios ---- */

void sim_work(uint32_t points)
{
	while (points-- > 0)
		sim_point("work", "of the program");
}

void sim_block(int64_t ns)
{
	int64_t until;

	sim_flush();
	sim_point("block", "");
	/* SA_RESTART: a signal does not shorten it. */
	for (until = sim.now + ns; sim.now < until;) {
		sim.current->blocked_by_user = true;
		sim_sleep(NULL, until, "block");
		sim.current->blocked_by_user = false;
	}
}
