/*
 * files.c - opens a file where no path can lead out of the directory, and sends it.
 *
 * The kernel resolves names below the root (openat2 with RESOLVE_BENEATH): neither "..", nor a symbolic link, nor a change of the tree
 * meanwhile leads out. What may wait for a disk is done between gt_syscall_enter and gt_syscall_exit: the
 * goroutine then holds no P, and others run.
 */
#include "files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct file {
	int fd;
	struct stat stat;
	char etag[64];
};

static int open_below(int root, const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int files_open_root(const char *path)
{
	int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), probe;

	if (root < 0)
		return -errno;
	probe = open_below(root, ".", O_RDONLY | O_DIRECTORY); /* ENOSYS before Linux 5.6 */
	close(probe < 0 ? root : probe);
	return probe < 0 ? probe : root;
}

static int status_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ELOOP:
		return 404;
	case EACCES:
	case EPERM:
	case EXDEV: /* it leads out */
		return 403;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return 503;
	}
	return 500;
}

/* 200, 301 for a directory without its slash, or the status that says why not. */
static int open_file(int root, const char *path, struct file *file)
{
	char index[HEAD_MAX + 16];
	size_t size = strlen(path);

	/* Below the root: without the slashes it begins with. */
	snprintf(index, sizeof(index), "%s%s", path + strspn(path, "/"), path[size - 1] == '/' ? "index.html" : "");
	file->fd = open_below(root, index, O_RDONLY);
	if (file->fd < 0)
		return status_of(-file->fd);
	if (fstat(file->fd, &file->stat) == 0 && S_ISREG(file->stat.st_mode)) {
		snprintf(file->etag, sizeof(file->etag), "\"%llx-%llx-%llx\"", (unsigned long long)file->stat.st_ino,
			(unsigned long long)file->stat.st_size,
			(unsigned long long)file->stat.st_mtim.tv_sec * 1000000000 +
				(unsigned long long)file->stat.st_mtim.tv_nsec);
		return 200;
	}
	close(file->fd);
	return S_ISDIR(file->stat.st_mode) ? 301 : 403;
}

static const char *type_of(const char *path)
{
	static const char *const types[][2] = {{"html", "text/html; charset=utf-8"}, {"css", "text/css"},
		{"js", "text/javascript"}, {"json", "application/json"}, {"txt", "text/plain; charset=utf-8"},
		{"md", "text/plain; charset=utf-8"}, {"svg", "image/svg+xml"}, {"png", "image/png"},
		{"jpg", "image/jpeg"}, {"wasm", "application/wasm"}, {"", "text/html; charset=utf-8"}};
	const char *name = strrchr(path, '/') + 1, *dot = strrchr(name, '.');

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (dot ? strcmp(dot + 1, types[i][0]) == 0 : !*name && !*types[i][0])
			return types[i][1];
	return "application/octet-stream";
}

/* ---- conditions ---- */

static bool list_has_etag(const char *list, const char *etag)
{
	const char *at = strstr(list, etag);

	return strcmp(list, "*") == 0 || at; /* a tag has its quotes, so it is found whole */
}

static bool not_modified(const struct request *request, const struct file *file)
{
	struct tm tm = {0};

	if (request->if_none_match)
		return list_has_etag(request->if_none_match, file->etag);
	if (!request->if_modified_since || !strptime(request->if_modified_since, "%a, %d %b %Y %T GMT", &tm))
		return false;
	return file->stat.st_mtim.tv_sec <= timegm(&tm);
}

/* ---- sending ---- */

static int send_bytes(struct conn *conn, const struct file *file, int64_t from, int64_t count)
{
	while (count) {
		size_t now = sizeof(conn->out) - conn->out_size;
		ssize_t got;
		int ret;

		if ((int64_t)now > count)
			now = (size_t)count;
		gt_syscall_enter();
		got = pread(file->fd, conn->out + conn->out_size, now, from);
		gt_syscall_exit();
		/* Shorter than it was when its length was told: nothing can put that right but an end in the middle. */
		if (got <= 0)
			return -EIO;
		conn->out_size += (size_t)got;
		from += got;
		count -= got;
		if (!count)
			break;
		ret = conn_flush(conn);
		if (ret)
			return ret;
	}
	return 0;
}

static int send_file(struct conn *conn, const struct request *request, const struct file *file)
{
	int64_t from = 0, count = file->stat.st_size;
	int status = 200, ret;
	char date[64], field[64];
	struct tm tm;

	if (not_modified(request, file)) {
		ret = conn_head(conn, 304, NULL, 0);
		return ret ? ret : conn_printf(conn, "ETag: %s\r\n\r\n", file->etag);
	}
	if (request->range && (!request->if_range || strcmp(request->if_range, file->etag) == 0))
		status = range_parse(request->range, file->stat.st_size, &from, &count);
	if (status == 416) {
		snprintf(field, sizeof(field), "Content-Range: bytes */%lld\r\n", (long long)file->stat.st_size);
		return conn_status(conn, 416, strcmp(request->method, "HEAD") != 0, field);
	}
	gmtime_r(&file->stat.st_mtim.tv_sec, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %T GMT", &tm);
	ret = conn_head(conn, status, type_of(request->path), count);
	if (!ret && status == 206)
		ret = conn_printf(conn, "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)from,
			(long long)(from + count - 1), (long long)file->stat.st_size);
	if (!ret)
		ret = conn_printf(
			conn, "Accept-Ranges: bytes\r\nETag: %s\r\nLast-Modified: %s\r\n\r\n", file->etag, date);
	if (ret || strcmp(request->method, "HEAD") == 0)
		return ret;
	return send_bytes(conn, file, from, count);
}

/* To the same path with a slash. It came decoded; no byte of it may become a part of the response's head. */
static int redirect(struct conn *conn, const char *path)
{
	int ret = conn_head(conn, 301, "text/plain", 0);

	if (!ret)
		ret = conn_printf(conn, "Location: ");
	/* Not "//name": that would be another host. */
	for (path += strspn(path, "/") - 1; !ret && *path; path++) {
		bool plain = (*path >= '0' && *path <= '9') || ((*path | 32) >= 'a' && (*path | 32) <= 'z') ||
			     strchr("/-._~", *path);

		ret = conn_printf(conn, plain ? "%c" : "%%%02X", (unsigned char)*path);
	}
	return ret ? ret : conn_printf(conn, "/\r\n\r\n");
}

int files_respond(struct conn *conn, const struct request *request, int root)
{
	struct file file;
	int status, ret;

	gt_syscall_enter();
	status = open_file(root, request->path, &file);
	gt_syscall_exit();
	if (status == 301)
		return redirect(conn, request->path);
	if (status != 200)
		return conn_status(conn, status, strcmp(request->method, "HEAD") != 0, "");
	ret = send_file(conn, request, &file);
	close(file.fd);
	return ret;
}
