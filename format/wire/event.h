/*
 * event.h - what an event is, for those who write traces and those who read them.
 *
 * Everything here is generated from events.def, states.def, reasons.def, objects.def, causes.def and sets.def.
 */
#ifndef GT_FORMAT_EVENT_H
#define GT_FORMAT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libtrace's public states.h defines the same two. */
#ifndef GT_STATES_DEFINED
#define GT_STATES_DEFINED
enum gt_state {
#define GT_STATE(number, name, text, meaning) GT_STATE_##name = number,
#include "format/wire/states.def"
#undef GT_STATE
};

enum gt_reason {
#define GT_REASON(number, name, text) GT_REASON_##name = number,
#include "format/wire/reasons.def"
#undef GT_REASON
};

enum gt_object {
#define GT_OBJECT(number, name, text, meaning) GT_OBJECT_##name = number,
#include "format/wire/objects.def"
#undef GT_OBJECT
};

enum gt_cause {
#define GT_CAUSE(number, name, text, meaning) GT_CAUSE_##name = number,
#include "format/wire/causes.def"
#undef GT_CAUSE
};

enum gt_set {
#define GT_SET(bit, name, text, by_default, meaning) GT_SET_##name = 1u << (bit),
#include "format/wire/sets.def"
#undef GT_SET
};
#endif
#define GT_STATE_COUNT  16
#define GT_REASON_COUNT 128
#define GT_OBJECT_COUNT 64
#define GT_CAUSE_COUNT  64

enum gt_event_kind {
	GT_EV_NONE = 0,
#define A(name, type)
#define GT_EVENT(number, name, text, args, meaning) GT_EV_##name = number,
#include "format/wire/events.def"
#undef GT_EVENT
#undef A
};
#define GT_EVENT_KIND_COUNT 128

/* Streams of the kernel's layer stand among those of Ms: that of a CPU is M GT_M_KERNEL + its number. */
#define GT_M_KERNEL (1ull << 32)

static inline bool gt_m_is_kernel(uint64_t m)
{
	return m >> 32 == 1;
}

enum gt_arg_type {
	GT_ARG_NONE,
	GT_ARG_G,
	GT_ARG_STATE,
	GT_ARG_REASON,
	GT_ARG_STACK,
	GT_ARG_PC,
	GT_ARG_P,
	GT_ARG_M,
	GT_ARG_STR,
	GT_ARG_U64,
	GT_ARG_OBJECT,
	GT_ARG_CAUSE,
	GT_ARG_ADDR,
	GT_ARG_SYSCALL,
};

#define GT_EVENT_ARGS_MAX 6

struct gt_arg_spec {
	const char *name;
	enum gt_arg_type type;
};

struct gt_event_spec {
	const char *text; /* NULL: no such kind */
	const char *meaning;
	uint8_t arg_count;
	struct gt_arg_spec args[GT_EVENT_ARGS_MAX];
};

/* Indexed by kind, GT_EVENT_KIND_COUNT entries. */
extern const struct gt_event_spec gt_event_specs[GT_EVENT_KIND_COUNT];

/* Texts; never NULL: a number that has none gives "?" . */
const char *gt_state_text(unsigned int state);
const char *gt_reason_text(unsigned int reason);
bool gt_state_known(unsigned int state);
bool gt_reason_known(unsigned int reason);
const char *gt_object_text(unsigned int object);
const char *gt_cause_text(unsigned int cause);
bool gt_object_known(unsigned int object);
bool gt_cause_known(unsigned int cause);
/* Is `object` of this kind an address (else a number: of a descriptor, of ns, of channels)? */
bool gt_object_is_address(unsigned int object);

/* How many events of each kind, as META `counts` has it: "GoCreate=2 GoRun=5". Into @out; returns it. */
#define GT_COUNTS_BYTES 4096
char *gt_counts_text(const uint64_t by_kind[GT_EVENT_KIND_COUNT], char out[GT_COUNTS_BYTES]);

/* What sets.def tells. */
struct gt_set_spec {
	const char *text;
	const char *meaning;
	uint32_t bit; /* enum gt_set */
	bool by_default;
};
#define GT_SETS_MAX 16
/* Ended by one whose text is NULL. */
extern const struct gt_set_spec gt_set_specs[GT_SETS_MAX + 1];
uint32_t gt_sets_default(void);
/* The words of @sets with commas between them, into @out (at least 128 bytes). Returns @out. */
char *gt_sets_text(uint32_t sets, char *out);

/* One event as readers see it. Writers pass kind, time and args. */
struct gt_event {
	uint64_t ticks;                   /* the trace's own clock, as recorded */
	int64_t time_ns;                  /* since the trace's start; after order: never less than the one before */
	uint64_t m;                       /* the M it happened on */
	uint8_t kind;                     /* enum gt_event_kind */
	uint64_t args[GT_EVENT_ARGS_MAX]; /* in the order of events.def; absent ones are 0 */
};

#endif
