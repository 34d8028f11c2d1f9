/*
 * flight.c - flight recorders inside the program: one ring, one thread that reads along, any number of recorders.
 *
 * The thread alone touches the collector and the list of recorders: what others ask for (start, stop, a snapshot) stands in a queue,
 * and the asker waits. A signal's handler only notes its number and writes to an eventfd.
 */
#include "libtrace/crash_write.h"
#include "libtrace/embed.h"
#include "libtrace/history.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <gtrace/flight.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_BYTES_USUAL    (16u << 20)
#define MAX_BYTES_MAX      (1ull << 30)
#define HISTORY_FROM_BYTES (2u << 20) /* below it packing is not worth its work */
#define STACK_DEPTH        16
#define WAIT_MS_MAX        20
#define WAIT_MS_MAX_CALM   100 /* where nothing happens */
#define FLOOD_BLOCKS_MS    30  /* twice what two CPUs write that do nothing else */
#define SIGNALS            64
#define PATH_USUAL         "gtrace-%p-%n.gtrace"
#define PATH_BYTES         4096

struct gt_flight {
	struct gt_flight *next;
	uint64_t min_age_ns, max_bytes;
	uint32_t sets;
	int signal;
	char *path;
	uint64_t number; /* of the next snapshot without a name */
	struct gt_flight_stat stat;
};

enum what { ADD, REMOVE, SNAPSHOT, STAT };

struct request {
	struct request *next;
	enum what what;
	struct gt_flight *flight;
	const char *path;
	int (*write)(void *context, const void *bytes, size_t size);
	void *context;
	struct gt_flight_stat *stat;
	struct gt_error *err;
	int ret;
	bool done;
};

/* Under the lock `asking`. */
static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static struct request *asked, **asked_end = &asked;
static bool open_for_requests;

/* The collecting thread's, and those's who start and stop it. */
static struct gt_flight *flights;
static struct gt_crash *crash;
static char *crash_path;
static struct gt_clock_pair begin;
static int64_t begin_real_ns;
static size_t names_bytes, history_bytes;
static uint64_t largest_bytes; /* that any of them asked for: what is held is measured by it */

static int wake = -1; /* an eventfd */
static _Atomic bool signalled[SIGNALS + 1];
static _Atomic uint32_t users[SIGNALS + 1];

static __thread struct gt_error error;

/* ---- the window's parts, as `gtrace record --flight` has them ---- */

static uint64_t history_of(const struct gt_flight_config *config, uint64_t bytes)
{
	return config->no_history || bytes < HISTORY_FROM_BYTES ? 0 : bytes / 16 * 5;
}

static void lay_out(const struct gt_flight_config *config, uint64_t bytes, struct gt_shm_config *out)
{
	*out = (struct gt_shm_config){.mode = GT_MODE_FLIGHT, .stack_depth = STACK_DEPTH};
	out->max_bytes = bytes - bytes / 8 - history_of(config, bytes);
	out->m_count = (uint32_t)(bytes / 16 / GT_M_BYTES);
	out->m_count = out->m_count < 512 ? 512 : out->m_count > 16384 ? 16384 : out->m_count;
	out->m_limit = out->m_count < 1024 ? out->m_count : 1024;
	out->stack_slot_count = 256;
	while (out->stack_slot_count * 2 * 64 <= bytes / 8)
		out->stack_slot_count *= 2;
	out->arena_words = out->stack_slot_count * 12;
	out->string_slot_count = 16;
	while (out->string_slot_count * 2 * 40 <= bytes / 32 && out->string_slot_count < 65536)
		out->string_slot_count *= 2;
	out->string_bytes = out->string_slot_count * 24;
}

static int check_size(const struct gt_flight_config *config, uint64_t bytes)
{
	struct gt_shm_config memory;
	uint64_t least;

	if (bytes > MAX_BYTES_MAX)
		return gt_fail(&error, EINVAL, "cannot start a flight recorder: max_bytes is %" PRIu64 ": at most %llu",
			bytes, MAX_BYTES_MAX);
	lay_out(config, bytes, &memory);
	if (gt_shm_bytes_min(&memory) <= memory.max_bytes)
		return 0;
	for (least = bytes; gt_shm_bytes_min(&memory) > memory.max_bytes; least += 4096)
		lay_out(config, least + 4096, &memory);
	return gt_fail(&error, EINVAL,
		"cannot start a flight recorder: %" PRIu64 " bytes hold no window: give at least %" PRIu64 " (%" PRIu64
		"K)",
		bytes, least, least / 1024);
}

