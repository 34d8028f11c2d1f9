/*
 * record_loop.c - a recording from start to end: memory, trace, program, signals, summary.
 *
 * Signals. The program stands in gtrace's process group: what the terminal sends (Ctrl-C, Ctrl-\, Ctrl-Z) reaches it without us.
 * gtrace takes its own copies from a signalfd and lets them pass; what somebody sends to gtrace alone is given on to the program.
 * SIGUSR2 is ours with --flight: a snapshot. When the program stops (Ctrl-Z), gtrace stops as well, so that the
 * shell sees what it would see without us.
 */
#include "cli/record.h"

#include "agent/gotypes.h"
#include "agent/linked.h"
#include "base/clock.h"
#include "cli/death.h"
#include "cli/flight.h"
#include "cli/metas.h"
#include "libtrace/history.h"
#include "libtrace/shm_create.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUND_MS_MIN       1
#define ROUND_MS_MAX       20 /* of a small ring; where somebody waits for what happens; and the kernel's rings are small */
#define ROUND_MS_MAX_CALM  100        /* where nothing happens: a flood that begins meanwhile finds room for so long */
#define FLOOD_BLOCKS_MS    30         /* twice what two CPUs write that do nothing else */
#define HISTORY_FROM_BYTES (2u << 20) /* of --max-bytes: below it packing is not worth its work */
#define TRIGGER_BLOCKS     1024       /* with triggers: look more often when an eighth of these come at once */
#define COST_NS            50000000
#define TOLD_NS            1000000000
#define BUFFER_BYTES       (32u << 20) /* a fifth of a second of 5 million records, while gtrace waits for a CPU */
#define BUFFER_BYTES_ALLOC (64u << 20) /* that often allocations come alone: more than one CPU of them */
#define FLUSH_NS           250000000   /* a cut file lacks at most so much */

static int64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

void gt_record_failure(struct gt_recording *r, const char *what, int ret)
{
	if (!r->failed)
		gt_fail(&r->failure, -ret, "%s: %s: %s: the program was not disturbed", what, r->output,
			strerror(-ret));
	r->failed = true;
}

/* ---- the trace's head ---- */

static void write_metas(struct gt_recording *r, struct gt_writer *writer)
{
	char hook_ns[32], stacks[16], sets[128];

	gt_metas_host(writer);
	gt_writer_meta(writer, "program", r->path);
	gt_metas_args(writer, r->options.argv);
	if (r->pid)
		gt_writer_meta_number(writer, "pid", (uint64_t)r->pid);
	gt_writer_meta(writer, "runtime", r->layout ? "go" : "gtrace");
	if (r->layout) {
		gt_writer_meta(writer, "runtime_version", r->resolver.go->version);
		if (r->resolver.go->go_build_id[0])
			gt_writer_meta(writer, "build_id", r->resolver.go->go_build_id);
	}
	gt_writer_meta(writer, "clock", gt_clock_text());
	gt_writer_meta(writer, "events", gt_sets_text(r->options.sets, sets));
	if (r->options.call_ns_min)
		gt_writer_meta_number(writer, "syscall_ns_min", r->options.call_ns_min);
	if (r->options.stack_depth)
		snprintf(stacks, sizeof(stacks), "%u", r->options.stack_depth);
	else
		snprintf(stacks, sizeof(stacks), "off");
	gt_writer_meta(writer, "stacks", stacks);
	snprintf(hook_ns, sizeof(hook_ns), "%.1f", r->cost.record_ns);
	gt_writer_meta(writer, "hook_ns", hook_ns);
}

int gt_record_open_writer(struct gt_recording *r, const char *path, struct gt_writer **out, struct gt_error *err)
{
	struct gt_writer_config config = {
		.path = path,
		.window = r->options.flight,
		.ticks_per_second = gt_clock_rate(),
		.start_ticks = r->start.ticks,
		.start_realtime_ns = r->start_realtime_ns,
		.start_monotonic_ns = r->start.monotonic_ns,
		.no_uring = r->options.no_uring,
	};
	int ret = gt_writer_open(&config, out, err);

	if (ret == 0)
		write_metas(r, *out);
	return ret;
}

