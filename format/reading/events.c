/* events.c - the bytes of an EVENTS record, one event after the other. */
#include "format/reading/order.h"

/* The longest event: kind, dt and arguments. With so many bytes left nothing needs to be checked on the way. */
#define EVENT_BYTES_MAX (1 + GT_UVARINT_BYTES_MAX * (1 + GT_EVENT_ARGS_MAX))

/* As gt_get_uvarint where at least 10 bytes are left; NULL when it is longer than 64 bits. */
static inline const uint8_t *get_quick(const uint8_t *at, uint64_t *value)
{
	uint64_t v = *at++;

	if (__builtin_expect(v >= 0x80, 0)) {
		unsigned int shift = 7;

		v &= 0x7f;
		for (;; shift += 7) {
			uint64_t byte = *at++;

			if (shift == 63 && (byte & 0xfe))
				return NULL;
			v |= (byte & 0x7f) << shift;
			if (byte < 0x80)
				break;
		}
	}
	*value = v;
	return at;
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

static enum gt__step step_back(struct gt__events *events, struct gt_cursor *cursor)
{
	uint64_t dt = gt_get_uvarint(cursor);

	if (cursor->bad || dt > events->ticks)
		return GT__STEP_BAD;
	events->ticks -= dt;
	events->at = cursor->at;
	return GT__STEP_BACK;
}

static enum gt__step step_other(struct gt__events *events, struct gt_cursor *cursor, struct gt_event *event,
	const uint8_t **payload, size_t *size)
{
	uint64_t dt = gt_get_uvarint(cursor);
	uint64_t length = gt_get_uvarint(cursor);

	*payload = gt_get_bytes(cursor, length);
	*size = (size_t)length;
	if (cursor->bad || __builtin_add_overflow(events->ticks, dt, &events->ticks))
		return GT__STEP_BAD;
	event->ticks = events->ticks;
	events->at = cursor->at;
	events->left--;
	return GT__STEP_OTHER;
}

/* Near the record's end each number is checked. */
static enum gt__step step_careful(
	struct gt__events *events, struct gt_cursor *cursor, struct gt_event *event, unsigned int count)
{
	uint64_t dt = gt_get_uvarint(cursor);

	for (unsigned int i = 0; i < count; i++)
		event->args[i] = gt_get_uvarint(cursor);
	if (cursor->bad || __builtin_add_overflow(events->ticks, dt, &events->ticks))
		return GT__STEP_BAD;
	event->ticks = events->ticks;
	events->at = cursor->at;
	events->left--;
	return GT__STEP_EVENT;
}

enum gt__step gt__events_step(struct gt__events *events, struct gt_event *event, const uint8_t **payload, size_t *size)
{
	struct gt_cursor cursor = {.at = events->at, .end = events->end};
	const uint8_t *at = events->at;
	unsigned int kind, count;
	uint64_t dt;

	if (at == events->end)
		return events->left ? GT__STEP_BAD : GT__STEP_END;
	kind = gt_get_u8(&cursor);
	if (!kind)
		return step_back(events, &cursor);
	if (!events->left)
		return GT__STEP_BAD;
	event->kind = (uint8_t)kind;
	memset(event->args, 0, sizeof(event->args));
	if (kind >= GT_EVENT_KIND_COUNT)
		return step_other(events, &cursor, event, payload, size);
	if (!gt_event_specs[kind].text)
		return GT__STEP_BAD;
	count = gt_event_specs[kind].arg_count;
	if (events->end - at < EVENT_BYTES_MAX)
		return step_careful(events, &cursor, event, count);

	at = get_quick(at + 1, &dt);
	for (unsigned int i = 0; at && i < count; i++)
		at = get_quick(at, &event->args[i]);
	if (!at || __builtin_add_overflow(events->ticks, dt, &events->ticks))
		return GT__STEP_BAD;
	event->ticks = events->ticks;
	events->at = at;
	events->left--;
	return GT__STEP_EVENT;
}
