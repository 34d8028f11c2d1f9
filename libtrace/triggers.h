/*
 * triggers.h - conditions on what the scheduler does: when does a flight recorder write a snapshot by itself?
 *
 *   gt_trigger_parse      an expression, as a user writes it
 *   gt_triggers_event     each event, those of one M in its order, those of different Ms in any
 *   gt_triggers_round     everything before the watermark was given: now conditions are judged
 *   gt_triggers_next      what fired
 *
 * Pure: no clock, no memory of the program, no I/O. Nothing fires by the order in which events come: they are put into the order of
 * time up to the watermark, and a goroutine whose events do not follow each other (their old and new states) is not judged
 * until they do again. After a loss all that was under way is forgotten: a missing event could have ended it. A wait
 * is found while it goes on, at the first round after its time; once for each trigger and wait.
 *
 * Cost: a constant for each event, and a sort by time; nothing for a goroutine that waits. Memory: @bytes_max for the goroutines
 * (what finds no room is not judged, and counted), and GT_TRIGGER_EVENTS_MAX events of 32 bytes at most between two rounds.
 */
#ifndef GT_LIBTRACE_TRIGGERS_H
#define GT_LIBTRACE_TRIGGERS_H

#include "base/error.h"
#include "format/wire/event.h"

#include <stdbool.h>
#include <stddef.h>

#define GT_TRIGGERS_MAX       16
#define GT_TRIGGER_NAME_BYTES 64
#define GT_TRIGGER_TEXT_BYTES 128
#define GT_TRIGGER_EVENTS_MAX (128u << 10)

/*
 *   runnable > TIME    blocked > TIME    blocked(REASON) > TIME    syscall > TIME    goroutines > NUMBER    region NAME > TIME
 *   stw > TIME    exit    exit != STATUS    exit = STATUS    signal
 *
 * blocked: waits for another goroutine (channels, select, sync). Sleep, I/O and the runtime's own waits only by their names
 * (reasons.def), or all with blocked(any).
 * region: from its begin to its end; regions of a goroutine nest, so an end without a name ends the innermost.
 * stw: Go stops the world, from the request until it goes on.
 */
enum gt_trigger_kind {
	GT_TRIGGER_RUNNABLE,
	GT_TRIGGER_BLOCKED,
	GT_TRIGGER_SYSCALL,
	GT_TRIGGER_REGION,
	GT_TRIGGER_STW,
	GT_TRIGGER_GOROUTINES,
	GT_TRIGGER_EXIT,
	GT_TRIGGER_SIGNAL,
};
enum { GT_TRIGGER_REASON_OTHERS = -1, GT_TRIGGER_REASON_ANY = -2 };

struct gt_trigger {
	enum gt_trigger_kind kind;
	char text[GT_TRIGGER_TEXT_BYTES]; /* as it was given, spaces at its ends taken off */
	char name[GT_TRIGGER_NAME_BYTES]; /* region */
	int reason;                       /* blocked: enum gt_reason, or one of the above */
	uint64_t limit;                   /* ns; goroutines; the status */
	char compare;                     /* exit: 0 any status, '=' or '!' */
};

/* @err's line says what is allowed. -EINVAL, or -ENOTSUP for what is known but not recorded yet. */
int gt_trigger_parse(const char *text, struct gt_trigger *out, struct gt_error *err);

struct gt_triggers_config {
	const struct gt_trigger *list;
	size_t count; /* up to GT_TRIGGERS_MAX */
	uint64_t ticks_per_second;
	uint64_t interval_ns; /* between two times that a trigger fires; 0: no limit */
	bool once;            /* each at most once */
	size_t bytes_max;     /* for the table of goroutines */
};

struct gt_triggers_fired {
	const struct gt_trigger *trigger;
	uint64_t g;           /* 0: none */
	uint64_t since_ticks; /* begin of the wait */
	uint64_t at_ticks;    /* up to when it was seen to last, or when it ended, or happened */
	uint64_t count;       /* goroutines; exit: the status; signal: its number */
	uint8_t reason;       /* blocked; stw: Go's number of its reason (go_text.h) */
	bool ended;           /* it is over: it began and ended between two rounds */
};

struct gt_triggers;

int gt_triggers_new(const struct gt_triggers_config *config, struct gt_triggers **out);
void gt_triggers_free(struct gt_triggers *triggers);

/* Text of a string id of an event: its bytes into @out, their number; 0: not known. */
typedef size_t gt_triggers_string_fn(void *context, uint64_t id, char *out, size_t size);
void gt_triggers_strings(struct gt_triggers *triggers, gt_triggers_string_fn *string, void *context);

void gt_triggers_event(struct gt_triggers *triggers, const struct gt_event *event);
/* @count events are missing (0: not known how many), all from before @ticks: nothing that began before is judged any more. */
void gt_triggers_lost(struct gt_triggers *triggers, uint64_t count, uint64_t ticks);
void gt_triggers_round(struct gt_triggers *triggers, uint64_t watermark);
/* The program ended, @status as of waitpid: what `exit' and `signal' wait for. Neither the interval nor once holds it up. */
bool gt_triggers_ended(struct gt_triggers *triggers, int status, uint64_t ticks, struct gt_triggers_fired *out);

/* False: nothing (more). In the order in which they fired. */
bool gt_triggers_next(struct gt_triggers *triggers, struct gt_triggers_fired *out);

struct gt_triggers_totals {
	uint64_t fired;
	uint64_t suppressed; /* by the interval, or once */
	uint64_t untracked;  /* events of goroutines that found no room */
	uint64_t forgotten;  /* times that a loss, or too many events at once, made it forget what was under way */
};
void gt_triggers_totals(const struct gt_triggers *triggers, struct gt_triggers_totals *out);

/* False: exit and signal only, which need no events. */
bool gt_triggers_want_events(const struct gt_triggers *triggers);

#endif
