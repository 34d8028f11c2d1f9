/*
 * model.h - the state machine of goroutines, Ms and Ps: what can happen next, and what cannot.
 *
 * No I/O, no clock. Used by order (may this event come now?), by validate (what is the first impossible one?) and
 * by everything that needs to know who runs where. Memory is O(live goroutines + Ms + Ps).
 */
#ifndef GT_MODEL_H
#define GT_MODEL_H

#include "format/wire/event.h"

struct gt_model;

enum gt_model_told { GT_TOLD_NOTHING, GT_TOLD_WAIT /* WaitsOn */, GT_TOLD_WAKE /* WakeCause */ };

struct gt_model_g {
	uint64_t g;
	uint8_t state;    /* enum gt_state; NONE = unknown (the chain is broken here, by a loss or the window's edge) */
	uint8_t reason;   /* of its wait or yield */
	uint8_t cause;    /* enum gt_cause: what woke it, when nobody did (while runnable) */
	uint8_t told;     /* enum gt_model_told: what its next event must be */
	uint8_t what;     /* enum gt_object: what it waits for (told, or waiting) */
	int64_t since_ns; /* begin of the state */
	uint64_t m;       /* where it runs or is in a syscall; else where it last was */
	uint64_t p;       /* id + 1; 0 none */
	uint64_t by;      /* who woke it last (while runnable) */
	uint64_t object;  /* of a select: how many */
	uint64_t holder;  /* who had locked it */
	void *user;       /* for the model's user; NULL at first */
};
struct gt_model_m {
	uint64_t m;
	uint64_t g;    /* goroutine on it (running or in a syscall), 0 none */
	uint64_t p;    /* id + 1 of the P it holds, 0 none or unknown */
	uint64_t call; /* system call under way: number + 2; 1 none, 0 not known */
	bool idle, ended;
	void *user;
};
struct gt_model_p {
	uint64_t p; /* id + 1 */
	uint64_t m; /* the M that holds it; valid when held */
	bool held, idle;
	void *user;
};

int gt_model_new(struct gt_model **out);
void gt_model_free(struct gt_model *model);

/* Would @event break a hard edge now (goroutine's chain, create first, P held elsewhere)? 0 = it fits. */
enum gt_model_fit {
	GT_FIT = 0,
	GT_FIT_CHAIN,    /* its old state is not the goroutine's state */
	GT_FIT_UNBORN,   /* create must come first */
	GT_FIT_REBORN,   /* created twice */
	GT_FIT_M_BUSY,   /* the M has another goroutine */
	GT_FIT_P_TAKEN,  /* the P is held by an M that did not give it up */
	GT_FIT_NO_P,     /* a goroutine starts to run without a P */
	GT_FIT_NOT_HERE, /* the goroutine is on another M */
	GT_FIT_TOLD,     /* its event before this one told of another: WaitsOn of GoBlock, WakeCause of GoReady */
	GT_FIT_NO_CALL,  /* the result of a system call that the M is not in */
	GT_FIT_COUNT
};
enum gt_model_fit gt_model_fits(const struct gt_model *model, const struct gt_event *event);
/* A sentence on why not, into @text. */
void gt_model_explain(
	const struct gt_model *model, const struct gt_event *event, enum gt_model_fit fit, char *text, size_t size);

/* Since when that has stood which the misfitting @event contradicts: a loss in between explains it. INT64_MIN: ever. */
int64_t gt_model_fit_since(const struct gt_model *model, const struct gt_event *event, enum gt_model_fit fit);

/* Applies the event, fitting or not: afterwards its new state holds. */
void gt_model_apply(struct gt_model *model, const struct gt_event *event);

/* Both in one, at less cost: applies the event if it fits; else all stays as it is. */
enum gt_model_fit gt_model_take(struct gt_model *model, const struct gt_event *event);

/* An unknown goroutine is one that never lived, has ended, or was never seen (a window's): who calls fits knows which.
 * NULL when not known (any more). Pointers are valid until the next apply. */
struct gt_model_g *gt_model_goroutine(const struct gt_model *model, uint64_t g);
struct gt_model_m *gt_model_thread(const struct gt_model *model, uint64_t m);
struct gt_model_p *gt_model_slot(const struct gt_model *model, uint64_t p);

/* How many goroutines are in each state, and Ps held by a running goroutine. Kept up to date by apply. */
struct gt_model_counts {
	uint64_t goroutines[GT_STATE_COUNT];
	uint64_t slots_running;
};
const struct gt_model_counts *gt_model_counts(const struct gt_model *model);

/* Iterate over live goroutines: @at starts at 0. */
bool gt_model_goroutines(const struct gt_model *model, size_t *at, struct gt_model_g **out);

#endif
