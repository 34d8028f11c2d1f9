/*
 * timer.h - channels on which time arrives: once, or every so often.
 *
 *	gt_timer t = gt_after(50 * GT_MILLISECOND);
 *	switch (gt_select(gt_case_recv(answers, &a), gt_case_recv(t, NULL))) { ... }
 *	gt_chan_free(t);                                // stops it too
 *
 * The value is the time at which it was sent, of gt_now. Such a channel keeps one value at most: who comes late
 * misses ticks, never gets them in a bunch. Its len and cap are told as 0. After stop or reset no older value is received.
 * Nobody but the timer sends on it, and it is never closed.
 */
#ifndef GTRACE_TIMER_H
#define GTRACE_TIMER_H

#include <gtrace/chan.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef gt_chan(int64_t) gt_timer;

/* CLOCK_MONOTONIC in ns. */
GT_API int64_t gt_now(void);

/* Once, @ns from now; at once when that is not positive. */
GT_API gt_timer gt_after(int64_t ns);
/* Every @ns. Not positive: the program ends with Go's message. */
GT_API gt_timer gt_ticker(int64_t ns);
/* The same; not positive: NULL, on which nothing ever arrives. */
GT_API gt_timer gt_tick(int64_t ns);
/* Starts a goroutine with @fn(@arg) @ns from now. Nothing is sent on the channel: it is there to stop, reset and free. */
GT_API gt_timer gt_after_func(int64_t ns, void (*fn)(void *arg), void *arg);

/* True: it will not come, and has not been received (@fn not started). The channel is as new. */
GT_API bool gt_timer_stop(gt_timer timer);
/* As new, from now on with @ns: a ticker with a new period. Returns what stop does. */
GT_API bool gt_timer_reset(gt_timer timer, int64_t ns);

#ifdef __cplusplus
}
#endif

#endif
