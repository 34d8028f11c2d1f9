/* test_writer_disk.c - names, other writers, and what a disk can do to a trace. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/wire/disk.h"
#include "stream.h"

static char folder[] = "/tmp/gtrace-test-XXXXXX";
static char path[64], partial[80];

static void setup(void)
{
	cr_assert_not_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/t.gtrace", folder);
	snprintf(partial, sizeof(partial), "%s.partial", path);
}

static void teardown(void)
{
	unlink(path);
	unlink(partial);
	rmdir(folder);
}

TestSuite(disk, .init = setup, .fini = teardown);

static int open_at(const char *name, bool no_uring, bool worker, struct gt_writer **writer, struct gt_error *err)
{
	struct gt_writer_config config = {.path = name, .no_uring = no_uring, .worker = worker};

	return gt_writer_open(&config, writer, err);
}

static off_t size_of(const char *name)
{
	struct stat info;

	return lstat(name, &info) < 0 ? -1 : info.st_size;
}

static void expect_magic(const char *name)
{
	char magic[8] = "";
	FILE *file = fopen(name, "rb");

	cr_assert_not_null(file);
	cr_assert_eq(fread(magic, 1, 8, file), 8);
	fclose(file);
	cr_assert_eq(memcmp(magic, "\x89GTRACE\n", 8), 0);
}

/* Writes a stream to @name: 0, or the failure and its line. */
static int write_stream(const char *name, bool no_uring, bool worker, struct gt_error *err)
{
	struct gt_writer *writer;
	int ret = open_at(name, no_uring, worker, &writer, err);

	if (ret < 0)
		return ret;
	stream_write(writer, NULL, 5, 300000, false);
	return gt_writer_close(writer, 1, 1, err);
}

Test(disk, a_file_takes_its_name_at_the_end_only)
{
	struct gt_writer *writer;
	struct gt_error err;
	struct stat info;
	FILE *old = fopen(path, "w");

	fputs("old", old);
	fclose(old);
	umask(022);
	cr_assert_eq(open_at(path, false, false, &writer, &err), 0);
	cr_assert_eq(stream_write(writer, NULL, 1, 1000, false), 0);
	cr_assert_eq(size_of(path), 3);
	cr_assert_geq(size_of(partial), 64);
	cr_assert_eq(gt_writer_close(writer, 1, 1, &err), 0);
	cr_assert_eq(size_of(partial), -1);
	expect_magic(path);
	cr_assert_eq(stat(path, &info), 0);
	cr_assert_eq(info.st_mode & 07777, 0644);
}

Test(disk, a_change_of_directory_does_no_harm)
{
	struct gt_writer *writer;
	struct gt_error err;
	char *before = getcwd(NULL, 0);

	cr_assert_eq(chdir(folder), 0);
	cr_assert_eq(open_at("t.gtrace", false, false, &writer, &err), 0, "%s", err.text);
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(gt_writer_close(writer, 1, 1, &err), 0, "%s", err.text);
	expect_magic(path);
	cr_assert_eq(chdir(before), 0);
	free(before);
}

Test(disk, a_living_writer_keeps_its_name_and_a_dead_one_does_not)
{
	struct gt_writer *writer, *second;
	struct gt_error err;
	pid_t child = fork();
	int status;

	if (!child) {
		if (!open_at(path, false, false, &writer, &err))
			stream_write(writer, NULL, 1, 400000, false);
		_exit(0);
	}
	waitpid(child, &status, 0);
	cr_assert_gt(size_of(partial), 64, "the dead writer left its frames");
	cr_assert_eq(open_at(path, false, false, &writer, &err), 0, "%s", err.text);
	cr_assert_eq(open_at(path, false, false, &second, &err), -EBUSY);
	cr_assert_not_null(strstr(err.text, "another gtrace is writing it"));
	cr_assert_eq(gt_writer_close(writer, 1, 1, &err), 0);
	expect_magic(path);
}

Test(disk, a_link_under_the_partial_name_is_not_followed)
{
	struct gt_writer *writer;
	struct gt_error err;
	char victim[80];
	FILE *file;

	snprintf(victim, sizeof(victim), "%s/victim", folder);
	file = fopen(victim, "w");
	fputs("precious", file);
	fclose(file);
	cr_assert_eq(symlink(victim, partial), 0);
	cr_assert_eq(open_at(path, false, false, &writer, &err), -EEXIST);
	cr_assert_not_null(strstr(err.text, "no regular file"));
	cr_assert_eq(size_of(victim), 8);
	unlink(victim);
}

