/* build.c - a .gtrace file put together record by record. */
#include "format/text/build.h"
#include "base/crc32c.h"
#include "format/reading/order.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#define FINALS_MAX 4096u

/* ---- bytes ---- */

static bool make_room(struct gt_build_bytes *bytes, size_t size)
{
	if (bytes->no_memory)
		return false;
	if (size > bytes->room - bytes->size) {
		size_t room = bytes->room * 2 + size + 256;
		uint8_t *at = realloc(bytes->at, room);

		if (!at) {
			bytes->no_memory = true;
			return false;
		}
		bytes->at = at;
		bytes->room = room;
	}
	return true;
}

void gt_build_u8(struct gt_build_bytes *bytes, uint8_t value)
{
	gt_build_put(bytes, &value, 1);
}

void gt_build_uvarint(struct gt_build_bytes *bytes, uint64_t value)
{
	uint8_t buffer[GT_UVARINT_BYTES_MAX];

	gt_build_put(bytes, buffer, (size_t)(gt_put_uvarint(buffer, value) - buffer));
}

void gt_build_put(struct gt_build_bytes *bytes, const void *from, size_t size)
{
	if (!size || !make_room(bytes, size))
		return;
	memcpy(bytes->at + bytes->size, from, size);
	bytes->size += size;
}

void gt_build_text(struct gt_build_bytes *bytes, const void *from, size_t size)
{
	gt_build_uvarint(bytes, size);
	gt_build_put(bytes, from, size);
}

void gt_build_bytes_free(struct gt_build_bytes *bytes)
{
	free(bytes->at);
	memset(bytes, 0, sizeof(*bytes));
}

/* ---- frames ---- */

static int put_out(struct gt_build *build, const void *bytes, size_t size)
{
	if (fwrite(bytes, 1, size, build->out) != size)
		return errno ? -errno : -EIO;
	build->offset += size;
	return 0;
}

/* Packs build->raw into a frame. */
static int put_frame(struct gt_build *build, unsigned int kind, uint64_t events)
{
	uint8_t header[GT__FRAME_HEADER_BYTES] = {0}, *at = header;
	ZSTD_CCtx *zstd;
	size_t got;
	int ret;

	if (build->raw.no_memory)
		return -ENOMEM;
	if (build->raw.size > GT__RAW_BYTES_MAX)
		return -EFBIG;
	build->packed.size = 0;
	if (!make_room(&build->packed, ZSTD_compressBound(build->raw.size)))
		return -ENOMEM;
	zstd = ZSTD_createCCtx();
	if (!zstd)
		return -ENOMEM;
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
	got = ZSTD_compress2(
		zstd, build->packed.at, build->packed.room, build->raw.size ? build->raw.at : header, build->raw.size);
	ZSTD_freeCCtx(zstd);
	if (ZSTD_isError(got))
		return -EIO;
	at = gt_put_u32(at, GT__FRAME_MAGIC);
	*at = (uint8_t)kind;
	at = gt_put_u32(at + 4, (uint32_t)got);
	at = gt_put_u32(at, (uint32_t)build->raw.size);
	at = gt_put_u64(at, build->ticks);
	at = gt_put_u64(at, (uint64_t)build->monotonic_ns);
	at = gt_put_u64(at, build->watermark);
	at = gt_put_u32(at, (uint32_t)events);
	gt_put_u32(at, gt_crc32c(0, header, 44));
	ret = put_out(build, header, sizeof(header));
	return ret < 0 ? ret : put_out(build, build->packed.at, got);
}

static bool same(const struct gt_build_bytes *key, const uint8_t *bytes, size_t size)
{
	return key->size == size && !memcmp(key->at, bytes, size);
}

