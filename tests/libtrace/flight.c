/*
 * flight.c - a program with flight recorders of its own (gtrace/flight.h), which number their events.
 *
 *   flight oracle    threads come and go, snapshots back to back: each thread's numbers are an unbroken suffix apart from told gaps,
 *                    none twice, the newest published ones are there; packed history, a tiny window, a collector that naps
 *   flight two       two recorders with windows and sets of their own; starts again after the last has stopped
 *   flight signal    a signal of its choice writes a file; errors; fork
 *   flight kill DIR GTRACE    killed at random instants: gtrace recover makes a possible trace of the crash file
 *
 * GTRACE_RUNS=long makes it longer, GTRACE_SEED another run.
 */
#include "format/reading/trace.h"
#include "format/reading/validate.h"
#include "libtrace/embed.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <gtrace/flight.h>
#include <gtrace/gtrace.h>
#include <gtrace/hooks.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define IDS_MAX 8192

static struct board {
	_Atomic uint64_t published[IDS_MAX];
	_Atomic uint32_t next_id;
	_Atomic bool stop;
} * board;

static uint64_t seed = 1;
static int errors;

#define CHECK(what, ...) \
	do { \
		if (!(what) && errors++ < 20) { \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #what); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
		} \
	} while (0)

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 31) * 0x9e3779b97f4a7c15ull;
	return value ^ value >> 29;
}

/* ---- writers: Heap(live = number, objects = the thread's id) ---- */

static void *life(void *arg)
{
	uint32_t id = atomic_fetch_add(&board->next_id, 1);
	uint64_t random = mix((uintptr_t)arg + seed * 77), count = 2000 + random % 30000;

	if (id >= IDS_MAX)
		return NULL;
	for (uint64_t n = 1; n <= count && !atomic_load_explicit(&board->stop, memory_order_relaxed); n++) {
		gt_hook_heap(n, id + 1);
		atomic_store_explicit(&board->published[id], n, memory_order_release);
		if (mix(n + random) % 4096 == 0)
			usleep(200);
	}
	return NULL;
}

static void *lives(void *arg)
{
	while (!atomic_load(&board->stop)) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, life, arg) == 0)
			pthread_join(thread, NULL);
	}
	return NULL;
}

static pthread_t slots[THREADS];

static void start_writers(void)
{
	memset(board, 0, sizeof(*board));
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&slots[i], NULL, lives, (void *)(i + 1)) != 0)
			abort();
	/* Snapshots of an empty window take no time: on a busy machine all are taken before any writer has run. */
	while (!atomic_load_explicit(&board->published[0], memory_order_acquire))
		usleep(100);
}

