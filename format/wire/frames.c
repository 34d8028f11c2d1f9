/* frames.c - zstd, frame headers, the index; on a worker's thread when asked. */
#include "format/wire/frames.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/crc32c.h"

#define FRAME_MAGIC   0x52465447
#define TRAILER_MAGIC 0x444e5447
#define TRAILER_BYTES 16
#define RECORD_FRAME  16
#define SLACK         16

#define KIND_DATA  1
#define KIND_INDEX 2

/* When so many stand in the index, neighbours are made one. Each takes at most 43 bytes there. */
#define INDEX_MAX          (1u << 17)
#define INDEX_RECORD_BYTES 43

/* One is filled, one is compressed, one waits. */
#define FRAMES_MAX 3

struct index_entry {
	uint64_t offset;
	uint64_t first;
	uint64_t last;
	uint64_t event_count;
};

struct gt__frames {
	/* the side that stores: the worker, or the caller when there is none */
	struct gt__disk *disk;
	ZSTD_CCtx *zstd;
	struct index_entry *index;
	size_t index_count;
	size_t index_max;

	/* the caller's */
	struct gt__frame frames[FRAMES_MAX];
	unsigned int frame_count;
	bool worker;
	pthread_t thread;

	/* both: under the lock */
	pthread_mutex_t lock;
	pthread_cond_t was_put;
	pthread_cond_t was_stored;
	unsigned int put; /* frames put; put % frame_count is the one being filled */
	unsigned int stored;
	bool quit;
	int failed;
	struct gt_error error;
	uint64_t bytes_stored;
	bool uses_uring;
};

/* ---- the side that stores ---- */

static int compress_fail(struct gt_error *err, size_t code)
{
	return gt_fail(
		err, EIO, "cannot compress a frame: zstd: %s: try again with more memory", ZSTD_getErrorName(code));
}

/* Compresses @frame behind its header at @to. Returns the bytes of both, or -errno. */
static ssize_t pack(ZSTD_CCtx *zstd, uint8_t *to, size_t room, unsigned int kind, const struct gt__frame *frame,
	struct gt_error *err)
{
	size_t size = ZSTD_compress2(
		zstd, to + GT__FRAME_HEADER_BYTES, room - GT__FRAME_HEADER_BYTES, frame->raw, frame->size);
	uint8_t *at = to;

	if (ZSTD_isError(size))
		return compress_fail(err, size);
	at = gt_put_u32(at, FRAME_MAGIC);
	at = gt_put_u32(at, kind);
	at = gt_put_u32(at, (uint32_t)size);
	at = gt_put_u32(at, (uint32_t)frame->size);
	at = gt_put_u64(at, frame->ticks);
	at = gt_put_u64(at, (uint64_t)frame->monotonic_ns);
	at = gt_put_u64(at, frame->watermark);
	at = gt_put_u32(at, frame->event_count);
	gt_put_u32(at, gt_crc32c(0, to, GT__FRAME_HEADER_BYTES - 4));
	return (ssize_t)(GT__FRAME_HEADER_BYTES + size);
}

static void index_halve(struct gt__frames *frames)
{
	size_t count = 0;

	for (size_t i = 0; i < frames->index_count; i += 2) {
		struct index_entry entry = frames->index[i];

		if (i + 1 < frames->index_count) {
			const struct index_entry *next = &frames->index[i + 1];

			if (!entry.event_count || (next->event_count && next->first < entry.first))
				entry.first = next->first;
			if (next->last > entry.last)
				entry.last = next->last;
			entry.event_count += next->event_count;
		}
		frames->index[count++] = entry;
	}
	frames->index_count = count;
}

