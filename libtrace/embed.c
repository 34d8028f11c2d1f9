/*
 * embed.c - gt_start and gt_stop: the collector as a thread of the program itself, for programs that are not started
 * by `gtrace record`.
 *
 * The memory and the collector are made once and kept: threads hold pointers into the one, and the other knows how far it
 * has read. A second gt_start continues with both and a new file.
 *
 * What is there already. The program is not stopped: hooks go on, a barrier follows on all CPUs, then the scheduler is asked for
 * goroutines that have told nothing yet. Such a one is claimed by a compare-and-swap on its own word, which its next
 * transition looks at first: so either the list tells its state, or its own first event does (runtime/alive.c). What the list
 * tells stands at the trace's first instant, before all else; the watermark waits for it.
 */
#include "libtrace/collector.h"
#include "libtrace/connect.h"
#include "libtrace/walk.h"

#include "base/clock.h"

#include <dlfcn.h>
#include <errno.h>
#include <gtrace/gtrace.h>
#include <gtrace/hooks.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MEMORY_BYTES      (32u << 20)
#define STRING_SLOTS      4096
#define STRING_BYTES      (256u << 10)
#define STACK_DEPTH       16
#define STACK_SLOTS       8192
#define ROUND_NS          5000000
#define SETTLE_ROUNDS     2000 /* of a millisecond, for records in flight when hooks go off */
#define BLOCKS_IN_A_HURRY 64
#define ALIVE_AT_ONCE     256
#define TURN_MAX          ((1u << (32 - GT_GATE_SETS)) - 1)

/* Under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gt_collector *collector;
static struct gt_writer *writer;
static pthread_t thread;
static pid_t starter; /* the process in which the thread runs; 0: none runs */
static struct gt_error error;
static _Atomic bool stopping;
static uint32_t turn; /* of the trace; 0 is gtrace's own */
static uint32_t gate;
static uint64_t since;
static struct gt_collector_totals before; /* of the earlier files */
static sem_t ready;

static _Atomic uint32_t m_of_none; /* the M that tells of goroutines that are on none */

static int find_slide(struct dl_phdr_info *info, size_t size, void *slide)
{
	(void)size;
	*(uint64_t *)slide = info->dlpi_addr;
	return 1; /* the first is the program */
}

/* Names that the dynamic linker knows; the gtrace command knows more. */
static size_t resolve(void *context, uint64_t pc, struct gt_resolved *lines, size_t lines_max)
{
	const uint64_t *slide = context;
	Dl_info info;

	if (lines_max == 0 || !dladdr((void *)(uintptr_t)(pc + *slide), &info) || !info.dli_sname)
		return 0;
	lines[0] = (struct gt_resolved){.function = info.dli_sname, .file = "", .line = 0};
	return 1;
}

static int make_collector(void)
{
	static uint64_t slide;
	struct gt_shm_config config = {
		.max_bytes = MEMORY_BYTES,
		.mode = GT_MODE_STREAM,
		.string_slot_count = STRING_SLOTS,
		.string_bytes = STRING_BYTES,
		.stack_depth = STACK_DEPTH,
		.stack_slot_count = STACK_SLOTS,
		.arena_words = STACK_SLOTS * 12,
	};
	struct gt_collector_config collect = {.resolve = resolve, .resolve_context = &slide};
	struct gt_memory memory;
	int ret = gt_shm_create(&config, &memory, &error);

	if (ret < 0)
		return ret;
	atomic_store(&memory.shm->enabled, 0);
	ret = gt__connect(&memory);
	if (ret < 0) {
		gt_shm_close(&memory);
		return gt_fail(&error, ret, "cannot trace this process: its hooks are connected already");
	}
	collect.memory = gt__connected();
	ret = gt_collector_new(&collect, &collector, &error);
	if (ret < 0)
		return ret;
	dl_iterate_phdr(find_slide, &slide);
	gt_collector_started(collector, getpid(), slide);
	return 0;
}

