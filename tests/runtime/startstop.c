/*
 * startstop.c - traces that begin and end in the midst of a program's life: each is a possible execution by the strict rules (no
 * goroutine comes from nowhere, nothing is lost), and tells of everybody who was there.
 *
 * The load: goroutines that wait for ever, meet on channels, lock, sleep, sit in system calls, spin without a call, come
 * and go; threads from outside that start goroutines. The same over a path, a descriptor and a function.
 */
#include "format/reading/trace.h"
#include "format/reading/validate.h"
#include "model/model.h"

#include <fcntl.h>
#include <gtrace/go.h>
#include <gtrace/gtrace.h>
#include <gtrace/io.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARKED  300
#define PAIRS   4
#define LOCKERS 4

typedef gt_chan(int) int_chan;

static _Atomic bool over, spin_over;
static uint64_t parked[PARKED];
static _Atomic uint64_t reader, spinner;
static struct gt_mutex mutex;
static struct gt_wg alive;
static int bad, lossy;

static struct {
	char *bytes;
	size_t size, room;
} memory;

static int keep(void *context, const void *bytes, size_t size)
{
	(void)context;
	if (memory.size + size > memory.room) {
		memory.room = (memory.size + size) * 2;
		memory.bytes = realloc(memory.bytes, memory.room);
		if (!memory.bytes)
			abort();
	}
	memcpy(memory.bytes + memory.size, bytes, size);
	memory.size += size;
	return 0;
}

/* ---- the load ---- */

/* What two CPUs make when they do nothing else is more than the collector takes beside them: that would be a test of losses. */
static void breathe(int *rounds)
{
	if (++*rounds % 64 == 0)
		gt_sleep(200 * GT_MICROSECOND);
}

static void park(void *channel)
{
	gt_recv((int_chan)channel, NULL);
	gt_wg_done(&alive);
}

struct pair {
	int_chan there, back;
};

static void ping(void *arg)
{
	struct pair *pair = arg;
	int rounds = 0;

	while (!atomic_load(&over)) {
		int value = 1;

		gt_send(pair->there, value);
		gt_recv(pair->back, &value);
		breathe(&rounds);
	}
	gt_close(pair->there);
	gt_wg_done(&alive);
}

static void pong(void *arg)
{
	struct pair *pair = arg;
	int value;

	while (gt_recv(pair->there, &value))
		gt_send(pair->back, value);
	gt_wg_done(&alive);
}

static void locker(void *arg)
{
	int rounds = 0;

	(void)arg;
	while (!atomic_load(&over)) {
		gt_mutex_lock(&mutex);
		for (volatile int i = 0; i < 300; i++)
			;
		gt_mutex_unlock(&mutex);
		gt_yield();
		breathe(&rounds);
	}
	gt_wg_done(&alive);
}

static void sleeper(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		gt_sleep(300 * GT_MICROSECOND);
	gt_wg_done(&alive);
}

static void caller(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		gt_syscall_enter();
		usleep(150);
		gt_syscall_exit();
		gt_checkpoint();
	}
	gt_wg_done(&alive);
}

static void in_read(void *fd)
{
	char byte;

	reader = gt_id();
	gt_syscall_enter();
	while (read(*(int *)fd, &byte, 1) < 0)
		;
	gt_syscall_exit();
	gt_wg_done(&alive);
}

static void spin(void *arg)
{
	(void)arg;
	spinner = gt_id();
	while (!atomic_load(&spin_over)) {
#ifdef __SANITIZE_THREAD__
		gt_checkpoint(); /* TSan holds back the signals that would stop it, and its P's timers are nobody's then */
#endif
	}
	gt_wg_done(&alive);
}

static void child(void *arg)
{
	gt_wg_done(arg);
}

static void parent(void *arg)
{
	int rounds = 60;

	(void)arg;
	while (!atomic_load(&over)) {
		struct gt_wg wg = {0};

		gt_wg_add(&wg, 8);
		for (int i = 0; i < 8; i++)
			gt_go(child, &wg);
		gt_wg_wait(&wg);
		breathe(&rounds);
	}
	gt_wg_done(&alive);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void *outside(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		gt_go(nothing, NULL);
		usleep(200);
	}
	return NULL;
}

/* ---- what a trace must be ---- */

static bool has(const struct gt_model *model, uint64_t g)
{
	const struct gt_model_g *known = gt_model_goroutine(model, g);

	return known && known->state != GT_STATE_NONE;
}

static void fail(int cycle, const char *what, unsigned long long number, const char *why)
{
	if (bad++ < 20)
		fprintf(stderr, "cycle %d: %s %llu %s\n", cycle, what, number, why);
}

/* On a machine that has no time for the collector events are lost, and told so: then what is there must be possible all the same. */
static bool loses(int cycle, struct gt_trace *trace)
{
	struct gt_trace_damage damage;
	struct gt_verdict verdict;

	if (gt_validate(trace, &verdict) < 0)
		abort();
	if (verdict.impossible)
		fail(cycle, "event", verdict.number, verdict.why);
	gt_trace_damage(trace, &damage);
	gt_trace_rewind(trace);
	return damage.events_lost != 0;
}

