/* disk.c - opens, locks, writes and renames; io_uring with one write under way, or write(). */
#include "format/wire/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One is filled, one is written; two more let a slow disk catch up before the writer must wait. */
#define BUFFERS 4

#define PARTIAL       ".partial"
#define OPEN_TRIES    16
#define URING_ENTRIES 2

struct buffer {
	uint8_t *bytes;
	size_t size;     /* put */
	size_t done;     /* written */
	uint64_t offset; /* of bytes[0] in the file */
	bool whole;
};

struct gt__disk {
	int fd;
	int dir; /* where the name is, so that a later chdir does no harm; -1: in place */
	bool uring;
	bool under_way; /* the head's write is with the kernel */
	bool regular;   /* written at offsets of our own */
	bool sync;
	int (*sink)(void *context, const void *bytes, size_t size);
	void *sink_context;
	size_t buffer_bytes;
	unsigned int head; /* the oldest buffer put; count of them follow */
	unsigned int count;
	uint64_t offset; /* bytes put */
	uint64_t whole;  /* bytes written that are worth keeping */
	int failed;
	struct gt_error error;
	struct io_uring ring;
	struct buffer buffers[BUFFERS];
	char *path;    /* as the user named it */
	char *name;    /* its last part */
	char *partial; /* the same with PARTIAL */
};

static ssize_t plain_write(int fd, const void *bytes, size_t size)
{
	return write(fd, bytes, size);
}

ssize_t (*gt__disk_write)(int fd, const void *bytes, size_t size) = plain_write;

/* ---- failure ---- */

static const char *advice(int code)
{
	switch (code) {
	case ENOSPC:
	case EDQUOT:
		return "free space or choose another place with -o";
	case EFBIG:
		return "raise the limit on file sizes (ulimit -f) or choose another place with -o";
	case EIO:
		return "the disk reports an error: choose another place with -o";
	case ETIMEDOUT:
		return "whoever reads it is too slow";
	case EPIPE:
		return "whoever read it is gone";
	case EMFILE:
		return "raise the limit on open files (ulimit -n)";
	case ENOENT:
		return "make the directory first or choose another place with -o";
	default:
		return "choose another place with -o";
	}
}

static int fail_at(struct gt_error *err, const char *path, int code)
{
	return gt_fail(err, code, "cannot write: %s: %s: %s", path, strerror(code), advice(code));
}

static int disk_fail(struct gt__disk *disk, int code)
{
	if (!disk->failed)
		disk->failed = fail_at(&disk->error, disk->path, code);
	return disk->failed;
}

/* ---- opening ---- */

/* The descriptor that a name like /dev/stdout or /dev/fd/5 means, or -1. Opening such a name anew would lose
 * the shell's offset and its >>. */
static int named_descriptor(const char *path)
{
	static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
	char *end;
	long number;

	if (!strcmp(path, "/dev/stdout"))
		return STDOUT_FILENO;
	if (!strcmp(path, "/dev/stderr"))
		return STDERR_FILENO;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		size_t length = strlen(folders[i]);

		if (strncmp(path, folders[i], length) || path[length] < '0' || path[length] > '9')
			continue;
		number = strtol(path + length, &end, 10);
		if (!*end && number <= INT32_MAX)
			return (int)number;
	}
	return -1;
}

/* Whether @fd is still what stands under the name: a writer that died or ended may have been swept meanwhile. */
static bool still_named(const struct gt__disk *disk, int fd)
{
	struct stat by_fd, by_name;

	return !fstat(fd, &by_fd) && !fstatat(disk->dir, disk->partial, &by_name, AT_SYMLINK_NOFOLLOW) &&
	       by_fd.st_dev == by_name.st_dev && by_fd.st_ino == by_name.st_ino;
}

