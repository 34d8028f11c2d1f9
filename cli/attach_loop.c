/*
 * attach_loop.c - a recording of a running program: hooks in, events collected, hooks out.
 *
 * What can fail without the process fails before it is touched: its file is read, the trace is opened, sizes are
 * known. Between the stop that maps memory and the one that patches, that memory is filled.
 *
 * Signals. SIGINT, SIGTERM, SIGHUP and SIGQUIT end the recording, SIGUSR2 writes a snapshot with --flight. None is passed on: the
 * program is not ours.
 */
#include "cli/attach_internal.h"

#include "cli/flight.h"
#include "cli/metas.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MS_AHEAD 512 /* ids beyond the highest M's that can be used at once */

/* ---- the program ---- */

int gt_attached_name(struct gt_attached *a, const char *program_path, const char *exe)
{
	struct gt_recording *r = a->recording;
	struct stat program, output;
	const char *name;

	r->path = strdup(program_path);
	if (!r->path)
		return gt_die_text(GT_EXIT_FAILURE, "out of memory");
	name = strrchr(r->path, '/');
	if (r->options.output)
		snprintf(r->output, sizeof(r->output), "%s", r->options.output);
	else
		snprintf(r->output, sizeof(r->output), "%.*s.gtrace", (int)strcspn(name ? name + 1 : r->path, " "),
			name ? name + 1 : r->path);
	if (stat(exe, &program) == 0 && stat(r->output, &output) == 0 && program.st_dev == output.st_dev &&
		program.st_ino == output.st_ino)
		return gt_die_text(GT_EXIT_FAILURE,
			"cannot write: %s: it is the program itself: choose another name with -o", r->output);
	return 0;
}

