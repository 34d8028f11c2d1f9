/*
 * scenarios.h - what a simulated program does, and how it must end, whatever the seed.
 */
#ifndef GT_TESTS_SCENARIOS_H
#define GT_TESTS_SCENARIOS_H

#include "tests/sim/sim.h"

#include <gtrace/chan.h>
#include <gtrace/sync.h>

struct scenario {
	const char *name;
	void (*main_fn)(void *arg);
	enum sim_end end;      /* SIM_RETURNED = 0 */
	const char *text;      /* of a panic */
	enum gt_reason reason; /* of the main goroutine in a deadlock */
	bool leaks;            /* it ends while others are at work */
};

/* Each ends with a name of NULL. */
extern const struct scenario chan_scenarios[];
extern const struct scenario select_scenarios[];
extern const struct scenario sync_scenarios[];
extern const struct scenario time_scenarios[];

#endif
