/*
 * metrics.c - each metric against what the program knows exactly: how many goroutines wait, were made, are in a system call.
 *
 *   metrics facts|stress|text [FILE]      text: for metrics_text.py; FILE: what Go has (metrics_go.txt)
 *
 * What the scheduler does beside (a thread that spins, an M that is made) is waited for, never timed.
 */
#include "base/san.h"

#include <gtrace/go.h>
#include <gtrace/io.h>
#include <gtrace/metrics.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK(...) \
	do { \
		if (!(__VA_ARGS__)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
			exit(1); \
		} \
	} while (0)

static uint64_t count_of(const char *name)
{
	struct gt_metric_sample sample = {.name = name};

	gt_metrics_read(&sample, 1);
	CHECK(sample.kind == GT_METRIC_UINT64);
	return sample.uint64;
}

static double seconds_of(const char *name)
{
	struct gt_metric_sample sample = {.name = name};

	gt_metrics_read(&sample, 1);
	CHECK(sample.kind == GT_METRIC_FLOAT64);
	return sample.float64;
}

/* Until it is so: at most for 20 s. */
static void wait_for(const char *name, uint64_t value)
{
	for (int i = 0; i < 20000 && count_of(name) != value; i++)
		gt_sleep(GT_MILLISECOND);
	if (count_of(name) != value) {
		fprintf(stderr, "%s is %llu, not %llu\n", name, (unsigned long long)count_of(name),
			(unsigned long long)value);
		exit(1);
	}
}

/* ---- which there are ---- */

static void check_list(void)
{
	size_t n;
	const struct gt_metric *all = gt_metrics_all(&n);

	CHECK(n > 20);
	for (size_t i = 0; i < n; i++) {
		struct gt_metric_sample sample = {.name = all[i].name};
		const char *colon = strchr(all[i].name, ':');

		CHECK(all[i].name[0] == '/' && colon && colon[1] && !strchr(colon + 1, ':'));
		CHECK(all[i].description[0] && !strpbrk(all[i].description, "\\\n"));
		CHECK(i == 0 || strcmp(all[i - 1].name, all[i].name) < 0);
		gt_metrics_read(&sample, 1);
		CHECK(sample.kind == all[i].kind && sample.kind != GT_METRIC_BAD);
	}
}

static void check_bad_names(void)
{
	static const char *const names[] = {
		"", "/", "/sched/goroutines", "/sched/goroutines:goroutine", "/zzz:z", NULL};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct gt_metric_sample samples[2] = {{.name = names[i]}, {.name = "/sched/gomaxprocs:threads"}};

		gt_metrics_read(samples, 2);
		CHECK(samples[0].kind == GT_METRIC_BAD && samples[1].kind == GT_METRIC_UINT64);
	}
	gt_metrics_read(NULL, 0);
}

/* Names outside of /gtrace/ are Go's, of Go's kind; the boundaries are Go's to the last bit. */
static void check_go(const char *path)
{
	static const char *const kinds[] = {"bad", "uint64", "float64", "histogram"};
	struct gt_metric_sample sample = {.name = "/sched/latencies:seconds"};
	char line[256], name[128], kind[32], cumulative[16];
	FILE *file = fopen(path, "r");
	size_t n, left = 0, at = 0;
	const struct gt_metric *all = gt_metrics_all(&n);

	CHECK(file);
	gt_metrics_read(&sample, 1);
	for (size_t i = 0; i < n; i++)
		left += strncmp(all[i].name, "/gtrace/", 8) != 0;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "bucket ", 7) == 0) {
			CHECK(at <= sample.histogram.count && strtod(line + 7, NULL) == sample.histogram.buckets[at]);
			at++;
			continue;
		}
		CHECK(sscanf(line, "%127s %31s %15s", name, kind, cumulative) == 3);
		for (size_t i = 0; i < n; i++) {
			if (strcmp(all[i].name, name) != 0)
				continue;
			CHECK(strcmp(kinds[all[i].kind], kind) == 0);
			CHECK(strcmp(all[i].cumulative ? "true" : "false", cumulative) == 0);
			left--;
		}
	}
	fclose(file);
	CHECK(left == 0 && at == sample.histogram.count + 1);
}

/* ---- goroutines ---- */

static void receive(void *arg)
{
	gt_chan(int) c = arg;
	int value;

	gt_recv(c, &value);
}

