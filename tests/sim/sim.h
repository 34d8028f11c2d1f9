/*
 * sim.h - the scheduler's contract (runtime/sched.h) on one thread, where a seed decides all.
 *
 * Every goroutine, every @unlock of a park and every timer callback is an actor. At each step of the contract (lock, unlock, ready,
 * checkpoint...) the seed may let another actor go on, as if each had a CPU of its own that stalls at will. Time moves when the
 * seed says so, or when nobody can go on. The same seed gives the same run, step for step.
 *
 * Each transition goes through the model of goroutines' states; an impossible one ends the run.
 */
#ifndef GT_TESTS_SIM_H
#define GT_TESTS_SIM_H

#include <gtrace/go.h>
#include "runtime/sched.h"

enum sim_end {
	SIM_RETURNED, /* the main goroutine did */
	SIM_PANIC,    /* gt__panic or gt__fatal; the text says which and what */
	SIM_DEADLOCK, /* all wait and no timer is pending */
	SIM_ENDLESS,  /* more steps than any of the tests needs */
	SIM_BROKEN /* the contract was broken: ready of one that is not parked, unlock of a free lock, an impossible transition */
};

struct sim_result {
	enum sim_end end;
	char text[256];
	uint64_t hash;  /* of all transitions */
	uint64_t steps; /* switches between actors */
	uint64_t transitions;
	uint64_t allocated;         /* pieces of memory that were not freed */
	enum gt_reason main_reason; /* at a deadlock */
};

struct sim_result sim_run(uint64_t seed, void (*main_fn)(void *arg), void *arg);

/* For tests: chance that the seed decides, and the reason under which a goroutine waits now (UNKNOWN: it does not). */
uint32_t sim_below(uint32_t n);
enum gt_reason sim_reason(uint64_t g);
/* Goroutines that have not ended, the main one too. */
size_t sim_live(void);
/* Lets all others go on until each waits; no time passes. */
void sim_settle(void);
/* Ends the run as SIM_BROKEN, and says where. */
#define sim_check(condition) ((condition) ? (void)0 : sim_fail("%s:%d: %s", __FILE__, __LINE__, #condition))
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
