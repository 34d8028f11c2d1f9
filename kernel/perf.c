/* perf.c - see perf.h. Formats: perf_event_open(2), include/uapi/linux/perf_event.h. */
#include "kernel/perf.h"

#include "base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RING_PAGES_MAX 128  /* with one more page, what perf_event_mlock_kb grants a user for each CPU */
#define RING_PAGES_TRY 1024 /* where it is granted: a busy machine lets gtrace wait */
#define RING_PAGES_FAULTS \
	256 /* with faults, which are many: their program pays for rings that are larger than its caches; */
#define DENSE_NS       200000 /* but samples that come faster than that need room */
#define PAGES_ALL_MAX  16384u /* in all rings together */
#define RING_PAGES_MIN 4
#define CPUS_MAX       4096
#define LOOKS_MAX      64          /* for threads that are made while we open */
#define SPILL_MAX      (64u << 20) /* what is kept of all rings while their reader is away */
#define SPILL_KEPT     (1u << 20)  /* its memory, of a ring, afterwards */
#define SPILL_NS       4000000     /* and how often they are looked at then */
#define TRAILER_BYTES  24          /* pid and tid, time, identifier: behind every record that is no sample */

/* Newer than the oldest headers that this is built with. */
#define FORMAT_LOST     (1u << 4)
#define CONTEXT_MARKERS ((uint64_t)-4095) /* PERF_CONTEXT_MAX */
#define MAP_BUILD_ID    (1u << 14)        /* PERF_RECORD_MISC_MMAP_BUILD_ID */
#define INIT_PID_NS     0xeffffffcu       /* its number, in every kernel */

enum { SWITCHES, SAMPLES, FAULTS, OTHERS, KINDS };

struct ring {
	unsigned int cpu;
	int fd; /* whose memory it is */
	struct perf_event_mmap_page *page;
	size_t map_bytes;
	const uint8_t *data;
	uint64_t size; /* of data: a power of two */
	uint64_t head, tail;
	uint64_t ahead; /* MAPPED before it was given already */
	uint64_t lost;  /* told by records */
	/* What was taken out of the ring before it was read: from tail up to spill_end. Where that is, the ring begins at released. */
	uint8_t *spill;
	size_t spill_room;
	uint64_t spill_from, spill_end, released;
};

/* Empties the rings while their reader is away. */
struct drain {
	pthread_t thread;
	pthread_mutex_t lock; /* whoever touches the rings has it, or is the reader while not away */
	pthread_cond_t wake;
	bool tried, runs, away, end;
	size_t bytes; /* in all spills */
};

struct gt__perf {
	pid_t pid;
	struct gt__perf_wants wants;
	struct ring *rings;
	size_t ring_count;
	struct event {
		int fd;
		int kind;
	} * events;
	size_t event_count, event_room;
	struct gt_map kinds; /* identifier -> SAMPLES or FAULTS; others are SWITCHES */
	/* Newer kernels' (6.0, 5.13, 5.12), and what takes rights. */
	bool lost_format, inherit_thread, build_id, user_stack, kernel_frames;
	struct {
		uint64_t config;
		size_t prev_pid, prev_state, prev_state_bytes, next_comm, next_pid; /* in its data */
	} tracepoint;
	char missing[400];
	struct drain drain;
	uint8_t record[65536]; /* one that lies across the ring's end */
};

/* ---- opening ---- */

