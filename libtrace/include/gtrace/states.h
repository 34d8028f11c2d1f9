/*
 * states.h - the states of a goroutine the reasons for which it waits, what it waits for and what wakes it, as hooks take them.
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

enum gt_object {
#define GT_OBJECT(number, name, text, meaning) GT_OBJECT_##name = number,
#include <gtrace/objects.def>
#undef GT_OBJECT
};

enum gt_cause {
#define GT_CAUSE(number, name, text, meaning) GT_CAUSE_##name = number,
#include <gtrace/causes.def>
#undef GT_CAUSE
};

enum gt_set {
#define GT_SET(bit, name, text, by_default, meaning) GT_SET_##name = 1u << (bit),
#include <gtrace/sets.def>
#undef GT_SET
};
#endif

#endif