static void stop_writers(void)
{
	atomic_store(&board->stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(slots[i], NULL);
}

/* ---- what a snapshot holds ---- */

struct bytes {
	char *at;
	size_t size;
	FILE *to;
};

static int take_bytes(void *context, const void *bytes, size_t size)
{
	struct bytes *out = context;

	return fwrite(bytes, 1, size, out->to) == size ? 0 : -EIO;
}

static struct seen {
	uint64_t last, first, m, lost_at;
} seen[IDS_MAX + 1];

static uint64_t lost_of[1 << 16];

struct sum {
	uint64_t events, numbered, marks, gaps;
	int64_t first_ns, last_ns;
};

/* In file order of each M: gaps only where a Lost stands. */
static struct sum read_trace(struct gt_trace *trace)
{
	struct gt_event event;
	struct sum sum = {.first_ns = INT64_MAX};

	memset(seen, 0, sizeof(seen));
	memset(lost_of, 0, sizeof(lost_of));
	while (gt_trace_next(trace, &event) > 0) {
		uint64_t id = event.args[1], n = event.args[0], m = event.m & 0xffff;

		sum.events++;
		if (event.time_ns < sum.first_ns)
			sum.first_ns = event.time_ns;
		sum.last_ns = event.time_ns;
		if (event.kind == GT_EV_LOST)
			lost_of[m] += event.args[0];
		if (event.kind == GT_EV_LOG || event.kind == GT_EV_REGION_BEGIN)
			sum.marks++;
		if (event.kind != GT_EV_HEAP)
			continue;
		sum.numbered++;
		CHECK(id >= 1 && id <= IDS_MAX, "an id that nobody wrote: %" PRIu64, id);
		if (id < 1 || id > IDS_MAX)
			continue;
		CHECK(!seen[id].last || event.m == seen[id].m, "thread %" PRIu64 " is on two Ms", id);
		CHECK(n > seen[id].last, "thread %" PRIu64 ": %" PRIu64 " after %" PRIu64, id, n, seen[id].last);
		if (seen[id].last && n != seen[id].last + 1) {
			sum.gaps++;
			CHECK(lost_of[m] > seen[id].lost_at,
				"thread %" PRIu64 ": %" PRIu64 " after %" PRIu64 " and no Lost between", id, n,
				seen[id].last);
		}
		if (!seen[id].first)
			seen[id].first = n;
		seen[id].last = n;
		seen[id].m = event.m;
		seen[id].lost_at = lost_of[m];
	}
	return sum;
}

static struct sum check_snapshot(struct gt_flight *flight)
{
	static uint64_t promised[IDS_MAX];
	struct bytes bytes = {0};
	struct gt_verdict verdict;
	struct gt_trace_damage damage;
	struct gt_trace *trace;
	struct gt_error err;
	struct sum sum = {0};
	int ret;

	bytes.to = open_memstream(&bytes.at, &bytes.size);
	for (uint32_t id = 0; id < IDS_MAX; id++)
		promised[id] = atomic_load_explicit(&board->published[id], memory_order_acquire);
	ret = gt_flight_snapshot_to(flight, take_bytes, &bytes);
	fclose(bytes.to);
	CHECK(ret == 0, "%s", gt_flight_error());
	if (ret == 0 && gt_trace_open_memory(bytes.at, bytes.size, &trace, &err) == 0) {
		sum = read_trace(trace);
		gt_trace_damage(trace, &damage);
		CHECK(!damage.frames_bad && !damage.records_bad, "%s", damage.first);
		CHECK(gt_trace_rewind(trace) == 0 && gt_validate(trace, &verdict) >= 0, "not to be validated");
		/* A thread all of whose blocks are gone is not seen. One that is seen has its newest, or a Lost behind it. */
		for (uint32_t id = 0; id < IDS_MAX; id++)
			CHECK(!seen[id + 1].last || seen[id + 1].last >= promised[id] ||
					lost_of[seen[id + 1].m & 0xffff] > seen[id + 1].lost_at,
				"thread %u: the newest is %" PRIu64 ", %" PRIu64 " was published", id + 1,
				seen[id + 1].last, promised[id]);
		gt_trace_close(trace);
	} else {
		CHECK(ret < 0, "no trace: %s", err.text);
	}
	free(bytes.at);
	return sum;
}

static bool long_runs(void)
{
	const char *runs = getenv("GTRACE_RUNS");

	return runs && strcmp(runs, "long") == 0;
}

static struct gt_flight *start_flight(const struct gt_flight_config *config)
{
	struct gt_flight *flight = NULL;

	if (gt_flight_start(config, &flight) < 0) {
		fprintf(stderr, "%s\n", gt_flight_error());
		exit(1);
	}
	return flight;
}

static void stop_flight(struct gt_flight *flight)
{
	CHECK(gt_flight_stop(flight) == 0, "%s", gt_flight_error());
}

static void run_oracle(uint64_t max_bytes, uint32_t nap_us, int snapshots)
{
	struct gt_flight *flight = start_flight(&(struct gt_flight_config){.max_bytes = max_bytes});
	struct gt_flight_stat stat;
	struct sum sum = {0}, one;

	atomic_store(&gt__own_nap_us, nap_us);
	start_writers();
	for (int i = 0; i < snapshots && !errors; i++) {
		one = check_snapshot(flight);
		sum.events += one.events;
		sum.gaps += one.gaps;
	}
	CHECK(gt_flight_stat(flight, &stat) == 0 && stat.snapshots == (uint64_t)snapshots && !stat.failed, "%s",
		stat.last);
	CHECK(stat.held_bytes <= stat.held_bytes_max, "%" PRIu64 " held", stat.held_bytes);
	atomic_store(&gt__own_nap_us, 0);
	stop_writers();
	one = check_snapshot(flight);
	CHECK(one.numbered > 0, "nothing");
	stop_flight(flight);
	printf("oracle: window %" PRIu64 "K: %d snapshots, %" PRIu64 " events, %" PRIu64 " gaps, all told\n",
		max_bytes >> 10, snapshots, sum.events, sum.gaps);
}

static void run_in_child(uint64_t max_bytes, uint32_t nap_us, int snapshots)
{
	pid_t child;
	int status = 1;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		run_oracle(max_bytes, nap_us, snapshots);
		exit(errors != 0);
	}
	waitpid(child, &status, 0);
	CHECK(status == 0, "status %x", (unsigned int)status);
}