static void add_kernel(const struct gt_recording *r, struct gt_collector_totals *totals)
{
	struct gt_kernel_totals kernel;

	if (!r->kernel)
		return;
	gt_kernel_totals(r->kernel, &kernel);
	for (size_t i = 0; i < GT_EVENT_KIND_COUNT; i++)
		totals->by_kind[i] += kernel.by_kind[i];
}

/* For `gtrace info`, which reads no events. */
static void write_counts(struct gt_recording *r, struct gt_writer *writer)
{
	struct gt_collector_totals totals;
	char text[GT_COUNTS_BYTES];

	gt_collector_totals(r->collector, &totals);
	add_kernel(r, &totals);
	if (*gt_counts_text(totals.by_kind, text))
		gt_writer_meta(writer, "counts", text);
}

/* What it has cost so far. */
static void write_cost(struct gt_recording *r, struct gt_writer *writer)
{
	struct gt_collector_totals totals;
	struct gt_writer_totals written;
	struct gt_cost_span span;

	gt_cost_step(&r->cost);
	gt_collector_totals(r->collector, &totals);
	gt_writer_totals(writer, &written);
	span = (struct gt_cost_span){
		.events = written.events,
		.bytes = written.bytes_stored,
		.span_ns = r->cost.now.at_ns - r->start.monotonic_ns,
		.by_kind = totals.by_kind,
	};
	gt_cost_write(&r->cost, writer, &span);
}

void gt_record_write_losses(const struct gt_collector_totals *totals, struct gt_writer *writer)
{
	gt_writer_loss(writer, "no room", totals->lost_full);
	gt_writer_loss(writer, "in a signal", totals->lost_nested);
	gt_writer_loss(writer, "unknown M", totals->lost_no_m);
	gt_writer_loss(writer, "large id", totals->lost_big_g);
	gt_writer_loss(writer, "no hook stack", totals->lost_spill);
	gt_writer_loss(writer, "in flight at the end", totals->lost_in_flight);
	gt_writer_loss(writer, "damaged", totals->records_bad);
	gt_writer_loss(writer, "stacks", totals->stacks_lost);
	gt_writer_loss(writer, "strings", totals->strings_lost);
	gt_writer_loss(writer, "names", totals->names_lost);
}

/* ---- following the program ---- */

/* As /proc tells it: looking must not take the news away from waitpid. */
static bool is_stopped(pid_t pid)
{
	char path[32], text[512];
	const char *state;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size > 0 ? size : 0] = 0;
	state = strrchr(text, ')');
	return state && (state[2] == 'T' || state[2] == 't');
}

/* Somebody may continue, or kill, the program alone: a stopped gtrace would not hear of it. Returns the one who listens. */
static pid_t start_waker(const struct gt_recording *r)
{
	const struct timespec nap = {.tv_nsec = 20000000};
	pid_t gtrace = getpid(), waker = fork();

	if (waker)
		return waker;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0); /* what the job is sent is not for this one */
	while (getppid() == gtrace) {
		if (!is_stopped(r->pid))
			kill(gtrace, SIGCONT);
		nanosleep(&nap, NULL);
	}
	_exit(0);
}

