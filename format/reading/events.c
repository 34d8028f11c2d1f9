/* events.c - the bytes of an EVENTS record, one event after the other. */
#include "format/reading/events.h"

/* Arguments of each kind, and 1; 0: no such kind. The numbers of events.def in two lines of a cache. */
#define A(name, type)                                  0,
#define GT_EVENT(number, name, text_, args_, meaning_) [number] = sizeof((uint8_t[]){args_ 0}),
const uint8_t gt__event_shapes[GT_EVENT_KIND_COUNT] = {
#include "format/wire/events.def"
};
#undef A
#undef GT_EVENT

/* The ninth and the tenth byte, and what does not end there. */
const uint8_t *gt__get_long(const uint8_t *at, uint64_t *value)
{
	struct gt_cursor cursor = {.at = at, .end = at + GT_UVARINT_BYTES_MAX};

	*value = gt_get_uvarint(&cursor);
	return cursor.bad ? NULL : cursor.at;
}

bool gt__events_begin(struct gt__events *events, const uint8_t *bytes, size_t size, uint64_t *m)
{
	struct gt_cursor cursor = {.at = bytes, .end = bytes + size};

	*m = gt_get_uvarint(&cursor);
	events->ticks = gt_get_uvarint(&cursor);
	events->left = gt_get_uvarint(&cursor);
	events->at = cursor.at;
	events->end = cursor.end;
	return !cursor.bad;
}

enum gt__step gt__events_back(struct gt__events *events, struct gt_cursor *cursor)
{
	uint64_t dt = gt_get_uvarint(cursor);

	if (cursor->bad || dt > events->ticks)
		return GT__STEP_BAD;
	events->ticks -= dt;
	events->at = cursor->at;
	return GT__STEP_BACK;
}

enum gt__step gt__events_other(
	struct gt__events *events, struct gt_cursor *cursor, const uint8_t **payload, size_t *size)
{
	uint64_t dt = gt_get_uvarint(cursor);
	uint64_t length = gt_get_uvarint(cursor);

	*payload = gt_get_bytes(cursor, length);
	*size = (size_t)length;
	if (cursor->bad || __builtin_add_overflow(events->ticks, dt, &events->ticks))
		return GT__STEP_BAD;
	events->at = cursor->at;
	events->left--;
	return GT__STEP_OTHER;
}

enum gt__step gt__events_step(struct gt__events *events, struct gt_event *event, const uint8_t **payload, size_t *size)
{
	unsigned int kind = 0;
	enum gt__step step = gt__events_peek(events, &kind, payload, size);

	event->kind = (uint8_t)kind;
	event->ticks = events->ticks;
	if (step == GT__STEP_EVENT && !gt__events_args(events, kind, event->args))
		return GT__STEP_BAD;
	return step;
}
