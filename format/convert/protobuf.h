/*
 * protobuf.h - the pieces of a protobuf message, for those who write one straight into a sink.
 *
 * Each puts its bytes at @to, which has room, and returns the place behind them. A message inside of another is opened
 * before its size is known: two bytes are kept for it, a varint with a zero at its top, which every reader takes. So what
 * is opened holds at most GT_PB_SIZE_MAX bytes, and nothing is ever moved.
 */
#ifndef GT_FORMAT_PROTOBUF_H
#define GT_FORMAT_PROTOBUF_H

#include <stdint.h>
#include <string.h>

#define GT_PB_VARINT_MAX 10
#define GT_PB_SIZE_MAX   16383

static inline char *gt_pb_varint(char *to, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*to++ = (char)(value | 0x80);
	*to = (char)value;
	return to + 1;
}

/* The number of the field is a constant: its bytes are, too. */
static inline char *gt_pb_tag(char *to, uint32_t field, uint32_t wire)
{
	return gt_pb_varint(to, field << 3 | wire);
}

static inline char *gt_pb_number(char *to, uint32_t field, uint64_t value)
{
	return gt_pb_varint(gt_pb_tag(to, field, 0), value);
}

static inline char *gt_pb_fixed64(char *to, uint32_t field, uint64_t value)
{
	to = gt_pb_tag(to, field, 1);
	for (int i = 0; i < 8; i++)
		to[i] = (char)(value >> (8 * i));
	return to + 8;
}

static inline char *gt_pb_bytes(char *to, uint32_t field, const void *bytes, size_t size)
{
	to = gt_pb_varint(gt_pb_tag(to, field, 2), size);
	memcpy(to, bytes, size);
	return to + size;
}

/* What is inside begins at the place returned, and ends with gt_pb_close. */
static inline char *gt_pb_open(char *to, uint32_t field)
{
	return gt_pb_tag(to, field, 2) + 2;
}

static inline char *gt_pb_close(char *inside, char *end)
{
	size_t size = (size_t)(end - inside);

	inside[-2] = (char)(size | 0x80);
	inside[-1] = (char)(size >> 7);
	return end;
}

#endif