/* By the same signal, so that whoever waits for gtrace sees what he would see of the program. */
static void stop_with_the_program(struct gt_recording *r, int stop_signal)
{
	sigset_t set, before;

	r->waker = start_waker(r);
	sigemptyset(&set);
	sigaddset(&set, stop_signal);
	/* Raised while blocked: the terminal's own may be pending, which would stop once more if it came first. SIGCONT drops it. */
	raise(stop_signal);
	sigprocmask(SIG_UNBLOCK, &set, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (r->waker > 0) {
		kill(r->waker, SIGKILL);
		while (waitpid(r->waker, NULL, 0) < 0 && errno == EINTR)
			;
	}
	/* Continued: the shell's SIGCONT went to the whole group; one that was meant for gtrace alone has to reach the program. */
	if (is_stopped(r->pid))
		kill(r->pid, SIGCONT);
}

/* True when the program is gone; *status as of waitpid. */
static bool reap(struct gt_recording *r, int *status)
{
	for (;;) {
		pid_t pid = waitpid(r->pid, status, WNOHANG | WUNTRACED);

		if (pid != r->pid)
			return pid < 0 && errno == ECHILD;
		if (WIFSTOPPED(*status))
			stop_with_the_program(r, WSTOPSIG(*status));
		else
			return true;
	}
}

static void on_signal(struct gt_recording *r, const struct signalfd_siginfo *info)
{
	bool by_somebody = info->ssi_code == SI_USER || info->ssi_code == SI_QUEUE || info->ssi_code == SI_TKILL;

	switch (info->ssi_signo) {
	case SIGCHLD:
		return;
	case SIGUSR2:
		if (r->flight) {
			gt_flight_request(r->flight, "SIGUSR2", 0, NULL, 0);
			return;
		}
		break;
	default:
		break;
	}
	if (by_somebody && info->ssi_pid != (uint32_t)r->pid && info->ssi_pid != (uint32_t)r->waker)
		kill(r->pid, (int)info->ssi_signo);
}

static int collect(struct gt_recording *r, size_t *blocks)
{
	int ret = 0;

	*blocks = 0;
	/* Before the collector, whose watermark it bounds. */
	if (r->kernel)
		ret = gt_kernel_round(r->kernel, r->writer);
	if (ret < 0)
		return ret;
	if (r->options.flight)
		*blocks = gt_collector_follow(r->collector);
	else
		ret = gt_collector_round(r->collector, r->writer, blocks);
	return ret;
}

/* How long the program may be left alone: hooks tell nobody that there is something to read. */
static int wait_ms_max(const struct gt_recording *r)
{
	uint32_t ms = r->memory.turn_count / FLOOD_BLOCKS_MS;

	if (!r->options.flight || r->watch || r->kernel || ms < ROUND_MS_MAX)
		return ROUND_MS_MAX;
	return ms < ROUND_MS_MAX_CALM ? (int)ms : ROUND_MS_MAX_CALM;
}

int gt_record_wait_ms(const struct gt_recording *r, const struct gt_record_pace *pace)
{
	int64_t due_ns = gt_flight_due_ns(r->flight), left_ns;

	if (r->writer && pace->flushed_ns + FLUSH_NS < due_ns)
		due_ns = pace->flushed_ns + FLUSH_NS;
	if (pace->end_ns && pace->end_ns < due_ns)
		due_ns = pace->end_ns;
	left_ns = due_ns - gt_monotonic_ns();
	if (left_ns >= pace->wait_ms * 1000000ll)
		return pace->wait_ms;
	return left_ns > 0 ? (int)((left_ns + 999999) / 1000000) : 0;
}

void gt_record_round(struct gt_recording *r, struct gt_record_pace *pace)
{
	uint64_t block_count = r->options.flight ? r->memory.turn_count : r->memory.block_count;
	struct gt_clock_pair now;
	size_t blocks;
	int ret = collect(r, &blocks);

	if (ret < 0)
		gt_record_failure(r, "cannot write the trace", ret);
	gt_watch_step(r);
	/* It asks the kernel for every thread's time. */
	if (gt_monotonic_ns() - r->cost.now.at_ns >= COST_NS)
		gt_cost_step(&r->cost);
	/* Triggers hold the events of a round. */
	if (r->watch && block_count > TRIGGER_BLOCKS)
		block_count = TRIGGER_BLOCKS;
	/* Half as long when an eighth of the buffer came at once, twice as long when next to nothing did. */
	if (blocks > block_count / 4 && pace->wait_ms > ROUND_MS_MIN)
		pace->wait_ms = ROUND_MS_MIN;
	else if (blocks > block_count / 8)
		pace->wait_ms = pace->wait_ms > ROUND_MS_MIN ? pace->wait_ms / 2 : 0;
	else if (blocks < block_count / 64)
		pace->wait_ms = pace->wait_ms ? pace->wait_ms * 2 : 1;
	if (pace->wait_ms > wait_ms_max(r))
		pace->wait_ms = wait_ms_max(r);
	now = gt_clock_pair();
	if (r->writer && now.monotonic_ns - pace->flushed_ns >= FLUSH_NS) {
		/* A file that is cut tells it too. */
		if (now.monotonic_ns - pace->told_ns >= TOLD_NS) {
			write_cost(r, r->writer);
			pace->told_ns = now.monotonic_ns;
		}
		gt_writer_flush(r->writer, now.ticks, now.monotonic_ns);
		pace->flushed_ns = now.monotonic_ns;
	}
}

static void follow(struct gt_recording *r, int signals, int *status)
{
	struct gt_record_pace pace = {ROUND_MS_MIN, r->start.monotonic_ns, r->start.monotonic_ns, 0};

	while (!reap(r, status)) {
		struct pollfd fds[2] = {
			{.fd = signals, .events = POLLIN},
			{.fd = gt_flight_fd(r->flight), .events = POLLIN},
		};
		struct signalfd_siginfo info;

		if (poll(fds, 2, gt_record_wait_ms(r, &pace)) > 0)
			while (read(signals, &info, sizeof(info)) == sizeof(info))
				on_signal(r, &info);
		gt_record_round(r, &pace);
		if (r->flight)
			gt_flight_step(r->flight);
	}
}

/* ---- the end ---- */

static int64_t children_cpu_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ll +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ll;
}

