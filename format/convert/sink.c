/* sink.c - the buffer behind sink.h: full write()s, the first error kept. */
#include "format/convert/pack.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fits a second-level cache, so that the kernel copies what is still near. */
#define SINK_BYTES ((size_t)256 << 10)

static int sink_open(struct gt_sink *sink, int fd, const char *name)
{
	memset(sink, 0, sizeof(*sink));
	sink->buffer = malloc(SINK_BYTES);
	if (!sink->buffer)
		return -ENOMEM;
	sink->size = SINK_BYTES;
	sink->at = sink->buffer;
	sink->end = sink->buffer + sink->size;
	sink->fd = fd;
	sink->name = name;
	return 0;
}

int gt_sink_open_fd(struct gt_sink *sink, int fd, const char *name)
{
	return sink_open(sink, fd, name);
}

int gt_sink_open_memory(struct gt_sink *sink)
{
	return sink_open(sink, -1, "memory");
}

int gt__write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t done = write(fd, bytes, size);

		if (done >= 0) {
			bytes += done;
			size -= (size_t)done;
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			/* A pipe that somebody else made non-blocking. */
			struct pollfd wait = {.fd = fd, .events = POLLOUT};

			if (poll(&wait, 1, -1) < 0 && errno != EINTR)
				return -errno;
			continue;
		}
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int gt_sink_pack(struct gt_sink *sink, enum gt_sink_packing packing)
{
	return packing == GT_SINK_PLAIN ? 0 : gt__packer_new(packing, &sink->packer);
}

/* @last: what is packed is whole then. */
static void flush(struct gt_sink *sink, bool last)
{
	size_t used = (size_t)(sink->at - sink->buffer);
	int ret = 0;

	if (sink->error)
		ret = 0;
	else if (sink->packer)
		ret = gt__pack(sink->packer, sink->buffer, used, last, sink->fd);
	else
		ret = gt__write_all(sink->fd, sink->buffer, used);
	if (ret < 0)
		sink->error = -ret;
	sink->flushed += used;
	sink->at = sink->buffer;
}

static void grow(struct gt_sink *sink)
{
	size_t used = (size_t)(sink->at - sink->buffer);
	char *bigger = sink->error ? NULL : realloc(sink->buffer, sink->size * 2);

	if (bigger) {
		sink->buffer = bigger;
		sink->size *= 2;
		sink->at = bigger + used;
		sink->end = bigger + sink->size;
		return;
	}
	sink->error = ENOMEM;
	sink->flushed += used;
	sink->at = sink->buffer;
}

void gt__sink_make_room(struct gt_sink *sink, size_t size)
{
	if (sink->fd >= 0)
		flush(sink, false);
	else
		grow(sink);
}

void gt_sink_write(struct gt_sink *sink, const void *bytes, size_t size)
{
	const char *from = bytes;

	while (size > 0) {
		size_t part = size < GT_SINK_RECORD_MAX ? size : GT_SINK_RECORD_MAX;
		char *to = gt_sink_room(sink, part);

		memcpy(to, from, part);
		sink->at += part;
		from += part;
		size -= part;
	}
}

int gt_sink_error(const struct gt_sink *sink, struct gt_error *err)
{
	switch (sink->error) {
	case 0:
		return 0;
	case ENOSPC:
	case EDQUOT:
		return gt_fail(
			err, sink->error, "no space left: %s: free some, or write elsewhere with -o", sink->name);
	case EFBIG:
		return gt_fail(
			err, EFBIG, "the file became too large: %s: raise the file size limit (ulimit -f)", sink->name);
	case EPIPE:
		return gt_fail(err, EPIPE, "the reader went away: %s: read it to its end", sink->name);
	case ENOMEM:
		return gt_fail(err, ENOMEM, "out of memory: %s: write to a file instead", sink->name);
	default:
		return gt_fail(err, sink->error, "cannot write: %s: %s", sink->name, strerror(sink->error));
	}
}

int gt_sink_close(struct gt_sink *sink, char **bytes, size_t *size, struct gt_error *err)
{
	int ret;

	if (sink->fd >= 0) {
		flush(sink, true);
	} else {
		*gt_sink_room(sink, 1) = '\0';
		if (bytes && size && !sink->error) {
			*bytes = sink->buffer;
			*size = (size_t)(sink->at - sink->buffer);
			sink->buffer = NULL;
		}
	}
	ret = gt_sink_error(sink, err);
	free(sink->buffer);
	gt__packer_free(sink->packer);
	memset(sink, 0, sizeof(*sink));
	return ret;
}