static int index_add(struct gt__frames *frames, const struct gt__frame *frame)
{
	if (frames->index_count == INDEX_MAX)
		index_halve(frames);
	if (frames->index_count == frames->index_max) {
		size_t most = frames->index_max ? frames->index_max * 2 : 64;
		struct index_entry *index = realloc(frames->index, most * sizeof(*index));

		if (!index)
			return -ENOMEM;
		frames->index = index;
		frames->index_max = most;
	}
	frames->index[frames->index_count++] = (struct index_entry){
		.offset = gt__disk_offset(frames->disk),
		.first = frame->first,
		.last = frame->last,
		.event_count = frame->event_count,
	};
	return 0;
}

static int store(struct gt__frames *frames, const struct gt__frame *frame, struct gt_error *err)
{
	uint8_t *to = gt__disk_buffer(frames->disk);
	ssize_t size;
	int ret;

	if (!to)
		goto fail_disk;
	size = pack(frames->zstd, to, GT__FRAME_HEADER_BYTES + ZSTD_compressBound(frame->size), KIND_DATA, frame, err);
	if (size < 0)
		return (int)size;
	ret = index_add(frames, frame);
	if (ret < 0)
		return gt_fail(err, -ret, "cannot write: no memory for the trace's index");
	if (gt__disk_put(frames->disk, (size_t)size, true) < 0)
		goto fail_disk;
	if (frame->push && gt__disk_push(frames->disk) < 0)
		goto fail_disk;
	return 0;

fail_disk:
	*err = *gt__disk_error(frames->disk);
	return gt__disk_failed(frames->disk);
}

/* Stores the oldest frame that was put, and tells the caller. The lock is held but for the storing. */
static void store_next(struct gt__frames *frames)
{
	struct gt__frame *frame = &frames->frames[frames->stored % frames->frame_count];
	int ret = frames->failed;
	struct gt_error error;

	if (!ret) {
		pthread_mutex_unlock(&frames->lock);
		ret = store(frames, frame, &error);
		pthread_mutex_lock(&frames->lock);
		if (ret < 0) {
			frames->failed = ret;
			frames->error = error;
		}
	}
	frames->bytes_stored = gt__disk_offset(frames->disk);
	frames->uses_uring = gt__disk_uses_uring(frames->disk);
	frames->stored++;
	pthread_cond_signal(&frames->was_stored);
}

static void *work(void *argument)
{
	struct gt__frames *frames = argument;

	pthread_mutex_lock(&frames->lock);
	for (;;) {
		if (frames->stored != frames->put)
			store_next(frames);
		else if (frames->quit)
			break;
		else
			pthread_cond_wait(&frames->was_put, &frames->lock);
	}
	pthread_mutex_unlock(&frames->lock);
	/* A failure here shows at the next call, which is finish's own drain. */
	gt__disk_drain(frames->disk);
	return NULL;
}

/* ---- the caller's side ---- */

static int start_worker(struct gt__frames *frames, struct gt_error *err)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&frames->thread, NULL, work, frames);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return gt_fail(
			err, ret, "cannot start a thread: %s: raise the limit on processes (ulimit -u)", strerror(ret));
	frames->worker = true;
	return 0;
}

static void stop_worker(struct gt__frames *frames)
{
	if (!frames->worker)
		return;
	pthread_mutex_lock(&frames->lock);
	frames->quit = true;
	pthread_cond_signal(&frames->was_put);
	pthread_mutex_unlock(&frames->lock);
	pthread_join(frames->thread, NULL);
	frames->worker = false;
}

/* All but the disk. */
static void frames_free(struct gt__frames *frames)
{
	for (unsigned int i = 0; i < FRAMES_MAX; i++)
		free(frames->frames[i].raw);
	ZSTD_freeCCtx(frames->zstd);
	free(frames->index);
	pthread_mutex_destroy(&frames->lock);
	pthread_cond_destroy(&frames->was_put);
	pthread_cond_destroy(&frames->was_stored);
	free(frames);
}