static void write_kinds(const uint64_t by_kind[GT_EVENT_KIND_COUNT])
{
	for (unsigned int kind = 0, shown = 0; kind < GT_EVENT_KIND_COUNT; kind++)
		if (by_kind[kind])
			fprintf(stderr, "%s %s %" PRIu64, shown++ ? "," : "", gt_event_specs[kind].text, by_kind[kind]);
}

static void summarize_kernel(const struct gt_kernel *kernel)
{
	struct gt_kernel_totals totals;

	gt_kernel_totals(kernel, &totals);
	fprintf(stderr, "gtrace: the kernel's layer: %" PRIu64 " events, %" PRIu64 " lost:", totals.events,
		totals.lost);
	write_kinds(totals.by_kind);
	fprintf(stderr, "\n");
}

void gt_record_summary(const struct gt_recording *r, const struct gt_collector_totals *totals, uint64_t bytes,
	int64_t span_ns, const char *end)
{
	char text[32], cost[32], own[32];
	int64_t program_ns = gt_cost_program_ns(&r->cost);
	uint64_t records;
	double hooks_ns = gt_cost_hooks_ns(&r->cost, totals->by_kind, &records);

	fprintf(stderr, "gtrace: %s: %s, %s of time", r->output, gt_format_size(bytes, text),
		gt_format_duration((uint64_t)span_ns, cost));
	fprintf(stderr, "; %s\n", end);
	fprintf(stderr, "gtrace: %" PRIu64 " goroutines, %" PRIu64 " events on %" PRIu64 " Ms:", totals->goroutines,
		totals->events, totals->ms);
	write_kinds(totals->by_kind);
	fprintf(stderr, "\n");
	if (r->kernel)
		summarize_kernel(r->kernel);
	fprintf(stderr, "gtrace: lost: %" PRIu64 " events", totals->lost);
	if (totals->lost)
		fprintf(stderr,
			" (no room %" PRIu64 ", in a signal %" PRIu64 ", under way at the end %" PRIu64
			", other %" PRIu64 ")%s",
			totals->lost_full, totals->lost_nested, totals->lost_in_flight,
			totals->lost - totals->lost_full - totals->lost_nested - totals->lost_in_flight,
			totals->lost_full ? ": a larger --buffer helps" : "");
	fprintf(stderr, "; cost: hooks at least %s of the program's %s of CPU time (%.2f %%), gtrace itself %s\n",
		gt_format_duration((uint64_t)hooks_ns, cost), gt_format_duration((uint64_t)program_ns, text),
		program_ns > 0 ? 100 * hooks_ns / (double)program_ns : 0.0,
		gt_format_duration((uint64_t)r->cost.now.own_ns, own));
}

