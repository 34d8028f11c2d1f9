/* reader.c - a file's bytes to unpacked frames. docs/format.md is the law. */
#include "format/reading/reader.h"
#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define SEARCH_BYTES 65536u

void gt__damage_say(struct gt_trace_damage *damage, const char *format, ...)
{
	va_list args;

	if (!damage || damage->first[0])
		return;
	va_start(args, format);
	vsnprintf(damage->first, sizeof(damage->first), format, args);
	va_end(args);
}

/* ---- header, trailer ---- */

static int parse_header(struct gt__reader *reader, struct gt_error *err)
{
	struct gt__header *header = &reader->header;
	uint8_t bytes[GT__HEADER_BYTES];
	struct gt_cursor cursor = {.at = bytes + 8, .end = bytes + sizeof(bytes)};
	uint32_t version, crc;
	int ret = gt_source_read(&reader->source, 0, sizeof(bytes), bytes);

	if (ret < 0 && ret != -ENODATA)
		return gt_fail(err, ret, "cannot be read: %s", strerror(-ret));
	if (ret < 0 || memcmp(bytes, GT__MAGIC, 8))
		return gt_fail(err, EBADMSG, "not a .gtrace file: its first bytes are others");
	version = gt_get_u32(&cursor);
	header->version_major = (uint16_t)version;
	header->version_minor = (uint16_t)(version >> 16);
	header->header_bytes = gt_get_u32(&cursor);
	header->flags = gt_get_u64(&cursor);
	header->ticks_per_second = gt_get_u64(&cursor);
	header->start_ticks = gt_get_u64(&cursor);
	header->start_realtime_ns = (int64_t)gt_get_u64(&cursor);
	header->start_monotonic_ns = (int64_t)gt_get_u64(&cursor);
	crc = gt_get_u32(&cursor);
	if (crc != gt_crc32c(0, bytes, 56))
		return gt_fail(err, EBADMSG, "its header is damaged: nothing in the file can be trusted");
	if (header->version_major != 1)
		return gt_fail(err, EPROTONOSUPPORT,
			"written in version %u.%u of the format, this program reads 1.x: use a newer gtrace",
			header->version_major, header->version_minor);
	if (header->header_bytes < GT__HEADER_BYTES || header->header_bytes > reader->source.size)
		return gt_fail(err, EBADMSG, "its header is damaged: %u bytes long", header->header_bytes);
	return 0;
}

static bool parse_frame(const uint8_t bytes[GT__FRAME_HEADER_BYTES], struct gt__frame *frame)
{
	struct gt_cursor cursor = {.at = bytes, .end = bytes + GT__FRAME_HEADER_BYTES};

	if (gt_get_u32(&cursor) != GT__FRAME_MAGIC)
		return false;
	frame->kind = gt_get_u8(&cursor);
	gt_get_bytes(&cursor, 3);
	frame->stored_bytes = gt_get_u32(&cursor);
	frame->raw_bytes = gt_get_u32(&cursor);
	frame->ticks = gt_get_u64(&cursor);
	frame->monotonic_ns = (int64_t)gt_get_u64(&cursor);
	frame->watermark = gt_get_u64(&cursor);
	frame->event_count = gt_get_u32(&cursor);
	return gt_get_u32(&cursor) == gt_crc32c(0, bytes, 44);
}

/* Where the index frame stands, when the file ends with a whole trailer. */
static void find_index(struct gt__reader *reader)
{
	uint8_t bytes[GT__TRAILER_BYTES], header[GT__FRAME_HEADER_BYTES];
	struct gt_cursor cursor = {.at = bytes, .end = bytes + sizeof(bytes)};
	struct gt__frame frame;
	uint64_t offset;
	uint32_t crc;

	if (reader->source.size < reader->header.header_bytes + sizeof(bytes) ||
		gt_source_read(&reader->source, reader->source.size - sizeof(bytes), sizeof(bytes), bytes) < 0)
		return;
	offset = gt_get_u64(&cursor);
	crc = gt_get_u32(&cursor);
	if (gt_get_u32(&cursor) != GT__TRAILER_MAGIC || crc != gt_crc32c(0, bytes, 8))
		return;
	if (offset < reader->header.header_bytes || gt_source_read(&reader->source, offset, sizeof(header), header) < 0)
		return;
	if (parse_frame(header, &frame) && frame.kind == GT__FRAME_INDEX &&
		offset + GT__FRAME_HEADER_BYTES + frame.stored_bytes == reader->source.size - sizeof(bytes))
		reader->index_offset = offset;
}

