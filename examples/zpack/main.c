/*
 * main.c - zpack: compresses on all CPUs; what it writes, `zstd -d` reads.
 *
 *   zpack [-l LEVEL] [-t THREADS] [-b CHUNK_KIB] [-v] [IN [OUT]]
 *   zpack big                      writes big.zst
 *   tar c . | zpack >tree.tar.zst  without names: standard input to standard output; - is either of them
 *   gtrace record ./zpack big
 *
 *              work: whoever is free takes the next chunk
 *            .------> compressor 1 --.
 *    reader -+------> compressor 2 --+--> chunk->done
 *      ^     '------> ...          --'         |
 *      |  `--------- order: all chunks -----> writer
 *      '------------ spare: chunks to fill again --'
 *
 * The writer gets every chunk at once, in the order of the input, and waits for each until it is done: that keeps the order, whoever is
 * faster. There are so many chunks and no more: when the writer, or the slowest chunk, is behind, the reader has none to fill
 * and waits, and memory stays what it is. Each chunk becomes a zstd frame of its own; frames may follow one another.
 *
 * An error ends the context; everybody looks at it wherever he waits, and leaves.
 */
#include <fcntl.h>
#include <gtrace/go.h>
#include <gtrace/gtrace.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

struct chunk {
	uint64_t task; /* in the trace: from read to written */
	size_t in_size, out_size;
	char *in, *out;
	gt_chan(struct gt_unit) done; /* one value: it is compressed */
};

typedef gt_chan(struct chunk *) chunk_chan;

static struct {
	int level, threads;
	size_t chunk_bytes, out_room;
	bool verbose;
	const char *in_name, *out_name;
	int in, out;
	chunk_chan work, order, spare;
	struct gt_ctx *ctx;
	struct gt_once failed;
	struct gt_wg wg;
	/* Each written by one goroutine, read when all have ended. */
	int64_t in_total, out_total, chunks;
} pack = {.level = 3, .chunk_bytes = 1 << 20};

/* The first failure is told; all end. */
static void tell(void *message)
{
	fprintf(stderr, "zpack: %s\n", (char *)message);
	gt_ctx_cancel(pack.ctx);
}

static __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	gt_once(&pack.failed, tell, message);
}

/* ---- a channel, or the end of all: false ---- */

static bool put(chunk_chan c, struct chunk *chunk)
{
	return gt_select(gt_case_send(c, chunk), gt_case_recv(gt_ctx_done(pack.ctx), NULL)) == 0;
}

/* False also when the channel is closed and drained. */
static bool get(chunk_chan c, struct chunk **chunk)
{
	bool ok = false;

	gt_select(gt_case_recv(c, chunk, &ok), gt_case_recv(gt_ctx_done(pack.ctx), NULL));
	return ok && !gt_ctx_err(pack.ctx);
}

/* ---- reader ---- */

/*
 * Standard input may be anything, and shared with others, so it is not made non-blocking: between the two gt_syscall calls
 * the goroutine holds no P, and the compressors go on, however long the read takes.
 */