static int make_memory(const struct gt_flight_config *config, uint64_t bytes)
{
	const char *path = config->crash_file;
	size_t names_max = gt_collector_names_max(bytes / 8);
	struct gt_shm_config memory;
	int ret, fd;

	if (gt__connected()) {
		if (path && (!crash_path || strcmp(path, crash_path) != 0))
			return gt_fail(&error, EBUSY,
				"cannot start a flight recorder: %s: this process's memory was made without it: the "
				"first "
				"gt_flight_start (before any gt_start) names the crash file",
				path);
		return 0;
	}
	lay_out(config, bytes, &memory);
	if (!path)
		return gt__own_memory(&memory, &error);
	crash_path = strdup(path);
	fd = crash_path ? gt_crash_open(path, &error) : gt_fail(&error, ENOMEM, "no memory for a flight recorder");
	if (fd < 0)
		goto fail;
	memory.memfd = fd;
	memory.file = true;
	memory.extra_bytes = gt_crash_bytes(names_max);
	ret = gt__own_memory(&memory, &error);
	if (ret < 0) {
		gt_fail_prefix(&error, ret, "%s", path);
		unlink(path);
		fd = ret;
		goto fail;
	}
	/* Without its second part it is a memory all the same. */
	crash = gt_crash_map(gt__connected(), names_max, &error);
	return crash ? 0 : -ENOMEM;

fail:
	free(crash_path);
	crash_path = NULL;
	return fd;
}

/* ---- snapshots ---- */

static int expand(const struct gt_flight *flight, char *out, size_t size)
{
	const char *pattern = flight->path ? flight->path : PATH_USUAL;
	size_t used = 0;

	for (const char *at = pattern; *at; at++) {
		char piece[64] = {*at, '\0'};
		struct tm tm;
		time_t now;

		if (*at == '%' && at[1]) {
			switch (*++at) {
			case 'n':
				snprintf(piece, sizeof(piece), "%" PRIu64, flight->number);
				break;
			case 'p':
				snprintf(piece, sizeof(piece), "%d", (int)getpid());
				break;
			case 't':
				now = time(NULL);
				strftime(piece, sizeof(piece), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
				break;
			default:
				piece[0] = *at;
				break;
			}
		}
		if (used + strlen(piece) >= size)
			return -ENAMETOOLONG;
		used += (size_t)snprintf(out + used, size - used, "%s", piece);
	}
	return used ? 0 : -EINVAL;
}

static uint64_t to_ticks(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * gt_clock_rate() / 1000000000);
}

static int64_t to_ns(int64_t ticks)
{
	return (int64_t)((__int128)ticks * 1000000000 / (__int128)gt_clock_rate());
}

/* Right before the copy: who stands where. What is given is why that is not known; NULL: it is. */
static const char *read_standing(void)
{
	uint64_t ticks = gt_ticks();
	struct gt_hook_alive *list;
	size_t count;
	int ret = gt__own_standing(&list, &count);

	if (ret >= 0) {
		ret = gt_collector_standing_alive(gt__own.collector, ticks, list, count);
		free(list);
	} else {
		gt_collector_standing(gt__own.collector, 0, NULL, 0);
	}
	return gt_standing_missing(ret);
}

static int write_window(
	struct gt_flight *flight, struct gt_writer *writer, const char *cause, struct gt_snapshot_result *result)
{
	struct gt_snapshot_cut cut = {.max_bytes = flight->max_bytes, .sets = flight->sets};
	struct gt_clock_pair now = gt_clock_pair();
	uint64_t age = to_ticks(flight->min_age_ns);
	const char *standing_missing;
	int ret;

