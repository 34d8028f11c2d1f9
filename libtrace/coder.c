/* coder.c - guesses what a record will say, and tells only what was not guessed. */
#include "libtrace/coder.h"

#include "format/wire/event.h"
#include "libtrace/shm.h"

#include <stdlib.h>
#include <string.h>

/* Small: they stay in the cache nearest to the CPU while a block goes through. */
#define NEXT_BITS   10
#define SECOND_BITS 11
#define THIRD_BITS  9
#define MORE_BITS   8

/* Bits of a record's first byte. Word k, 2 to 5: 1 << k. */
#define OTHER_HEAD 1u
#define OTHER_ID   2u
#define TIME_SHIFT 6u
#define TIME_RAW   3u

#define ID_RUNNING 0 /* in place of an id's bytes: the goroutine that runs */
/* In place of a head's place. */
#define HEAD_NEW   0 /* its 4 bytes follow */
#define HEAD_HIGH  1 /* its upper 2; the others are as guessed */
#define HEAD_KNOWN 2
#define LOW        0xffffu

struct gt_coder {
	uint32_t step, inverse; /* inverse: 2^32 / step, rounded up */
	uint64_t known;         /* a guess that is not learnt */
	uint32_t heads[256];    /* by hash, never 0 */
	uint32_t next[1u << NEXT_BITS];
	uint64_t second[1u << SECOND_BITS], third[1u << THIRD_BITS];
	uint64_t more[1u << MORE_BITS][2];
};

/* Whose id was last said where. */
enum lane { RUNS, READIED, SLOT, MADE, ALLOC, LANES };

/* How things stand in a block: from one record to the next. */
struct trail {
	uint64_t time;
	uint64_t last[LANES];
	uint32_t before; /* what kind of record */
	uint32_t stack;  /* id of the last one that was told */
};

/* A record, taken apart: word 1 is an id of 40 bits and 24 others. */
struct parts {
	unsigned int kind, words;
	uint32_t head; /* the low byte of word 0, and the 24 bits */
	uint64_t id;
};

static inline uint32_t hash(uint32_t a, uint32_t b, unsigned int bits)
{
	return ((a * 0x9e3779b1u) ^ (b * 0x85ebca6bu)) >> (32 - bits);
}

/* ---- a record's parts ---- */

/* What is no whole record counts as one cell, the same way in both directions. */
static inline unsigned int words_of(uint32_t low, uint32_t left)
{
	unsigned int words = GT_WORD0_CELLS(low) * 2;

	return !GT_WORD0_COMMITTED(low) || words == 0 || words > left ? 2 : words;
}

/* Those whose word 1 begins with a byte of its own (shm.h). */
#define OP_FIRST \
	(1u << GT_REC_SLOT | 1u << GT_REC_THREAD | 1u << GT_REC_MARK | 1u << GT_REC_SYSCALL | 1u << GT_REC_HEAP | \
		1u << GT_REC_TIMER | 1u << GT_REC_GC)

static inline void split(struct parts *parts, uint32_t low, uint64_t word)
{
	parts->kind = GT_WORD0_KIND(low);
	if (OP_FIRST >> parts->kind & 1) {
		parts->id = word >> 8 & GT_G_MASK;
		parts->head = low | (uint32_t)(word & 255) << 8 | (uint32_t)(word >> 48) << 16;
	} else {
		parts->id = word & GT_G_MASK;
		parts->head = low | (uint32_t)(word >> GT_G_BITS) << 8;
	}
}

static inline uint64_t joined(const struct parts *parts)
{
	if (OP_FIRST >> parts->kind & 1)
		return (parts->head >> 8 & 255) | parts->id << 8 | (uint64_t)(parts->head >> 16) << 48;
	return parts->id | (uint64_t)(parts->head >> 8) << GT_G_BITS;
}

/* ---- guesses ---- */

#define FROM_TO(old, new_) ((old) | (new_) << 4)

static inline enum lane lane_of(const struct parts *parts, uint64_t last[LANES], uint64_t *guess)
{
	enum lane lane = RUNS;

	switch (parts->kind) {
	case GT_REC_STATE:
	case GT_REC_STATE2:
		switch (parts->head >> 8 & 255) {
		case FROM_TO(GT_STATE_WAITING, GT_STATE_RUNNABLE):
			lane = READIED;
			break;
		case FROM_TO(GT_STATE_RUNNABLE, GT_STATE_RUNNING):
			*guess = last[READIED];
			return RUNS;
		default:
			break;
		}
		break;
	case GT_REC_HINT:
	case GT_REC_POLLED:
	case GT_REC_WOKEN:
		lane = READIED;
		break;
	case GT_REC_ALLOC: /* whose goroutine is only a part of it */
		lane = ALLOC;
		break;
	case GT_REC_SLOT:
	case GT_REC_THREAD:
		lane = SLOT;
		break;
	case GT_REC_CREATE:
		*guess = (last[MADE] + 1) & GT_G_MASK;
		return MADE;
	default:
		break;
	}
	*guess = last[lane];
	return lane;
}