static ssize_t read_full(int fd, char *to, size_t room)
{
	size_t have = 0;

	while (have < room) {
		ssize_t got;

		gt_syscall_enter();
		got = read(fd, to + have, room - have);
		gt_syscall_exit();
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

static void read_all(void *arg)
{
	struct chunk *chunk;
	int64_t expected = 0; /* 0: not known */
	struct stat stat;
	bool end = false;

	if (fstat(pack.in, &stat) == 0 && S_ISREG(stat.st_mode))
		expected = stat.st_size - lseek(pack.in, 0, SEEK_CUR);
	/* An empty input is one empty chunk. */
	while (!end && get(pack.spare, &chunk)) {
		ssize_t got;

		chunk->task = gt_task_begin("chunk", 0);
		gt_region_begin(chunk->task, "read");
		got = read_full(pack.in, chunk->in, pack.chunk_bytes);
		gt_region_end(chunk->task, "read");
		if (got < 0) {
			fail("cannot read %s: %s", pack.in_name, strerror((int)-got));
			break;
		}
		end = (size_t)got < pack.chunk_bytes;
		pack.in_total += got;
		if (end && pack.in_total < expected) {
			fail("%s became shorter while it was read", pack.in_name);
			break;
		}
		if (!got && pack.chunks)
			break;
		pack.chunks++;
		chunk->in_size = (size_t)got;
		if (!put(pack.order, chunk) || !put(pack.work, chunk))
			break;
	}
	gt_close(pack.work);
	gt_close(pack.order);
}

/* ---- compressors ---- */

static void compress_some(void *arg)
{
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	struct chunk *chunk;

	if (!zstd) {
		fail("out of memory");
		return;
	}
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, pack.level);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	while (get(pack.work, &chunk)) {
		gt_region_begin(chunk->task, "compress");
		chunk->out_size = ZSTD_compress2(zstd, chunk->out, pack.out_room, chunk->in, chunk->in_size);
		gt_region_end(chunk->task, "compress");
		if (ZSTD_isError(chunk->out_size)) {
			fail("cannot compress: %s", ZSTD_getErrorName(chunk->out_size));
			break;
		}
		gt_send(chunk->done, (struct gt_unit){}); /* has room for it */
	}
	ZSTD_freeCCtx(zstd);
}

/* ---- writer ---- */

static int write_full(int fd, const char *from, size_t size)
{
	while (size) {
		ssize_t put;

		gt_syscall_enter();
		put = write(fd, from, size);
		gt_syscall_exit();
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		from += put;
		size -= (size_t)put;
	}
	return 0;
}

static void write_all(void *arg)
{
	struct chunk *chunk;

	while (get(pack.order, &chunk)) {
		int ret;

		if (gt_select(gt_case_recv(chunk->done, NULL), gt_case_recv(gt_ctx_done(pack.ctx), NULL)) != 0)
			return;
		gt_region_begin(chunk->task, "write");
		ret = write_full(pack.out, chunk->out, chunk->out_size);
		gt_region_end(chunk->task, "write");
		gt_task_end(chunk->task);
		if (ret) {
			fail("cannot write %s: %s", pack.out_name, strerror(-ret));
			return;
		}
		pack.out_total += (int64_t)chunk->out_size;
		if (!put(pack.spare, chunk))
			return;
	}
}

/* ---- the whole ---- */

static bool make_chunks(void)
{
	size_t count = 2 * (size_t)pack.threads + 2;

	pack.out_room = ZSTD_compressBound(pack.chunk_bytes);
	pack.work = gt_chan_make(struct chunk *);
	pack.order = gt_chan_make(struct chunk *, count);
	pack.spare = gt_chan_make(struct chunk *, count);
	for (size_t i = 0; i < count; i++) {
		struct chunk *chunk = malloc(sizeof(*chunk));
		char *buffers = malloc(pack.chunk_bytes + pack.out_room);

		if (!chunk || !buffers)
			return false;
		*chunk = (struct chunk){
			.in = buffers, .out = buffers + pack.chunk_bytes, .done = gt_chan_make(struct gt_unit, 1)};
		gt_send(pack.spare, chunk);
	}
	return true;
}

static void wait_for_all(void *arg)
{
	gt_wg_wait(&pack.wg);
	gt_close((gt_chan(struct gt_unit))arg);
}

/* 0, or 1 when something failed: that has been told. */
static int run(void)
{
	gt_chan(struct gt_unit) through = gt_chan_make(struct gt_unit);

	pack.ctx = gt_ctx_with_cancel(gt_ctx_background());
	if (!make_chunks()) {
		fail("out of memory: %d threads with chunks of %zu KiB: try smaller ones (-b)", pack.threads,
			pack.chunk_bytes >> 10);
		return 1;
	}
	gt_wg_go(&pack.wg, read_all, NULL);
	for (int i = 0; i < pack.threads; i++)
		gt_wg_go(&pack.wg, compress_some, NULL);
	gt_wg_go(&pack.wg, write_all, NULL);
	gt_go_named("wait", wait_for_all, through);
	/* After a failure nobody is waited for: the reader may be in a read that never comes back. */
	return (int)gt_select(gt_case_recv(through, NULL), gt_case_recv(gt_ctx_done(pack.ctx), NULL)) ||
	       gt_ctx_err(pack.ctx);
}

/* OUT gets its name when it is complete: until then, and after a failure, there is no such file. */
static int run_to_file(const char *name)
{
	char part[4096];

	if (snprintf(part, sizeof(part), "%s.part", name) >= (int)sizeof(part)) {
		fprintf(stderr, "zpack: %s: the name is too long\n", name);
		return 1;
	}
	pack.out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (pack.out < 0) {
		fprintf(stderr, "zpack: cannot create %s: %s\n", part, strerror(errno));
		return 1;
	}
	if (run() != 0) {
		unlink(part);
		return 1;
	}
	/* Some file systems tell only here that the disk is full. */
	if (close(pack.out) < 0 || rename(part, name) < 0) {
		fprintf(stderr, "zpack: cannot write %s: %s\n", name, strerror(errno));
		unlink(part);
		return 1;
	}
	return 0;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: zpack [-l LEVEL] [-t THREADS] [-b CHUNK_KIB] [-v] [IN [OUT]]\n"
		"  LEVEL 1 to %d, THREADS 1 to 256, CHUNK_KIB 4 to 65536\n",
		ZSTD_maxCLevel());
	return 2;
}