Test(disk, names_that_cannot_be_written_are_told_in_one_line)
{
	struct gt_writer *writer;
	struct gt_error err;

	cr_assert_eq(open_at("/nowhere/at/all.gtrace", false, false, &writer, &err), -ENOENT);
	cr_assert_str_eq(err.text,
		"cannot write: /nowhere/at/all.gtrace: No such file or directory: make the directory "
		"first or choose another place with -o");
	cr_assert_eq(open_at(folder, false, false, &writer, &err), -EISDIR);
	cr_assert_eq(open_at("", false, false, &writer, &err), -EINVAL);
	cr_assert_eq(open_at("/dev/fd/999", false, false, &writer, &err), -EBADF);
}

/* As containers do: the system call is refused by a filter, for this test's own process. */
Test(disk, where_io_uring_is_refused_write_does_it)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};
	struct gt_writer *writer;
	struct gt_error err;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		cr_skip_test("no seccomp here");
	cr_assert_eq(open_at(path, false, false, &writer, &err), 0, "%s", err.text);
	cr_assert_not(gt_writer_uses_uring(writer));
	cr_assert_eq(stream_write(writer, NULL, 1, 10000, false), 0);
	cr_assert_eq(gt_writer_close(writer, 1, 1, &err), 0, "%s", err.text);
	expect_magic(path);
}

/* A full disk by a device that is one: the same error at every call, one line at the end. */
Test(disk, a_full_device_is_one_error)
{
	for (int worker = 0; worker < 2; worker++) {
		struct gt_writer *writer;
		struct gt_error err = {""};
		int ret = open_at("/dev/full", false, worker, &writer, &err);

		/* The header is the first to fail. */
		cr_assert_eq(ret, -ENOSPC);
		cr_assert_str_eq(err.text,
			"cannot write: /dev/full: No space left on device: free space or choose another place with -o");
	}
}

/* RLIMIT_FSIZE gives a short write, then EFBIG, to io_uring and write() alike. */
static void fill_up(bool no_uring, bool worker)
{
	struct rlimit limit = {1500000, 1500000};
	struct gt_writer *writer;
	struct gt_error err = {""}, line = {""};
	uint64_t g = 1;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(open_at(path, no_uring, worker, &writer, &err), 0, "%s", err.text);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int i = 0; i < 50 && !gt_writer_failure(writer, NULL); i++)
		stream_write(writer, NULL, 1, 100000, false);
	cr_assert_eq(gt_writer_flush(writer, 1, 1), -EFBIG);
	cr_assert_eq(gt_writer_failure(writer, &line), -EFBIG);
	cr_assert_eq(gt_writer_meta(writer, "a", "b"), -EFBIG);
	cr_assert_eq(gt_writer_string(writer, "new", 3), 0);
	cr_assert_eq(gt_writer_stack(writer, 1234, &g, 1), -EFBIG);
	cr_assert_eq(gt_writer_events_begin(writer, 1, 1), -EFBIG);
	cr_assert_eq(gt_writer_event(writer, GT_EV_GO_END, 1, &g), -EFBIG);
	cr_assert_eq(gt_writer_events_end(writer), -EFBIG);
	cr_assert_eq(gt_writer_close(writer, 1, 1, &err), -EFBIG);
	cr_assert_not_null(strstr(err.text, "File too large: raise the limit"));
	cr_assert_not_null(strstr(err.text, "t.gtrace.partial)"), "%s", err.text);
	cr_assert_eq(strncmp(err.text, line.text, strlen(line.text)), 0);
	cr_assert_eq(size_of(path), -1);
	cr_assert_gt(size_of(partial), 64);
	cr_assert_lt(size_of(partial), 1500000, "half a frame was cut off");
}

Test(disk, a_file_that_may_not_grow_is_one_error_by_io_uring)
{
	fill_up(false, false);
}

Test(disk, a_file_that_may_not_grow_is_one_error_by_write)
{
	fill_up(true, false);
}

