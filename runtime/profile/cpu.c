/*
 * cpu.c - the CPU profile: a timer on the CPU clock of each thread, SIGPROF, a ring of stacks, a thread that empties it.
 *
 *   handler   reserves words at the head by CAS, fills them, stores the header last
 *   gatherer  from the tail: a header that is there, its words into the buckets, zeros, then the tail
 *
 * The handler takes no lock, and no other signal interrupts it (a slice that ended there would hold what it reserved).
 * It stays installed: a signal that was under way when the profile ended would kill the program. One that is not ours goes to
 * the handler before. The same signal, sent with a value, asks a thread for its stack (goroutines.c).
 */
#include "runtime/profile/profile.h"

#include "base/hash.h"
#include "runtime/prof.h"
#include "runtime/rt.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#undef errno
#define errno errno_of_thread /* no goroutine changes threads in here */

#define RING_WORDS   ((uint64_t)1 << 16)
#define RING_MASK    (RING_WORDS - 1)
#define HEAD_WORDS   5u /* header; goroutine; its name, three */
#define HEADER_READY (UINT64_C(1) << 63)
#define GATHER_NS    (100 * GT_MILLISECOND)
#define HZ_DEFAULT   100
#define HZ_MAX       1000
#define ASK_NS       (20 * GT_MILLISECOND)

enum { IDLE, CHANGING, RUNNING };

static struct {
	_Atomic int state;
	_Atomic bool on;
	_Atomic uint32_t inside; /* handlers that may write into the ring */
	_Atomic uint32_t round;  /* of profiles; a timer's signal names its own */
	_Atomic uint64_t head, tail, lost;
	_Atomic uint64_t *ring;
	_Atomic uint32_t stop;
	struct gt_lock lock;  /* timers and what is below */
	struct gt_map timers; /* by thread id */
	int64_t period_ns;
	struct gt_profile_data data;
	gt_profile_write_fn *write;
	void *ctx;
	pthread_t gatherer;
} cpu;

/* What a signal of ours carries: an address in here; which one tells the round. */
static char cookies[64];

static struct {
	struct gt_lock lock;
	_Atomic uint32_t state; /* 0: none asked; 1: asked; 2: being answered; 3: answered */
	_Atomic int thread;
	const struct gt_g *g; /* who ran there; NULL: nobody's stack */
	size_t depth;
	uintptr_t pcs[GT_WALK_MAX];
} question;

/* ---- in the handler ---- */

/* Words in a ring, each written once between two zeros. */
static GT_SAN_NO_TSAN void put_sample(uintptr_t pc, uintptr_t frame, uintptr_t sp, uint64_t weight)
{
	const struct gt_g *g = gt__prof_g(sp);
	uintptr_t pcs[GT_WALK_MAX];
	size_t depth = gt__walk_interrupted(pc, frame, sp, pcs, GT_WALK_MAX);
	uint64_t words = HEAD_WORDS + depth, at = atomic_load(&cpu.head), name[3] = {0, 0, 0};
	_Atomic uint64_t *ring = cpu.ring;

	do {
		if (at + words - load_acquire(&cpu.tail) > RING_WORDS) {
			atomic_fetch_add(&cpu.lost, weight);
			return;
		}
	} while (!atomic_compare_exchange_weak(&cpu.head, &at, at + words));
	if (g)
		for (size_t i = 0; i < sizeof(g->name) - 1 && g->name[i]; i++)
			((char *)name)[i] = g->name[i];
	store_relaxed(&ring[(at + 1) & RING_MASK], g ? g->id : 0);
	for (unsigned int i = 0; i < 3; i++)
		store_relaxed(&ring[(at + 2 + i) & RING_MASK], name[i]);
	for (size_t i = 0; i < depth; i++)
		store_relaxed(&ring[(at + HEAD_WORDS + i) & RING_MASK], pcs[i]);
	store_release(&ring[at & RING_MASK], HEADER_READY | weight << 16 | depth);
}

