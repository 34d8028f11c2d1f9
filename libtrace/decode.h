/*
 * decode.h - records of one M, in its order, to events.
 *
 * Pure: no memory of the program is touched. One decoder an M, because a coroutine switch tells in advance
 * what the runtime may tell once more:
 *
 *   CORO(from, to)      the hook at coroswitch_m's entry. Then, in program order on the same M,
 *     STATE from 2->4     only when the runtime's fast compare-and-swap failed: said already, dropped
 *     STATE from 2->6     only when from ends: kept, and to runs after it
 *     STATE to   4->1->2  only when the fast path failed: said already, dropped
 */
#ifndef GT_LIBTRACE_DECODE_H
#define GT_LIBTRACE_DECODE_H

#include "format/wire/event.h"

struct gt_record {
	uint64_t ticks;     /* all 64 bits */
	unsigned int kind;  /* enum gt_record_kind */
	unsigned int words; /* valid ones in word[], word 0 included */
	uint64_t word[6];
};

/* As many as Go's poller finds at once (128 from 1.14 on) find room nearly always; in sets of four. */
#define GT_DECODE_HINTS   128
#define GT_DECODE_HINTS_A 4          /* a set */
#define GT_FD_UNKNOWN     UINT32_MAX /* in a WakeCause */

struct gt_decoder {
	uint64_t coro_from; /* 0 = no switch is pending */
	uint64_t coro_to;
	uint64_t coro_p;
	bool coro_exits; /* to runs only after from's end */
	/* Who may be woken by the poller, and by which descriptor: fd << 40 | g, the newest of each set first; 0: none.
	 * NULL until the M says the first: most Ms never do, and there are thousands. */
	uint64_t *hints;
};

/* A record gives at most so many events. Before a GoBlock stands what g waits for, before a GoReady the cause. */
#define GT_DECODE_EVENTS_MAX 2

/*
 * Gives the record's events into @out and their number; 0 is possible (said already), -EBADMSG for a record that
 * no hook writes. @wait_reasons maps the runtime version's numbers to enum gt_reason (256 entries; NULL: they are those).
 */
int gt_decode(struct gt_decoder *decoder, const uint8_t *wait_reasons, const struct gt_record *record,
	struct gt_event out[GT_DECODE_EVENTS_MAX]);

/* After a loss on this M nothing pending holds any more; at the M's end what it took is given back. */
void gt_decoder_clear(struct gt_decoder *decoder);

#endif