static void describe(const struct gt__perf *perf, int kind, struct perf_event_attr *attr)
{
	memset(attr, 0, sizeof(*attr));
	attr->size = sizeof(*attr);
	attr->type = PERF_TYPE_SOFTWARE;
	attr->exclude_kernel = 1;
	attr->exclude_hv = 1;
	attr->sample_id_all = 1;
	attr->use_clockid = 1;
	attr->clockid = CLOCK_MONOTONIC_RAW;
	attr->inherit = 1;
	if (perf->inherit_thread)
		attr->inherit_thread = 1;
	if (perf->lost_format)
		attr->read_format = FORMAT_LOST;
	attr->sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
	switch (kind) {
	case SWITCHES:
		attr->config = PERF_COUNT_SW_DUMMY;
		attr->context_switch = perf->wants.switches;
		attr->comm = 1;
		attr->comm_exec = 1;
		attr->task = 1;
		if (perf->wants.sample_period_ns) {
			attr->mmap = 1;
			attr->mmap2 = 1;
			attr->build_id = perf->build_id;
		}
		break;
	case SAMPLES:
		attr->config = PERF_COUNT_SW_CPU_CLOCK;
		attr->sample_period = perf->wants.sample_period_ns;
		attr->sample_type |= PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN;
		attr->exclude_kernel = !perf->kernel_frames;
		attr->exclude_callchain_kernel = !perf->kernel_frames;
		attr->sample_max_stack = GT__PERF_FRAMES_MAX;
		if (perf->user_stack) {
			attr->sample_type |= PERF_SAMPLE_STACK_USER;
			attr->sample_stack_user = GT__PERF_STACK_BYTES;
		}
		break;
	case OTHERS:
		attr->type = PERF_TYPE_TRACEPOINT;
		attr->config = perf->tracepoint.config;
		attr->sample_period = 1;
		attr->sample_type |= PERF_SAMPLE_RAW;
		attr->exclude_kernel = 0;
		break;
	default:
		attr->config = PERF_COUNT_SW_PAGE_FAULTS;
		attr->sample_period = perf->wants.fault_every;
		attr->sample_type |= PERF_SAMPLE_ADDR;
		break;
	}
}

/* An older kernel: without what it does not know, the newest first. */
static bool drop_newest(struct gt__perf *perf)
{
	bool *const newer[] = {&perf->lost_format, &perf->inherit_thread, &perf->build_id, &perf->user_stack};

	for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++)
		if (*newer[i]) {
			*newer[i] = false;
			return true;
		}
	return false;
}

static int event_open(struct gt__perf *perf, int kind, pid_t tid, unsigned int cpu)
{
	const bool newest[] = {perf->lost_format, perf->inherit_thread, perf->build_id, perf->user_stack};
	struct perf_event_attr attr;
	int fd;

	for (;;) {
		describe(perf, kind, &attr);
		fd = (int)syscall(SYS_perf_event_open, &attr, tid, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (kind == SAMPLES && perf->kernel_frames && (errno == EACCES || errno == EPERM))
			perf->kernel_frames = false;
		else if (errno != EINVAL)
			return -errno;
		else if (!drop_newest(perf))
			break;
	}
	/* That was not it. */
	perf->lost_format = newest[0];
	perf->inherit_thread = newest[1];
	perf->build_id = newest[2];
	perf->user_stack = newest[3];
	return -EINVAL;
}

static int keep(struct gt__perf *perf, int kind, int fd)
{
	if (perf->event_count == perf->event_room) {
		size_t room = perf->event_room ? perf->event_room * 2 : 64;
		struct event *events = realloc(perf->events, room * sizeof(*events));

		if (!events)
			return -ENOMEM;
		perf->events = events;
		perf->event_room = room;
	}
	perf->events[perf->event_count++] = (struct event){fd, kind};
	return 0;
}

static int map_ring(const struct gt__perf *perf, struct ring *ring, int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t period_ns = perf->wants.sample_period_ns;
	bool dense = period_ns && period_ns < DENSE_NS;
	size_t most = perf->wants.fault_every && !dense ? RING_PAGES_FAULTS : RING_PAGES_TRY;

	while (most > RING_PAGES_MAX && most * perf->ring_count > PAGES_ALL_MAX)
		most /= 2;
	for (size_t pages = most; pages >= RING_PAGES_MIN; pages /= 2) {
		void *map = mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (map != MAP_FAILED) {
			ring->page = map;
			ring->map_bytes = (pages + 1) * page;
			ring->data = (const uint8_t *)map + page;
			ring->size = pages * page;
			ring->fd = fd;
			return 0;
		}
		if (errno != EPERM && errno != ENOMEM)
			break;
	}
	return -errno;
}

static bool wanted(const struct gt__perf *perf, int kind)
{
	return kind == SWITCHES || (kind == SAMPLES && perf->wants.sample_period_ns) ||
	       (kind == FAULTS && perf->wants.fault_every) || (kind == OTHERS && perf->wants.others);
}

static const char who_else[] = "who else takes a CPU";

static void miss(struct gt__perf *perf, const char *what, const char *why)
{
	size_t used = strlen(perf->missing);

	snprintf(perf->missing + used, sizeof(perf->missing) - used, "%s%s: %s", used ? "; " : "", what, why);
}

/* A kind that the kernel does not have is none for all threads; without the first there is nothing. */
static bool do_without(struct gt__perf *perf, int kind, int ret)
{
	if (kind == SWITCHES || ret == -ESRCH || ret == -EMFILE || ret == -ENFILE || ret == -ENODEV)
		return false;
	if (kind == SAMPLES) {
		perf->wants.sample_period_ns = 0;
		miss(perf, "samples", strerror(-ret));
	} else if (kind == FAULTS) {
		perf->wants.fault_every = 0;
		miss(perf, "page faults", strerror(-ret));
	} else {
		perf->wants.others = false;
		miss(perf, who_else,
			ret == -EACCES || ret == -EPERM ? "it takes root, or CAP_PERFMON" : strerror(-ret));
	}
	return true;
}

static int open_kind(struct gt__perf *perf, int kind, pid_t tid, struct ring *ring)
{
	int fd = event_open(perf, kind, tid, ring->cpu), ret;
	uint64_t id;

	if (fd < 0)
		return fd;
	ret = keep(perf, kind, fd);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	if (ring->page)
		ret = ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring->fd) < 0 ? -errno : 0;
	else
		ret = map_ring(perf, ring, fd);
	if (ret < 0 || kind == SWITCHES)
		return ret;
	/* Only where it could go on: a runnable thread's state is 0, or beyond those that are told. */
	if (kind == OTHERS)
		ioctl(fd, PERF_EVENT_IOC_SET_FILTER, "prev_state == 0 || prev_state >= 256");
	return ioctl(fd, PERF_EVENT_IOC_ID, &id) < 0 ? -errno : gt_map_put(&perf->kinds, id, (uint64_t)kind);
}

