/*
 * coder.h - the records of blocks in few bytes, and back.
 *
 * Most of what a record says could be guessed from those before it: the kind of the next one, whose turn it is, from where. A record becomes
 *
 *   byte      which of its parts are not as guessed (6 bits), how many bytes the time takes (2 bits: 1, 2, 3, 8)
 *   time      since the record before, in steps of the clock; in 8 bytes: in ticks
 *   and of those that are not as guessed:
 *   head      kind, size, word 1 without its id: a byte, the place in the list of known ones; or 0 and 4 bytes, or 1 and 2
 *   id        of word 1, a goroutine or a P: the bytes that differ
 *   word 2..5 the bytes that differ
 *
 * Guesses are learnt from block to block until the coder is begun anew, so blocks come back in the order in which they were coded. Any
 * cells come back as they were, records or not. One thread.
 */
#ifndef GT_LIBTRACE_CODER_H
#define GT_LIBTRACE_CODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gt_coder;

/* NULL: no memory. free() ends it. */
struct gt_coder *gt_coder_new(void);

/* Nothing is known. @step: what all times are multiples of, mostly; 1: nobody knows. */
void gt_coder_begin(struct gt_coder *coder, uint32_t step);

/* @step if nearly all times in @cells come out even in it, else 1. */
uint32_t gt_coder_step(const uint64_t *cells, uint32_t bytes, uint64_t t_open, uint32_t step);

/* @bytes (a multiple of 16) of cells into @out, which has room for gt_coder_room(@bytes). How many it took: more than @bytes when nothing
 * is as guessed. */
size_t gt_coder_pack(struct gt_coder *coder, const uint64_t *cells, uint32_t bytes, uint64_t t_open, uint8_t *out);
static inline size_t gt_coder_room(uint32_t bytes)
{
	return (size_t)bytes / 2 * 3 + 128;
}

/* Back. @in: at least 8 bytes more than pack took may be read. False: it is not what pack made of so many bytes. */
bool gt_coder_unpack(
	struct gt_coder *coder, const uint8_t *in, size_t size, uint64_t t_open, uint64_t *cells, uint32_t bytes);

#endif