static int look(struct gt_attached *a)
{
	struct gt_recording *r = a->recording;
	struct gt_error err;
	int ret = gt_linked_open(a->options->pid, true, &a->linked, &err);

	if (ret < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	if (ret)
		return gt_linked_look(a);
	ret = gt_record_check_go_sets(r);
	if (ret)
		return GT_EXIT_FAILURE;
	if (gt_attach_open(a->options->pid, &a->attach, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	a->view = gt_attach_view(a->attach);
	r->pid = a->view->pid;
	r->resolver.go = a->view->bin;
	r->layout = a->view->layout;
	for (unsigned int i = 0; i < 256; i++)
		r->wait_reasons[i] = gt_golayout_reason(r->layout, i);
	return gt_attached_name(a, a->view->program, a->view->exe);
}

/* Its command line, as /proc has it: for the trace's head. */
static char **arguments(pid_t pid)
{
	size_t size = 0, room = 4096, count = 0;
	char path[64], *text, **list;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	in = fopen(path, "re");
	text = malloc(room + 1);
	if (in && text)
		size = fread(text, 1, room, in);
	if (in)
		fclose(in);
	if (!text)
		return NULL;
	text[size] = 0;
	for (size_t i = 0; i < size; i++)
		count += !text[i];
	list = calloc(count + 2, sizeof(*list));
	count = 0;
	for (size_t i = 0; list && i < size; i += strlen(text + i) + 1)
		list[count++] = text + i;
	if (!count)
		free(text);
	return list;
}

static int open_process(struct gt_attached *a)
{
	a->process = (int)syscall(SYS_pidfd_open, a->recording->pid, 0);
	if (a->process < 0)
		return gt_die_text(
			GT_EXIT_FAILURE, "cannot attach: process %d: %s", (int)a->recording->pid, strerror(errno));
	return 0;
}

/* ---- hooks in ---- */

static int find_goroutines(struct gt_attached *a)
{
	struct gt_recording *r = a->recording;
	struct gt_goroutine *list;
	struct gt_found *found;
	struct gt_error err;
	size_t count;
	int ret = gt_attach_goroutines(a->attach, &list, &count, &err);

	if (ret < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	if (gt_attach_goroutines_again(a->attach, list, &count, &err) < 0) {
		free(list);
		return gt_die(GT_EXIT_FAILURE, &err);
	}
	gt_attach_stacks(a->attach, list, count, r->options.stack_depth, gt_standing_stack, r->collector);
	found = gt_standing_list(list, count);
	if (!found) {
		free(list);
		return gt_die_text(GT_EXIT_FAILURE, "out of memory");
	}
	a->found = count;
	ret = gt_collector_found(r->collector, r->writer, a->view->ticks, found, count, a->view->settled);
	if (ret < 0)
		gt_record_failure(r, "cannot write the trace", ret);
	free(found);
	free(list);
	return 0;
}

static int make_memory(struct gt_attached *a, struct gt_shm_config *memory, const struct gt_collector_config *collector)
{
	struct gt_recording *r = a->recording;
	struct gt_error err;
	int memfd;

	if (gt_attach_map(a->attach, r->options.stack_depth != 0, r->options.sets, getenv("GTRACE_TEST_SKIP_HOOK"),
		    gt_shm_bytes(memory), &memfd, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	memory->memfd = memfd;
	memory->ms_gone = a->view->ms_gone;
	if (memory->m_limit < a->view->m_highest + MS_AHEAD)
		memory->m_limit = (uint32_t)a->view->m_highest + MS_AHEAD;
	if (memory->m_limit > memory->m_count)
		memory->m_limit = memory->m_count;
	if (gt_shm_create(memory, &r->memory, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	if (gt_collector_new(collector, &r->collector, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	return 0;
}

static int hook(struct gt_attached *a)
{
	struct gt_recording *r = a->recording;
	struct gt_collector_config collector;
	struct gt_shm_config memory;
	struct gt_error err;
	int ret = gt_record_lay_out(r, &memory, &collector);

	if (!ret)
		ret = gt_record_begin(r);
	if (!ret)
		ret = make_memory(a, &memory, &collector);
	if (ret)
		return ret;
	if (gt_attach_patch(a->attach, &r->memory, &err) < 0)
		return gt_die(GT_EXIT_FAILURE, &err);
	if (a->view->membarrier)
		atomic_store(&r->memory.shm->barrier, 1);
	gt_collector_started(r->collector, a->view->foreign ? 0 : r->pid, a->view->slide);
	r->resolver.slide = a->view->slide;
	gt_standing_find(r, a->view->slide);
	gt_record_kernel(r, r->pid, true);
	return find_goroutines(a);
}

/* ---- while it runs ---- */

/* True: it is time to end. */
static bool on_signal(struct gt_recording *r, uint32_t number)
{
	switch (number) {
	case SIGUSR2:
		if (r->flight)
			gt_flight_request(r->flight, "SIGUSR2", 0, NULL, 0);
		return false;
	case SIGTSTP:
		raise(SIGSTOP); /* the program goes on; what the memory does not hold is lost, and told */
		return false;
	case SIGINT:
	case SIGTERM:
	case SIGHUP:
	case SIGQUIT:
		return true;
	default:
		return false;
	}
}

static void follow(struct gt_attached *a)
{
	struct gt_recording *r = a->recording;
	struct gt_record_pace pace = {1, r->start.monotonic_ns, r->start.monotonic_ns, 0};
	int64_t end_ns = a->options->duration_ns ? gt_monotonic_ns() + (int64_t)a->options->duration_ns : INT64_MAX;
	bool over = false;

	pace.end_ns = end_ns;
	while (!over) {
		struct pollfd fds[3] = {
			{.fd = a->signals, .events = POLLIN},
			{.fd = a->process, .events = POLLIN},
			{.fd = gt_flight_fd(r->flight), .events = POLLIN},
		};
		struct signalfd_siginfo info;

		if (poll(fds, 3, gt_record_wait_ms(r, &pace)) > 0) {
			while (read(a->signals, &info, sizeof(info)) == sizeof(info))
				over |= on_signal(r, info.ssi_signo);
			if (fds[1].revents)
				a->gone = over = true;
		}
		over |= gt_monotonic_ns() >= end_ns;
		gt_record_round(r, &pace);
		if (r->flight)
			gt_flight_step(r->flight);
	}
}

/* ---- the end ---- */

static void unhook(struct gt_attached *a)
{
	struct pollfd process = {.fd = a->process, .events = POLLIN};
	struct gt_error err;
	int ret;

	/* Behind the last record nobody knows who stands where. */
	if (a->recording->options.flight && (a->recording->allgs || a->recording->linked))
		gt_standing_read(a->recording);
	if (a->linked) {
		gt_linked_unhook(a);
		return;
	}
	ret = gt_attach_detach(a->attach, &err);

	/* Its end is known a moment after its threads are gone. */
	if (ret < 0 && poll(&process, 1, 1000) > 0)
		a->gone = true;
	else if (ret < 0)
		gt_record_failure(a->recording, "hooks stay in the program", ret);
	/* Of a process that is gone, one line was told already, by the call that met it. */
	if (ret < 0 && !a->gone && ret != -ESRCH)
		gt_die(0, &err);
}

static void tell(const struct gt_attached *a)
{
	const struct gt_attach_view *view = a->view;
	char longest[32], total[32];

	if (!view) {
		fprintf(stderr, "gtrace: attached to process %d: %zu goroutines found\n", (int)a->recording->pid,
			a->found);
		return;
	}

	fprintf(stderr,
		"gtrace: attached to process %d: stopped %u times, %s at the longest, %s in all, at %zu threads; %zu "
		"goroutines "
		"found, %zu hooks%s%s\n",
		(int)view->pid, view->stops, gt_format_duration((uint64_t)view->stop_ns_longest, longest),
		gt_format_duration((uint64_t)view->stop_ns_total, total), view->threads, a->found, view->hooks,
		view->settled ? "" : ", a change of state was under way when they were put in",
		view->left_mapped ? ", a thread stayed in them: their page is left, unused" : "");
}

static int finish(struct gt_attached *a)
{
	struct gt_recording *r = a->recording;
	const char *end = a->gone ? "program ended" : "program goes on";
	struct gt_collector_totals totals;
	struct gt_trigger_metas metas;
	struct gt_clock_pair now = gt_clock_pair();
	uint64_t bytes = 0;

	if (r->options.flight) {
		gt_collector_follow_end(r->collector);
		gt_watch_end(r, -1, NULL, 0, &metas);
		if (!r->flight || gt_flight_end(r->flight, a->gone ? "program ended" : "end of the recording",
					  a->gone ? "ended" : "still running", NULL, 0) < 0)
			r->failed = true;
	} else {
		gt_record_finish(r, a->gone ? "ended" : "still running", &bytes);
		gt_collector_totals(r->collector, &totals);
		if (r->failed)
			gt_die(0, &r->failure);
		else if (!r->options.quiet)
			gt_record_summary(r, &totals, bytes, now.monotonic_ns - r->start.monotonic_ns, end);
	}
	if (!r->options.quiet)
		tell(a);
	return r->failed ? GT_EXIT_FAILURE : 0;
}

static int attach_signals(void)
{
	sigset_t ours;

	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&ours);
	for (size_t i = 0; i < 8; i++)
		sigaddset(&ours, (int[]){SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGUSR1, SIGUSR2}[i]);
	sigprocmask(SIG_BLOCK, &ours, NULL);
	return signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(struct gt_attached *a)
{
	struct gt_recording *r = a->recording;
	int ret = look(a);

	if (!ret)
		ret = open_process(a);
	if (ret)
		return ret;
	r->options.argv = arguments(r->pid);
	ret = a->linked ? gt_linked_hook(a) : hook(a);
	gt_cost_program(&r->cost, r->pid);
	if (ret) {
		unhook(a);
		if (r->writer)
			gt_writer_abandon(r->writer);
		return GT_EXIT_FAILURE;
	}
	if (!r->options.quiet)
		fprintf(stderr, "gtrace: recording process %d (%s): Ctrl-C ends it\n", (int)r->pid, r->path);
	if (r->options.flight) {
		r->private_fds[0] = a->signals;
		r->private_fds[1] = a->process;
		r->flight = gt_flight_start(r);
	}
	gt_watch_start(r);
	follow(a);
	r->end_ticks = gt_ticks();
	if (!a->gone)
		unhook(a);
	return finish(a);
}

int gt_attach_run(struct gt_recording *r, const struct gt_attach_options *options)
{
	struct gt_attached a = {.recording = r, .options = options, .process = -1};
	int ret;

	gt_clock_init();
	gt_clock_rate();
	a.signals = attach_signals();
	if (a.signals < 0)
		return gt_die_text(GT_EXIT_FAILURE, "cannot make a signalfd: %s", strerror(errno));
	ret = gt_record_check_proc() ? GT_EXIT_FAILURE : run(&a);
	gt_watch_free(r);
	gt_flight_free(r->flight);
	gt_kernel_close(r->kernel);
	gt_modules_free(r->resolver.modules);
	if (r->collector)
		gt_collector_free(r->collector);
	if (a.linked)
		gt_linked_finish(&a);
	if (r->memory.shm)
		gt_shm_close(&r->memory);
	if (r->options.argv) {
		free(r->options.argv[0]);
		free(r->options.argv);
	}
	free(r->path);
	gt_attach_close(a.attach);
	gt_linked_close(a.linked);
	gt_elf_symbols_close(r->resolver.elf);
	if (a.process >= 0)
		close(a.process);
	close(a.signals);
	return ret;
}