Test(disk, a_file_that_may_not_grow_is_one_error_of_the_worker)
{
	fill_up(false, true);
}

static int calls;

static ssize_t clumsy_write(int fd, const void *bytes, size_t size)
{
	if (++calls % 3 == 0) {
		errno = calls % 2 ? EINTR : EAGAIN;
		return -1;
	}
	return write(fd, bytes, size > 1000 ? size / 2 : size);
}

static ssize_t dying_write(int fd, const void *bytes, size_t size)
{
	if (++calls < 3)
		return write(fd, bytes, size);
	errno = EIO;
	return -1;
}

/* The same bytes come out of a disk that takes them in pieces. */
Test(disk, short_and_interrupted_writes_change_nothing)
{
	struct gt_error err;
	char other[80], command[200];

	snprintf(other, sizeof(other), "%s/other", folder);
	cr_assert_eq(write_stream(other, false, false, &err), 0);
	gt__disk_write = clumsy_write;
	cr_assert_eq(write_stream(path, true, false, &err), 0, "%s", err.text);
	cr_assert_gt(calls, 20);
	snprintf(command, sizeof(command), "cmp %s %s", other, path);
	cr_assert_eq(system(command), 0);
	unlink(other);
}

Test(disk, an_error_of_the_disk_keeps_the_whole_frames)
{
	struct gt_error err;

	gt__disk_write = dying_write;
	cr_assert_eq(write_stream(path, true, false, &err), -EIO);
	cr_assert_not_null(strstr(err.text, "Input/output error"));
	cr_assert_eq(size_of(path), -1);
	cr_assert_gt(size_of(partial), 64);
}

Test(disk, an_error_before_the_first_frame_leaves_nothing)
{
	struct gt_error err;

	gt__disk_write = dying_write;
	calls = 1;
	cr_assert_eq(write_stream(path, true, false, &err), -EIO);
	cr_assert_eq(size_of(path), -1);
	cr_assert_eq(size_of(partial), -1);
}

struct drain {
	const char *name;
	size_t bytes;
	size_t most;
};

static void *drain(void *argument)
{
	struct drain *drain = argument;
	static char buffer[65536];
	int fd = open(drain->name, O_RDONLY);
	ssize_t got;

	while (drain->bytes < drain->most && (got = read(fd, buffer, sizeof(buffer))) > 0)
		drain->bytes += (size_t)got;
	close(fd);
	return NULL;
}

Test(disk, a_pipe_gets_the_file_in_place)
{
	struct drain reader = {path, 0, SIZE_MAX};
	struct gt_error err;
	pthread_t thread;
	char other[80];

	snprintf(other, sizeof(other), "%s/other", folder);
	cr_assert_eq(write_stream(other, false, false, &err), 0);
	cr_assert_eq(mkfifo(path, 0600), 0);
	pthread_create(&thread, NULL, drain, &reader);
	cr_assert_eq(write_stream(path, false, true, &err), 0, "%s", err.text);
	pthread_join(thread, NULL);
	cr_assert_eq(reader.bytes, (size_t)size_of(other));
	unlink(other);
}

/* No handler, no SIG_IGN: a SIGPIPE would end this test. */
Test(disk, a_pipe_whose_reader_leaves_is_an_error_not_a_signal)
{
	struct drain reader = {path, 0, 100000};
	struct gt_error err;
	pthread_t thread;

	signal(SIGPIPE, SIG_DFL);
	cr_assert_eq(mkfifo(path, 0600), 0);
	pthread_create(&thread, NULL, drain, &reader);
	cr_assert_eq(write_stream(path, false, false, &err), -EPIPE);
	cr_assert_not_null(strstr(err.text, "Broken pipe"));
	pthread_join(thread, NULL);
}

/* As a shell's `gtrace ... -o /dev/stdout >> file`: behind what is there. */
Test(disk, a_descriptor_by_name_is_written_where_it_stands)
{
	struct gt_error err;
	char name[32];
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
	char head[12] = "";

	cr_assert_eq(write(fd, "text", 4), 4);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	cr_assert_eq(write_stream(name, false, false, &err), 0, "%s", err.text);
	cr_assert_eq(pread(fd, head, 12, 0), 12);
	cr_assert_eq(memcmp(head, "text\x89GTRACE\n", 12), 0);
	close(fd);
}