static GT_SAN_NO_TSAN void answer(uintptr_t pc, uintptr_t frame, uintptr_t sp)
{
	uint32_t asked = 1;

	if (load_acquire(&question.thread) != gt__port_thread_id() ||
		!atomic_compare_exchange_strong(&question.state, &asked, 2))
		return;
	question.g = gt__stack_find(sp);
	question.depth = gt__walk_interrupted(pc, frame, sp, question.pcs, GT_WALK_MAX);
	store_release(&question.state, 3);
}

static struct sigaction before;

static GT_SAN_NO_TSAN void on_prof(int signal, siginfo_t *info, void *context)
{
	const char *cookie = info->si_value.sival_ptr;
	int error = errno;
	uintptr_t pc, frame, sp;

	if ((info->si_code == SI_TIMER || info->si_code == SI_QUEUE) && cookie >= cookies &&
		cookie < cookies + sizeof(cookies)) {
		gt__prof_interrupted(context, &pc, &frame, &sp);
		if (info->si_code == SI_QUEUE) {
			answer(pc, frame, sp);
		} else {
			atomic_fetch_add(&cpu.inside, 1);
			if (atomic_load(&cpu.on) && cookie == &cookies[load_relaxed(&cpu.round) % sizeof(cookies)])
				put_sample(pc, frame, sp, 1 + (uint64_t)(info->si_overrun & 0xffff));
			atomic_fetch_sub(&cpu.inside, 1);
		}
	} else if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(signal, info, context);
	} else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(signal);
	}
	errno = error;
}

static int install(void)
{
	struct sigaction action = {.sa_sigaction = on_prof, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART}, now;
	static struct gt_lock lock;
	int ret = 0;

	sigfillset(&action.sa_mask);
	sigdelset(&action.sa_mask, SIGSEGV);
	gt__lock(&lock);
	if (sigaction(SIGPROF, NULL, &now) < 0) {
		ret = -errno;
	} else if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_prof) {
		before = now;
		if (sigaction(SIGPROF, &action, NULL) < 0)
			ret = -errno;
	}
	gt__unlock(&lock);
	return ret;
}

/* ---- timers ---- */

static int start_timer(int thread)
{
	/* The thread's CPU clock, as the kernel numbers it: what pthread_getcpuclockid gives. */
	clockid_t clock = (clockid_t)(~(unsigned int)thread << 3 | 6u);
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
	struct itimerspec when = {.it_interval = {.tv_nsec = cpu.period_ns}};
	timer_t timer;
	int ret;

	if (gt_map_find(&cpu.timers, (uint64_t)thread))
		return 0;
	event.sigev_value.sival_ptr = &cookies[load_relaxed(&cpu.round) % sizeof(cookies)];
	event._sigev_un._tid = thread;
	if (timer_create(clock, &event, &timer) < 0)
		return -errno;
	/* Not all at the same moment, and not those that live for less than a period never. */
	when.it_value.tv_nsec = 1 + gt__random_below((uint32_t)cpu.period_ns);
	ret = gt_map_put(&cpu.timers, (uint64_t)thread, (uint64_t)(uintptr_t)timer);
	if (ret < 0 || timer_settime(timer, 0, &when, NULL) < 0) {
		ret = ret < 0 ? ret : -errno;
		gt_map_remove(&cpu.timers, (uint64_t)thread);
		timer_delete(timer);
		return ret;
	}
	return 0;
}

/* From gt__worker_begin: a new M. */
static void thread_begins(void)
{
	gt__lock(&cpu.lock);
	if (atomic_load(&cpu.on))
		start_timer(gt__port_thread_id());
	gt__unlock(&cpu.lock);
}