static bool number_in(const char *text, long min, long max, long *number)
{
	char *end;

	*number = strtol(text, &end, 10);
	return *text && !*end && *number >= min && *number <= max;
}

static int parse_options(int argc, char **argv)
{
	long number;
	int option;

	pack.threads = gt_gomaxprocs(0);
	while ((option = getopt(argc, argv, "l:t:b:v")) != -1) {
		if (option == 'l' && number_in(optarg, 1, ZSTD_maxCLevel(), &number))
			pack.level = (int)number;
		else if (option == 't' && number_in(optarg, 1, 256, &number))
			pack.threads = (int)number;
		else if (option == 'b' && number_in(optarg, 4, 65536, &number))
			pack.chunk_bytes = (size_t)number << 10;
		else if (option == 'v')
			pack.verbose = true;
		else
			return usage();
	}
	return argc - optind > 2 ? usage() : 0;
}

static int go_main(int argc, char **argv)
{
	int64_t begin = gt_now();
	char name[4096];
	int ret = parse_options(argc, argv);

	if (ret)
		return ret;
	pack.in_name = optind < argc ? argv[optind] : "-";
	pack.out_name = optind + 1 < argc ? argv[optind + 1] : "-";
	if (optind + 1 == argc && strcmp(pack.in_name, "-") != 0) {
		snprintf(name, sizeof(name), "%s.zst", pack.in_name);
		pack.out_name = name;
	}
	pack.in = strcmp(pack.in_name, "-") ? open(pack.in_name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (pack.in < 0) {
		fprintf(stderr, "zpack: cannot open %s: %s\n", pack.in_name, strerror(errno));
		return 1;
	}
	pack.out = STDOUT_FILENO;
	ret = strcmp(pack.out_name, "-") ? run_to_file(pack.out_name) : run();
	if (!ret && pack.verbose)
		fprintf(stderr, "zpack: %lld chunks, %lld -> %lld bytes in %.3f s\n", (long long)pack.chunks,
			(long long)pack.in_total, (long long)pack.out_total, (double)(gt_now() - begin) / 1e9);
	return ret;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);      /* a reader that went away is an error like others */
	gt_set_stack_bytes(512 << 10); /* zstd has deep frames at high levels; only what is touched costs memory */
	return gt_main(argc, argv, go_main);
}
