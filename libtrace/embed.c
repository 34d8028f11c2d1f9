/*
 * embed.c - gt_start and gt_stop: the collector as a thread of the program itself, for programs that are not started
 * by `gtrace record`.
 *
 * The memory is made once and kept: threads hold pointers into it. A second gt_start continues with it and a new file, behind what
 * is in it by then.
 *
 * What is there already. The program is not stopped: hooks go on, a barrier follows on all CPUs, then the scheduler is asked for
 * goroutines that have told nothing yet. Such a one is claimed by a compare-and-swap on its own word, which its next
 * transition looks at first: so either the list tells its state, or its own first event does (runtime/alive.c). What the list
 * tells stands at the trace's first instant, before all else; the watermark waits for it.
 */
#include "libtrace/embed.h"
#include "libtrace/walk.h"

#include "base/clock.h"

#include <dlfcn.h>
#include <errno.h>
#include <gtrace/gtrace.h>
#include <link.h>
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

struct gt__own gt__own;
_Atomic uint32_t gt__own_nap_us;

/* Under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gt_writer *writer;
static struct gt_error error;
static pid_t maker;   /* of the memory; a child of fork must not touch it */
static uint32_t turn; /* of the trace; 0 is gtrace's own */

static _Atomic uint32_t m_of_none; /* the M that tells of goroutines that are on none */

/* ---- memory, gate, thread: for gt_start and the flight recorder ---- */

static int find_slide(struct dl_phdr_info *info, size_t size, void *slide)
{
	(void)size;
	*(uint64_t *)slide = info->dlpi_addr;
	return 1; /* the first is the program */
}

/* Names that the dynamic linker knows; the gtrace command knows more. */
size_t gt__own_resolve(void *context, uint64_t pc, struct gt_resolved *lines, size_t lines_max)
{
	Dl_info info;

	(void)context;
	if (lines_max == 0 || !dladdr((void *)(uintptr_t)(pc + gt__own.slide), &info) || !info.dli_sname)
		return 0;
	lines[0] = (struct gt_resolved){.function = info.dli_sname, .file = "", .line = 0};
	return 1;
}

int gt__own_free(const char *what, const char *of, struct gt_error *err)
{
	pid_t pid = atomic_load(&gt__own.pid);
	bool gone;

	if (gt__connected_outside(&gone))
		return gone ? gt_fail(err, EBUSY,
				      "cannot start %s: %s: the gtrace that started this process was killed, and its "
				      "memory "
				      "cannot be had again: start the process anew",
				      what, of)
			    : gt_fail(err, EBUSY, "cannot start %s: %s: gtrace records this process already", what, of);
	if ((pid && pid != getpid()) || (maker && maker != getpid()))
		return gt_fail(err, EBUSY,
			"cannot start %s: %s: this process was forked from one that traces itself: start it by exec",
			what, of);
	if (pid && gt__own.kind == GT__OWN_ATTACHED)
		return gt_fail(err, EBUSY, "cannot start %s: %s: a gtrace is attached to this process: end that first",
			what, of);
	if (pid && gt__own.kind == GT__OWN_TRACE)
		return gt_fail(err, EBUSY, "cannot start %s: %s: one is running: call gt_stop first", what, of);
	if (pid)
		return gt_fail(err, EBUSY,
			"cannot start %s: %s: a flight recorder runs: take a snapshot, or call gt_flight_stop first",
			what, of);
	return 0;
}

int gt__own_memory(const struct gt_shm_config *config, struct gt_error *err)
{
	struct gt_memory memory;
	int ret;

	if (gt__connected())
		return 0;
	ret = gt_shm_create(config, &memory, err);
	if (ret < 0)
		return ret;
	atomic_store(&memory.shm->enabled, 0);
	ret = gt__connect(&memory);
	if (ret < 0) {
		gt_shm_close(&memory);
		return gt_fail(err, -ret, "cannot trace this process: its hooks are connected already");
	}
	maker = getpid();
	dl_iterate_phdr(find_slide, &gt__own.slide);
	return 0;
}