static int put_header(struct gt__frames *frames, const uint8_t *header, struct gt_error *err)
{
	uint8_t *to = gt__disk_buffer(frames->disk);

	if (to) {
		memcpy(to, header, GT__HEADER_BYTES);
		/* Waited for, so that a place that cannot be written is told before the program starts. */
		if (!gt__disk_put(frames->disk, GT__HEADER_BYTES, false) && !gt__disk_drain(frames->disk))
			return 0;
	}
	if (err)
		*err = *gt__disk_error(frames->disk);
	return gt__disk_failed(frames->disk);
}

int gt__frames_open(const struct gt__frames_config *config, struct gt__frames **out, struct gt_error *err)
{
	struct gt__frames *frames = calloc(1, sizeof(*frames));
	struct gt__disk_config disk = config->disk;
	int ret = -ENOMEM;

	if (!frames)
		return gt_fail(err, ENOMEM, "cannot write: %s: no memory", disk.path);
	pthread_mutex_init(&frames->lock, NULL);
	pthread_cond_init(&frames->was_put, NULL);
	pthread_cond_init(&frames->was_stored, NULL);
	frames->frame_count = config->worker ? FRAMES_MAX : 1;
	frames->zstd = ZSTD_createCCtx();
	for (unsigned int i = 0; i < frames->frame_count; i++) {
		frames->frames[i].raw = malloc(config->raw_bytes + SLACK);
		if (!frames->frames[i].raw || !frames->zstd) {
			gt_fail(err, ENOMEM, "cannot write: %s: no memory", disk.path);
			goto fail_free;
		}
	}
	ZSTD_CCtx_setParameter(frames->zstd, ZSTD_c_compressionLevel, config->level ? config->level : 1);
	ZSTD_CCtx_setParameter(frames->zstd, ZSTD_c_checksumFlag, 1);
	disk.buffer_bytes = GT__FRAME_HEADER_BYTES + ZSTD_compressBound(config->raw_bytes);
	ret = gt__disk_open(&disk, &frames->disk, err);
	if (ret < 0)
		goto fail_free;
	ret = put_header(frames, config->header, err);
	if (ret < 0)
		goto fail_drop;
	frames->bytes_stored = gt__disk_offset(frames->disk);
	frames->uses_uring = gt__disk_uses_uring(frames->disk);
	ret = config->worker ? start_worker(frames, err) : 0;
	if (ret < 0)
		goto fail_drop;
	*out = frames;
	return 0;

fail_drop:
	gt__disk_drop(frames->disk);
fail_free:
	frames_free(frames);
	return ret;
}

struct gt__frame *gt__frames_get(struct gt__frames *frames)
{
	struct gt__frame *frame = NULL;

	pthread_mutex_lock(&frames->lock);
	while (!frames->failed && frames->put - frames->stored == frames->frame_count)
		pthread_cond_wait(&frames->was_stored, &frames->lock);
	if (!frames->failed)
		frame = &frames->frames[frames->put % frames->frame_count];
	pthread_mutex_unlock(&frames->lock);
	return frame;
}

int gt__frames_put(struct gt__frames *frames)
{
	int ret;

	pthread_mutex_lock(&frames->lock);
	frames->put++;
	if (frames->worker)
		pthread_cond_signal(&frames->was_put);
	else
		store_next(frames);
	ret = frames->failed;
	pthread_mutex_unlock(&frames->lock);
	return ret;
}

int gt__frames_failure(struct gt__frames *frames, struct gt_error *err)
{
	int ret;

	pthread_mutex_lock(&frames->lock);
	ret = frames->failed;
	if (ret < 0 && err)
		*err = frames->error;
	pthread_mutex_unlock(&frames->lock);
	return ret;
}

uint64_t gt__frames_stored(struct gt__frames *frames)
{
	uint64_t bytes;

	pthread_mutex_lock(&frames->lock);
	bytes = frames->bytes_stored;
	pthread_mutex_unlock(&frames->lock);
	return bytes;
}