void gt_record_finish(struct gt_recording *r, const char *exit_text, uint64_t *bytes)
{
	struct gt_collector_totals totals;
	struct gt_writer_totals written;
	struct stat file;
	struct gt_clock_pair now;
	int ret = r->kernel ? gt_kernel_round(r->kernel, r->writer) : 0;

	if (ret >= 0)
		ret = gt_collector_finish(r->collector, r->writer);
	if (ret < 0)
		gt_record_failure(r, "cannot write the trace", ret);
	gt_writer_meta(r->writer, "exit", exit_text);
	gt_writer_meta_number(r->writer, "end_ticks", r->end_ticks);
	gt_collector_totals(r->collector, &totals);
	gt_record_write_losses(&totals, r->writer);
	gt_record_kernel_end(r, r->writer);
	write_counts(r, r->writer);
	now = gt_clock_pair();
	/* All that is there is in the file then. */
	gt_writer_flush(r->writer, now.ticks, now.monotonic_ns);
	write_cost(r, r->writer);
	gt_writer_totals(r->writer, &written);
	*bytes = written.bytes_stored;
	if (gt_writer_close(r->writer, now.ticks, now.monotonic_ns, &r->failure) < 0)
		r->failed = true;
	r->writer = NULL;
	/* What went into a pipe is what was written. */
	if (stat(r->output, &file) == 0 && S_ISREG(file.st_mode))
		*bytes = (uint64_t)file.st_size;
}

/* A slot is 16 bytes, a stack of ten frames 44. */
static void lay_out_stacks(uint64_t bytes, struct gt_shm_config *config)
{
	config->stack_slot_count = 256;
	while (config->stack_slot_count * 2ull * 64 <= bytes)
		config->stack_slot_count *= 2;
	config->arena_words = config->stack_slot_count * 12;
}

/* A slot is 16 bytes, a text about 24. */
static void lay_out_strings(uint64_t bytes, struct gt_shm_config *config)
{
	config->string_slot_count = 16;
	while (config->string_slot_count * 2ull * 40 <= bytes && config->string_slot_count < 65536)
		config->string_slot_count *= 2;
	config->string_bytes = config->string_slot_count * 24;
}

/* With triggers: who is in which state since when. Taken from the history, or where there is none from the ring. */
static uint64_t trigger_bytes(const struct gt_recording *r, uint64_t bytes)
{
	return r->options.triggers.count ? bytes / 8 : 0;
}

/* Packed, old blocks take a fifth or less; but what is not packed survives gtrace too, and is what a stopped gtrace leaves. */
static uint64_t history_bytes(const struct gt_recording *r, uint64_t bytes)
{
	if (bytes < HISTORY_FROM_BYTES)
		return 0;
	bytes = bytes / 16 * 5 - trigger_bytes(r, bytes);
	return bytes >= GT_HISTORY_BYTES_MIN ? bytes : 0;
}

/* Of a window, for the kernel's events. */
static uint64_t kernel_bytes(const struct gt_recording *r, uint64_t bytes)
{
	return r->options.sets & GT_KERNEL_SETS ? bytes / 8 : 0;
}

#define ATTIC_PART 16

/* How the memory of a window is shared out. MaxBytes holds for both processes. */
static void lay_out_window(const struct gt_recording *r, uint64_t bytes, struct gt_shm_config *config)
{
	/* An eighth is for the names of goroutines, a sixteenth for what idle threads said last, and what the history takes:
	 * they live in this process. */
	config->max_bytes = bytes - bytes / 8 - bytes / ATTIC_PART - history_bytes(r, bytes) - trigger_bytes(r, bytes) -
			    kernel_bytes(r, bytes);
	/* A sixteenth for the lines of Ms: 256 bytes each, until the M ended and nothing of it is held. */
	config->m_count = GT_M_IDS_MAX;
	config->m_live = (uint32_t)(bytes / 16 / GT_M_BYTES);
	config->m_live = config->m_live < 512 ? 512 : config->m_live > 16384 ? 16384 : config->m_live;
	config->m_limit = config->m_live < 1024 ? config->m_live : 1024;
	config->spill_count = 16;
	if (r->options.stack_depth)
		lay_out_stacks(bytes / 8, config);
	/* Texts of marks: a 32th. */
	if (r->options.sets & GT_SET_MARKS)
		lay_out_strings(bytes / 32, config);
}

/* The least --max-bytes: the tables grow with it, so it is the first that holds its own. */
static uint64_t least_window(const struct gt_recording *r, const struct gt_shm_config *like)
{
	struct gt_shm_config config = *like;

	for (uint64_t bytes = 4096; bytes < 16 << 20; bytes += 4096) {
		lay_out_window(r, bytes, &config);
		if (gt_shm_bytes_min(&config) <= config.max_bytes)
			return bytes;
	}
	return 16 << 20;
}