static int open_common(struct gt__reader *reader, struct gt_error *err)
{
	int ret = parse_header(reader, err);

	if (ret < 0)
		goto fail;
	reader->zstd = ZSTD_createDCtx();
	if (!reader->zstd) {
		ret = gt_fail(err, ENOMEM, "no memory to unpack it");
		goto fail;
	}
	find_index(reader);
	return 0;
fail:
	gt__reader_close(reader);
	return ret;
}

int gt__reader_open(const char *path, struct gt__reader *reader, struct gt_error *err)
{
	struct stat st;
	int ret;

	memset(reader, 0, sizeof(*reader));
	reader->source.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (reader->source.fd < 0)
		return gt_fail(err, errno, "cannot open: %s: %s", path, strerror(errno));
	if (fstat(reader->source.fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		gt__reader_close(reader);
		return gt_fail(err, EISDIR, "not a trace: %s: it is a directory", path);
	}
	if (fstat(reader->source.fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		gt__reader_close(reader);
		return gt_fail(err, EINVAL,
			"not a file that can be read back and forth: %s: save it to a plain file first", path);
	}
	reader->source.size = (uint64_t)st.st_size;
	ret = open_common(reader, err);
	return ret < 0 ? gt_fail_prefix(err, ret, "%s", path) : 0;
}

int gt__reader_open_memory(const void *bytes, size_t size, struct gt__reader *reader, struct gt_error *err)
{
	memset(reader, 0, sizeof(*reader));
	reader->source.fd = -1;
	reader->source.memory = bytes;
	reader->source.size = size;
	return open_common(reader, err);
}

void gt__reader_close(struct gt__reader *reader)
{
	if (reader->source.fd >= 0)
		close(reader->source.fd);
	reader->source.fd = -1;
	free(reader->packed);
	reader->packed = NULL;
	ZSTD_freeDCtx(reader->zstd);
	reader->zstd = NULL;
}

/* ---- frames ---- */

/* A frame header at @offset that is whole, or -ENODATA when there is none. */
static int frame_at(const struct gt__reader *reader, uint64_t offset, struct gt__frame *frame)
{
	uint8_t bytes[GT__FRAME_HEADER_BYTES];
	int ret = gt_source_read(&reader->source, offset, sizeof(bytes), bytes);

	if (ret < 0)
		return ret;
	if (!parse_frame(bytes, frame))
		return -EBADMSG;
	frame->offset = offset;
	frame->next = offset + GT__FRAME_HEADER_BYTES + frame->stored_bytes;
	return 0;
}

/* The next offset behind @offset where a frame header with a good checksum stands; 0 = none. */
static int64_t search(const struct gt__reader *reader, uint64_t offset)
{
	static const uint8_t magic[4] = {'G', 'T', 'F', 'R'};
	uint8_t *chunk = malloc(SEARCH_BYTES);
	int64_t found = 0;

	if (!chunk)
		return -ENOMEM;
	for (offset++;
		offset < reader->source.size && reader->source.size - offset >= GT__FRAME_HEADER_BYTES && !found;) {
		uint64_t left = reader->source.size - offset;
		size_t size = left < SEARCH_BYTES ? (size_t)left : SEARCH_BYTES;
		const uint8_t *at = chunk;
		struct gt__frame frame;
		int ret = gt_source_read(&reader->source, offset, size, chunk);

		if (ret < 0) {
			found = ret == -ENODATA ? 0 : ret;
			break;
		}
		while ((at = memmem(at, size - (size_t)(at - chunk), magic, sizeof(magic)))) {
			if (!frame_at(reader, offset + (uint64_t)(at - chunk), &frame)) {
				found = (int64_t)(offset + (uint64_t)(at - chunk));
				break;
			}
			at++;
		}
		if (size < SEARCH_BYTES)
			break;
		offset += size - (sizeof(magic) - 1);
	}
	free(chunk);
	return found;
}

/* Is this the place where a whole file's frames end, or where a cut one was cut? */
static bool at_end(const struct gt__reader *reader, uint64_t offset)
{
	uint64_t left = reader->source.size - (offset < reader->source.size ? offset : reader->source.size);

	if (reader->index_offset && left == GT__TRAILER_BYTES)
		return true;
	return left == 0;
}

int gt__reader_next(struct gt__reader *reader, uint64_t offset, struct gt__frame *frame, struct gt_trace_damage *damage)
{
	int64_t found;
	int ret;

	if (at_end(reader, offset))
		return 0;
	ret = frame_at(reader, offset, frame);
	if (ret == -ENODATA) { /* less than a header is left: cut, or the rest of a trailer */
		gt__damage_say(damage, "the file ends inside a frame, at byte %llu: what was whole is here",
			(unsigned long long)reader->source.size);
		return 0;
	}
	if (ret == -EBADMSG) {
		found = search(reader, offset);
		if (found < 0)
			return (int)found;
		if (damage)
			damage->frames_bad++;
		gt__damage_say(damage, "no whole frame at byte %llu", (unsigned long long)offset);
		if (!found)
			return 0;
		ret = frame_at(reader, (uint64_t)found, frame);
	}
	if (ret < 0)
		return ret == -ENODATA ? 0 : ret;
	if (frame->next > reader->source.size) {
		gt__damage_say(damage, "the file ends inside the frame at byte %llu: what was whole is here",
			(unsigned long long)frame->offset);
		return 0;
	}
	return 1;
}

static int bad_frame(const struct gt__frame *frame, struct gt_trace_damage *damage, const char *why)
{
	if (damage)
		damage->frames_bad++;
	gt__damage_say(damage, "the frame at byte %llu is damaged: %s", (unsigned long long)frame->offset, why);
	return -EBADMSG;
}

int gt__reader_unpack(
	struct gt__reader *reader, const struct gt__frame *frame, uint8_t *raw, struct gt_trace_damage *damage)
{
	static const uint8_t zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
	uint64_t at = frame->offset + GT__FRAME_HEADER_BYTES;
	const uint8_t *packed;
	size_t got;
	int ret;

	if (frame->raw_bytes > GT__RAW_BYTES_MAX || frame->stored_bytes > GT__STORED_BYTES_MAX)
		return bad_frame(frame, damage, "larger than a frame may be");
	if (reader->source.fd < 0) {
		packed = reader->source.memory + at;
	} else {
		if (frame->stored_bytes > reader->packed_room) {
			free(reader->packed);
			reader->packed_room = 0;
			reader->packed = malloc(frame->stored_bytes);
			if (!reader->packed)
				return -ENOMEM;
			reader->packed_room = frame->stored_bytes;
		}
		ret = gt_source_read(&reader->source, at, frame->stored_bytes, reader->packed);
		if (ret < 0)
			return ret == -ENODATA ? bad_frame(frame, damage, "the file became shorter") : ret;
		packed = reader->packed;
	}
	/* Bit 2 of the descriptor: a checksum follows the content. */
	if (frame->stored_bytes < 6 || memcmp(packed, zstd_magic, 4) || !(packed[4] & 4) ||
		ZSTD_getFrameContentSize(packed, frame->stored_bytes) != frame->raw_bytes ||
		ZSTD_findFrameCompressedSize(packed, frame->stored_bytes) != frame->stored_bytes)
		return bad_frame(frame, damage, "not the one zstd frame that it should be");
	got = ZSTD_decompressDCtx(reader->zstd, raw, frame->raw_bytes, packed, frame->stored_bytes);
	if (ZSTD_isError(got) || got != frame->raw_bytes)
		return bad_frame(frame, damage, ZSTD_isError(got) ? ZSTD_getErrorName(got) : "of another length");
	return 0;
}

/* ---- the clock ---- */

void gt__clock_set(struct gt__clock *clock, uint64_t start_ticks, uint64_t ns, uint64_t ticks)
{
	clock->start_ticks = start_ticks;
	clock->ns = ns;
	clock->ticks = ticks ? ticks : 1;
	clock->whole = ns / clock->ticks;
	clock->rest = ns % clock->ticks;
	clock->fraction = (uint64_t)(((unsigned __int128)clock->rest << 64) / clock->ticks);
}

int64_t gt__clock_slow(const struct gt__clock *clock, uint64_t ticks)
{
	bool before = ticks < clock->start_ticks;
	uint64_t d = before ? clock->start_ticks - ticks : ticks - clock->start_ticks;
	unsigned __int128 product = (unsigned __int128)d * clock->ns;
	unsigned __int128 q = product / clock->ticks;

	if (before && product % clock->ticks)
		q++; /* floor, also below 0 */
	if (q > INT64_MAX)
		return before ? INT64_MIN : INT64_MAX;
	return before ? -(int64_t)q : (int64_t)q;
}

uint64_t gt__clock_ticks(const struct gt__clock *clock, uint64_t ns)
{
	unsigned __int128 q = (unsigned __int128)ns * clock->ticks / (clock->ns ? clock->ns : 1);

	return q > UINT64_MAX ? UINT64_MAX : (uint64_t)q;
}