static void judge(int cycle, struct gt_trace *trace)
{
	struct gt_trace_damage damage;
	struct gt_model *model;
	struct gt_event event;
	unsigned long long number = 0;

	if (loses(cycle, trace)) {
		lossy++;
		return;
	}
	if (gt_model_new(&model) < 0)
		abort();
	while (gt_trace_next(trace, &event) > 0) {
		enum gt_model_fit fit = gt_model_fits(model, &event);

		number++;
		if (event.time_ns < 0)
			fail(cycle, "event", number, "is older than the trace");
		if (event.kind == GT_EV_LOST)
			fail(cycle, "event", number, "tells a loss");
		if (fit != GT_FIT) {
			char why[256];

			gt_model_explain(model, &event, fit, why, sizeof(why));
			fail(cycle, "event", number, why);
		}
		gt_model_apply(model, &event);
		if (event.kind == GT_EV_GO_STATE && event.args[1] == GT_STATE_NONE) {
			const struct gt_trace_goroutine *who = gt_trace_goroutine(trace, event.args[0]);

			if (!who || (!who->start_pc && event.args[0] != 1))
				fail(cycle, "goroutine", event.args[0], "is told without its function");
		}
	}
	for (int i = 0; i < PARKED; i++)
		if (!has(model, parked[i]))
			fail(cycle, "parked goroutine", parked[i], "is not told");
	if (!has(model, reader) || gt_model_goroutine(model, reader)->state != GT_STATE_SYSCALL)
		fail(cycle, "reading goroutine", reader, "is not told to be in its call");
	if (!has(model, spinner))
		fail(cycle, "spinning goroutine", spinner, "is not told");
	gt_trace_damage(trace, &damage);
	if (damage.frames_bad || damage.records_bad || damage.events_lost || damage.order_broken)
		fail(cycle, "damage:", damage.order_broken, damage.first);
	gt_model_free(model);
}

/* The trace of the first cycle that failed is kept. */
static void keep_failed(int cycle, const char *path)
{
	char kept[1100];
	FILE *file;

	snprintf(kept, sizeof(kept), "%s.failed", path);
	if (cycle % 3) {
		rename(path, kept);
	} else if ((file = fopen(kept, "w")) != NULL) {
		fwrite(memory.bytes, 1, memory.size, file);
		fclose(file);
	}
	fprintf(stderr, "kept: %s\n", kept);
}

static int run_one(int cycle, const char *path)
{
	struct gt_trace *trace = NULL;
	struct gt_error error;
	int fd = -1, ret, bad_before = bad;

	switch (cycle % 3) {
	case 0:
		memory.size = 0;
		ret = gt_start_write(keep, NULL);
		break;
	case 1:
		ret = gt_start(path);
		break;
	default:
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		ret = gt_start_fd(fd);
		break;
	}
	if (ret == 0) {
		if (gt_start(path) != -EBUSY || gt_start_fd(1) != -EBUSY)
			fail(cycle, "start", 2, "is not refused");
		gt_sleep((cycle % 4) * GT_MILLISECOND);
		ret = gt_stop();
	}
	if (ret < 0) {
		fail(cycle, "gt_start or gt_stop", 0, gt_start_error());
		return ret;
	}
	gt_syscall_enter();
	ret = cycle % 3 == 0 ? gt_trace_open_memory(memory.bytes, memory.size, &trace, &error)
			     : gt_trace_open(path, &trace, &error);
	if (ret == 0)
		judge(cycle, trace);
	else
		fail(cycle, "file", 0, error.text);
	gt_trace_close(trace);
	if (bad && !bad_before)
		keep_failed(cycle, path);
	gt_syscall_exit();
	if (fd >= 0)
		close(fd);
	return ret;
}

static void go(void (*fn)(void *arg), void *arg)
{
	gt_wg_add(&alive, 1);
	gt_go(fn, arg);
}

static int go_main(int argc, char **argv)
{
	bool lengthy = getenv("GTRACE_RUNS") && strcmp(getenv("GTRACE_RUNS"), "long") == 0;
	int cycles = lengthy ? 1000 : 60, done = 0;
	int64_t until = gt_now() + (lengthy ? 400 : 8) * GT_SECOND; /* on a busy machine fewer will do */
	int_chan never = gt_chan_make(int, 0);
	struct pair pairs[PAIRS];
	char path[1024];
	pthread_t thread;
	int fds[2];

	if (argc > 1) {
		cycles = atoi(argv[1]);
		until = INT64_MAX;
	}
	snprintf(path, sizeof(path), "%s/startstop-%d.gtrace", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
		(int)getpid());
	if (pipe(fds) < 0)
		return 1;
	for (int i = 0; i < PARKED; i++) {
		gt_wg_add(&alive, 1);
		parked[i] = gt_go_named("parked", park, never);
	}
	for (int i = 0; i < PAIRS; i++) {
		pairs[i] = (struct pair){gt_chan_make(int, i % 2), gt_chan_make(int, 0)};
		go(ping, &pairs[i]);
		go(pong, &pairs[i]);
	}
	for (int i = 0; i < LOCKERS; i++)
		go(locker, NULL);
	go(sleeper, NULL);
	go(caller, NULL);
	go(parent, NULL);
	go(in_read, &fds[0]);
	go(spin, NULL);
	if (pthread_create(&thread, NULL, outside, NULL) != 0)
		return 1;
	while (!reader || !spinner)
		gt_sleep(GT_MILLISECOND);
	while (done < cycles + lossy && lossy < cycles * 3 && bad < 20 && (done < 6 || gt_now() < until))
		run_one(done++, path);
	if (lossy || done < cycles)
		printf("%d traces, %d of them with losses\n", done, lossy);
	unlink(path);
	atomic_store(&over, true);
	atomic_store(&spin_over, true);
	if (write(fds[1], "x", 1) != 1)
		return 1;
	gt_close(never);
	gt_wg_wait(&alive);
	pthread_join(thread, NULL);
	for (int i = 0; i < PAIRS; i++) {
		gt_chan_free(pairs[i].there);
		gt_chan_free(pairs[i].back);
	}
	gt_chan_free(never);
	free(memory.bytes);
	return bad != 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, go_main);
}
