/*
 * bytes.h - little-endian numbers and LEB128 varints.
 *
 * Writers bump an unchecked pointer: whoever calls has made room for the worst case.
 * Readers use a cursor that never passes its end and remembers that it was asked to:
 * after a run of gt_get_* calls one test of `bad` is enough.
 */
#ifndef GT_BASE_BYTES_H
#define GT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GT_UVARINT_BYTES_MAX 10

static inline uint8_t *gt_put_uvarint(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static inline uint8_t *gt_put_u32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static inline uint8_t *gt_put_u64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

struct gt_cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool bad; /* something did not fit; every later get gives 0 */
};

static inline size_t gt_cursor_left(const struct gt_cursor *cursor)
{
	return cursor->bad ? 0 : (size_t)(cursor->end - cursor->at);
}

/* Up to 10 bytes, non-canonical ones too; more than 64 bits is bad. */
static inline uint64_t gt_get_uvarint(struct gt_cursor *cursor)
{
	uint64_t value = 0;
	unsigned int shift = 0;

	while (!cursor->bad && cursor->at < cursor->end && shift < 70) {
		uint8_t byte = *cursor->at++;

		if (shift == 63 && (byte & 0x7e))
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
		shift += 7;
	}
	cursor->bad = true;
	return 0;
}

/* @size bytes in place, or NULL (and bad) when fewer are left. */
static inline const uint8_t *gt_get_bytes(struct gt_cursor *cursor, uint64_t size)
{
	const uint8_t *at = cursor->at;

	if (cursor->bad || size > (uint64_t)(cursor->end - cursor->at)) {
		cursor->bad = true;
		return NULL;
	}
	cursor->at += size;
	return at;
}

static inline uint8_t gt_get_u8(struct gt_cursor *cursor)
{
	const uint8_t *at = gt_get_bytes(cursor, 1);

	return at ? *at : 0;
}

static inline uint32_t gt_get_u32(struct gt_cursor *cursor)
{
	const uint8_t *at = gt_get_bytes(cursor, 4);
	uint32_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint64_t gt_get_u64(struct gt_cursor *cursor)
{
	const uint8_t *at = gt_get_bytes(cursor, 8);
	uint64_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return value;
}

#endif
