/*
 * disk.h - the bytes of a growing file, in order, by io_uring or write().
 *
 *   gt__disk_open -> (gt__disk_buffer | gt__disk_put)* -> gt__disk_finish or gt__disk_drop
 *
 * The file grows as NAME.partial, locked against a second writer, and is renamed at the end. What cannot be
 * renamed (a pipe, a device, /dev/stdout) is written in place. One write is under way at a time, and the
 * buffers wait behind it in order: at every instant the file is a beginning of the whole one.
 * After a failure every call returns the same -errno. One thread at a time.
 */
#ifndef GT_FORMAT_DISK_H
#define GT_FORMAT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct gt__disk;

struct gt__disk_config {
	const char *path;
	int (*sink)(void *context, const void *bytes, size_t size); /* not NULL: there is no file */
	void *sink_context;
	size_t buffer_bytes;
	bool no_uring;
	bool sync; /* fdatasync before the rename, fsync of the directory behind it */
};

int gt__disk_open(const struct gt__disk_config *config, struct gt__disk **out, struct gt_error *err);

/* A free buffer of buffer_bytes; waits when all are on their way. NULL after a failure. The same until it is put. */
uint8_t *gt__disk_buffer(struct gt__disk *disk);

/* Sends the first @size bytes of the buffer got last. @whole: the file, when it ends here, is worth keeping. */
int gt__disk_put(struct gt__disk *disk, size_t size, bool whole);

/* Leaves nothing in our hands: what was put is in the file or with the kernel. May wait for the disk. */
int gt__disk_push(struct gt__disk *disk);

/* Waits until all that was put is written. N.B. a thread that put something drains before it ends. */
int gt__disk_drain(struct gt__disk *disk);

/* Bytes put so far: where the next ones will stand. */
uint64_t gt__disk_offset(const struct gt__disk *disk);

/* Writes what was put, then fails with @error, for a reason that is not the disk's. */
void gt__disk_spoil(struct gt__disk *disk, int code, const struct gt_error *error);

int gt__disk_failed(const struct gt__disk *disk);
const struct gt_error *gt__disk_error(const struct gt__disk *disk);
bool gt__disk_uses_uring(const struct gt__disk *disk);

/* Waits for everything, then gives the file its final name; frees @disk in any case. On failure the part that
 * is worth keeping stays as NAME.partial, and the line says so. */
int gt__disk_finish(struct gt__disk *disk, struct gt_error *err);

/* Frees @disk and removes NAME.partial. */
void gt__disk_drop(struct gt__disk *disk);

/* What writes where io_uring is not used: write(), but for tests of what a disk can do to us. */
extern ssize_t (*gt__disk_write)(int fd, const void *bytes, size_t size);

#endif
