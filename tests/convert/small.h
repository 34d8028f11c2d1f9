/* small.h - the trace behind small.json. */
#ifndef GT_TESTS_SMALL_H
#define GT_TESTS_SMALL_H

#include "fake_trace.h"

void small_trace(struct gt_trace *trace);

/*
 * Goroutines of wrappers: G11 main.fetch and G12 main.store of one WaitGroup's, G13 of the same, that told nothing; G21 main.serve of a
 * go statement's, and G22 of the same, that told nothing.
 */
void wrapped_trace(struct gt_trace *trace);

#endif