bool gt__frames_uses_uring(struct gt__frames *frames)
{
	bool uses;

	pthread_mutex_lock(&frames->lock);
	uses = frames->uses_uring;
	pthread_mutex_unlock(&frames->lock);
	return uses;
}

/* ---- the end ---- */

/* Puts what may be larger than one of the disk's buffers. */
static int put_pieces(struct gt__frames *frames, const uint8_t *bytes, size_t size)
{
	const size_t most = 1 << 18;

	while (size) {
		size_t piece = size < most ? size : most;
		uint8_t *to = gt__disk_buffer(frames->disk);

		if (!to)
			return gt__disk_failed(frames->disk);
		memcpy(to, bytes, piece);
		if (gt__disk_put(frames->disk, piece, false) < 0)
			return gt__disk_failed(frames->disk);
		bytes += piece;
		size -= piece;
	}
	return 0;
}

static uint8_t *put_index_records(const struct gt__frames *frames, uint8_t *at)
{
	for (size_t i = 0; i < frames->index_count; i++) {
		const struct index_entry *entry = &frames->index[i];
		uint8_t body[INDEX_RECORD_BYTES];
		uint8_t *end = body;

		end = gt_put_uvarint(end, entry->offset);
		end = gt_put_uvarint(end, entry->first);
		end = gt_put_uvarint(end, entry->last);
		end = gt_put_uvarint(end, entry->event_count);
		*at++ = RECORD_FRAME;
		at = gt_put_uvarint(at, (uint64_t)(end - body));
		memcpy(at, body, (size_t)(end - body));
		at += end - body;
	}
	return at;
}

static int put_index(struct gt__frames *frames, const struct gt__frames_end *end, struct gt_error *err)
{
	size_t raw_max = end->size + frames->index_count * INDEX_RECORD_BYTES;
	size_t room = GT__FRAME_HEADER_BYTES + ZSTD_compressBound(raw_max) + TRAILER_BYTES;
	struct gt__frame frame = end->last;
	uint8_t *bytes = malloc(room);
	uint8_t *trailer, *at;
	ssize_t packed;
	int ret = -ENOMEM;

	frame.raw = malloc(raw_max + 1);
	if (!bytes || !frame.raw) {
		gt_fail(err, ENOMEM, "cannot write: no memory for the trace's index");
		goto out;
	}
	if (end->size)
		memcpy(frame.raw, end->tables, end->size);
	frame.size = (size_t)(put_index_records(frames, frame.raw + end->size) - frame.raw);
	packed = pack(frames->zstd, bytes, room - TRAILER_BYTES, KIND_INDEX, &frame, err);
	if (packed < 0) {
		ret = (int)packed;
		goto out;
	}
	trailer = bytes + packed;
	at = gt_put_u64(trailer, gt__disk_offset(frames->disk));
	at = gt_put_u32(at, gt_crc32c(0, trailer, 8));
	gt_put_u32(at, TRAILER_MAGIC);
	ret = put_pieces(frames, bytes, (size_t)packed + TRAILER_BYTES);
out:
	free(frame.raw);
	free(bytes);
	return ret;
}

int gt__frames_finish(struct gt__frames *frames, const struct gt__frames_end *end, struct gt_error *err)
{
	struct gt_error error;
	int ret;

	stop_worker(frames);
	if (frames->failed) {
		ret = frames->failed;
		error = frames->error;
	} else if (end->failed) {
		ret = end->failed;
		error = end->error;
	} else {
		ret = put_index(frames, end, &error);
	}
	/* What failed outside of the disk must keep the file from its final name too. */
	if (ret < 0 && !gt__disk_failed(frames->disk))
		gt__disk_spoil(frames->disk, ret, &error);
	ret = gt__disk_finish(frames->disk, err);
	frames_free(frames);
	return ret;
}

void gt__frames_drop(struct gt__frames *frames)
{
	stop_worker(frames);
	gt__disk_drop(frames->disk);
	frames_free(frames);
}