int gt_record_lay_out(struct gt_recording *r, struct gt_shm_config *out, struct gt_collector_config *collector)
{
	struct gt_shm_config config = {
		.mode = r->options.flight ? GT_MODE_FLIGHT : GT_MODE_STREAM,
		.stack_depth = r->options.stack_depth,
		.spill_count = 64,
		.sets = r->options.sets,
		.alloc_rate = r->options.alloc_rate,
		.call_ticks_min = (uint64_t)((unsigned __int128)r->options.call_ns_min * gt_clock_rate() / 1000000000),
	};
	uint64_t least;
	int ret;

	*collector = (struct gt_collector_config){
		.memory = &r->memory,
		.wait_reasons = r->layout ? r->wait_reasons : NULL,
		.resolve = gt_resolver_lines,
		.type_name = gt_resolver_type,
		.resolve_context = &r->resolver,
	};
	if (r->layout) {
		config.text_base = r->resolver.go->text;
		config.text_end = r->resolver.go->etext;
		r->resolver.types = gt_gotypes_base(r->resolver.go, r->layout);
	}
	if (r->options.flight) {
		lay_out_window(r, r->options.window_bytes_max, &config);
		collector->names_bytes_max = r->options.window_bytes_max / 8;
		collector->attic_bytes_max = r->options.window_bytes_max / ATTIC_PART;
		collector->history_bytes_max = history_bytes(r, r->options.window_bytes_max);
		collector->keep_ticks =
			(uint64_t)((unsigned __int128)r->options.min_age_ns * gt_clock_rate() / 1000000000);
		least = least_window(r, &config);
		if (r->options.window_bytes_max < least)
			return gt_die_text(GT_EXIT_RECORD,
				"%" PRIu64 " bytes do not hold a window with its tables: give --max-bytes at least "
				"%" PRIu64 "K",
				r->options.window_bytes_max, least / 1024);
	} else {
		if (!r->options.buffer_bytes)
			r->options.buffer_bytes = r->options.sets & GT_SET_ALLOC ? BUFFER_BYTES_ALLOC : BUFFER_BYTES;
		config.block_count = (uint32_t)(r->options.buffer_bytes / GT_BLOCK_BYTES);
		config.m_count = GT_M_IDS_MAX;
		config.m_limit = 1024;
		if (r->options.stack_depth)
			lay_out_stacks(8 << 20, &config);
		if (r->options.sets & GT_SET_MARKS)
			lay_out_strings(1 << 20, &config);
	}
	*out = config;
	if (!r->options.flight)
		return 0;
	ret = gt_watch_new(r, trigger_bytes(r, r->options.window_bytes_max));
	collector->triggers = gt_watch_triggers(r);
	return ret;
}

static int write_sampled_stack(void *context, struct gt_writer *writer, uint64_t id, const uint64_t *pcs, size_t count)
{
	const struct gt_recording *r = context;

	return gt_collector_write_stack(r->collector, writer, id, pcs, count);
}

static bool frame_at(void *context, uint64_t place, uint64_t *bytes)
{
	struct gt_recording *r = context;

	return gt_resolver_frame(&r->resolver, place, bytes);
}

void gt_record_kernel(struct gt_recording *r, pid_t pid, bool running)
{
	struct gt_kernel_config config = {
		.pid = pid,
		.sets = r->options.sets & GT_KERNEL_SETS,
		.sample_period_ns = r->options.sample_period_ns,
		.fault_every = r->options.fault_every,
		.store_bytes = r->options.flight ? kernel_bytes(r, r->options.window_bytes_max) : 0,
		.running = running,
		.frame = frame_at,
		.write_stack = write_sampled_stack,
		.context = r,
	};

	if (!config.sets)
		return;
	if (config.sets & GT_SET_SAMPLES)
		config.modules = r->resolver.modules = gt_modules_new(pid, r->path);
	if (gt_kernel_open(&config, &r->kernel, &r->kernel_missing) < 0) {
		r->kernel = NULL;
		r->options.sets &= ~(uint32_t)GT_KERNEL_SETS;
		if (!r->options.quiet)
			fprintf(stderr, "gtrace: without the kernel's events: %s\n", r->kernel_missing.text);
		return;
	}
	r->options.sets &= gt_kernel_sets(r->kernel) | ~(uint32_t)GT_KERNEL_SETS;
	if (*gt_kernel_missing(r->kernel) && !r->options.quiet)
		fprintf(stderr, "gtrace: of the kernel's events there is missing: %s\n", gt_kernel_missing(r->kernel));
}