static int open_thread(struct gt__perf *perf, pid_t tid, struct ring *ring)
{
	for (int kind = SWITCHES; kind < KINDS; kind++) {
		int ret = wanted(perf, kind) ? open_kind(perf, kind, tid, ring) : 0;

		if (ret < 0 && !do_without(perf, kind, ret))
			return ret;
	}
	return 0;
}

/* ---- who else: a tracepoint ---- */

static FILE *open_tracepoint(const char *file)
{
	static const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	char path[96];
	FILE *in = NULL;

	for (size_t i = 0; i < 2 && !in; i++) {
		snprintf(path, sizeof(path), "%s/events/sched/sched_switch/%s", roots[i], file);
		in = fopen(path, "re");
		if (!in && errno == EACCES)
			return NULL;
	}
	return in;
}

/* Where the fields stand is the kernel's to say. */
static int find_tracepoint(struct gt__perf *perf)
{
	FILE *in = open_tracepoint("id");
	char line[256], name[32];
	size_t offset, size, found = 0;

	if (!in)
		return -errno;
	if (fscanf(in, "%" SCNu64, &perf->tracepoint.config) != 1)
		perf->tracepoint.config = 0;
	fclose(in);
	in = open_tracepoint("format");
	while (in && fgets(line, sizeof(line), in)) {
		char *semicolon = strchr(line, ';'), *word = semicolon;

		if (!semicolon || sscanf(semicolon, "; offset:%zu; size:%zu;", &offset, &size) != 2)
			continue;
		while (word > line && word[-1] != ' ')
			word--;
		snprintf(name, sizeof(name), "%.*s", (int)(semicolon - word < 31 ? semicolon - word : 31), word);
		if (offset > 1024 || size > 64)
			continue;
		found++;
		if (strcmp(name, "prev_pid") == 0)
			perf->tracepoint.prev_pid = offset;
		else if (strcmp(name, "prev_state") == 0 && (size == 4 || size == 8))
			perf->tracepoint.prev_state = offset, perf->tracepoint.prev_state_bytes = size;
		else if (strcmp(name, "next_pid") == 0)
			perf->tracepoint.next_pid = offset;
		else if (strcmp(name, "next_comm[16]") == 0)
			perf->tracepoint.next_comm = offset;
		else
			found--;
	}
	if (in)
		fclose(in);
	return perf->tracepoint.config && found == 4 ? 0 : -ENOENT;
}

static bool first_pid_namespace(void)
{
	struct stat ns;

	return stat("/proc/self/ns/pid", &ns) == 0 && ns.st_ino == INIT_PID_NS;
}

