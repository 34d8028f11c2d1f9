/*
 * frames.h - the callers of a function, by the chain of frame pointers: for whoever compiles with them.
 */
#ifndef GT_BASE_FRAMES_H
#define GT_BASE_FRAMES_H

#include "base/san.h"

/* Reads stacks, other threads' too, on purpose. */
#ifdef GT_SAN_ADDRESS
#define GT_READS_STACKS __attribute__((no_sanitize("address", "undefined"))) GT_SAN_NO_TSAN
#else
#define GT_READS_STACKS GT_SAN_NO_TSAN
#endif

/*
 * From the frame at @frame up, as long as frames lie upwards within [@low, @high), all of which can be read: where each goes on in
 * its caller, less 1 (in the call). At most @max; how many. Async-signal-safe.
 */
GT_READS_STACKS static inline size_t gt_frames_walk(
	uintptr_t frame, uintptr_t low, uintptr_t high, uintptr_t *pcs, size_t max)
{
	size_t depth = 0;

	while (depth < max && frame >= low && frame < high && high - frame >= 2 * sizeof(frame) &&
		frame % sizeof(frame) == 0) {
		const uintptr_t *at = (const uintptr_t *)frame;

		if (at[1] < 4096)
			break;
		pcs[depth++] = at[1] - 1;
		low = frame + 1;
		frame = at[0];
	}
	return depth;
}

#endif