	if (flight->min_age_ns && age < now.ticks)
		cut.since_ticks = now.ticks - age;
	gt__own_metas(writer, flight->sets);
	gt_writer_meta(writer, "cause", cause);
	gt_writer_meta_number(writer, "min_age_ns", flight->min_age_ns);
	gt_writer_meta_number(writer, "max_bytes", flight->max_bytes);
	/* The largest is the measure of all that is held. */
	if (flight->max_bytes >= largest_bytes)
		cut.max_bytes = 0;
	else
		cut.max_bytes -= cut.max_bytes / 8;
	standing_missing = read_standing();
	ret = gt_collector_snapshot_cut(gt__own.collector, writer, &cut, result);
	if (ret < 0)
		return gt_fail(&error, -ret, "cannot copy the window: %s", strerror(-ret));
	gt_writer_meta_number(writer, "end_ticks", result->end_ticks);
	gt_writer_meta_number(writer, "kept_bytes", result->kept_bytes);
	gt_writer_meta_number(writer, "kept_ns", (uint64_t)to_ns(result->kept_ticks));
	gt_writer_meta_number(writer, "complete_ns", (uint64_t)to_ns(result->complete_ticks));
	gt_standing_meta(writer, result, standing_missing);
	gt__own_losses(writer);
	if (result->blocks_torn)
		gt_writer_loss(writer, "blocks overwritten during the copy", result->blocks_torn);
	return 0;
}

static int snapshot(struct gt_flight *flight, const char *cause, const struct request *request)
{
	struct gt_writer_config config = {
		.path = "the program's function",
		.sink = request ? request->write : NULL,
		.sink_context = request ? request->context : NULL,
		.window = true,
		.ticks_per_second = gt_clock_rate(),
		.start_ticks = begin.ticks,
		.start_monotonic_ns = begin.monotonic_ns,
		.start_realtime_ns = begin_real_ns,
	};
	struct gt_snapshot_result result = {0};
	struct gt_clock_pair now;
	struct gt_writer *writer;
	char path[PATH_BYTES];
	int ret = 0;

	if (request && request->path) {
		config.path = request->path;
	} else if (!config.sink) {
		flight->number++;
		ret = expand(flight, path, sizeof(path));
		config.path = path;
	}
	if (ret < 0)
		ret = gt_fail(&error, -ret, "cannot name the snapshot: %s: too long or empty", flight->path);
	else
		ret = gt_writer_open(&config, &writer, &error);
	if (ret >= 0) {
		ret = write_window(flight, writer, cause, &result);
		now = gt_clock_pair();
		if (ret < 0)
			gt_writer_abandon(writer);
		else
			ret = gt_writer_close(writer, now.ticks, now.monotonic_ns, &error);
	}
	if (ret < 0) {
		flight->stat.failed++;
		snprintf(flight->stat.last, sizeof(flight->stat.last), "%s", error.text);
		return ret;
	}
	flight->stat.snapshots++;
	flight->stat.events = result.events;
	flight->stat.kept_ns = (uint64_t)to_ns(result.kept_ticks);
	flight->stat.complete_ns = (uint64_t)to_ns(result.complete_ticks);
	flight->stat.copy_ns = (uint64_t)result.copy_ns;
	snprintf(flight->stat.last, sizeof(flight->stat.last), "%.480s", config.path);
	return 0;
}

/* ---- the thread ---- */

static uint32_t sets_of_all(void)
{
	uint32_t sets = GT_SET_SCHED;

	for (const struct gt_flight *flight = flights; flight; flight = flight->next)
		sets |= flight->sets;
	return sets;
}

/* As long as the one that asks for most; 0: as far as the bytes go. */
static uint64_t keep_of_all(void)
{
	uint64_t ns = 0;

	for (const struct gt_flight *flight = flights; flight; flight = flight->next) {
		if (!flight->min_age_ns)
			return 0;
		ns = flight->min_age_ns > ns ? flight->min_age_ns : ns;
	}
	return to_ticks(ns);
}