/* Remembers a meta's or loss's latest value. */
static int note_final(struct gt_build *build, bool loss, const uint8_t *bytes, size_t size)
{
	struct gt_cursor cursor = {.at = bytes, .end = bytes + size};
	uint64_t key_size = gt_get_uvarint(&cursor), value_size;
	const uint8_t *key = gt_get_bytes(&cursor, key_size), *value;
	struct gt_build_keyed *final = NULL;

	value_size = gt_get_uvarint(&cursor);
	value = loss ? cursor.at : gt_get_bytes(&cursor, value_size);
	if (cursor.bad || !key_size)
		return 0; /* damaged on purpose */
	for (size_t i = 0; i < build->final_count && !final; i++)
		if (build->finals[i].loss == loss && same(&build->finals[i].key, key, (size_t)key_size))
			final = &build->finals[i];
	if (!final) {
		struct gt_build_keyed *finals;

		if (build->final_count == FINALS_MAX)
			return 0;
		finals = realloc(build->finals, (build->final_count + 1) * sizeof(*finals));
		if (!finals)
			return -ENOMEM;
		build->finals = finals;
		final = &finals[build->final_count++];
		memset(final, 0, sizeof(*final));
		final->loss = loss;
		gt_build_put(&final->key, key, (size_t)key_size);
	}
	final->value.size = 0;
	final->count = value_size;
	if (!loss)
		gt_build_put(&final->value, value, (size_t)value_size);
	return final->key.no_memory || final->value.no_memory ? -ENOMEM : 0;
}

static void note_events(struct gt_build *build, const uint8_t *bytes, size_t size)
{
	struct gt__events events;
	struct gt_event event;
	const uint8_t *payload;
	size_t payload_size;
	enum gt__step step;
	uint64_t m;

	if (!gt__events_begin(&events, bytes, size, &m))
		return;
	while ((step = gt__events_step(&events, &event, &payload, &payload_size)) != GT__STEP_END &&
		step != GT__STEP_BAD) {
		if (step == GT__STEP_BACK)
			continue;
		build->events++;
		if (event.ticks < build->first)
			build->first = event.ticks;
		if (event.ticks > build->last)
			build->last = event.ticks;
	}
}

/* What the index and the frame's header tell of the frame's records. From the bytes, however they were put in. */
static int note_records(struct gt_build *build)
{
	struct gt_cursor cursor = {.at = build->raw.at};
	int ret = 0;

	if (!build->raw.size)
		return 0;
	cursor.end = cursor.at + build->raw.size;
	while (!ret && cursor.at < cursor.end) {
		unsigned int type = gt_get_u8(&cursor);
		uint64_t size = gt_get_uvarint(&cursor);
		const uint8_t *at = gt_get_bytes(&cursor, size);

		if (cursor.bad)
			break;
		if (type == GT__REC_EVENTS)
			note_events(build, at, (size_t)size);
		else if (type == GT__REC_META || type == GT__REC_LOSS)
			ret = note_final(build, type == GT__REC_LOSS, at, (size_t)size);
	}
	return ret;
}

static int close_frame(struct gt_build *build)
{
	struct gt_build_bytes record = {0};
	uint64_t offset = build->offset;
	int ret;

	if (!build->open)
		return 0;
	ret = note_records(build);
	if (ret < 0)
		return ret;
	ret = put_frame(build, GT__FRAME_DATA, build->events_told == UINT64_MAX ? build->events : build->events_told);
	build->open = false;
	if (ret < 0)
		return ret;
	gt_build_uvarint(&record, offset);
	gt_build_uvarint(&record, build->events ? build->first : 0);
	gt_build_uvarint(&record, build->events ? build->last : 0);
	gt_build_uvarint(&record, build->events);
	gt_build_u8(&build->frames, GT__REC_FRAME);
	gt_build_text(&build->frames, record.at, record.size);
	ret = record.no_memory || build->frames.no_memory ? -ENOMEM : 0;
	gt_build_bytes_free(&record);
	return ret;
}