static void oracle(void)
{
#if defined(__SANITIZE_THREAD__)
	int snapshots = long_runs() ? 15 : 6;
#else
	int snapshots = long_runs() ? 150 : 6;
#endif

	/* A process's ring is made once: a size, a process. */
	run_in_child(512 << 10, 0, snapshots * 4);
	run_in_child(3 << 20, 0, snapshots);
	run_in_child(3 << 20, 20000, snapshots);
	run_in_child(12 << 20, 0, snapshots / 3);
}

/* ---- several at once ---- */

static void *ask_often(void *flight)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/null");
	for (int i = 0; i < 5; i++)
		CHECK(gt_flight_snapshot(flight, path) == 0, "%s", gt_flight_error());
	return NULL;
}

static void write_some(uint64_t first, uint64_t count)
{
	for (uint64_t n = first; n < first + count; n++) {
		gt_hook_heap(n, 1);
		gt_log(0, "n", "a mark");
	}
}

static void two(void)
{
	struct gt_flight *all = start_flight(&(struct gt_flight_config){.max_bytes = 4 << 20}), *small, *marks, *recent;
	pthread_t threads[4];
	struct sum sum;

	write_some(1, 8000);
	/* Another set, less room; and one that wants the last moment only. */
	marks = start_flight(&(struct gt_flight_config){.max_bytes = 4 << 20, .sets = GT_SET_SCHED | GT_SET_MARKS});
	small = start_flight(&(struct gt_flight_config){.max_bytes = 512 << 10, .sets = GT_SET_HEAP | GT_SET_TIMERS});
	recent = start_flight(&(struct gt_flight_config){.max_bytes = 6 << 20, .min_age_ns = 1});
	gt_hook_timer(GT_TIMER_SET, 0, &seed, 5);
	write_some(8001, 2000);
	sum = check_snapshot(all);
	CHECK(sum.numbered == 10000 && sum.marks == 10000 && sum.events == 20000,
		"%" PRIu64 " numbered, %" PRIu64 " marks, %" PRIu64 " events", sum.numbered, sum.marks, sum.events);
	CHECK(seen[1].first == 1 && seen[1].last == 10000, "%" PRIu64 "..%" PRIu64, seen[1].first, seen[1].last);
	sum = check_snapshot(marks);
	CHECK(sum.numbered == 0 && sum.marks == 10000, "%" PRIu64 ", %" PRIu64, sum.numbered, sum.marks);
	sum = check_snapshot(small);
	CHECK(sum.marks == 0 && sum.numbered > 100 && sum.numbered < 7000 && sum.events == sum.numbered + 1, "%" PRIu64,
		sum.numbered);
	CHECK(seen[1].last == 10000, "%" PRIu64, seen[1].last);
	sum = check_snapshot(recent);
	CHECK(sum.events == 0, "%" PRIu64 " events of the last nanosecond", sum.events);
	for (int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, ask_often, i % 2 ? all : small) != 0)
			abort();
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	stop_flight(small);
	stop_flight(marks);
	CHECK(gt_flight_snapshot(marks, "/dev/null") == -EINVAL, "a stopped one");
	stop_flight(recent);
	CHECK(gt_start("x.gtrace") == -EBUSY, "a trace beside a recorder");
	stop_flight(all);
	CHECK(!gt_tracing(), "hooks are on");

	/* Traces and recorders in turn: each begins where it begins. */
	write_some(1, 10);
	CHECK(gt_start("/dev/null") == 0, "%s", gt_start_error());
	CHECK(gt_flight_start(NULL, &all) == -EBUSY, "a recorder beside a trace");
	write_some(1, 5000);
	CHECK(gt_stop() == 0, "%s", gt_start_error());
	for (int i = 0; i < 3; i++) {
		all = start_flight(NULL);
		write_some(100, 50);
		sum = check_snapshot(all);
		CHECK(sum.numbered == 50 && sum.events == 100 && seen[1].first == 100,
			"%" PRIu64 " numbered of %" PRIu64, sum.numbered, sum.events);
		stop_flight(all);
	}
}