static void look_for_others(struct gt__perf *perf)
{
	int ret = perf->wants.others ? find_tracepoint(perf) : 0;

	if (!perf->wants.others)
		return;
	perf->wants.others = false;
	if (ret == -EACCES || ret == -EPERM)
		miss(perf, who_else, "it takes root (tracefs)");
	else if (ret < 0)
		miss(perf, who_else, "no tracefs here: mount -t tracefs none /sys/kernel/tracing");
	else if (!first_pid_namespace())
		miss(perf, who_else, "not from inside of a container, where processes have other numbers");
	else
		perf->wants.others = true;
}

/* A thread that is gone by now needs nothing. */
static int open_everywhere(struct gt__perf *perf, pid_t tid)
{
	for (size_t i = 0; i < perf->ring_count; i++) {
		int ret = open_thread(perf, tid, &perf->rings[i]);

		if (ret == -ENODEV && !perf->rings[i].page) {
			/* The CPU went offline. */
			perf->rings[i--] = perf->rings[--perf->ring_count];
			continue;
		}
		if (ret < 0)
			return ret;
	}
	return perf->ring_count ? 0 : -ENODEV;
}

/* Threads made by one that was open already came by inheritance; of those that one of the others made just before it was, another
 * look tells. Returns how many were new. */
static int open_threads(struct gt__perf *perf, struct gt_map *known)
{
	char path[64];
	struct dirent *entry;
	int fresh = 0, ret;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)perf->pid);
	folder = opendir(path);
	if (!folder)
		return -errno;
	while ((entry = readdir(folder))) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0 || gt_map_find(known, (uint64_t)tid))
			continue;
		ret = gt_map_put(known, (uint64_t)tid, 1);
		if (ret >= 0)
			ret = open_everywhere(perf, tid);
		if (ret == -ESRCH)
			continue;
		if (ret < 0) {
			closedir(folder);
			return ret;
		}
		fresh++;
	}
	closedir(folder);
	return fresh;
}

/* "0-3,8-11" */
static size_t online_cpus(unsigned int *out)
{
	FILE *in = fopen("/sys/devices/system/cpu/online", "re");
	unsigned int from, to;
	size_t count = 0;

	while (in && fscanf(in, "%u", &from) == 1) {
		to = from;
		if (fscanf(in, "-%u", &to) == EOF)
			to = from;
		for (; from <= to && count < CPUS_MAX; from++)
			out[count++] = from;
		if (fgetc(in) != ',')
			break;
	}
	if (in)
		fclose(in);
	for (long i = 0, cpus = sysconf(_SC_NPROCESSORS_ONLN); !count && i < cpus && i < CPUS_MAX; i++)
		out[i] = (unsigned int)i;
	return count ? count : (size_t)sysconf(_SC_NPROCESSORS_ONLN);
}

static int paranoid(void)
{
	FILE *in = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int level = -99;

	if (in && fscanf(in, "%d", &level) != 1)
		level = -99;
	if (in)
		fclose(in);
	return level;
}

static int explain(int ret, struct gt_error *err)
{
	switch (-ret) {
	case EACCES:
		if (paranoid() > 2)
			return gt_fail(err, EACCES,
				"perf events are not allowed: kernel.perf_event_paranoid is %d: sysctl "
				"kernel.perf_event_paranoid=2, or CAP_PERFMON for gtrace",
				paranoid());
		return gt_fail(err, EACCES,
			"perf events are not allowed: the process is another user's, or a security module refuses: "
			"CAP_PERFMON for gtrace");
	case EPERM:
		return gt_fail(err, EPERM,
			"perf events are not allowed: a container's seccomp filter, or no memory is left of "
			"kernel.perf_event_mlock_kb: allow perf_event_open, or give CAP_PERFMON");
	case ENOSYS:
		return gt_fail(err, ENOSYS, "this kernel has no perf events");
	case EINVAL:
		return gt_fail(
			err, EINVAL, "this kernel's perf events are too old: they do not take what is asked for");
	case EMFILE:
	case ENFILE:
		return gt_fail(
			err, EMFILE, "too many threads for perf events: raise the limit of open files (ulimit -n)");
	case ESRCH:
	case ENOENT:
		return gt_fail(err, ESRCH, "the process ended");
	default:
		return gt_fail(err, -ret, "perf events: %s", strerror(-ret));
	}
}

/* ---- while the reader is away ---- */