static int lock(int fd)
{
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* There is a NAME.partial. Removes it when its writer is dead, which its lock tells; 0: try again. */
static int sweep_partial(struct gt__disk *disk, struct gt_error *err)
{
	struct stat info;
	int fd, ret;

	if (fstatat(disk->dir, disk->partial, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail_at(err, disk->path, errno);
	if (!S_ISREG(info.st_mode))
		return gt_fail(err, EEXIST,
			"cannot write: %s" PARTIAL
			": it exists and is no regular file: remove it or choose another place with -o",
			disk->path);
	fd = openat(disk->dir, disk->partial, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0
				       : gt_fail(err, errno,
						 "cannot write: %s" PARTIAL ": it exists, and cannot be opened: %s: "
						 "remove it or choose another place with -o",
						 disk->path, strerror(errno));
	ret = lock(fd);
	if (ret == -EWOULDBLOCK)
		ret = gt_fail(err, EBUSY, "cannot write: %s: another gtrace is writing it: choose another name with -o",
			disk->path);
	else if (ret < 0)
		ret = gt_fail(err, EEXIST,
			"cannot write: %s" PARTIAL ": it exists, and it cannot be told whether it is still written: "
			"remove it or choose another name with -o",
			disk->path);
	else if (still_named(disk, fd) && unlinkat(disk->dir, disk->partial, 0) < 0 && errno != ENOENT)
		ret = fail_at(err, disk->path, errno);
	close(fd);
	return ret;
}

static int open_partial(struct gt__disk *disk, struct gt_error *err)
{
	for (int try = 0; try < OPEN_TRIES; try++) {
		int fd = openat(disk->dir, disk->partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
		int ret;

		if (fd < 0 && errno != EEXIST)
			return fail_at(err, disk->path, errno);
		if (fd < 0) {
			ret = sweep_partial(disk, err);
			if (ret < 0)
				return ret;
			continue;
		}
		/* Where there are no locks (some network file systems), O_EXCL alone keeps two writers apart. */
		ret = lock(fd);
		if (ret != -EWOULDBLOCK && still_named(disk, fd)) {
			disk->fd = fd;
			return 0;
		}
		close(fd);
	}
	return gt_fail(
		err, EBUSY, "cannot write: %s: another gtrace is writing it: choose another name with -o", disk->path);
}

static int open_in_place(struct gt__disk *disk, int number, struct gt_error *err)
{
	/* A FIFO's open waits for its reader, as in a shell; a signal ends the wait. */
	disk->fd = number >= 0 ? fcntl(number, F_DUPFD_CLOEXEC, 3) : open(disk->path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	return disk->fd < 0 ? fail_at(err, disk->path, errno) : 0;
}

static int open_file(struct gt__disk *disk, struct gt_error *err)
{
	int number = named_descriptor(disk->path);
	const char *slash = strrchr(disk->path, '/');
	char *folder;
	struct stat info;

	if (number >= 0)
		return open_in_place(disk, number, err);
	if (!stat(disk->path, &info) && !S_ISREG(info.st_mode)) {
		if (S_ISDIR(info.st_mode))
			return gt_fail(
				err, EISDIR, "cannot write: %s: it is a directory: name a file in it", disk->path);
		return open_in_place(disk, -1, err);
	}
	if (!*disk->path || (slash && !slash[1]))
		return gt_fail(err, EINVAL, "cannot write: \"%s\": not the name of a file: choose another with -o",
			disk->path);
	folder = slash ? strndup(disk->path, slash == disk->path ? 1 : (size_t)(slash - disk->path)) : strdup(".");
	disk->name = strdup(slash ? slash + 1 : disk->path);
	if (!folder || !disk->name || asprintf(&disk->partial, "%s" PARTIAL, disk->name) < 0) {
		disk->partial = NULL;
		free(folder);
		return fail_at(err, disk->path, ENOMEM);
	}
	/* O_RDONLY, not O_PATH: fsync wants it. */
	disk->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (disk->dir < 0)
		disk->dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (disk->dir < 0)
		return fail_at(err, disk->path, errno);
	disk->regular = true;
	return open_partial(disk, err);
}

/* Old kernels, containers and hardened hosts refuse; none of it is an error. */
static bool open_uring(struct gt__disk *disk)
{
	struct io_uring_probe *probe;
	bool good;

	if (io_uring_queue_init(URING_ENTRIES, &disk->ring, 0) < 0)
		return false;
	probe = io_uring_get_probe_ring(&disk->ring);
	good = probe && io_uring_opcode_supported(probe, IORING_OP_WRITE);
	io_uring_free_probe(probe);
	if (!good)
		io_uring_queue_exit(&disk->ring);
	return good;
}

static void disk_free(struct gt__disk *disk)
{
	if (disk->uring)
		io_uring_queue_exit(&disk->ring);
	if (disk->fd >= 0)
		close(disk->fd);
	if (disk->dir >= 0)
		close(disk->dir);
	for (unsigned int i = 0; i < BUFFERS; i++)
		free(disk->buffers[i].bytes);
	free(disk->path);
	free(disk->name);
	free(disk->partial);
	free(disk);
}

int gt__disk_open(const struct gt__disk_config *config, struct gt__disk **out, struct gt_error *err)
{
	struct gt__disk *disk = calloc(1, sizeof(*disk));
	int ret;

	if (!disk)
		return fail_at(err, config->path, ENOMEM);
	disk->fd = -1;
	disk->dir = -1;
	disk->sync = config->sync;
	disk->buffer_bytes = config->buffer_bytes;
	disk->path = strdup(config->path);
	if (!disk->path)
		goto no_memory;
	for (unsigned int i = 0; i < BUFFERS; i++) {
		disk->buffers[i].bytes = malloc(config->buffer_bytes);
		if (!disk->buffers[i].bytes)
			goto no_memory;
	}
	disk->sink = config->sink;
	disk->sink_context = config->sink_context;
	ret = disk->sink ? 0 : open_file(disk, err);
	if (ret < 0) {
		disk_free(disk);
		return ret;
	}
	/* A pipe's reader may leave, and only write() lets us keep the SIGPIPE from the rest of the program. */
	disk->uring = disk->regular && !config->no_uring && open_uring(disk);
	*out = disk;
	return 0;

no_memory:
	disk_free(disk);
	return fail_at(err, config->path, ENOMEM);
}

/* ---- writing ---- */

/* write() on what may be a pipe: SIGPIPE becomes EPIPE and is seen by nobody. */
static ssize_t write_quietly(int fd, const void *bytes, size_t size)
{
	sigset_t pipe_only, before, pending;
	struct timespec now = {0};
	ssize_t ret;
	int code;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	ret = gt__disk_write(fd, bytes, size);
	code = errno;
	/* N.B. after a short write too: the kernel signals when the reader leaves in its midst. */
	if (!sigismember(&pending, SIGPIPE))
		sigtimedwait(&pipe_only, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = code;
	return ret;
}

static struct buffer *head_of(struct gt__disk *disk)
{
	return &disk->buffers[disk->head];
}

/* What came of a write of the head's rest: bytes, or -errno. Steps to the next buffer when all is written. */
static int head_result(struct gt__disk *disk, ssize_t result)
{
	struct buffer *head = head_of(disk);

	/* ECANCELED: io_uring drops the requests of a thread that ended. */
	if (result == -EINTR || result == -ECANCELED)
		return 0;
	if (result == -EAGAIN) {
		struct pollfd poll_fd = {.fd = disk->fd, .events = POLLOUT};

		poll(&poll_fd, 1, -1);
		return 0;
	}
	if (result <= 0)
		return disk_fail(disk, result ? (int)-result : EIO);
	head->done += (size_t)result;
	if (head->done < head->size)
		return 0;
	if (head->whole)
		disk->whole = head->offset + head->size;
	disk->head = (disk->head + 1) % BUFFERS;
	disk->count--;
	return 0;
}

static int write_head(struct gt__disk *disk)
{
	struct buffer *head = head_of(disk);
	ssize_t result;

	if (disk->sink) {
		int ret = disk->sink(disk->sink_context, head->bytes, head->size);

		/* Not the codes that mean: once more. */
		if (ret == -EAGAIN || ret == -EINTR || ret == -ECANCELED)
			ret = -EPIPE;
		return head_result(disk, ret < 0 ? ret : (ssize_t)head->size);
	}
	result = (disk->regular ? gt__disk_write : write_quietly)(
		disk->fd, head->bytes + head->done, head->size - head->done);
	return head_result(disk, result < 0 ? -errno : result);
}

/* The kernel has no write of ours: io_uring can be left for write() at any such moment. */
static void leave_uring(struct gt__disk *disk)
{
	io_uring_queue_exit(&disk->ring);
	disk->uring = false;
	if (lseek(disk->fd, (off_t)(head_of(disk)->offset + head_of(disk)->done), SEEK_SET) < 0)
		disk_fail(disk, errno);
}

static void submit_head(struct gt__disk *disk)
{
	struct buffer *head = head_of(disk);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&disk->ring);
	int ret;

	if (!sqe) {
		leave_uring(disk);
		return;
	}
	io_uring_prep_write(sqe, disk->fd, head->bytes + head->done, (unsigned int)(head->size - head->done),
		head->offset + head->done);
	do
		ret = io_uring_submit(&disk->ring);
	while (ret == -EINTR || ret == -EAGAIN);
	if (ret < 1)
		leave_uring(disk);
	else
		disk->under_way = true;
}

/* Takes the result of the write under way. Without @wait only when it is there. */
static void reap_head(struct gt__disk *disk, bool wait)
{
	struct io_uring_cqe *cqe;
	int ret, result;

	do
		ret = wait ? io_uring_wait_cqe(&disk->ring, &cqe) : io_uring_peek_cqe(&disk->ring, &cqe);
	while (ret == -EINTR);
	if (ret == -EAGAIN && !wait)
		return;
	if (ret < 0) {
		disk_fail(disk, -ret);
		return;
	}
	result = cqe->res;
	io_uring_cqe_seen(&disk->ring, cqe);
	disk->under_way = false;
	if (result == -EINVAL || result == -EOPNOTSUPP || result == -EPERM || result == -EACCES)
		leave_uring(disk);
	else
		head_result(disk, result);
}

/* Brings what was put further, until at most @most buffers are left; waits for that, and for nothing else. */
static int pump(struct gt__disk *disk, unsigned int most)
{
	while (disk->count && !disk->failed) {
		if (!disk->uring)
			write_head(disk);
		else if (!disk->under_way)
			submit_head(disk);
		else {
			reap_head(disk, disk->count > most);
			if (disk->under_way && disk->count <= most)
				break;
		}
	}
	return disk->failed;
}

uint8_t *gt__disk_buffer(struct gt__disk *disk)
{
	if (pump(disk, BUFFERS - 1) < 0)
		return NULL;
	return disk->buffers[(disk->head + disk->count) % BUFFERS].bytes;
}

int gt__disk_put(struct gt__disk *disk, size_t size, bool whole)
{
	struct buffer *buffer = &disk->buffers[(disk->head + disk->count) % BUFFERS];

	if (disk->failed)
		return disk->failed;
	buffer->size = size;
	buffer->done = 0;
	buffer->offset = disk->offset;
	buffer->whole = whole;
	disk->offset += size;
	disk->count++;
	return pump(disk, BUFFERS);
}

int gt__disk_push(struct gt__disk *disk)
{
	return pump(disk, 1);
}

int gt__disk_drain(struct gt__disk *disk)
{
	return pump(disk, 0);
}

uint64_t gt__disk_offset(const struct gt__disk *disk)
{
	return disk->offset;
}

void gt__disk_spoil(struct gt__disk *disk, int code, const struct gt_error *error)
{
	if (disk->failed)
		return;
	pump(disk, 0);
	if (disk->failed)
		return;
	disk->failed = code;
	disk->error = *error;
}

int gt__disk_failed(const struct gt__disk *disk)
{
	return disk->failed;
}

const struct gt_error *gt__disk_error(const struct gt__disk *disk)
{
	return &disk->error;
}

bool gt__disk_uses_uring(const struct gt__disk *disk)
{
	return disk->uring;
}

/* ---- the end ---- */

static int finish_file(struct gt__disk *disk)
{
	if (pump(disk, 0) < 0)
		return disk->failed;
	if (disk->sync && fdatasync(disk->fd) < 0 && errno != EINVAL && errno != EROFS)
		return disk_fail(disk, errno);
	/* NFS and quotas tell here what they did not tell before. A copy, so that the lock stays until the rename. */
	if (disk->regular) {
		int copy = fcntl(disk->fd, F_DUPFD_CLOEXEC, 0);

		if (copy >= 0 && close(copy) < 0 && errno != EINTR)
			return disk_fail(disk, errno);
		if (renameat(disk->dir, disk->partial, disk->dir, disk->name) < 0)
			return disk_fail(disk, errno);
		if (disk->sync && fsync(disk->dir) < 0 && errno != EINVAL && errno != EBADF)
			return gt_fail(&disk->error, errno,
				"cannot make lasting: %s: %s: the file is whole; check the disk", disk->path,
				strerror(errno));
	}
	return 0;
}

/* The kernel may still read a buffer of ours: it is waited for before anything is freed. */
static void settle(struct gt__disk *disk)
{
	while (disk->uring && disk->under_way) {
		struct io_uring_cqe *cqe;
		int ret = io_uring_wait_cqe(&disk->ring, &cqe);

		if (ret < 0 && ret != -EINTR)
			break;
		if (!ret) {
			io_uring_cqe_seen(&disk->ring, cqe);
			disk->under_way = false;
		}
	}
}

int gt__disk_finish(struct gt__disk *disk, struct gt_error *err)
{
	int ret = finish_file(disk);

	if (ret < 0) {
		settle(disk);
		if (err)
			*err = disk->error;
		if (disk->regular && disk->failed && !disk->whole) {
			unlinkat(disk->dir, disk->partial, 0);
		} else if (disk->regular && disk->failed) {
			size_t used = err ? strlen(err->text) : 0;

			/* Half a frame at the end helps nobody, and its space may be needed; a reader copes when it stays. */
			(void)!ftruncate(disk->fd, (off_t)disk->whole);
			if (err)
				snprintf(err->text + used, sizeof(err->text) - used,
					" (what was written until then is in %s" PARTIAL ")", disk->path);
		}
	}
	disk_free(disk);
	return ret;
}

void gt__disk_drop(struct gt__disk *disk)
{
	settle(disk);
	if (disk->regular)
		unlinkat(disk->dir, disk->partial, 0);
	disk_free(disk);
}