static void write_metas(void)
{
	char path[4096], number[32], sets[128];
	struct utsname host;
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (size > 0) {
		path[size] = '\0';
		gt_writer_meta(writer, "program", path);
	}
	snprintf(number, sizeof(number), "%d", (int)getpid());
	gt_writer_meta(writer, "pid", number);
	gt_writer_meta(writer, "runtime", "gtrace");
	if (uname(&host) == 0)
		gt_writer_meta(writer, "machine", host.machine);
	gt_writer_meta(writer, "clock", gt_clock_text());
	gt_writer_meta(writer, "events", gt_sets_text(gt_sets_default(), sets));
	snprintf(number, sizeof(number), "%u", gt__connected()->stack_depth);
	gt_writer_meta(writer, "stacks", gt__connected()->stack_depth ? number : "off");
	gt_writer_meta(writer, "gtrace", GTRACE_VERSION);
}

static void write_losses(void)
{
	struct gt_collector_totals totals;

	gt_collector_totals(collector, &totals);
	gt_writer_loss(writer, "no room", totals.lost_full - before.lost_full);
	gt_writer_loss(writer, "in a signal", totals.lost_nested - before.lost_nested);
	gt_writer_loss(writer, "unknown M", totals.lost_no_m - before.lost_no_m);
	gt_writer_loss(writer, "large id", totals.lost_big_g - before.lost_big_g);
	before = totals;
}

/* Hooks are on for all threads once this returns. */
static void barrier(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	/* Without membarrier: a store is seen, and a thread between two instructions gone on, long before. */
	if (gt_steal_barrier() < 0)
		nanosleep(&pause, NULL);
}

static void tell_alive(void)
{
	static struct gt_hook_alive list[ALIVE_AT_ONCE];
	uint64_t at[2] = {0};
	bool with_m = true;
	uint32_t m = gt_hook_m(&m_of_none, (uint32_t)gettid());
	size_t count;

	while (gt__world.alive && m && (count = gt__world.alive(gate, at, list, ALIVE_AT_ONCE)) > 0) {
		gt_collector_alive(collector, writer, list, count, m - 1);
		/* An M's stream begins with what it had; after that it may be read. */
		with_m = with_m && list[count - 1].m;
		if (!with_m)
			gt_collector_round(collector, writer, NULL);
	}
	gt_collector_told(collector);
}