/* All that is written goes behind what was taken before. */
static void spill(struct gt__perf *perf, struct ring *ring)
{
	uint64_t head = ring->page ? __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE) : ring->released;
	uint64_t bytes = head - ring->released, at = ring->released & (ring->size - 1), before_end = ring->size - at;
	size_t used, room;

	if (!bytes || bytes > ring->size || perf->drain.bytes + bytes > SPILL_MAX)
		return;
	if (ring->spill_end <= ring->tail)
		ring->spill_from = ring->spill_end = ring->released;
	used = (size_t)(ring->spill_end - ring->spill_from);
	room = ring->spill_room ? ring->spill_room : ring->size;
	while (room < used + bytes)
		room *= 2;
	if (room > ring->spill_room) {
		uint8_t *grown = realloc(ring->spill, room);

		if (!grown)
			return;
		ring->spill = grown;
		ring->spill_room = room;
	}
	if (before_end > bytes)
		before_end = bytes;
	memcpy(ring->spill + used, ring->data + at, before_end);
	memcpy(ring->spill + used + before_end, ring->data, bytes - before_end);
	perf->drain.bytes += bytes;
	ring->spill_end = ring->released = head;
	__atomic_store_n(&ring->page->data_tail, head, __ATOMIC_RELEASE);
}