static void check_waiting(void)
{
	uint64_t created = count_of("/sched/goroutines-created:goroutines");
	gt_chan(int) c = gt_chan_make(int);

	wait_for("/sched/goroutines:goroutines", 1);
	for (int i = 0; i < 50; i++)
		gt_go(receive, c);
	CHECK(count_of("/sched/goroutines-created:goroutines") == created + 50);
	CHECK(count_of("/sched/goroutines:goroutines") == 51);
	wait_for("/sched/goroutines/waiting:goroutines", 50);
	wait_for("/sched/goroutines/running:goroutines", 1);
	wait_for("/sched/goroutines/runnable:goroutines", 0);
	wait_for("/sched/goroutines/not-in-go:goroutines", 0);
	gt_close(c);
	wait_for("/sched/goroutines:goroutines", 1);
	wait_for("/sched/goroutines/waiting:goroutines", 0);
	CHECK(count_of("/sched/goroutines-created:goroutines") == created + 50);
	gt_chan_free(c);
}

static void nothing(void *arg)
{
}

/* On one P nobody else runs until main leaves. A slice may end in between: again, then. */
static void check_runnable(void)
{
	int procs = gt_gomaxprocs(1);
	bool seen = false;

	CHECK(count_of("/sched/gomaxprocs:threads") == 1);
	for (int i = 0; i < 1000 && !seen; i++) {
		wait_for("/sched/goroutines:goroutines", 1);
		for (int k = 0; k < 20; k++)
			gt_go(nothing, NULL);
		seen = count_of("/sched/goroutines/runnable:goroutines") == 20 &&
		       count_of("/sched/goroutines/running:goroutines") == 1;
	}
	CHECK(seen);
	wait_for("/sched/goroutines:goroutines", 1);
	gt_gomaxprocs(procs);
	CHECK(count_of("/sched/gomaxprocs:threads") == (uint64_t)procs);
}

/* ---- system calls, threads ---- */

static int pipes[2];

static void read_pipe(void *arg)
{
	char byte;
	ssize_t got;

	gt_syscall_enter();
	got = read(pipes[0], &byte, 1);
	gt_syscall_exit();
	CHECK(got == 1);
}

#ifdef GT_SAN_THREAD
#define OTHER_THREADS 1 /* its own */
#define ROUNDS        15
#else
#define OTHER_THREADS 0
#define ROUNDS        60
#endif