static inline void learn_id(struct trail *trail, enum lane lane, uint64_t id)
{
	trail->last[lane] = id;
	if (lane == MADE)
		trail->last[READIED] = id;
}

/* Where the guess of word @k stands. */
static inline uint64_t *place_of(struct gt_coder *c, const struct trail *trail, const struct parts *parts,
	enum lane lane, unsigned int k, uint64_t second)
{
	switch (k) {
	case 2:
		return &c->second[hash(parts->head, trail->stack, SECOND_BITS)];
	case 3:
		if (lane != READIED)
			return &c->third[hash(parts->head, (uint32_t)(lane == MADE ? second : parts->id), THIRD_BITS)];
		break;
	default:
		if (lane != MADE || k != 4)
			return &c->more[hash(parts->head, 0, MORE_BITS)][k - 4];
		break;
	}
	/* Who made it, or made it ready. */
	c->known = trail->last[RUNS];
	return &c->known;
}

static inline void step_on(struct trail *trail, const struct parts *parts, uint64_t second)
{
	trail->before = parts->head & LOW;
	if (parts->words > 2 && (parts->kind == GT_REC_STATE2 || parts->kind == GT_REC_CORO))
		trail->stack = (uint32_t)second;
	else if (parts->kind == GT_REC_ENTER)
		trail->stack = parts->head >> 8;
}

/* ---- bytes ---- */

/* @x is not 0: how many bytes and how many zeros below them, then those. At least 0x10. Up to 8 bytes behind are overwritten. */
static inline uint8_t *put_bytes(uint8_t *out, uint64_t x)
{
	unsigned int zeros = (unsigned int)__builtin_ctzll(x) / 8;
	unsigned int count = 8 - (unsigned int)__builtin_clzll(x) / 8 - zeros;

	*out++ = (uint8_t)(count << 4 | zeros);
	x >>= zeros * 8;
	memcpy(out, &x, 8);
	return out + count;
}

static inline const uint8_t *get_bytes(const uint8_t *in, uint64_t *x)
{
	unsigned int zeros = *in & 7, count = *in >> 4;

	memcpy(x, ++in, 8);
	if (count < 8)
		*x &= (1ull << count * 8) - 1;
	*x <<= zeros * 8;
	return in + count;
}

/* @guess becomes the head. */
static inline uint8_t *put_head(struct gt_coder *c, uint8_t *out, uint32_t head, uint32_t *guess)
{
	uint32_t at = hash(head, 0, 8), same = !((head ^ *guess) & LOW);

	*guess = head;
	if (at >= HEAD_KNOWN && c->heads[at] == head) {
		*out++ = (uint8_t)at;
		return out;
	}
	c->heads[at] = head;
	*out++ = same ? HEAD_HIGH : HEAD_NEW;
	head = same ? head >> 16 : head;
	memcpy(out, &head, 4);
	return out + (same ? 2 : 4);
}

static inline const uint8_t *get_head(struct gt_coder *c, const uint8_t *in, uint32_t *guess)
{
	unsigned int at = *in++;
	uint32_t bytes;

	if (at >= HEAD_KNOWN) {
		*guess = c->heads[at];
		return in;
	}
	memcpy(&bytes, in, 4);
	*guess = at == HEAD_HIGH ? (*guess & LOW) | bytes << 16 : bytes;
	c->heads[hash(*guess, 0, 8)] = *guess;
	return in + (at == HEAD_HIGH ? 2 : 4);
}

/* ---- life ---- */

struct gt_coder *gt_coder_new(void)
{
	struct gt_coder *c = malloc(sizeof(*c));

	if (c)
		gt_coder_begin(c, 1);
	return c;
}

void gt_coder_begin(struct gt_coder *c, uint32_t step)
{
	memset(c, 0, sizeof(*c));
	c->step = step ? step : 1;
	c->inverse = c->step > 1 ? (uint32_t)(0xffffffffu / c->step + 1) : 0;
}

uint32_t gt_coder_step(const uint64_t *cells, uint32_t bytes, uint64_t t_open, uint32_t step)
{
	uint64_t time = t_open & GT_TIME_MASK;
	uint32_t even = 0, odd = 0;

	for (uint32_t at = 0, count = bytes / 8; at + 1 < count && step > 1;) {
		uint64_t passed = (GT_WORD0_TIME(cells[at]) - time) & GT_TIME_MASK;

		if (passed % step)
			odd++;
		else
			even++;
		time = GT_WORD0_TIME(cells[at]);
		at += words_of((uint32_t)(cells[at] & 255), count - at);
	}
	return even / 8 > odd ? step : 1;
}

/* ---- there ---- */

static inline unsigned int put_time(const struct gt_coder *c, uint8_t *out, uint64_t passed, unsigned int *size)
{
	uint64_t steps = passed;
	unsigned int code, bytes;

	/* Off by one beyond what is common: then it does not come out even, and is told in ticks. */
	if (c->inverse)
		steps = passed <= UINT32_MAX ? passed * c->inverse >> 32 : UINT64_MAX;
	bytes = (71 - (unsigned int)__builtin_clzll(steps | 1)) / 8;
	code = bytes - 1;
	if (bytes > 3 || steps * c->step != passed) {
		code = TIME_RAW;
		bytes = 8;
		steps = passed;
	}
	memcpy(out, &steps, 8);
	*size = bytes;
	return code << TIME_SHIFT;
}