static void *drain(void *arg)
{
	struct gt__perf *perf = arg;
	struct drain *d = &perf->drain;
	struct timespec until;

	pthread_mutex_lock(&d->lock);
	while (!d->end) {
		if (!d->away) {
			pthread_cond_wait(&d->wake, &d->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += SPILL_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		while (!d->end && pthread_cond_timedwait(&d->wake, &d->lock, &until) == 0)
			;
		for (size_t i = 0; d->away && i < perf->ring_count; i++)
			spill(perf, &perf->rings[i]);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* Signals are for who waits for them. */
static void begin_drain(struct gt__perf *perf)
{
	struct drain *d = &perf->drain;
	pthread_condattr_t attributes;
	sigset_t all, before;

	d->tried = true;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&d->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	d->runs = pthread_create(&d->thread, NULL, drain, perf) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void end_drain(struct drain *d)
{
	if (d->runs) {
		pthread_mutex_lock(&d->lock);
		d->end = true;
		pthread_cond_signal(&d->wake);
		pthread_mutex_unlock(&d->lock);
		pthread_join(d->thread, NULL);
	}
	if (d->tried) {
		pthread_cond_destroy(&d->wake);
		pthread_mutex_destroy(&d->lock);
	}
}

static void set_away(struct gt__perf *perf, bool away)
{
	struct drain *d = &perf->drain;

	if (!d->tried)
		begin_drain(perf);
	if (!d->runs)
		return;
	pthread_mutex_lock(&d->lock);
	d->away = away;
	if (away)
		pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
}

void gt__perf_leave(struct gt__perf *perf)
{
	set_away(perf, true);
}

void gt__perf_back(struct gt__perf *perf)
{
	set_away(perf, false);
}

size_t gt__perf_spilled(struct gt__perf *perf)
{
	size_t bytes = 0;

	if (perf->drain.runs) {
		pthread_mutex_lock(&perf->drain.lock);
		bytes = perf->drain.bytes;
		pthread_mutex_unlock(&perf->drain.lock);
	}
	return bytes;
}

static void more_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int gt__perf_open(pid_t pid, const struct gt__perf_wants *wants, struct gt__perf **out, struct gt_error *err)
{
	struct gt__perf *perf = calloc(1, sizeof(*perf));
	unsigned int *cpus = calloc(CPUS_MAX, sizeof(*cpus));
	struct gt_map known = {0};
	int ret = perf && cpus ? 0 : -ENOMEM;

	if (ret == 0) {
		perf->pid = pid;
		perf->wants = *wants;
		perf->lost_format = perf->inherit_thread = perf->build_id = perf->user_stack = perf->kernel_frames =
			true;
		look_for_others(perf);
		perf->ring_count = online_cpus(cpus);
		perf->rings = calloc(perf->ring_count, sizeof(*perf->rings));
		ret = perf->rings ? 0 : -ENOMEM;
	}
	for (size_t i = 0; ret == 0 && i < perf->ring_count; i++)
		perf->rings[i] = (struct ring){.cpu = cpus[i], .fd = -1};
	free(cpus);
	more_files();
	for (int i = 0; ret >= 0 && i < LOOKS_MAX; i++) {
		ret = open_threads(perf, &known);
		if (ret == 0)
			break;
	}
	gt_map_free(&known);
	if (ret >= 0 && perf->event_count == 0)
		ret = -ESRCH;
	if (ret < 0) {
		if (perf)
			gt__perf_close(perf);
		return explain(ret, err);
	}
	if (perf->wants.sample_period_ns && !perf->kernel_frames)
		miss(perf, "the kernel's own time in samples", "it takes kernel.perf_event_paranoid=1, or CAP_PERFMON");
	*out = perf;
	return 0;
}

void gt__perf_close(struct gt__perf *perf)
{
	end_drain(&perf->drain);
	for (size_t i = 0; perf->rings && i < perf->ring_count; i++) {
		if (perf->rings[i].page)
			munmap(perf->rings[i].page, perf->rings[i].map_bytes);
		free(perf->rings[i].spill);
	}
	for (size_t i = 0; i < perf->event_count; i++)
		close(perf->events[i].fd);
	gt_map_free(&perf->kinds);
	free(perf->events);
	free(perf->rings);
	free(perf);
}

const struct gt__perf_wants *gt__perf_has(const struct gt__perf *perf)
{
	return &perf->wants;
}

const char *gt__perf_missing(const struct gt__perf *perf)
{
	return perf->missing;
}

bool gt__perf_kernel_frames(const struct gt__perf *perf)
{
	return perf->wants.sample_period_ns && perf->kernel_frames;
}

size_t gt__perf_cpus(const struct gt__perf *perf)
{
	return perf->ring_count;
}

unsigned int gt__perf_cpu(const struct gt__perf *perf, size_t at)
{
	return perf->rings[at].cpu;
}

/* Those of threads that inherited the event, and are gone perhaps, are in it. */
uint64_t gt__perf_faults(const struct gt__perf *perf)
{
	uint64_t value[2], total = 0; /* and what was lost, where the kernel tells that */

	for (size_t i = 0; i < perf->event_count; i++)
		if (perf->events[i].kind == FAULTS && read(perf->events[i].fd, value, sizeof(value)) >= 8)
			total += value[0];
	return total;
}

/* ---- reading ---- */

void gt__perf_look(struct gt__perf *perf, size_t at)
{
	struct ring *ring = &perf->rings[at];

	/* Pairs with the kernel's barrier before it moves data_head: what lies before it is written. */
	ring->head = ring->page ? __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE) : ring->tail;
	/* The kernel never writes over what was not read. */
	if (ring->head - ring->released > ring->size)
		ring->tail = ring->head;
}

void gt__perf_done(struct gt__perf *perf, size_t at)
{
	struct ring *ring = &perf->rings[at];

	if (ring->tail >= ring->spill_end) {
		perf->drain.bytes -= (size_t)(ring->spill_end - ring->spill_from);
		ring->spill_from = ring->spill_end = ring->tail;
		if (ring->spill_room > SPILL_KEPT) {
			free(ring->spill);
			ring->spill = NULL;
			ring->spill_room = 0;
		}
	}
	if (ring->released < ring->tail)
		ring->released = ring->tail;
	if (ring->page)
		__atomic_store_n(&ring->page->data_tail, ring->released, __ATOMIC_RELEASE);
}

struct record {
	struct perf_event_header header;
	const uint8_t *body, *end;
};

/* The next record at @place, in one piece. */
static bool take(struct gt__perf *perf, const struct ring *ring, uint64_t *place, uint64_t head, struct record *out)
{
	bool spilled = *place < ring->spill_end;
	uint64_t at = *place & (ring->size - 1), before_end = spilled ? ring->spill_end - *place : ring->size - at;
	const uint8_t *bytes = spilled ? ring->spill + (*place - ring->spill_from) : ring->data + at;

	if (head - *place < sizeof(out->header) || before_end < sizeof(out->header))
		return false;
	memcpy(&out->header, bytes, sizeof(out->header)); /* sizes are multiples of 8: a header is never split */
	if (out->header.size < sizeof(out->header) || out->header.size > head - *place ||
		(spilled && out->header.size > before_end)) {
		*place = head; /* no kernel writes this */
		return false;
	}
	if (out->header.size > before_end) {
		memcpy(perf->record, bytes, before_end);
		memcpy(perf->record + before_end, ring->data, out->header.size - before_end);
		bytes = perf->record;
	}
	out->body = bytes + sizeof(out->header);
	out->end = bytes + out->header.size;
	*place += out->header.size;
	return true;
}

static uint64_t u64_at(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t u32_at(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Addresses, with markers of whose they are: behind the first of each they are return addresses. */
static void read_chain(const struct record *record, uint64_t count, struct gt__perf_record *out)
{
	bool exact = true;

	out->pcs_count = 0;
	for (uint64_t i = 0; i < count && record->end - record->body >= (ptrdiff_t)(48 + 8 * i); i++) {
		uint64_t pc = u64_at(record->body + 40 + 8 * i);

		if (pc >= CONTEXT_MARKERS) {
			exact = true;
			continue;
		}
		if (out->pcs_count < GT__PERF_FRAMES_MAX && pc)
			out->pcs[out->pcs_count++] = pc - (exact ? 0 : 1);
		exact = false;
	}
	if (!out->pcs_count)
		out->pcs[out->pcs_count++] = u64_at(record->body + 8);
}

/* Behind the chain: size, bytes, and how many of them are good. */
static void read_stack(const struct record *record, uint64_t count, struct gt__perf_record *out)
{
	size_t left = (size_t)(record->end - record->body), at = 40 + 8 * (size_t)count;
	uint64_t good;

	out->stack_bytes = 0;
	if (count > 65536 / 8 || left < at + 16 + GT__PERF_STACK_BYTES ||
		u64_at(record->body + at) != GT__PERF_STACK_BYTES)
		return;
	good = u64_at(record->body + at + 8 + GT__PERF_STACK_BYTES);
	memcpy(out->stack, record->body + at + 8, GT__PERF_STACK_BYTES);
	out->stack_bytes = good < GT__PERF_STACK_BYTES ? (uint32_t)good : GT__PERF_STACK_BYTES;
}

/* identifier, pid and tid, time, size, data */
static bool read_other(const struct gt__perf *perf, const struct record *record, struct gt__perf_record *out)
{
	const uint8_t *data = record->body + 28;
	size_t size = u32_at(record->body + 24);
	uint64_t state;

	if (size > (size_t)(record->end - record->body) - 28 || size < perf->tracepoint.next_pid + 4 ||
		size < perf->tracepoint.next_comm + 16 ||
		size < perf->tracepoint.prev_state + perf->tracepoint.prev_state_bytes ||
		u32_at(record->body + 8) != (uint32_t)perf->pid)
		return false;
	state = perf->tracepoint.prev_state_bytes == 8 ? u64_at(data + perf->tracepoint.prev_state)
						       : u32_at(data + perf->tracepoint.prev_state);
	out->kind = GT__PERF_OTHER;
	out->tid = u32_at(record->body + 12);
	out->raw_ns = u64_at(record->body + 16);
	out->number = u32_at(data + perf->tracepoint.next_pid);
	memcpy(out->name, data + perf->tracepoint.next_comm, 15);
	out->name[15] = 0;
	return (state & 255) == 0 && out->number;
}

/* identifier, pid and tid, time, address */
static bool read_fault(const struct gt__perf *perf, const struct record *record, struct gt__perf_record *out)
{
	if (record->end - record->body < 32 || u32_at(record->body + 8) != (uint32_t)perf->pid)
		return false;
	out->kind = GT__PERF_FAULT;
	out->tid = u32_at(record->body + 12);
	out->raw_ns = u64_at(record->body + 16);
	out->number = u64_at(record->body + 24);
	return true;
}

/* identifier, ip, pid and tid, time, then the chain */
static bool read_sample(const struct gt__perf *perf, const struct record *record, struct gt__perf_record *out)
{
	const uint64_t *kind;

	if (record->end - record->body < 28)
		return false;
	kind = gt_map_find(&perf->kinds, u64_at(record->body));
	if (kind && *kind == OTHERS)
		return read_other(perf, record, out);
	if (kind && *kind == FAULTS)
		return read_fault(perf, record, out);
	if (!kind || record->end - record->body < 40 || u32_at(record->body + 16) != (uint32_t)perf->pid)
		return false;
	out->tid = u32_at(record->body + 20);
	out->raw_ns = u64_at(record->body + 24);
	out->number = u64_at(record->body + 32);
	out->kind = GT__PERF_SAMPLE;
	out->stack_bytes = 0;
	read_chain(record, out->number, out);
	if (perf->user_stack)
		read_stack(record, out->number, out);
	return true;
}

/* pid, tid, address, size, offset, device and inode or the build id, protection, flags, name. @bytes: without the trailer. */
static bool read_mapping(const struct record *record, size_t bytes, struct gt__perf_record *out)
{
	const uint8_t *body = record->body;

	if (bytes < 72 || memchr(body + 64, 0, bytes - 64) == NULL)
		return false;
	out->kind = GT__PERF_MAPPED;
	out->number = u64_at(body + 8);
	out->size = u64_at(body + 16);
	out->offset = u64_at(body + 24);
	out->build_id_bytes = record->header.misc & MAP_BUILD_ID && body[32] <= 20 ? body[32] : 0;
	memcpy(out->build_id, body + 36, sizeof(out->build_id));
	out->path = (const char *)body + 64;
	return true;
}

static bool read_switch(const struct record *record, struct gt__perf_record *out)
{
	if (record->header.misc & PERF_RECORD_MISC_SWITCH_OUT) {
		out->kind = GT__PERF_OUT;
		out->runnable = record->header.misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT;
	} else {
		out->kind = GT__PERF_IN;
	}
	return true;
}

/* False: nothing that is of use. */
static bool read_record(
	struct gt__perf *perf, struct ring *ring, const struct record *record, struct gt__perf_record *out)
{
	size_t body = (size_t)(record->end - record->body);
	const uint8_t *trailer = record->end - TRAILER_BYTES;

	if (record->header.type == PERF_RECORD_SAMPLE)
		return read_sample(perf, record, out);
	if (record->header.type == PERF_RECORD_LOST && body >= 16) {
		out->kind = GT__PERF_LOST;
		out->number = u64_at(record->body + 8);
		out->raw_ns = 0;
		ring->lost += out->number;
		return out->number != 0;
	}
	if (body < TRAILER_BYTES || u32_at(trailer) != (uint32_t)perf->pid)
		return false;
	out->tid = u32_at(trailer + 4);
	out->raw_ns = u64_at(trailer + 8);
	body -= TRAILER_BYTES;
	switch (record->header.type) {
	case PERF_RECORD_SWITCH:
		return read_switch(record, out);
	case PERF_RECORD_FORK: /* pid, ppid, tid, ptid, time: told by the parent */
	case PERF_RECORD_EXIT:
		if (body < 24 || u32_at(record->body) != (uint32_t)perf->pid)
			return false;
		out->kind = record->header.type == PERF_RECORD_FORK ? GT__PERF_BORN : GT__PERF_GONE;
		out->tid = u32_at(record->body + 8);
		out->parent = u32_at(record->body + 12);
		return true;
	case PERF_RECORD_COMM:
		if (body < 9)
			return false;
		out->kind = record->header.misc & PERF_RECORD_MISC_COMM_EXEC ? GT__PERF_EXEC : GT__PERF_NAMED;
		out->tid = u32_at(record->body + 4);
		snprintf(out->name, sizeof(out->name), "%.*s", (int)strnlen((const char *)record->body + 8, body - 8),
			(const char *)record->body + 8);
		return true;
	case PERF_RECORD_MMAP2:
		return read_mapping(record, body, out);
	default:
		return false;
	}
}

bool gt__perf_ahead(struct gt__perf *perf, size_t at, struct gt__perf_record *out)
{
	struct ring *ring = &perf->rings[at];
	struct record record;
	uint64_t head;

	if (!ring->page)
		return false;
	head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	if (ring->ahead - ring->tail > head - ring->tail)
		ring->ahead = ring->tail;
	while (take(perf, ring, &ring->ahead, head, &record))
		if ((record.header.type == PERF_RECORD_MMAP2 || record.header.type == PERF_RECORD_COMM ||
			    record.header.type == PERF_RECORD_FORK) &&
			read_record(perf, ring, &record, out) && out->kind != GT__PERF_NAMED)
			return true;
	return false;
}

bool gt__perf_next(struct gt__perf *perf, size_t at, struct gt__perf_record *out)
{
	struct ring *ring = &perf->rings[at];
	struct record record;

	while (take(perf, ring, &ring->tail, ring->head, &record))
		if (read_record(perf, ring, &record, out))
			return true;
	return false;
}