/* All threads there are, the program's own too; timers of those that ended go. 0 when one at least has a timer. */
static int start_timers(void)
{
	DIR *folder = opendir("/proc/self/task");
	struct gt_map seen = {0};
	uint64_t thread, timer;
	int ret = 0, one;
	size_t at = 0;

	if (!folder)
		return -errno;
	gt__lock(&cpu.lock);
	for (const struct dirent *entry; atomic_load(&cpu.on) && (entry = readdir(folder));) {
		int id = atoi(entry->d_name);

		if (id <= 0)
			continue;
		one = start_timer(id);
		ret = one < 0 ? one : ret;
		gt_map_put(&seen, (uint64_t)id, 1);
	}
	while (gt_map_next(&cpu.timers, &at, &thread, &timer)) {
		if (!gt_map_find(&seen, thread)) {
			timer_delete((timer_t)(uintptr_t)timer);
			gt_map_remove(&cpu.timers, thread);
			at = 0; /* the map has changed */
		}
	}
	if (cpu.timers.count)
		ret = 0;
	gt__unlock(&cpu.lock);
	closedir(folder);
	gt_map_free(&seen);
	return ret;
}

static void stop_timers(void)
{
	uint64_t thread, timer;
	size_t at = 0;

	gt__lock(&cpu.lock);
	while (gt_map_next(&cpu.timers, &at, &thread, &timer))
		timer_delete((timer_t)(uintptr_t)timer);
	gt_map_free(&cpu.timers);
	gt__unlock(&cpu.lock);
}

/* ---- the other end of the ring ---- */

static void gather(void)
{
	uint64_t at = load_relaxed(&cpu.tail);

	while (at != load_acquire(&cpu.head)) {
		uint64_t header = load_acquire(&cpu.ring[at & RING_MASK]), tags[GT_BUCKET_TAGS];
		size_t depth = header & 0xffff;
		int64_t weight = (int64_t)(header >> 16 & 0xffffffff);
		uintptr_t pcs[GT_WALK_MAX];
		struct gt_bucket *bucket;

		if (!(header & HEADER_READY))
			return; /* its thread is still at it */
		for (unsigned int i = 0; i < GT_BUCKET_TAGS; i++)
			tags[i] = load_relaxed(&cpu.ring[(at + 1 + i) & RING_MASK]);
		for (size_t i = 0; i < depth; i++)
			pcs[i] = load_relaxed(&cpu.ring[(at + HEAD_WORDS + i) & RING_MASK]);
		for (size_t i = 0; i < HEAD_WORDS + depth; i++)
			store_relaxed(&cpu.ring[(at + i) & RING_MASK], 0);
		at += HEAD_WORDS + depth;
		store_release(&cpu.tail, at);
		bucket = gt_buckets_get(&cpu.data.buckets, tags, pcs, depth);
		if (bucket) {
			bucket->values[0] += weight;
			bucket->values[1] += weight * cpu.period_ns;
		} else {
			cpu.data.lost += (uint64_t)weight;
		}
	}
}

static void *gatherer(void *arg)
{
	/* Threads that the program starts by itself are found here. */
	while (!load_acquire(&cpu.stop)) {
		gt__port_wait(&cpu.stop, 0, gt__port_now() + GATHER_NS);
		gather();
		start_timers();
	}
	return NULL;
}