/* Hooks are on for all threads once this returns. */
static void barrier(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	/* Without membarrier: a store is seen, and a thread between two instructions gone on, long before. */
	if (gt_steal_barrier() < 0)
		nanosleep(&pause, NULL);
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

void gt__own_turn(uint32_t sets, uint64_t since_ticks)
{
	gt__own.since = since_ticks;
	turn = turn < TURN_MAX ? turn + 1 : 1;
	gt__own.gate = turn << GT_GATE_SETS | sets;
}

void gt__own_open(void)
{
	barrier(); /* the memory, new to all others, is there before the gate opens */
	atomic_store(&gt__connected()->shm->enabled, gt__own.gate);
	barrier();
}

void gt__own_shut(void)
{
	atomic_store(&gt__connected()->shm->enabled, 0);
	settle();
}

void gt__own_sets(uint32_t sets)
{
	gt__own.gate = gt__own.gate >> GT_GATE_SETS << GT_GATE_SETS | sets;
	atomic_store(&gt__connected()->shm->enabled, gt__own.gate);
	barrier();
}

void gt__own_alive(void (*tell)(const struct gt_hook_alive *list, size_t count, uint32_t m))
{
	static struct gt_hook_alive list[ALIVE_AT_ONCE];
	uint64_t at[2] = {0};
	uint32_t m = gt_hook_m(&m_of_none, (uint32_t)gettid());
	size_t count;

	while (gt__world.alive && m && (count = gt__world.alive(gt__own.gate, at, list, ALIVE_AT_ONCE)) > 0)
		tell(list, count, m - 1);
}

static int by_g(const void *left, const void *right)
{
	const struct gt_hook_alive *a = left, *b = right;

	return a->g < b->g ? -1 : a->g > b->g;
}

/* What Ms have comes behind those that wait, and voids what was said of the same before. */
static size_t strike(struct gt_hook_alive *list, size_t count)
{
	size_t waiting = 0, kept = 0;

	while (waiting < count && !list[waiting].m)
		waiting++;
	qsort(list + waiting, count - waiting, sizeof(*list), by_g);
	for (size_t i = 0; i < count; i++)
		if (i < waiting ? !bsearch(&list[i], list + waiting, count - waiting, sizeof(*list), by_g)
				: list[i].state != GT_STATE_NONE)
			list[kept++] = list[i];
	return kept;
}

int gt__own_standing(struct gt_hook_alive **list, size_t *count)
{
	size_t room = 0, got = ALIVE_AT_ONCE;
	uint64_t at[2] = {0};

	*list = NULL;
	*count = 0;
	while (gt__world.standing && got && got != SIZE_MAX) {
		if (room - *count < ALIVE_AT_ONCE) {
			struct gt_hook_alive *more = realloc(*list, (2 * room + ALIVE_AT_ONCE) * sizeof(*more));

			if (!more) {
				free(*list);
				return -ENOMEM;
			}
			*list = more;
			room = 2 * room + ALIVE_AT_ONCE;
		}
		got = gt__world.standing(at, *list + *count, ALIVE_AT_ONCE);
		*count += got == SIZE_MAX ? 0 : got;
	}
	if (!gt__world.standing || got == SIZE_MAX) {
		free(*list);
		return got == SIZE_MAX ? -E2BIG : -ENOSYS;
	}
	barrier(); /* what Ms have told before is in the ring for all */
	*count = strike(*list, *count);
	return 0;
}

int gt__own_start_thread(void *(*run)(void *), struct gt_error *err)
{
	sigset_t all, old;
	int ret;

	/* The program's signals are the program's threads' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	atomic_store(&gt__own.stopping, false);
	sem_init(&gt__own.ready, 0, 0);
	ret = pthread_create(&gt__own.thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return gt_fail(err, ret, "cannot start the thread that collects: %s", strerror(ret));
	while (sem_wait(&gt__own.ready) < 0)
		;
	return 0;
}

void gt__own_metas(struct gt_writer *to, uint32_t sets)
{
	uint32_t depth = gt__connected()->stack_depth;
	char path[4096], text[128];
	struct utsname host;
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (size > 0) {
		path[size] = '\0';
		gt_writer_meta(to, "program", path);
	}
	gt_writer_meta_number(to, "pid", (uint64_t)getpid());
	gt_writer_meta(to, "runtime", "gtrace");
	if (uname(&host) == 0)
		gt_writer_meta(to, "machine", host.machine);
	gt_writer_meta(to, "clock", gt_clock_text());
	gt_writer_meta(to, "events", gt_sets_text(sets, text));
	if (depth)
		gt_writer_meta_number(to, "stacks", depth);
	else
		gt_writer_meta(to, "stacks", "off");
	gt_writer_meta(to, "gtrace", GTRACE_VERSION);
}

void gt__own_losses(struct gt_writer *to)
{
	const struct gt_collector_totals *before = &gt__own.before;
	struct gt_collector_totals totals;

	gt_collector_totals(gt__own.collector, &totals);
	gt_writer_loss(to, "no room", totals.lost_full - before->lost_full);
	gt_writer_loss(to, "in a signal", totals.lost_nested - before->lost_nested);
	gt_writer_loss(to, "unknown M", totals.lost_no_m - before->lost_no_m);
	gt_writer_loss(to, "large id", totals.lost_big_g - before->lost_big_g);
}

void gt__own_enter(void)
{
	if (gt__world.block_begin)
		gt__world.block_begin();
	pthread_mutex_lock(&lock);
}

int gt__own_leave(int ret)
{
	pthread_mutex_unlock(&lock);
	if (gt__world.block_end)
		gt__world.block_end();
	return ret;
}

void gt__own_lock(void)
{
	pthread_mutex_lock(&lock);
}

void gt__own_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/* ---- gt_start and gt_stop ---- */

static int make_collector(void)
{
	struct gt_shm_config config = {
		.max_bytes = MEMORY_BYTES,
		.mode = GT_MODE_STREAM,
		.string_slot_count = STRING_SLOTS,
		.string_bytes = STRING_BYTES,
		.stack_depth = STACK_DEPTH,
		.stack_slot_count = STACK_SLOTS,
		.arena_words = STACK_SLOTS * 12,
	};
	struct gt_collector_config collect = {.resolve = gt__own_resolve};
	int ret = gt__own_memory(&config, &error);

	if (ret < 0 || gt__own.collector)
		return ret;
	collect.memory = gt__connected();
	atomic_store(&collect.memory->shm->mode, GT_MODE_STREAM);
	ret = gt_collector_new(&collect, &gt__own.collector, &error);
	if (ret < 0)
		return ret;
	gt_collector_started(gt__own.collector, getpid(), gt__own.slide);
	return 0;
}

static bool with_m;

static void tell_alive(const struct gt_hook_alive *list, size_t count, uint32_t m)
{
	gt_collector_alive(gt__own.collector, writer, list, count, m);
	/* An M's stream begins with what it had; after that it may be read. */
	with_m = with_m && list[count - 1].m;
	if (!with_m)
		gt_collector_round(gt__own.collector, writer, NULL);
}

static void *collect(void *arg)
{
	const struct timespec pause = {.tv_nsec = ROUND_NS};

	(void)arg;
	gt_collector_again(gt__own.collector, gt__own.since);
	gt__own_open();
	with_m = true;
	gt__own_alive(tell_alive);
	gt_collector_told(gt__own.collector);
	sem_post(&gt__own.ready);
	while (!atomic_load(&gt__own.stopping)) {
		size_t blocks = 0;

		/* A failure is told by gt_stop; until then the blocks are drained all the same. */
		gt_collector_round(gt__own.collector, writer, &blocks);
		if (blocks < BLOCKS_IN_A_HURRY)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

static void stop_at_exit(void)
{
	if (atomic_load(&gt__own.pid) == getpid() && gt__own.kind == GT__OWN_TRACE)
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
	int ret = gt__own_free("a trace", path, &error);

	if (ret >= 0)
		ret = make_collector();
	if (ret < 0)
		return ret;
	clock_gettime(CLOCK_REALTIME, &real);
	config.start_realtime_ns = (int64_t)real.tv_sec * 1000000000 + real.tv_nsec;
	config.ticks_per_second = gt_clock_rate();
	ret = gt_writer_open(&config, &writer, &error);
	if (ret < 0)
		return ret;
	gt__own_metas(writer, gt_sets_default());
	gt__own_turn(gt_sets_default(), now.ticks);
	ret = gt__own_start_thread(collect, &error);
	if (ret < 0) {
		gt_writer_abandon(writer);
		return ret;
	}
	if (!at_exit)
		at_exit = atexit(stop_at_exit) == 0;
	gt__own.kind = GT__OWN_TRACE;
	atomic_store(&gt__own.pid, getpid());
	return 0;
}

static int stop(void)
{
	uint64_t end_ticks = gt_ticks();
	struct gt_clock_pair now;
	int ret, closed;

	if (atomic_load(&gt__own.pid) != getpid() || gt__own.kind != GT__OWN_TRACE)
		return gt_fail(&error, EINVAL, "cannot stop the trace: this process runs none");
	gt__own_shut();
	atomic_store(&gt__own.stopping, true);
	pthread_join(gt__own.thread, NULL);
	atomic_store(&gt__own.pid, 0);
	ret = gt_collector_finish(gt__own.collector, writer);
	gt_writer_meta_number(writer, "end_ticks", end_ticks);
	gt__own_losses(writer);
	gt_collector_totals(gt__own.collector, &gt__own.before);
	now = gt_clock_pair();
	closed = gt_writer_close(writer, now.ticks, now.monotonic_ns, &error);
	writer = NULL;
	if (closed < 0)
		return closed;
	return ret < 0 ? gt_fail(&error, -ret, "the trace lacks events: %s", strerror(-ret)) : 0;
}

static void enter(void)
{
	gt__own_enter();
	error.text[0] = '\0';
}

static int leave(int ret)
{
	return gt__own_leave(ret);
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
