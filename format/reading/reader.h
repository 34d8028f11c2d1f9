/*
 * reader.h - a file's bytes to unpacked frames; below trace.h and text.h, which are for others.
 *
 *   source --header--> gt__reader --next--> frame headers --unpack--> records
 *
 * Damage is counted by whoever walks (a file may be walked more than once): each walk has its own
 * struct gt_trace_damage.
 */
#ifndef GT_FORMAT_READER_H
#define GT_FORMAT_READER_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/source.h"
#include "format/reading/trace.h"

#define GT__MAGIC              "\x89GTRACE\n"
#define GT__HEADER_BYTES       64u
#define GT__FRAME_HEADER_BYTES 48u
#define GT__TRAILER_BYTES      16u
#define GT__FRAME_MAGIC        0x52465447u
#define GT__TRAILER_MAGIC      0x444e5447u
#define GT__RAW_BYTES_MAX      (16u << 20)
/* More than zstd makes of GT__RAW_BYTES_MAX at its worst. */
#define GT__STORED_BYTES_MAX (17u << 20)
#define GT__FLAG_WINDOW      1u

enum gt__frame_kind { GT__FRAME_DATA = 1, GT__FRAME_INDEX = 2 };

enum gt__record_type {
	GT__REC_META = 1,
	GT__REC_STRING,
	GT__REC_PC,
	GT__REC_STACK,
	GT__REC_THREAD,
	GT__REC_GOROUTINE,
	GT__REC_EVENTS,
	GT__REC_LOSS,
	GT__REC_SINCE,
	GT__REC_FRAME = 16,
};

struct gt__header {
	uint16_t version_major, version_minor;
	uint32_t header_bytes;
	uint64_t flags;
	uint64_t ticks_per_second;
	uint64_t start_ticks;
	int64_t start_realtime_ns;
	int64_t start_monotonic_ns;
};

struct gt__frame {
	uint64_t offset; /* of its header */
	uint64_t next;   /* behind its last byte */
	uint8_t kind;
	uint32_t stored_bytes, raw_bytes;
	uint64_t ticks;
	int64_t monotonic_ns;
	uint64_t watermark;
	uint32_t event_count;
};

struct gt__reader {
	struct gt_source source;
	struct gt__header header;
	uint64_t index_offset; /* 0: the file has no whole trailer */
	uint8_t *packed;       /* a frame's stored bytes, when they come from fd */
	size_t packed_room;
	void *zstd;
};

int gt__reader_open(const char *path, struct gt__reader *reader, struct gt_error *err);
int gt__reader_open_memory(const void *bytes, size_t size, struct gt__reader *reader, struct gt_error *err);
void gt__reader_close(struct gt__reader *reader);

/*
 * The first whole frame at or behind @offset: 1 and *frame, 0 at the end, -errno when the file cannot be read.
 * What is skipped because it is no frame is counted in @damage (may be NULL); a file cut inside a frame is not damage.
 */
int gt__reader_next(
	struct gt__reader *reader, uint64_t offset, struct gt__frame *frame, struct gt_trace_damage *damage);

/* Unpacks into @raw, which has room for frame->raw_bytes: 0, or -EBADMSG and counted, or another -errno. */
int gt__reader_unpack(
	struct gt__reader *reader, const struct gt__frame *frame, uint8_t *raw, struct gt_trace_damage *damage);

/* Notes the first damage in words. */
void gt__damage_say(struct gt_trace_damage *damage, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- the clock ---- */

/* ticks -> ns since the trace's start: floor of the exact product, saturated. */
struct gt__clock {
	uint64_t start_ticks;
	uint64_t ns, ticks;             /* the line's slope: ns per ticks; ticks > 0 */
	uint64_t whole, rest, fraction; /* ns / ticks, ns % ticks, rest * 2^64 / ticks */
};

void gt__clock_set(struct gt__clock *clock, uint64_t start_ticks, uint64_t ns, uint64_t ticks);
int64_t gt__clock_slow(const struct gt__clock *clock, uint64_t ticks);

/* The fraction is rounded down, by less than 2^-64 a tick: unless its product is as near as that to the next number, it is exact. */
static inline int64_t gt__clock_ns(const struct gt__clock *clock, uint64_t ticks)
{
	uint64_t d = ticks - clock->start_ticks, q, low;
	unsigned __int128 part = (unsigned __int128)d * clock->fraction;

	if (__builtin_expect(ticks < clock->start_ticks || __builtin_add_overflow((uint64_t)part, d, &low) ||
				     __builtin_mul_overflow(d, clock->whole, &q) ||
				     __builtin_add_overflow(q, (uint64_t)(part >> 64), &q) || q > INT64_MAX,
		    0))
		return gt__clock_slow(clock, ticks);
	return (int64_t)q;
}

/* The opposite, for spans: ns to ticks, rounded down, saturated. */
uint64_t gt__clock_ticks(const struct gt__clock *clock, uint64_t ns);

#endif
