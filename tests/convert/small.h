/* small.h - the trace behind small.json. */
#ifndef GT_TESTS_SMALL_H
#define GT_TESTS_SMALL_H

#include "fake_trace.h"

void small_trace(struct gt_trace *trace);

#endif