static uint64_t tasks(void)
{
	DIR *dir = opendir("/proc/self/task");
	uint64_t n = 0;

	CHECK(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void check_syscalls(void)
{
	uint64_t before = count_of("/gtrace/sched/syscalls:calls");
	bool same = false;

	CHECK(pipe(pipes) == 0);
	for (int i = 0; i < 5; i++)
		gt_go(read_pipe, NULL);
	wait_for("/sched/goroutines/not-in-go:goroutines", 5);
	CHECK(count_of("/gtrace/sched/syscalls:calls") == before + 5);
	CHECK(count_of("/sched/threads/total:threads") >= 8); /* and main's, sysmon, the maker */
	for (int i = 0; i < 20000 && !same; i++) {
		same = count_of("/sched/threads/total:threads") == tasks() - OTHER_THREADS;
		if (!same)
			gt_sleep(GT_MILLISECOND);
	}
	if (!same)
		fprintf(stderr, "%llu threads are told, the kernel has %llu\n",
			(unsigned long long)count_of("/sched/threads/total:threads"), (unsigned long long)tasks());
	CHECK(same);
	CHECK(write(pipes[1], "12345", 5) == 5);
	wait_for("/sched/goroutines/not-in-go:goroutines", 0);
	CHECK(count_of("/gtrace/sched/syscalls:calls") == before + 5);
	wait_for("/sched/goroutines:goroutines", 1);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- what waits ---- */

static void read_fd(void *arg)
{
	char byte;

	CHECK(gt_fd_read(arg, &byte, 1) == 1);
}

static void check_waits(void)
{
	uint64_t ready = count_of("/gtrace/netpoll/ready:descriptors");
	gt_timer timers[10];
	struct gt_fd *fd;

	wait_for("/gtrace/timers/pending:timers", 0);
	for (int i = 0; i < 10; i++)
		timers[i] = gt_after_func(3600 * GT_SECOND, nothing, NULL);
	CHECK(count_of("/gtrace/timers/pending:timers") == 10);
	for (int i = 0; i < 10; i++) {
		CHECK(gt_timer_stop(timers[i]));
		gt_chan_free(timers[i]);
	}
	CHECK(count_of("/gtrace/timers/pending:timers") == 0);

	CHECK(pipe2(pipes, O_NONBLOCK) == 0 && gt_fd_new(pipes[0], &fd) == 0);
	for (int i = 0; i < 3; i++)
		gt_go(read_fd, fd);
	wait_for("/gtrace/netpoll/waiting:goroutines", 3);
	wait_for("/sched/goroutines/waiting:goroutines", 3);
	CHECK(write(pipes[1], "123", 3) == 3);
	wait_for("/sched/goroutines:goroutines", 1);
	CHECK(count_of("/gtrace/netpoll/waiting:goroutines") == 0);
	CHECK(count_of("/gtrace/netpoll/ready:descriptors") > ready);
	CHECK(count_of("/gtrace/netpoll/polls:polls") > 0);
	gt_fd_close(fd);
	close(pipes[1]);
}

/* ---- times ---- */

static struct gt_mutex mutex;
static _Atomic bool stop;

static void lock_often(void *wg)
{
	while (!stop) {
		gt_mutex_lock(&mutex);
		gt_sleep(10 * GT_MICROSECOND); /* the others come meanwhile */
		gt_mutex_unlock(&mutex);
	}
	gt_wg_done(wg);
}

static void check_mutex(void)
{
	double before = seconds_of("/sync/mutex/wait/total:seconds");
	struct gt_wg wg = {0};

	gt_wg_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		gt_go(lock_often, &wg);
	for (int i = 0; i < 20000 && seconds_of("/sync/mutex/wait/total:seconds") == before; i++)
		gt_sleep(GT_MILLISECOND);
	CHECK(seconds_of("/sync/mutex/wait/total:seconds") > before);
	stop = true;
	gt_wg_wait(&wg);
	stop = false;
}

static double latencies(uint64_t *total)
{
	uint64_t counts[GT_METRIC_BUCKETS_MAX];
	struct gt_metric_sample sample = {.name = "/sched/latencies:seconds", .histogram.counts = counts};

	gt_metrics_read(&sample, 1);
	CHECK(sample.histogram.count <= GT_METRIC_BUCKETS_MAX);
	*total = 0;
	for (size_t i = 0; i < sample.histogram.count; i++)
		*total += counts[i];
	CHECK(counts[0] == 0); /* no time is negative */
	return sample.histogram.sum;
}

#define YIELDERS 4
#define YIELDS   20000

static void yield_often(void *wg)
{
	for (int i = 0; i < YIELDS; i++)
		gt_yield();
	gt_wg_done(wg);
}

/* Each gt_yield is one time that somebody could run; one count stands for 8, at most 129 are on the way for each goroutine. */
static void check_latencies(void)
{
	uint64_t before, after, preempts = count_of("/gtrace/preempt/requested:events"), want = YIELDERS * YIELDS / 8;
	double sum = latencies(&before);
	struct gt_wg wg = {0};
	uint64_t slack;

	gt_wg_add(&wg, YIELDERS);
	for (int i = 0; i < YIELDERS; i++)
		gt_go(yield_often, &wg);
	gt_wg_wait(&wg);
	CHECK(latencies(&after) >= sum);
	slack = (YIELDERS + 1) * 40 + count_of("/gtrace/preempt/requested:events") - preempts;
	after -= before;
	if (after + slack < want || after > want + slack) {
		fprintf(stderr, "%llu counts for %d yields\n", (unsigned long long)after, YIELDERS * YIELDS);
		exit(1);
	}
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * GT_SECOND + now.tv_nsec;
}

static void check_cpu(void)
{
	struct gt_metric_sample a[] = {{.name = "/cpu/classes/idle:cpu-seconds"},
		{.name = "/cpu/classes/total:cpu-seconds"}, {.name = "/cpu/classes/user:cpu-seconds"}};
	struct gt_metric_sample b[3];
	int64_t early = now_ns(), late, middle;
	double procs = gt_gomaxprocs(0), idle = seconds_of("/cpu/classes/idle:cpu-seconds");

	gt_metrics_read(a, 3);
	memcpy(b, a, sizeof(b));
	middle = now_ns();
	for (int i = 0; i < 20000 && seconds_of("/cpu/classes/idle:cpu-seconds") == idle; i++)
		gt_sleep(GT_MILLISECOND);
	gt_sleep(10 * GT_MILLISECOND);
	late = now_ns();
	gt_metrics_read(b, 3);
	CHECK(fabs(a[0].float64 + a[2].float64 - a[1].float64) < 1e-6);
	CHECK(fabs(b[0].float64 + b[2].float64 - b[1].float64) < 1e-6);
	CHECK(b[0].float64 > a[0].float64 && b[2].float64 > a[2].float64);
	/* GOMAXPROCS stayed: the time between, as often. */
	CHECK(b[1].float64 - a[1].float64 >= (double)(late - middle) / 1e9 * procs - 1e-6);
	CHECK(b[1].float64 - a[1].float64 <= (double)(now_ns() - early) / 1e9 * procs + 1e-6);
}

/* ---- never falls, whoever looks ---- */

#define READERS 4

static void look_often(void)
{
	size_t n;
	const struct gt_metric *all = gt_metrics_all(&n);
	struct gt_metric_sample *now = calloc(n, sizeof(*now)), *last = calloc(n, sizeof(*last));
	uint64_t counts[2][GT_METRIC_BUCKETS_MAX] = {{0}};

	CHECK(now && last);
	for (size_t i = 0; i < n; i++) {
		now[i].name = all[i].name;
		now[i].histogram.counts = counts[0];
	}
	while (!stop) {
		gt_metrics_read(now, n);
		for (size_t i = 0; i < n; i++) {
			if (!all[i].cumulative)
				continue;
			if (all[i].kind == GT_METRIC_UINT64)
				CHECK(now[i].uint64 >= last[i].uint64);
			else if (all[i].kind == GT_METRIC_FLOAT64)
				CHECK(now[i].float64 >= last[i].float64);
			else
				CHECK(now[i].histogram.sum >= last[i].histogram.sum);
		}
		for (size_t i = 0; i < GT_METRIC_BUCKETS_MAX; i++)
			CHECK(counts[0][i] >= counts[1][i]);
		memcpy(last, now, n * sizeof(*now));
		memcpy(counts[1], counts[0], sizeof(counts[0]));
	}
	free(now);
	free(last);
}

static void *thread_reader(void *arg)
{
	look_often();
	return NULL;
}

static void drop(void *ctx, const char *text, size_t length)
{
	*(size_t *)ctx += length;
}

static void goroutine_reader(void *wg)
{
	while (!stop) {
		size_t bytes = 0;

		CHECK(gt_metrics_prometheus(drop, &bytes) == 0 && bytes > 1000);
		gt_yield();
	}
	gt_wg_done(wg);
}

static void busy(void *arg)
{
	gt_wg_add(arg, 1);
	gt_go(nothing, NULL);
	gt_yield();
	gt_mutex_lock(&mutex);
	gt_sleep(GT_MICROSECOND);
	gt_mutex_unlock(&mutex);
	gt_syscall_enter();
	gt_syscall_exit();
	gt_wg_done(arg);
	gt_wg_done(arg);
}

static int stress(void)
{
	struct gt_wg wg = {0}, readers = {0};
	pthread_t threads[READERS];
	int procs = gt_gomaxprocs(0);
	const char *runs = getenv("GTRACE_RUNS");
	int rounds = runs && strcmp(runs, "long") == 0 ? 2000 : ROUNDS;

	for (int i = 0; i < READERS; i++)
		CHECK(pthread_create(&threads[i], NULL, thread_reader, NULL) == 0);
	gt_wg_add(&readers, 2);
	gt_go(goroutine_reader, &readers);
	gt_go(goroutine_reader, &readers);
	for (int i = 0; i < rounds; i++) {
		gt_wg_add(&wg, 50);
		for (int k = 0; k < 50; k++)
			gt_go(busy, &wg);
		gt_gomaxprocs(1 + i % 4);
		gt_wg_wait(&wg);
	}
	stop = true;
	gt_wg_wait(&readers);
	gt_syscall_enter();
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	gt_syscall_exit();
	gt_gomaxprocs(procs);
	wait_for("/sched/goroutines:goroutines", 1);
	CHECK(count_of("/sched/goroutines-created:goroutines") == 3 + (uint64_t)rounds * 100);
	return 0;
}

static void print(void *ctx, const char *text, size_t length)
{
	fwrite(text, 1, length, ctx);
}

static int go_main(int argc, char **argv)
{
	if (strcmp(argv[1], "stress") == 0)
		return stress();
	if (strcmp(argv[1], "text") == 0) {
		check_latencies();
		check_mutex();
		wait_for("/sched/goroutines:goroutines", 1);
		return gt_metrics_prometheus(print, stdout);
	}
	check_list();
	check_bad_names();
	check_waiting();
	check_runnable();
	check_syscalls();
	check_waits();
	check_mutex();
	check_latencies();
	check_cpu();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	/* Before there is a scheduler. */
	check_list();
	CHECK(count_of("/sched/goroutines:goroutines") == 0 && count_of("/sched/threads/total:threads") == 0);
	CHECK(seconds_of("/cpu/classes/total:cpu-seconds") == 0);
	if (argc > 2)
		check_go(argv[2]);
	return gt_main(argc, argv, go_main);
}