static int add(struct gt_flight *flight)
{
	uint64_t more;
	int ret;

	/* What it asks for beyond the others is history. */
	if (flight->max_bytes > largest_bytes) {
		more = history_bytes + (flight->max_bytes - largest_bytes);
		if (more < GT_HISTORY_BYTES_MIN)
			more = 0;
		ret = more ? gt_collector_grow_history(gt__own.collector, more) : 0;
		if (ret < 0)
			return gt_fail(&error, -ret, "no memory for a window of %" PRIu64 " bytes", flight->max_bytes);
		history_bytes = more ? more : history_bytes;
		largest_bytes = flight->max_bytes;
	}
	flight->next = flights;
	flights = flight;
	gt_collector_keep(gt__own.collector, keep_of_all());
	if ((sets_of_all() | gt__own.gate) != gt__own.gate)
		gt__own_sets(sets_of_all());
	return 0;
}

static void take_out(const struct gt_flight *flight)
{
	for (struct gt_flight **at = &flights; *at; at = &(*at)->next) {
		if (*at != flight)
			continue;
		*at = flight->next;
		break;
	}
	if (!flights)
		return;
	gt__own_sets(sets_of_all());
	gt_collector_keep(gt__own.collector, keep_of_all());
}

static void fill_stat(const struct gt_flight *flight, struct gt_flight_stat *out)
{
	const struct gt_memory *memory = gt__connected();
	struct gt_collector_totals totals;

	gt_collector_totals(gt__own.collector, &totals);
	*out = flight->stat;
	out->ring_bytes = memory->total_bytes;
	out->held_bytes = memory->total_bytes + names_bytes + totals.history_bytes;
	out->held_bytes_max = memory->total_bytes + names_bytes + history_bytes;
}

static bool known(const struct gt_flight *flight)
{
	for (const struct gt_flight *at = flights; at; at = at->next)
		if (at == flight)
			return true;
	return false;
}

static int serve(const struct request *request)
{
	if (request->what == ADD)
		return add(request->flight);
	if (!known(request->flight))
		return gt_fail(&error, EINVAL, "this is no flight recorder: it was stopped, or never started");
	switch (request->what) {
	case REMOVE:
		take_out(request->flight);
		return 0;
	case STAT:
		fill_stat(request->flight, request->stat);
		return 0;
	default:
		gt_collector_follow(gt__own.collector);
		return snapshot(request->flight, "gt_flight_snapshot", request);
	}
}

static void serve_all(void)
{
	for (;;) {
		struct request *request;
		int ret;

		pthread_mutex_lock(&asking);
		request = asked;
		if (request) {
			asked = request->next;
			if (!asked)
				asked_end = &asked;
		}
		pthread_mutex_unlock(&asking);
		if (!request)
			return;
		ret = serve(request);
		pthread_mutex_lock(&asking);
		request->ret = ret;
		if (ret < 0)
			*request->err = error;
		request->done = true;
		pthread_cond_broadcast(&answered);
		pthread_mutex_unlock(&asking);
	}
}

static void serve_signals(void)
{
	for (int number = 1; number <= SIGNALS; number++) {
		char cause[32];

		if (!atomic_load(&users[number]) || !atomic_exchange(&signalled[number], false))
			continue;
		snprintf(cause, sizeof(cause), "signal %d", number);
		gt_collector_follow(gt__own.collector);
		for (struct gt_flight *flight = flights; flight; flight = flight->next)
			if (flight->signal == number)
				snapshot(flight, cause, NULL);
	}
}

static void tell_alive(const struct gt_hook_alive *list, size_t count, uint32_t m)
{
	gt_collector_alive_kept(gt__own.collector, list, count, m);
}

/* Half as long when an eighth of the ring came at once, twice as long when next to nothing did; never so long that a flood which begins
 * meanwhile finds no room. A crash file tells when the process was last seen alive. */
static int next_wait(int wait_ms, size_t blocks)
{
	uint32_t count = gt__connected()->block_count;
	uint32_t ms_max = crash ? 0 : count / FLOOD_BLOCKS_MS;

	if (blocks > count / 8)
		return wait_ms / 2;
	if (blocks < count / 64)
		wait_ms = wait_ms ? wait_ms * 2 : 1;
	ms_max = ms_max < WAIT_MS_MAX ? WAIT_MS_MAX : ms_max < WAIT_MS_MAX_CALM ? ms_max : WAIT_MS_MAX_CALM;
	return wait_ms > (int)ms_max ? (int)ms_max : wait_ms;
}