static int start_gatherer(void)
{
	sigset_t all, mask;
	int ret;

	store_relaxed(&cpu.stop, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	ret = pthread_create(&cpu.gatherer, NULL, gatherer, NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return -ret;
}

/* ---- start and stop ---- */

const struct gt_profile_kind gt__profile_cpu = {
	.name = "profile",
	.types = {{"samples", "count"}, {"cpu", "nanoseconds"}},
	.period_type = {"cpu", "nanoseconds"},
	.number = "goroutine",
};

/* No handler writes any more: all of it is in the ring. */
static void quiet(void)
{
	atomic_store(&gt__prof.thread, NULL);
	atomic_store(&cpu.on, false);
	stop_timers();
	while (atomic_load(&cpu.inside))
		gt__port_sleep(50 * GT_MICROSECOND);
}

struct starting {
	int ret;
};

static void start_apart(void *arg)
{
	struct starting *s = arg;
	void *ring;

	s->ret = install();
	if (s->ret < 0)
		return;
	if (!cpu.ring) {
		ring = mmap(NULL, RING_WORDS * sizeof(*cpu.ring), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (ring == MAP_FAILED) {
			s->ret = -errno;
			return;
		}
		cpu.ring = ring;
	}
	atomic_store(&cpu.lost, 0);
	gt__profile_data_init(&cpu.data);
	cpu.data.period = cpu.period_ns;
	atomic_fetch_add(&cpu.round, 1);
	atomic_store(&cpu.on, true);
	atomic_store(&gt__prof.thread, thread_begins);
	s->ret = start_timers();
	if (s->ret == 0)
		s->ret = start_gatherer();
	if (s->ret < 0) {
		quiet();
		gather();
		gt_buckets_free(&cpu.data.buckets);
	}
}

int gt_profile_cpu_start(gt_profile_write_fn *write, void *ctx, int hz)
{
	struct starting s = {0};
	int idle = IDLE, ret;

	if (hz < 0 || hz > HZ_MAX || !write)
		return -EINVAL;
	if (!atomic_compare_exchange_strong(&cpu.state, &idle, CHANGING))
		return -EBUSY;
	cpu.period_ns = GT_SECOND / (hz ? hz : HZ_DEFAULT);
	cpu.write = write;
	cpu.ctx = ctx;
	ret = gt__profile_apart(start_apart, &s);
	if (ret == 0)
		ret = s.ret;
	atomic_store(&cpu.state, ret == 0 ? RUNNING : IDLE);
	return ret;
}

static void stop_apart(void *arg)
{
	quiet();
	store_release(&cpu.stop, 1);
	gt__port_wake(&cpu.stop, 1);
	pthread_join(cpu.gatherer, NULL);
	gather();
	cpu.data.lost += atomic_load(&cpu.lost);
}

int gt_profile_cpu_stop(void)
{
	int running = RUNNING, ret;
	gt_profile_write_fn *write;
	struct gt_profile_data data;
	int64_t period;
	void *ctx;

	if (!atomic_compare_exchange_strong(&cpu.state, &running, CHANGING))
		return -EINVAL;
	ret = gt__profile_apart(stop_apart, NULL);
	if (ret < 0) {
		atomic_store(&cpu.state, RUNNING);
		return ret;
	}
	data = cpu.data;
	cpu.data = (struct gt_profile_data){0};
	write = cpu.write;
	ctx = cpu.ctx;
	period = gt__port_now() - data.now_ns;
	/* The next one may begin while this one is written. */
	atomic_store(&cpu.state, IDLE);
	return gt__profile_put(&gt__profile_cpu, &data, data.realtime_ns, period, write, ctx);
}

/* ---- where another thread is ---- */

bool gt__profile_ask(const struct gt_g *g, int thread, uintptr_t *pcs, size_t max, size_t *depth)
{
	siginfo_t info = {.si_signo = SIGPROF, .si_code = SI_QUEUE};
	uint32_t state = 1;
	int64_t until;
	bool answered;

#ifdef GT_SAN_THREAD
	return false; /* TSan holds signals back */
#endif
	if (install() < 0)
		return false;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = cookies;
	gt__lock(&question.lock);
	store_relaxed(&question.thread, thread);
	store_release(&question.state, 1);
	until = gt__port_now() + ASK_NS;
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, SIGPROF, &info) == 0)
		while (load_acquire(&question.state) != 3 && gt__port_now() < until)
			gt__port_give_cpu();
	/* Too late: it may still come, and finds nobody who asks, or is writing just now. */
	if (!atomic_compare_exchange_strong(&question.state, &state, 0))
		while (load_acquire(&question.state) != 3)
			gt__port_give_cpu();
	answered = load_acquire(&question.state) == 3 && question.g == g;
	if (answered) {
		*depth = question.depth < max ? question.depth : max;
		memcpy(pcs, question.pcs, *depth * sizeof(*pcs));
	}
	store_release(&question.state, 0);
	gt__unlock(&question.lock);
	return answered;
}