/* ---- signals, errors, fork ---- */

static int refuse(void *context, const void *bytes, size_t size)
{
	(void)context, (void)bytes, (void)size;
	return -ENOSPC;
}

static int ask_again(void *context, const void *bytes, size_t size)
{
	(void)bytes, (void)size;
	return gt_flight_snapshot(context, "/dev/null") == -EDEADLK ? 0 : -EPROTO;
}

static void signals(void)
{
	char path[] = "/tmp/gtrace-flight-XXXXXX", file[96], pattern[96];
	struct gt_flight_stat stat;
	struct gt_flight *flight, *other = NULL;
	struct gt_trace *trace;
	struct gt_error err;
	int status;
	pid_t child;

	if (!mkdtemp(path))
		abort();
	snprintf(pattern, sizeof(pattern), "%s/s-%%n.gtrace", path);
	flight = start_flight(&(struct gt_flight_config){.max_bytes = 1 << 20, .signal = SIGUSR2, .path = pattern});
	write_some(1, 1000);
	for (int i = 1; i <= 2; i++) {
		raise(SIGUSR2);
		do {
			usleep(1000);
			CHECK(gt_flight_stat(flight, &stat) == 0 && !stat.failed, "%s", stat.last);
		} while (!errors && stat.snapshots < (uint64_t)i);
		snprintf(file, sizeof(file), "%s/s-%d.gtrace", path, i);
		CHECK(gt_trace_open(file, &trace, &err) == 0, "%s", err.text);
		if (!errors) {
			CHECK(read_trace(trace).numbered == 1000, "not all");
			gt_trace_close(trace);
		}
		unlink(file);
	}
	CHECK(gt_flight_snapshot(flight, "/no/such/folder/x") == -ENOENT &&
			strstr(gt_flight_error(), "/no/such/folder"),
		"%s", gt_flight_error());
	CHECK(gt_flight_snapshot(flight, "") == -EINVAL, "an empty name");
	CHECK(gt_flight_snapshot_to(flight, refuse, NULL) == -ENOSPC, "%s", gt_flight_error());
	CHECK(gt_flight_snapshot_to(flight, ask_again, flight) == 0, "%s", gt_flight_error());
	CHECK(gt_flight_start(&(struct gt_flight_config){.max_bytes = 4096}, &other) == -EINVAL && !other,
		"4096 bytes");
	CHECK(gt_flight_start(&(struct gt_flight_config){.max_bytes = UINT64_MAX}, &other) == -EINVAL, "all bytes");
	CHECK(gt_flight_start(&(struct gt_flight_config){.signal = SIGKILL}, &other) < 0, "SIGKILL");
	CHECK(gt_flight_start(&(struct gt_flight_config){.signal = 1000}, &other) == -EINVAL, "signal 1000");
	CHECK(gt_flight_start(&(struct gt_flight_config){.sets = 1u << 20}, &other) == -EINVAL, "no such set");
	CHECK(gt_flight_start(&(struct gt_flight_config){.crash_file = "/tmp/x"}, &other) == -EBUSY, "too late");
	signal(SIGUSR1, SIG_IGN);
	CHECK(gt_flight_start(&(struct gt_flight_config){.signal = SIGUSR1}, &other) == -EBUSY, "it is ignored");
	fflush(NULL);
	child = fork();
	if (child == 0) {
		raise(SIGUSR2);
		gt_hook_heap(7, 7);
		_exit(gt_tracing() || gt_flight_snapshot(flight, "/dev/null") != -EBUSY ||
			gt_flight_start(NULL, &other) != -EBUSY || gt_flight_stop(flight) != -EBUSY);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0, "status %x", (unsigned int)status);
	CHECK(gt_flight_stat(flight, &stat) == 0 && stat.snapshots == 3, "%" PRIu64, stat.snapshots);
	CHECK(check_snapshot(flight).numbered == 1000, "the child wrote into it");
	stop_flight(flight);
	rmdir(path);
}

/* ---- death ---- */

static int run_command(
	const char *gtrace, const char *what, const char *file, const char *more, char *first, size_t size)
{
	char command[4096], line[1024];
	FILE *pipe;

	snprintf(command, sizeof(command), "'%s' %s '%s' %s 2>&1", gtrace, what, file, more);
	pipe = popen(command, "r");
	if (!pipe)
		return -1;
	first[0] = '\0';
	while (fgets(line, sizeof(line), pipe))
		if (!first[0])
			snprintf(first, size, "%s", line);
	return pclose(pipe);
}