static void *collect(void *arg)
{
	int wait_ms = 1;

	(void)arg;
	gt_collector_again(gt__own.collector, gt__own.since);
	gt_collector_told(gt__own.collector);
	gt__own_open();
	gt__own_alive(tell_alive);
	sem_post(&gt__own.ready);
	while (!atomic_load(&gt__own.stopping)) {
		struct pollfd poll_fd = {.fd = wake, .events = POLLIN};
		uint32_t nap_us = atomic_load_explicit(&gt__own_nap_us, memory_order_relaxed);
		uint64_t count;

		if (poll(&poll_fd, 1, wait_ms) > 0 && read(wake, &count, sizeof(count)) < 0)
			poll_fd.revents = 0;
		if (nap_us)
			usleep(nap_us);
		wait_ms = next_wait(wait_ms, gt_collector_follow(gt__own.collector));
		if (crash)
			gt_crash_tick(crash);
		serve_signals();
		serve_all();
	}
	return NULL;
}

/* ---- what others ask for ---- */

static int check_here(void)
{
	pid_t pid = atomic_load(&gt__own.pid);

	if (!pid || gt__own.kind != GT__OWN_FLIGHT)
		return gt_fail(&error, EINVAL, "this process runs no flight recorder");
	if (pid != getpid())
		return gt_fail(&error, EBUSY, "this process was forked from one that records itself: ask that one");
	return 0;
}

static int ask(struct request *request)
{
	const uint64_t one = 1;
	int ret = check_here();

	if (ret < 0)
		return ret;
	if (pthread_equal(pthread_self(), gt__own.thread))
		return gt_fail(&error, EDEADLK, "a function that writes a snapshot cannot ask for another");
	request->err = &error;
	pthread_mutex_lock(&asking);
	if (open_for_requests) {
		*asked_end = request;
		asked_end = &request->next;
		while (write(wake, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		while (!request->done)
			pthread_cond_wait(&answered, &asking);
		ret = request->ret;
	} else {
		ret = gt_fail(&error, EINVAL, "this process runs no flight recorder");
	}
	pthread_mutex_unlock(&asking);
	return ret;
}

/* A goroutine may go on on another thread: the line goes with it. */
static __attribute__((noinline)) void keep_error(const struct gt_error *kept)
{
	error = *kept;
}

/* For those that do not hold the lock: a goroutine's P is for others meanwhile. */
static int ask_outside(struct request *request)
{
	struct gt_error kept;
	int ret;

	if (gt__world.block_begin)
		gt__world.block_begin();
	error.text[0] = '\0';
	ret = ask(request);
	kept = error;
	if (gt__world.block_end)
		gt__world.block_end();
	keep_error(&kept);
	return ret;
}

/* ---- signals ---- */

static void on_signal(int number)
{
	const uint64_t one = 1;
	int keep = errno;

	/* A child of fork has the handler and the eventfd, but no recorder. */
	if (atomic_load_explicit(&gt__own.pid, memory_order_relaxed) == getpid()) {
		atomic_store(&signalled[number], true);
		/* Full or not: whoever reads it comes. */
		if (write(wake, &one, sizeof(one)) < 0)
			errno = keep;
	}
	errno = keep;
}

static int claim_signal(int number)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK}, now;

	if (!number)
		return 0;
	if (number < 0 || number > SIGNALS || sigaction(number, NULL, &now) < 0)
		return gt_fail(&error, EINVAL, "cannot start a flight recorder: %d is no signal", number);
	if (users[number]++)
		return 0;
	if ((now.sa_flags & SA_SIGINFO) || (now.sa_handler != SIG_DFL && now.sa_handler != on_signal)) {
		users[number]--;
		return gt_fail(&error, EBUSY,
			"cannot start a flight recorder: signal %d (%s) is handled or ignored already: choose another",
			number, strsignal(number));
	}
	sigfillset(&action.sa_mask);
	if (sigaction(number, &action, NULL) < 0) {
		users[number]--;
		return gt_fail(&error, errno, "cannot start a flight recorder: signal %d (%s) cannot be handled: %s",
			number, strsignal(number), strerror(errno));
	}
	return 0;
}

