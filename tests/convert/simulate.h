/*
 * simulate.h - a scheduler that decides by dice: its events as a trace, and what it knows of itself as the truth.
 *
 * The truth is written down by the simulator when it changes its own mind, not derived from the events: what a
 * converter shows can be held against it, slice by slice.
 */
#ifndef GT_TESTS_SIMULATE_H
#define GT_TESTS_SIMULATE_H

#include "fake_trace.h"

#include <stdio.h>

/* The truth as one JSON object: "slices" [process, row, name, ts, dur], "links" [from row, to row, ts],
 * "counters" {name: [ts, value]...}; times in ns. */
void simulate(struct gt_trace *trace, unsigned int seed, unsigned int steps, FILE *truth);

#endif
