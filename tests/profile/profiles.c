/*
 * profiles.c CASE FOLDER - makes profiles of things that are known, and checks what it can itself; profiles.sh looks into the
 * files, and compares them with the numbers printed here.
 */
#include "runtime/malloc/api.h"
#include "runtime/rt.h"

#include <gtrace/go.h>
#include <gtrace/pprof.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static const char *folder;

#define check(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

static int to_file(void *file, const void *bytes, size_t size)
{
	return fwrite(bytes, 1, size, file) == size ? 0 : -EIO;
}

static FILE *new_file(const char *name)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	check(file);
	return file;
}

static void save(const char *profile, int debug, const char *name)
{
	FILE *file = new_file(name);

	check(gt_profile_write(profile, debug, to_file, file) == 0);
	check(fclose(file) == 0);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * GT_SECOND + now.tv_nsec;
}

/* ---- CPU: two functions, 3 to 1 of the CPU's time, on as many goroutines as it takes ---- */

/* What it holds is nobody's business: calls before it are no tail calls. */
static _Atomic uint64_t sink;

static inline void touch(void)
{
	atomic_fetch_add_explicit(&sink, 1, memory_order_relaxed);
}

static NOINLINE void burn(int64_t ns)
{
	int64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
	uint64_t x = 1;

	do
		for (int i = 0; i < 20000; i++)
			x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end);
	sink += x;
}

static NOINLINE void burn_three(int64_t unit)
{
	burn(3 * unit);
	touch();
}

static NOINLINE void burn_one(int64_t unit)
{
	burn(unit);
	touch();
}

static struct gt_wg wg;

static void burner(void *arg)
{
	for (int i = 0; i < 5; i++) {
		burn_three(20 * GT_MILLISECOND);
		gt_yield();
		burn_one(20 * GT_MILLISECOND);
		gt_yield();
	}
	gt_wg_done(&wg);
}

static void cpu(void)
{
	FILE *file = new_file("cpu.pb.gz");
	int64_t before;

	check(gt_profile_cpu_stop() == -EINVAL);
	check(gt_profile_cpu_start(to_file, file, -1) == -EINVAL);
	check(gt_profile_cpu_start(to_file, file, 0) == 0);
	check(gt_profile_cpu_start(to_file, file, 0) == -EBUSY);
	before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	gt_wg_add(&wg, 3);
	for (int i = 0; i < 3; i++)
		gt_go_named("burner", burner, NULL);
	gt_wg_wait(&wg);
	printf("cpu %lld\n", (long long)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before));
	check(gt_profile_cpu_stop() == 0);
	check(fclose(file) == 0);
}

/* ---- waits: what the profile says lies between what the waker and what the waiter measured ---- */

struct wait {
	void (*wait)(struct wait *w);
	void (*wake)(struct wait *w);
	struct gt_g *_Atomic waiter;
	gt_chan(int) c, other;
	struct gt_mutex mutex;
	struct gt_rwmutex rw;
	struct gt_cond cond;
	struct gt_wg wg;
	int64_t at_least, at_most;
};

static void waiter(void *arg)
{
	struct wait *w = arg;
	int64_t since;

	w->waiter = gt__self();
	since = gt__now();
	w->wait(w);
	w->at_most += gt__now() - since;
	gt_wg_done(&wg);
}

/* One wait, and it is known to be one: the waiter has stopped before it is woken. */
static NOINLINE void wait_once(struct wait *w)
{
	int64_t since;

	w->waiter = NULL;
	gt_wg_add(&wg, 1);
	gt_go_named("waiter", waiter, w);
	while (!w->waiter || atomic_load(&w->waiter->state) != GT_STATE_WAITING)
		gt_yield();
	since = gt__now();
	gt_sleep(GT_MILLISECOND);
	w->at_least += gt__now() - since;
	w->wake(w);
	gt_wg_wait(&wg);
}