/* Word @k of a record, @word, whose guess stands at @place. */
static inline uint8_t *put_word(uint8_t *out, uint64_t *place, uint64_t word, unsigned int k, unsigned int *other)
{
	uint64_t differs = word ^ *place;

	if (!differs)
		return out;
	*place = word;
	*other |= 1u << k;
	return put_bytes(out, differs);
}

size_t gt_coder_pack(struct gt_coder *c, const uint64_t *cells, uint32_t bytes, uint64_t t_open, uint8_t *out)
{
	struct trail trail = {.time = t_open & GT_TIME_MASK};
	uint8_t *begin = out;

	for (uint32_t at = 0, count = bytes / 8; at + 1 < count;) {
		uint64_t word = cells[at], second = 0, guess;
		uint32_t *next = &c->next[hash(trail.before, trail.stack, NEXT_BITS)];
		uint8_t *first = out++;
		struct parts parts;
		unsigned int other, size;
		enum lane lane;

		parts.words = words_of((uint32_t)(word & 255), count - at);
		split(&parts, (uint32_t)(word & 255), cells[at + 1]);
		other = put_time(c, out, (GT_WORD0_TIME(word) - trail.time) & GT_TIME_MASK, &size);
		out += size;
		trail.time = GT_WORD0_TIME(word);
		if (*next != parts.head) {
			out = put_head(c, out, parts.head, next);
			other |= OTHER_HEAD;
		}
		lane = lane_of(&parts, trail.last, &guess);
		if (parts.id != guess) {
			if (parts.id == trail.last[RUNS])
				*out++ = ID_RUNNING;
			else
				out = put_bytes(out, parts.id ^ guess);
			other |= OTHER_ID;
		}
		learn_id(&trail, lane, parts.id);
		if (parts.words > 2) {
			second = cells[at + 2];
			out = put_word(out, place_of(c, &trail, &parts, lane, 2, second), second, 2, &other);
			out = put_word(out, place_of(c, &trail, &parts, lane, 3, second), cells[at + 3], 3, &other);
		}
		for (unsigned int k = 4; k < parts.words; k++)
			out = put_word(out, place_of(c, &trail, &parts, lane, k, second), cells[at + k], k, &other);
		step_on(&trail, &parts, second);
		*first = (uint8_t)other;
		at += parts.words;
	}
	return (size_t)(out - begin);
}

/* ---- and back ---- */

static inline const uint8_t *get_word(const uint8_t *in, uint64_t *place, uint64_t *word, bool other)
{
	uint64_t differs;

	if (other) {
		in = get_bytes(in, &differs);
		*place ^= differs;
	}
	*word = *place;
	return in;
}

bool gt_coder_unpack(
	struct gt_coder *c, const uint8_t *in, size_t size, uint64_t t_open, uint64_t *cells, uint32_t bytes)
{
	struct trail trail = {.time = t_open & GT_TIME_MASK};
	const uint8_t *end = in + size;
	uint32_t at = 0, count = bytes / 8;

	while (at + 1 < count && in < end) {
		uint32_t *next = &c->next[hash(trail.before, trail.stack, NEXT_BITS)];
		unsigned int other = *in++, code = other >> TIME_SHIFT;
		uint64_t time, second = 0, guess, differs;
		struct parts parts;
		enum lane lane;

		memcpy(&time, in, 8);
		if (code != TIME_RAW)
			time = (time & ((1u << (code + 1) * 8) - 1)) * c->step;
		in += code == TIME_RAW ? 8 : code + 1;
		trail.time = (trail.time + time) & GT_TIME_MASK;
		if (other & OTHER_HEAD)
			in = get_head(c, in, next);
		parts.head = *next;
		parts.kind = GT_WORD0_KIND(parts.head & 255);
		parts.words = words_of(parts.head & 255, count - at);
		lane = lane_of(&parts, trail.last, &guess);
		parts.id = guess;
		if (other & OTHER_ID) {
			if (*in == ID_RUNNING) {
				parts.id = trail.last[RUNS];
				in++;
			} else {
				in = get_bytes(in, &differs);
				parts.id = (guess ^ differs) & GT_G_MASK;
			}
		}
		learn_id(&trail, lane, parts.id);
		cells[at] = trail.time << 8 | (parts.head & 255);
		cells[at + 1] = joined(&parts);
		if (parts.words > 2) {
			in = get_word(in, place_of(c, &trail, &parts, lane, 2, 0), &cells[at + 2], other >> 2 & 1);
			second = cells[at + 2];
			in = get_word(in, place_of(c, &trail, &parts, lane, 3, second), &cells[at + 3], other >> 3 & 1);
		}
		for (unsigned int k = 4; k < parts.words; k++)
			in = get_word(in, place_of(c, &trail, &parts, lane, k, second), &cells[at + k], other >> k & 1);
		step_on(&trail, &parts, second);
		at += parts.words;
	}
	return in == end && at == count;
}