/* One that is on its way must not end the program: the handler stays. */
static void release_signal(int number)
{
	if (number)
		users[number]--;
}

/* ---- start and stop ---- */

static struct gt_flight *new_flight(const struct gt_flight_config *config)
{
	struct gt_flight *flight = calloc(1, sizeof(*flight));

	if (!flight)
		return NULL;
	flight->min_age_ns = config->min_age_ns;
	flight->max_bytes = config->max_bytes ? config->max_bytes : MAX_BYTES_USUAL;
	flight->sets = (config->sets ? config->sets : gt_sets_default()) | GT_SET_SCHED;
	flight->signal = config->signal;
	if (config->path) {
		flight->path = strdup(config->path);
		if (!flight->path) {
			free(flight);
			return NULL;
		}
	}
	return flight;
}

static void free_flight(struct gt_flight *flight)
{
	free(flight->path);
	free(flight);
}

static void end_all(void)
{
	pthread_mutex_lock(&asking);
	open_for_requests = false;
	pthread_mutex_unlock(&asking);
	gt__own_shut();
	atomic_store(&gt__own.stopping, true);
	pthread_join(gt__own.thread, NULL);
	serve_all(); /* whoever came in between is told that it was too late */
	atomic_store(&gt__own.pid, 0);
	gt_collector_totals(gt__own.collector, &gt__own.before);
	gt_collector_free(gt__own.collector);
	gt__own.collector = NULL;
	if (crash)
		atomic_store(&crash->state, GT_CRASH_STOPPED);
}

static pid_t exits_here;

static void at_exit(void)
{
	if (exits_here != getpid())
		return;
	if (atomic_load(&gt__own.pid) == getpid() && gt__own.kind == GT__OWN_FLIGHT &&
		!pthread_equal(pthread_self(), gt__own.thread)) {
		gt__own_enter();
		if (atomic_load(&gt__own.pid) == getpid())
			end_all();
		gt__own_leave(0);
	}
	/* It ended as it meant to: there is nothing to recover. */
	if (crash_path)
		unlink(crash_path);
}

static int start_first(const struct gt_flight_config *config, struct gt_flight *flight)
{
	struct gt_collector_config setup = {.resolve = gt__own_resolve};
	struct timespec real;
	int ret = make_memory(config, flight->max_bytes);

	if (ret < 0)
		return ret;
	if (wake < 0)
		wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake < 0)
		return gt_fail(&error, errno, "cannot make an eventfd: %s", strerror(errno));
	/* A trace's: it may keep blocks in reserve. */
	gt_collector_free(gt__own.collector);
	gt__own.collector = NULL;
	names_bytes = flight->max_bytes / 8;
	largest_bytes = flight->max_bytes;
	history_bytes = history_of(config, flight->max_bytes);
	setup.memory = gt__connected();
	atomic_store(&setup.memory->shm->mode, GT_MODE_FLIGHT);
	begin = gt_clock_pair();
	clock_gettime(CLOCK_REALTIME, &real);
	begin_real_ns = (int64_t)real.tv_sec * 1000000000 + real.tv_nsec;
	if (crash) {
		crash->min_age_ns = flight->min_age_ns;
		crash->max_bytes = flight->max_bytes;
		crash->sets = flight->sets;
		gt_crash_begin(crash, &begin, begin_real_ns, gt__own.slide);
		if (gt_collector_names_max(names_bytes) <= crash->names_max)
			setup.names_place = (uint8_t *)crash + GT_CRASH_NAMES_AT;
	}
	setup.names_bytes_max = names_bytes;
	setup.history_bytes_max = history_bytes;
	setup.keep_ticks = to_ticks(flight->min_age_ns);
	ret = gt_collector_new(&setup, &gt__own.collector, &error);
	if (ret < 0)
		return ret;
	gt_collector_started(gt__own.collector, getpid(), gt__own.slide);
	gt__own_turn(flight->sets, begin.ticks);
	flights = flight;
	ret = gt__own_start_thread(collect, &error);
	if (ret < 0) {
		flights = NULL;
		gt_collector_free(gt__own.collector);
		gt__own.collector = NULL;
		return ret;
	}
	if (!exits_here)
		atexit(at_exit);
	exits_here = getpid();
	gt__own.kind = GT__OWN_FLIGHT;
	atomic_store(&gt__own.pid, getpid());
	pthread_mutex_lock(&asking);
	open_for_requests = true;
	pthread_mutex_unlock(&asking);
	return 0;
}