static NOINLINE void wait_recv(struct wait *w)
{
	(void)gt_recv_value(w->c);
	touch();
}
static void wake_recv(struct wait *w)
{
	gt_send(w->c, 1);
}
static NOINLINE void wait_send(struct wait *w)
{
	gt_send(w->c, 1);
	touch();
}
static void wake_send(struct wait *w)
{
	(void)gt_recv_value(w->c);
}
static NOINLINE void wait_select(struct wait *w)
{
	int x;

	gt_select(gt_case_recv(w->c, &x), gt_case_recv(w->other, &x));
	touch();
}
static NOINLINE void wait_mutex(struct wait *w)
{
	gt_mutex_lock(&w->mutex);
	gt_mutex_unlock(&w->mutex);
	touch();
}
static NOINLINE void wake_mutex(struct wait *w)
{
	gt_mutex_unlock(&w->mutex);
	touch();
}
static NOINLINE void wait_rlock(struct wait *w)
{
	gt_rwmutex_rlock(&w->rw);
	gt_rwmutex_runlock(&w->rw);
	touch();
}
static NOINLINE void wake_rlock(struct wait *w)
{
	gt_rwmutex_unlock(&w->rw);
	touch();
}
static NOINLINE void wait_cond(struct wait *w)
{
	gt_mutex_lock(&w->mutex);
	gt_cond_wait(&w->cond);
	gt_mutex_unlock(&w->mutex);
	touch();
}
static void wake_cond(struct wait *w)
{
	gt_cond_signal(&w->cond);
}
static NOINLINE void wait_wg(struct wait *w)
{
	gt_wg_wait(&w->wg);
	touch();
}
static void wake_wg(struct wait *w)
{
	gt_wg_done(&w->wg);
}

#define ROUNDS 5

static void rounds(struct wait *w, const char *name, void (*wait)(struct wait *w), void (*wake)(struct wait *w))
{
	w->wait = wait;
	w->wake = wake;
	w->at_least = w->at_most = 0;
	for (int i = 0; i < ROUNDS; i++) {
		if (wait == wait_mutex)
			gt_mutex_lock(&w->mutex);
		if (wait == wait_rlock)
			gt_rwmutex_lock(&w->rw);
		if (wait == wait_wg)
			gt_wg_add(&w->wg, 1);
		wait_once(w);
	}
	printf("%s %d %lld %lld\n", name, ROUNDS, (long long)w->at_least, (long long)w->at_most);
}

static void waits(void)
{
	static struct wait w;

	w.cond.mutex = &w.mutex;
	w.c = gt_chan_make(int);
	w.other = gt_chan_make(int);
	check(gt_profile_mutex_fraction(-1) == 0);
	check(gt_profile_mutex_fraction(1) == 0);
	check(gt_profile_mutex_fraction(-5) == 1);
	gt_profile_block_rate(1);
	rounds(&w, "wait_recv", wait_recv, wake_recv);
	rounds(&w, "wait_send", wait_send, wake_send);
	rounds(&w, "wait_select", wait_select, wake_recv);
	rounds(&w, "wait_mutex", wait_mutex, wake_mutex);
	rounds(&w, "wait_rlock", wait_rlock, wake_rlock);
	rounds(&w, "wait_cond", wait_cond, wake_cond);
	rounds(&w, "wait_wg", wait_wg, wake_wg);
	gt_profile_block_rate(0);
	check(gt_profile_mutex_fraction(0) == 1);
	rounds(&w, "off", wait_mutex, wake_mutex);
	save("block", 0, "block.pb.gz");
	save("mutex", 0, "mutex.pb.gz");
	save("block", 1, "block.txt");
	save("mutex", 1, "mutex.txt");
}

/* ---- goroutines, threads ---- */

static gt_chan(int) stop_all;
static _Atomic uint32_t begun;

static NOINLINE void wait_deep(int depth)
{
	if (depth > 0) {
		wait_deep(depth - 1);
		touch();
		return;
	}
	begun++;
	(void)gt_recv_value(stop_all);
	touch();
}

static void deep(void *arg)
{
	wait_deep((int)(intptr_t)arg);
	gt_wg_done(&wg);
}

static NOINLINE void sleep_long(void)
{
	begun++;
	gt_sleep(3600 * GT_SECOND);
	touch();
}

static void sleeper(void *arg)
{
	sleep_long();
}

static _Atomic bool stop_spin;

static NOINLINE void spin_on(void)
{
	begun++;
	while (!stop_spin)
		touch();
}

static void spinner(void *arg)
{
	spin_on();
	gt_wg_done(&wg);
}

static int pipe_fds[2];

static NOINLINE void read_blocking(void)
{
	char byte;

	begun++;
	gt_syscall_enter();
	if (read(pipe_fds[0], &byte, 1) < 0)
		abort();
	gt_syscall_exit();
	touch();
}

static void reader(void *arg)
{
	read_blocking();
	gt_wg_done(&wg);
}

static void never(void *arg)
{
}

static void start(int count, const char *name, void (*fn)(void *arg), void *arg)
{
	for (int i = 0; i < count; i++)
		gt_go_named(name, fn, arg);
}

