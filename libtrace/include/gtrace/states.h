/*
 * states.h - the states of a goroutine and the reasons for which it waits, as hooks take them.
 */
#ifndef GTRACE_STATES_H
#define GTRACE_STATES_H

#ifndef GT_STATES_DEFINED
#define GT_STATES_DEFINED
enum gt_state {
#define GT_STATE(number, name, text, meaning) GT_STATE_##name = number,
#include <gtrace/states.def>
#undef GT_STATE
};

enum gt_reason {
#define GT_REASON(number, name, text) GT_REASON_##name = number,
#include <gtrace/reasons.def>
#undef GT_REASON
};
#endif

#endif