static void *collect(void *arg)
{
	const struct timespec pause = {.tv_nsec = ROUND_NS};

	(void)arg;
	gt_collector_again(collector, since);
	barrier(); /* the memory, new to all others, is there before the gate opens */
	atomic_store(&gt__connected()->shm->enabled, gate);
	barrier();
	tell_alive();
	sem_post(&ready);
	while (!atomic_load(&stopping)) {
		size_t blocks = 0;

		/* A failure is told by gt_stop; until then the blocks are drained all the same. */
		gt_collector_round(collector, writer, &blocks);
		if (blocks < BLOCKS_IN_A_HURRY)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

static int start_thread(void)
{
	sigset_t all, old;
	int ret;

	/* The program's signals are the program's threads' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	atomic_store(&stopping, false);
	sem_init(&ready, 0, 0);
	ret = pthread_create(&thread, NULL, collect, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret ? gt_fail(&error, ret, "cannot start the thread that collects: %s", strerror(ret)) : 0;
}

static void stop_at_exit(void)
{
	if (starter == getpid())
		gt_stop();
}

static int start(const char *path, int (*sink)(void *context, const void *bytes, size_t size), void *context)
{
	struct gt_clock_pair now = gt_clock_pair();
	struct gt_writer_config config = {.path = path,
		.sink = sink,
		.sink_context = context,
		.start_ticks = now.ticks,
		.start_monotonic_ns = now.monotonic_ns};
	static bool at_exit;
	struct timespec real;
	int ret;

	if (gt__connected_outside())
		return gt_fail(&error, EBUSY, "cannot start a trace: %s: gtrace records this process already", path);
	if (starter)
		return gt_fail(&error, EBUSY, "cannot start a trace: %s: %s", path,
			starter == getpid() ? "one is running: call gt_stop first"
					    : "this process was forked from one that traces itself: start it by exec");
	if (!collector) {
		ret = make_collector();
		if (ret < 0)
			return ret;
	}
	clock_gettime(CLOCK_REALTIME, &real);
	config.start_realtime_ns = (int64_t)real.tv_sec * 1000000000 + real.tv_nsec;
	config.ticks_per_second = gt_clock_rate();
	ret = gt_writer_open(&config, &writer, &error);
	if (ret < 0)
		return ret;
	write_metas();
	since = now.ticks;
	turn = turn < TURN_MAX ? turn + 1 : 1;
	gate = turn << GT_GATE_SETS | gt_sets_default();
	ret = start_thread();
	if (ret < 0) {
		gt_writer_abandon(writer);
		return ret;
	}
	if (!at_exit)
		at_exit = atexit(stop_at_exit) == 0;
	starter = getpid();
	while (sem_wait(&ready) < 0)
		;
	return 0;
}

/* Hooks that were begun are let end: what they write now would stand in the next file. */
static void settle(void)
{
	const struct gt_memory *memory = gt__connected();
	const struct timespec pause = {.tv_nsec = 1000000};

	barrier(); /* [turn] */
	for (int round = 0; round < SETTLE_ROUNDS; round++) {
		uint32_t busy = 0;

		/* The collector's thread may make more ids usable meanwhile. */
		for (uint32_t m = 0, limit = atomic_load(&memory->shm->m_limit); m < limit; m++)
			busy += atomic_load(&gt_shm_m(memory, m)->pos) != atomic_load(&gt_shm_m(memory, m)->done);
		if (!busy)
			return;
		nanosleep(&pause, NULL);
	}
}

static int stop(void)
{
	struct gt_clock_pair now;
	int ret, closed;

	if (starter != getpid())
		return gt_fail(&error, EINVAL, "cannot stop the trace: this process runs none");
	atomic_store(&gt__connected()->shm->enabled, 0);
	settle();
	atomic_store(&stopping, true);
	pthread_join(thread, NULL);
	starter = 0;
	ret = gt_collector_finish(collector, writer);
	write_losses();
	now = gt_clock_pair();
	closed = gt_writer_close(writer, now.ticks, now.monotonic_ns, &error);
	writer = NULL;
	if (closed < 0)
		return closed;
	return ret < 0 ? gt_fail(&error, ret, "the trace lacks events: %s", strerror(-ret)) : 0;
}

/* A goroutine waits here for the disk: its P is for others. */
static void enter(void)
{
	if (gt__world.block_begin)
		gt__world.block_begin();
	pthread_mutex_lock(&lock);
	error.text[0] = '\0';
}

static int leave(int ret)
{
	pthread_mutex_unlock(&lock);
	if (gt__world.block_end)
		gt__world.block_end();
	return ret;
}

GT_API int gt_start(const char *path)
{
	enter();
	return leave(path && *path ? start(path, NULL, NULL)
				   : gt_fail(&error, EINVAL, "cannot start a trace: no file is named"));
}

GT_API int gt_start_fd(int fd)
{
	char path[32];

	enter();
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	return leave(fd >= 0 ? start(path, NULL, NULL)
			     : gt_fail(&error, EBADF, "cannot start a trace: %d is no descriptor", fd));
}

GT_API int gt_start_write(int (*write)(void *context, const void *bytes, size_t size), void *context)
{
	enter();
	return leave(write ? start("the program's function", write, context)
			   : gt_fail(&error, EINVAL, "cannot start a trace: there is no function to write"));
}

GT_API int gt_stop(void)
{
	enter();
	return leave(stop());
}

GT_API const char *gt_start_error(void)
{
	return error.text;
}