/* Until so many are where they wait, and so many in a system call. */
static GT_SAN_NO_TSAN void settle(int waiting, int in_syscall)
{
	int waits = 0, calls = 0;

	while (waits != waiting || calls != in_syscall) {
		gt_yield();
		waits = calls = 0;
		for (uint32_t i = 0; i < gt__stack_count(); i++) {
			const struct gt_g *g = gt__stack_g(i);
			uint32_t state = atomic_load(&g->state);

			waits += state == GT_STATE_WAITING && *(void *const volatile *)&g->context.sp;
			calls += state == GT_STATE_SYSCALL;
		}
	}
}

/* Twice, with fewer of them the second time: what is left is the difference. */
static void goroutines(void)
{
	struct gt_profile_snapshot *snapshot;
	struct gt_profile_info info[8];
	FILE *file;

	check(pipe(pipe_fds) == 0);
	stop_all = gt_chan_make(int);
	gt_wg_add(&wg, 100 + 30 + 1 + 1);
	start(100, "deep", deep, (void *)3);
	start(30, NULL, deep, (void *)6);
	start(7, "sleeper", sleeper, NULL);
	start(1, "spinner", spinner, NULL);
	start(1, "reader", reader, NULL);
	while (begun < 139)
		gt_sleep(GT_MILLISECOND);
	settle(137, 1);
	check(gt_profiles(info, 8) == 6);
	for (int i = 0; i < 6; i++)
		if (strcmp(info[i].name, "goroutine") == 0)
			check(info[i].count == 140 && gt_num_goroutine() == 140);
	save("goroutine", 0, "goroutine.pb.gz");
	save("goroutine", 1, "goroutine1.txt");
	save("goroutine", 2, "goroutine2.txt");
	save("threadcreate", 0, "threadcreate.pb.gz");
	save("threadcreate", 1, "threadcreate.txt");
	check(gt_profile_write("nothing", 0, to_file, NULL) == -ENOENT);
	check(gt_profile_snapshot("nothing", &snapshot) == -ENOENT);
	check(gt_profile_snapshot("goroutine", &snapshot) == 0);
	stop_spin = true;
	check(write(pipe_fds[1], "x", 1) == 1);
	gt_close(stop_all);
	gt_wg_wait(&wg);
	while (gt_num_goroutine() > 8)
		gt_yield();
	start(5, "sleeper", sleeper, NULL);
	settle(12, 0);
	file = new_file("since.pb.gz");
	check(gt_profile_write_since(snapshot, to_file, file) == 0);
	check(fclose(file) == 0);
	gt_profile_snapshot_free(snapshot);
	for (int i = 0; i < 3; i++)
		gt_go(never, NULL);
}

/* ---- one thousand, starts and stops, and everything at once ---- */

static _Atomic bool storm_over;

static int to_nothing(void *ctx, const void *bytes, size_t size)
{
	atomic_fetch_add((_Atomic uint64_t *)ctx, size);
	return 0;
}

static void busy(void *arg)
{
	struct gt_mutex *mutex = arg;
	char text[256];

	while (!storm_over) {
		for (int i = 0; i < 100; i++) {
			gt_mutex_lock(mutex);
			touch();
			gt_mutex_unlock(mutex);
			/* Through the C library, where frame pointers are something else. */
			snprintf(text, sizeof(text), "%d %s %f", i, "storm", (double)i / 3);
			clock_ns(CLOCK_MONOTONIC);
			sink += strlen(text);
			free(malloc((size_t)i * 16));
		}
		gt_yield();
	}
	gt_wg_done(&wg);
}

/* Who stops a profile is not who started it. */
static _Atomic uint64_t written;

static void looker(void *arg)
{
	static const char *const names[] = {"goroutine", "block", "mutex", "threadcreate", "heap"};

	for (unsigned int i = 0; !storm_over; i++) {
		check(gt_profile_write(names[i % 5], i % 3, to_nothing, &written) == 0);
		gt_yield();
	}
	check(written > 0);
	gt_wg_done(&wg);
}

static void starter(void *arg)
{
	while (!storm_over) {
		int ret = gt_profile_cpu_start(to_nothing, &written, 1000);

		check(ret == 0 || ret == -EBUSY);
		gt_yield();
		ret = gt_profile_cpu_stop();
		check(ret == 0 || ret == -EINVAL);
	}
	gt_wg_done(&wg);
}