static void open_kernel(void *context, pid_t pid)
{
	gt_record_kernel(context, pid, false);
}

void gt_record_kernel_end(struct gt_recording *r, struct gt_writer *writer)
{
	char text[sizeof(r->kernel_missing.text) + 16];

	char sets[128];

	snprintf(text, sizeof(text), "missing: %s", r->kernel_missing.text);
	/* Less what there was not. */
	gt_writer_meta(writer, "events", gt_sets_text(r->options.sets, sets));
	if (r->kernel)
		gt_kernel_write_end(r->kernel, writer);
	else if (r->kernel_missing.text[0])
		gt_writer_meta(writer, "kernel_layer", text);
}

/* Stream: the file. The trace's time begins here. */
int gt_record_begin(struct gt_recording *r)
{
	struct gt_error err;
	struct stat st;

	gt_cost_begin(&r->cost, r->options.stack_depth);
	r->start = gt_clock_pair();
	r->start_realtime_ns = realtime_ns();
	if (r->options.flight)
		return 0;
	if (gt_record_open_writer(r, r->output, &r->writer, &err) < 0)
		return gt_die(GT_EXIT_RECORD, &err);
	/* A device or a pipe is written with write() in any case; a file is not yet under its name. */
	if (!r->options.no_uring && !gt_writer_uses_uring(r->writer) && !r->options.quiet &&
		(stat(r->output, &st) < 0 || S_ISREG(st.st_mode)))
		fprintf(stderr, "gtrace: io_uring is not allowed here: the trace is written with write()\n");
	return 0;
}

static int set_up(struct gt_recording *r)
{
	struct gt_collector_config collector;
	struct gt_shm_config memory;
	struct gt_error err;
	int ret;

	gt_clock_init();
	gt_clock_rate();
	ret = gt_record_lay_out(r, &memory, &collector);
	if (ret)
		return ret;
	if (gt_shm_create(&memory, &r->memory, &err) < 0 || gt_collector_new(&collector, &r->collector, &err) < 0)
		return gt_die(GT_EXIT_RECORD, &err);
	return gt_record_begin(r);
}

static int launch(struct gt_recording *r, const sigset_t *mask, const sigset_t *ignored)
{
	struct gt_agent_launch launch = {
		.path = r->path,
		.argv = r->options.argv,
		.envp = environ,
		.mask = mask,
		.ignored = ignored,
		.bin = r->resolver.go,
		.layout = r->layout,
		.sets = r->options.sets,
		.memory = &r->memory,
		.before_exec = open_kernel,
		.context = r,
		.skip_hook = getenv("GTRACE_TEST_SKIP_HOOK"),
	};
	struct gt_error err;
	int ret = gt_agent_launch(&launch, &r->agent, &err);

	if (ret < 0 && r->agent.ended && WIFSIGNALED(r->agent.wait_status))
		return gt_die(128 + WTERMSIG(r->agent.wait_status), &err);
	if (ret < 0)
		return gt_die(!r->agent.exec_failed ? GT_EXIT_RECORD
			      : ret == -ENOENT      ? GT_EXIT_NOT_FOUND
						    : GT_EXIT_NOT_EXECUTABLE,
			&err);
	r->pid = r->agent.pid;
	gt_cost_program(&r->cost, r->pid);
	if (r->agent.membarrier)
		atomic_store(&r->memory.shm->barrier, 1);
	gt_collector_started(r->collector, r->pid, r->agent.slide);
	r->resolver.slide = r->agent.slide;
	if (r->layout)
		gt_standing_find(r, r->agent.slide);
	if (r->writer)
		gt_writer_meta_number(r->writer, "pid", (uint64_t)r->pid);
	return 0;
}

