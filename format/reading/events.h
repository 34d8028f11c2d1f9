/*
 * events.h - the bytes of an EVENTS record, one event after the other: what order does for each, inline. The contract is in order.h.
 */
#ifndef GT_FORMAT_EVENTS_H
#define GT_FORMAT_EVENTS_H

#include "format/reading/order.h"

/* With so many bytes left the arguments of an event need no check on the way. */
#define GT__ARGS_BYTES_MAX (GT_UVARINT_BYTES_MAX * GT_EVENT_ARGS_MAX)

/* Arguments of each kind, and 1; 0: no such kind. The numbers of events.def in two lines of a cache. */
extern const uint8_t gt__event_shapes[GT_EVENT_KIND_COUNT];

const uint8_t *gt__get_long(const uint8_t *at, uint64_t *value);
enum gt__step gt__events_back(struct gt__events *events, struct gt_cursor *cursor);
enum gt__step gt__events_other(
	struct gt__events *events, struct gt_cursor *cursor, const uint8_t **payload, size_t *size);

/*
 * As gt_get_uvarint where at least 10 bytes are left; NULL when it is longer than 64 bits. Numbers of one and two bytes are the most;
 * longer ones are put together at once, as how long they are is as good as random.
 */
static inline const uint8_t *gt__get_quick(const uint8_t *at, uint64_t *value)
{
	uint64_t v, ends;

	if (at[0] < 0x80) {
		*value = at[0];
		return at + 1;
	}
	if (at[1] < 0x80) {
		*value = (at[0] & 0x7fu) | (unsigned int)at[1] << 7;
		return at + 2;
	}
	memcpy(&v, at, sizeof(v));
	ends = ~v & 0x8080808080808080;
	if (__builtin_expect(!ends, 0))
		return gt__get_long(at, value);
	v &= ends ^ (ends - 1);
	v = (v & 0x007f007f007f007f) | (v & 0x7f007f007f007f00) >> 1;
	v = (v & 0x00003fff00003fff) | (v & 0x3fff00003fff0000) >> 2;
	*value = (v & 0x0fffffff) | (v & 0x0fffffff00000000) >> 4;
	return at + (__builtin_ctzll(ends) / 8 + 1);
}

/* The next thing's kind and (events->ticks) time. */
static inline enum gt__step gt__events_peek(
	struct gt__events *events, unsigned int *kind, const uint8_t **payload, size_t *size)
{
	struct gt_cursor cursor = {.at = events->at, .end = events->end};
	uint64_t dt;

	if (events->at == events->end)
		return events->left ? GT__STEP_BAD : GT__STEP_END;
	*kind = *cursor.at++;
	if (!*kind)
		return gt__events_back(events, &cursor);
	if (!events->left)
		return GT__STEP_BAD;
	if (*kind >= GT_EVENT_KIND_COUNT)
		return gt__events_other(events, &cursor, payload, size);
	if (!gt__event_shapes[*kind])
		return GT__STEP_BAD;
	if (__builtin_expect(cursor.end - cursor.at >= GT_UVARINT_BYTES_MAX, 1)) {
		cursor.at = gt__get_quick(cursor.at, &dt);
		cursor.bad = !cursor.at;
	} else {
		dt = gt_get_uvarint(&cursor);
	}
	if (cursor.bad || __builtin_add_overflow(events->ticks, dt, &events->ticks))
		return GT__STEP_BAD;
	events->at = cursor.at;
	events->left--;
	return GT__STEP_EVENT;
}

/* After EVENT: its arguments; false when they are bad. */
static inline bool gt__events_args(struct gt__events *events, unsigned int kind, uint64_t args[GT_EVENT_ARGS_MAX])
{
	struct gt_cursor cursor = {.at = events->at, .end = events->end};
	unsigned int count = gt__event_shapes[kind] - 1u;

	memset(args, 0, GT_EVENT_ARGS_MAX * sizeof(*args));
	if (__builtin_expect(cursor.end - cursor.at >= GT__ARGS_BYTES_MAX, 1)) {
		for (unsigned int i = 0; cursor.at && i < count; i++)
			cursor.at = gt__get_quick(cursor.at, &args[i]);
		cursor.bad = !cursor.at;
	} else {
		for (unsigned int i = 0; i < count; i++)
			args[i] = gt_get_uvarint(&cursor);
	}
	if (cursor.bad)
		return false;
	events->at = cursor.at;
	return true;
}

#endif