static void storm(void)
{
	const char *runs = getenv("GTRACE_RUNS");
#if defined(GT_SAN_THREAD) || defined(GT_SAN_ADDRESS)
	int rounds_left = runs && strcmp(runs, "long") == 0 ? 200 : 2, busy_count = 100;
#else
	int rounds_left = runs && strcmp(runs, "long") == 0 ? 200 : 6, busy_count = 1000;
#endif
	struct gt_mutex mutex = {0};

	gt_profile_block_rate(1000);
	gt_profile_mutex_fraction(2);
	gt_wg_add(&wg, busy_count + 1 + 2);
	start(busy_count, "busy", busy, &mutex);
	start(1, "looker", looker, NULL);
	start(2, "starter", starter, NULL);
	while (rounds_left > 0) {
		int ret = gt_profile_cpu_start(to_nothing, &written, 0);

		check(ret == 0 || ret == -EBUSY);
		gt_sleep(30 * GT_MILLISECOND);
		if (ret == 0 && (ret = gt_profile_cpu_stop()) == 0)
			rounds_left--;
		check(ret == 0 || ret == -EBUSY || ret == -EINVAL);
	}
	storm_over = true;
	gt_wg_wait(&wg);
	check(written > 0);
}

/* ---- heap: GT_HEAP_RATE=1 and what is known exactly; another rate, and what chance allows ---- */

static NOINLINE void *keep(size_t size)
{
	void *at = malloc(size);

	touch();
	return at;
}

static NOINLINE void *drop(size_t size)
{
	void *at = malloc(size);

	touch();
	return at;
}

static NOINLINE void *grown(size_t size)
{
	void *at = realloc(malloc(16), size);

	touch();
	return at;
}

static void allocate_many(void *arg)
{
	int64_t *bytes = arg;

	for (int i = 0; i < 500; i++) {
		void *kept = keep(1000), *dropped = drop(3000);

		*bytes += (int64_t)malloc_usable_size(kept);
		free(dropped);
		if (i % 100 == 0)
			gt_yield();
	}
	gt_wg_done(&wg);
}

static void heap(void)
{
	const struct gt_malloc_api *api = dlsym(RTLD_DEFAULT, GT_MALLOC_API_NAME);
	struct gt_profile_snapshot *snapshot;
	struct gt_malloc_totals before, after;
	int64_t bytes[4] = {0}, grown_bytes = 0, exact;
	int drops = 2000;
	static void *kept[1000];
	FILE *file;

	check(api && gt_profile_heap_rate(-1) == 1);
	/* All threads are counted: the runtime may start one just then. */
	do {
		api->totals(&before);
		free(drop(100));
		drops++;
		api->totals(&after);
		exact = (int64_t)(after.alloc_bytes - before.alloc_bytes);
	} while (after.allocs != before.allocs + 1 || after.frees != before.frees + 1);
	check(after.free_bytes - before.free_bytes == (uint64_t)exact && exact >= 100);
	gt_wg_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		gt_go_named("allocates", allocate_many, &bytes[i]);
	gt_wg_wait(&wg);
	for (int i = 0; i < 10; i++)
		grown_bytes += (int64_t)malloc_usable_size(kept[i] = grown(5000));
	printf("drop %d\nkeep 2000 %lld\ngrown 10 %lld\n", drops,
		(long long)(bytes[0] + bytes[1] + bytes[2] + bytes[3]), (long long)grown_bytes);
	save("heap", 0, "heap.pb.gz");
	save("allocs", 0, "allocs.pb.gz");
	save("heap", 1, "heap.txt");
	check(gt_profile_snapshot("heap", &snapshot) == 0);
	for (int i = 0; i < 10; i++)
		free(kept[i]);
	file = new_file("heap-since.pb.gz");
	check(gt_profile_write_since(snapshot, to_file, file) == 0);
	check(fclose(file) == 0);
	gt_profile_snapshot_free(snapshot);
	/* By chance: 64 MiB of a few sizes, one sample in 32 KiB, so some 2000 of them. */
	check(gt_profile_heap_rate(32768) == 1);
	for (int i = 0; i < 1000; i++)
		kept[i] = drop(i % 2 ? 65536 : 66000);
	save("heap", 0, "heap-sampled.pb.gz");
	for (int i = 0; i < 1000; i++)
		free(kept[i]);
	check(gt_profile_heap_rate(0) == 32768);
	save("heap", 0, "heap-freed.pb.gz");
}

static int go_main(int argc, char **argv)
{
	check(argc == 3);
	folder = argv[2];
	if (strcmp(argv[1], "cpu") == 0)
		cpu();
	else if (strcmp(argv[1], "waits") == 0)
		waits();
	else if (strcmp(argv[1], "goroutines") == 0)
		goroutines();
	else if (strcmp(argv[1], "heap") == 0)
		heap();
	else if (strcmp(argv[1], "storm") == 0)
		storm();
	else
		return 2;
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, go_main);
}