/* What is ignored now: the program has to begin with just that. */
static void ignored_signals(sigset_t *ignored)
{
	struct sigaction action;

	sigemptyset(ignored);
	for (int signal_ = 1; signal_ < _NSIG; signal_++)
		if (sigaction(signal_, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			sigaddset(ignored, signal_);
}

/* The program finds our memory, and we its, by numbers of processes: those of another PID namespace are other processes. */
int gt_record_check_proc(void)
{
	char link[32], own[32];
	ssize_t size = readlink("/proc/self", link, sizeof(link) - 1);

	link[size > 0 ? size : 0] = 0;
	snprintf(own, sizeof(own), "%d", (int)getpid());
	if (strcmp(link, own) == 0)
		return 0;
	return gt_die_text(GT_EXIT_RECORD, "cannot record: /proc is %s: mount -t proc proc /proc",
		size < 0 ? "not mounted" : "that of another PID namespace");
}

/* Its trace would take the program's place. */
static int check_output(const struct gt_recording *r)
{
	struct stat program, output;

	if (stat(r->path, &program) < 0 || stat(r->output, &output) < 0 || program.st_dev != output.st_dev ||
		program.st_ino != output.st_ino)
		return 0;
	return gt_die_text(
		GT_EXIT_RECORD, "cannot write: %s: it is the program itself: choose another name with -o", r->output);
}

int gt_record_run(struct gt_recording *r)
{
	struct gt_collector_totals totals;
	struct gt_clock_pair now;
	sigset_t ours, before, ignored;
	struct gt_trigger_metas metas;
	struct gt_death death;
	char exit_text[GT_DEATH_TEXT], cause[256], end[GT_DEATH_TEXT + 32];
	uint64_t bytes = 0;
	int signals, status = 0, ret;

	ignored_signals(&ignored);
	/* A file at its limit, a reader that is gone: errors of write(), to be told as such. */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	/* Where it is ignored, the kernel throws the program's status away. */
	signal(SIGCHLD, SIG_DFL);
	ret = gt_record_check_proc();
	if (!ret)
		ret = check_output(r);
	if (!ret)
		ret = set_up(r);
	if (ret)
		return ret;
	sigemptyset(&ours);
	for (size_t i = 0; i < 10; i++)
		sigaddset(&ours, (int[]){SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
					 SIGCONT}[i]);
	sigprocmask(SIG_BLOCK, &ours, &before);
	signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return gt_die_text(GT_EXIT_RECORD, "cannot make a signalfd: %s", strerror(errno));
	ret = launch(r, &before, &ignored);
	if (ret) {
		if (r->writer)
			gt_writer_abandon(r->writer);
		return ret;
	}
	gt_death_watch(&death, r->pid);
	if (r->options.flight) {
		r->private_fds[0] = signals;
		r->flight = gt_flight_start(r);
	}
	gt_watch_start(r);
	follow(r, signals, &status);
	r->end_ticks = gt_ticks();
	gt_cost_ended(&r->cost, children_cpu_ns());
	now = gt_clock_pair();
	gt_death_exit_text(&death, status, exit_text);
	snprintf(end, sizeof(end), "program ended with %s", exit_text);
	if (r->options.flight) {
		gt_death_cause(&death, status, r->layout != NULL, cause);
		gt_collector_follow_end(r->collector);
		gt_watch_end(r, status, cause, sizeof(cause), &metas);
		if (!r->flight || gt_flight_end(r->flight, cause, exit_text, metas.list, metas.count) < 0)
			r->failed = true;
	} else {
		gt_record_finish(r, exit_text, &bytes);
		gt_collector_totals(r->collector, &totals);
		if (r->failed)
			gt_die(0, &r->failure);
		else if (!r->options.quiet)
			gt_record_summary(r, &totals, bytes, now.monotonic_ns - r->start.monotonic_ns, end);
	}
	gt_watch_free(r);
	gt_flight_free(r->flight);
	gt_kernel_close(r->kernel);
	gt_modules_free(r->resolver.modules);
	gt_collector_free(r->collector);
	gt_linked_close(r->linked);
	close(signals);
	gt_shm_close(&r->memory);
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status) ? WEXITSTATUS(status) : r->failed ? GT_EXIT_RECORD : 0;
}