static int start(const struct gt_flight_config *config, struct gt_flight **out)
{
	bool runs = atomic_load(&gt__own.pid) == getpid() && gt__own.kind == GT__OWN_FLIGHT;
	struct gt_flight *flight;
	int ret = runs ? 0 : gt__own_free("a flight recorder", "in this process", &error);

	if (ret < 0)
		return ret;
	if (config->sets >> GT_GATE_SETS || (config->path && !*config->path) ||
		(config->crash_file && !*config->crash_file))
		return gt_fail(&error, EINVAL, "cannot start a flight recorder: no such sets, or an empty name");
	flight = new_flight(config);
	if (!flight)
		return gt_fail(&error, ENOMEM, "no memory for a flight recorder");
	ret = check_size(config, flight->max_bytes);
	if (ret >= 0)
		ret = claim_signal(flight->signal);
	if (ret < 0) {
		free_flight(flight);
		return ret;
	}
	if (!runs)
		ret = start_first(config, flight);
	else
		ret = make_memory(config, flight->max_bytes);
	if (ret >= 0 && runs)
		ret = ask(&(struct request){.what = ADD, .flight = flight});
	if (ret < 0) {
		release_signal(flight->signal);
		free_flight(flight);
		return ret;
	}
	*out = flight;
	return 0;
}

static int stop(struct gt_flight *flight)
{
	int ret = ask(&(struct request){.what = REMOVE, .flight = flight});

	if (ret < 0)
		return ret;
	/* The answer came after the list was changed, and only starts and stops, which the lock keeps out, change it. */
	if (!flights)
		end_all();
	release_signal(flight->signal);
	free_flight(flight);
	return 0;
}

/* In a child of fork the lock may be held by a thread that is not there. */
static int enter(void)
{
	int ret = atomic_load(&gt__own.pid) ? check_here() : 0;

	error.text[0] = '\0';
	if (ret < 0 && ret != -EINVAL)
		return check_here();
	if (atomic_load(&gt__own.pid) == getpid() && gt__own.kind == GT__OWN_FLIGHT &&
		pthread_equal(pthread_self(), gt__own.thread))
		return gt_fail(&error, EDEADLK, "a function that writes a snapshot cannot start or stop a recorder");
	gt__own_enter();
	return 0;
}

static int leave(int ret)
{
	struct gt_error kept = error;

	gt__own_leave(ret);
	keep_error(&kept);
	return ret;
}

GT_API int gt_flight_start(const struct gt_flight_config *config, struct gt_flight **out)
{
	static const struct gt_flight_config usual;
	int ret;

	if (!out)
		return gt_fail(&error, EINVAL, "cannot start a flight recorder: there is no place for it");
	*out = NULL;
	ret = enter();
	return ret < 0 ? ret : leave(start(config ? config : &usual, out));
}

GT_API int gt_flight_stop(struct gt_flight *flight)
{
	int ret = enter();

	return ret < 0 ? ret : leave(stop(flight));
}

GT_API int gt_flight_snapshot(struct gt_flight *flight, const char *path)
{
	if (path && !*path)
		return gt_fail(&error, EINVAL, "cannot write a snapshot: its name is empty");
	return ask_outside(&(struct request){.what = SNAPSHOT, .flight = flight, .path = path});
}

GT_API int gt_flight_snapshot_to(
	struct gt_flight *flight, int (*write_)(void *context, const void *bytes, size_t size), void *context)
{
	if (!write_)
		return gt_fail(&error, EINVAL, "cannot write a snapshot: there is no function to write");
	return ask_outside(&(struct request){.what = SNAPSHOT, .flight = flight, .write = write_, .context = context});
}

GT_API int gt_flight_stat(struct gt_flight *flight, struct gt_flight_stat *out)
{
	return ask_outside(&(struct request){.what = STAT, .flight = flight, .stat = out});
}

GT_API const char *gt_flight_error(void)
{
	return error.text;
}