static void kill_rounds(const char *folder, const char *gtrace)
{
	int rounds = long_runs() ? 300 : 50;
	char crash[512], out[600], line[1024];
	uint64_t events = 0;

	snprintf(crash, sizeof(crash), "%s/flight-%d.crash", folder, (int)getpid());
	snprintf(out, sizeof(out), "%s.gtrace", crash);
	for (int round = 0; round < rounds && !errors; round++) {
		struct gt_trace *trace;
		struct gt_error err;
		uint64_t random = mix(seed * 1000 + (uint64_t)round);
		int ready[2], status;
		bool got;
		char byte;
		pid_t child;
		struct sum sum;

		if (pipe(ready) < 0)
			abort();
		memset(board, 0, sizeof(*board));
		child = fork();
		if (child == 0) {
			struct gt_flight *flight = start_flight(&(struct gt_flight_config){
				.max_bytes = random % 2 ? 1 << 20 : 3 << 20, .crash_file = crash});

			start_writers();
			got = write(ready[1], "", 1) == 1;
			for (uint64_t i = 0; got && i < 1u << 20; i++)
				if (random % 3)
					pause();
				else if (gt_flight_snapshot(flight, "/dev/null") < 0)
					break;
			_exit(1);
		}
		got = read(ready[0], &byte, 1) == 1;
		CHECK(got, "the program did not start");
		if (round == 0 && got) {
			CHECK(run_command(gtrace, "recover", crash, "", line, sizeof(line)) != 0 &&
					strstr(line, "lives"),
				"%s", line);
			CHECK(run_command(gtrace, "recover --force", crash, "", line, sizeof(line)) == 0, "%s", line);
		}
		usleep(500 + (useconds_t)(random >> 20) % 30000);
		kill(child, random % 5 ? SIGKILL : SIGABRT);
		waitpid(child, &status, 0);
		close(ready[0]);
		close(ready[1]);
		CHECK(WIFSIGNALED(status), "it ended alone: %x", (unsigned int)status);
		CHECK(run_command(gtrace, "recover", crash, "", line, sizeof(line)) == 0, "%s", line);
		CHECK(run_command(gtrace, "check", out, "", line, sizeof(line)) == 0, "%s", line);
		if (gt_trace_open(out, &trace, &err) < 0) {
			CHECK(false, "%s", err.text);
			continue;
		}
		sum = read_trace(trace);
		gt_trace_close(trace);
		events += sum.events;
		/* What was published is there, but for threads that are gone from the window. At most one record of a thread was under way. */
		for (uint32_t id = 0; id < IDS_MAX; id++)
			CHECK(!seen[id + 1].last || seen[id + 1].last >= atomic_load(&board->published[id]) ||
					lost_of[seen[id + 1].m & 0xffff] > seen[id + 1].lost_at,
				"round %d: thread %u: the newest is %" PRIu64 ", %" PRIu64 " was published", round,
				id + 1, seen[id + 1].last, atomic_load(&board->published[id]));
	}
	unlink(out);
	unlink(crash);
	snprintf(out, sizeof(out), "%s.old", crash);
	CHECK(access(out, F_OK) == 0, "the file of the death before was not kept");
	unlink(out);
	printf("kill: %d rounds, %" PRIu64 " events recovered; GTRACE_SEED=%" PRIu64 "\n", rounds, events, seed);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (getenv("GTRACE_SEED"))
		seed = strtoull(getenv("GTRACE_SEED"), NULL, 10);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		return 1;
	if (strcmp(mode, "oracle") == 0) {
		oracle();
	} else if (strcmp(mode, "two") == 0) {
		two();
	} else if (strcmp(mode, "signal") == 0) {
		signals();
	} else if (strcmp(mode, "kill") == 0 && argc == 4) {
		if (access(argv[3], X_OK) != 0) {
			puts("skipped: the gtrace command is not built");
			return 77;
		}
		kill_rounds(argv[2], argv[3]);
	} else {
		fprintf(stderr, "usage: flight oracle | two | signal | kill DIRECTORY GTRACE\n");
		return 2;
	}
	return errors != 0;
}