int gt_build_begin(struct gt_build *build, FILE *out, const struct gt__header *header)
{
	uint8_t bytes[GT__HEADER_BYTES] = {0}, *at = bytes + 8;

	memset(build, 0, sizeof(*build));
	build->out = out;
	memcpy(bytes, GT__MAGIC, 8);
	at = gt_put_u32(at, header->version_major | (uint32_t)header->version_minor << 16);
	at = gt_put_u32(at, GT__HEADER_BYTES);
	at = gt_put_u64(at, header->flags);
	at = gt_put_u64(at, header->ticks_per_second);
	at = gt_put_u64(at, header->start_ticks);
	at = gt_put_u64(at, (uint64_t)header->start_realtime_ns);
	at = gt_put_u64(at, (uint64_t)header->start_monotonic_ns);
	gt_put_u32(at, gt_crc32c(0, bytes, 56));
	return put_out(build, bytes, sizeof(bytes));
}

int gt_build_frame(struct gt_build *build, uint64_t ticks, int64_t monotonic_ns, uint64_t watermark, uint64_t events)
{
	int ret = close_frame(build);

	build->raw.size = 0;
	build->open = true;
	build->ticks = ticks;
	build->monotonic_ns = monotonic_ns;
	build->watermark = watermark;
	build->events = 0;
	build->events_told = events;
	build->first = UINT64_MAX;
	build->last = 0;
	return ret;
}

int gt_build_record(struct gt_build *build, unsigned int type, const void *bytes, size_t size)
{
	int ret;

	/* Hand-written text may leave the frame out. */
	if (!build->open && (ret = gt_build_frame(build, 0, 0, 0, UINT64_MAX)) < 0)
		return ret;
	gt_build_u8(&build->raw, (uint8_t)type);
	gt_build_text(&build->raw, bytes, size);
	if (build->raw.size > GT__RAW_BYTES_MAX)
		return -EFBIG;
	return build->raw.no_memory ? -ENOMEM : 0;
}

int gt_build_raw(struct gt_build *build, const void *bytes, size_t size)
{
	int ret;

	if (!build->open && (ret = gt_build_frame(build, 0, 0, 0, UINT64_MAX)) < 0)
		return ret;
	gt_build_put(&build->raw, bytes, size);
	return build->raw.no_memory ? -ENOMEM : 0;
}

int gt_build_index(struct gt_build *build, uint64_t ticks, int64_t monotonic_ns, uint64_t watermark)
{
	uint8_t trailer[GT__TRAILER_BYTES];
	struct gt_build_bytes record = {0};
	uint64_t offset;
	int ret = close_frame(build);

	if (ret < 0)
		return ret;
	offset = build->offset;
	build->raw.size = 0;
	for (size_t i = 0; i < build->final_count; i++) {
		const struct gt_build_keyed *final = &build->finals[i];

		record.size = 0;
		gt_build_text(&record, final->key.at, final->key.size);
		if (final->loss)
			gt_build_uvarint(&record, final->count);
		else
			gt_build_text(&record, final->value.at, final->value.size);
		gt_build_u8(&build->raw, final->loss ? GT__REC_LOSS : GT__REC_META);
		gt_build_text(&build->raw, record.at, record.size);
	}
	ret = record.no_memory ? -ENOMEM : 0;
	gt_build_bytes_free(&record);
	gt_build_put(&build->raw, build->frames.at, build->frames.size);
	build->ticks = ticks;
	build->monotonic_ns = monotonic_ns;
	build->watermark = watermark;
	if (!ret)
		ret = put_frame(build, GT__FRAME_INDEX, 0);
	gt_put_u64(trailer, offset);
	gt_put_u32(trailer + 8, gt_crc32c(0, trailer, 8));
	gt_put_u32(trailer + 12, GT__TRAILER_MAGIC);
	return ret < 0 ? ret : put_out(build, trailer, sizeof(trailer));
}

int gt_build_end(struct gt_build *build)
{
	int ret = close_frame(build);

	if (fflush(build->out) && !ret)
		ret = -errno;
	for (size_t i = 0; i < build->final_count; i++) {
		gt_build_bytes_free(&build->finals[i].key);
		gt_build_bytes_free(&build->finals[i].value);
	}
	free(build->finals);
	gt_build_bytes_free(&build->raw);
	gt_build_bytes_free(&build->packed);
	gt_build_bytes_free(&build->frames);
	return ret;
}
