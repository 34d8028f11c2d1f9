/* flight.c - see flight.h. */
#include "cli/flight.h"

#include "cli/control.h"
#include "cli/flight_file.h"
#include "cli/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OWN_MAX      32 /* requests that no client makes */
#define REQUESTS_MAX (OWN_MAX + GT_CONTROL_CLIENTS_MAX)
#define CHILD_NICE   10
#define IOPRIO_IDLE  (3 << 13)

struct request {
	char cause[GT_FLIGHT_CAUSE_MAX];
	char *path; /* NULL: named by time and cause */
	struct gt__meta *metas;
	size_t meta_count;
	int64_t due_ns;
	uint32_t count; /* requests that share it */
	gt_control_client clients[GT_CONTROL_CLIENTS_MAX];
	size_t client_count;
	bool last, told;
	const char *exit_text;
};

/* A file that may have to go for a newer one. */
struct kept {
	char *path;
	uint64_t bytes, device, inode;
};

struct gt_flight {
	struct gt_recording *recording;
	struct gt_control *control; /* NULL: there is none */
	int epoll;

	struct request *waiting[REQUESTS_MAX + 1];
	size_t waiting_count, own_count;
	int64_t copied_ns; /* when the last copy was made */
	int64_t every_ns;  /* when the next is due */

	/* The child. */
	pid_t child; /* 0: none */
	int pipe;
	struct request *writing[REQUESTS_MAX + 1];
	size_t writing_count;
	struct gt__report report; /* as far as it has come */
	size_t report_bytes;

	struct kept *kept;
	size_t kept_count, kept_room;
	uint64_t kept_bytes;
	uint64_t written;
	int last_ret;
};

/* ---- requests ---- */

static void request_free(struct request *request)
{
	if (!request)
		return;
	free(request->path);
	free(request->metas);
	free(request);
}

static struct request *request_new(
	const char *cause, const char *path, const struct gt_flight_meta *metas, size_t count)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	if (count > GT_FLIGHT_METAS_MAX)
		count = GT_FLIGHT_METAS_MAX;
	snprintf(request->cause, sizeof(request->cause), "%s", cause);
	request->count = 1;
	request->path = path && *path ? strdup(path) : NULL;
	request->metas = calloc(count + 1, sizeof(*request->metas));
	if ((path && *path && !request->path) || !request->metas) {
		request_free(request);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		snprintf(request->metas[i].key, sizeof(request->metas[i].key), "%s", metas[i].key);
		snprintf(request->metas[i].value, sizeof(request->metas[i].value), "%s", metas[i].value);
	}
	request->meta_count = count;
	return request;
}

static bool is_client(const struct request *request)
{
	return request->client_count != 0;
}

static bool same_file(const struct request *request, const char *cause, const char *path)
{
	if (path && *path)
		return request->path && strcmp(request->path, path) == 0;
	return !request->path && strncmp(request->cause, cause, GT_FLIGHT_CAUSE_MAX - 1) == 0;
}

int gt_flight_request(
	struct gt_flight *f, const char *cause, int64_t after_ns, const struct gt_flight_meta *metas, size_t meta_count)
{
	struct request *request, *joined = NULL;

	for (size_t i = 0; i < f->waiting_count; i++)
		if (!is_client(f->waiting[i]) && (f->own_count == OWN_MAX || same_file(f->waiting[i], cause, NULL)))
			joined = f->waiting[i];
	request = joined ? NULL : request_new(cause, NULL, metas, meta_count);
	if (!request) {
		if (joined)
			joined->count++;
		return 1;
	}
	request->due_ns = gt_monotonic_ns() + after_ns;
	f->waiting[f->waiting_count++] = request;
	f->own_count++;
	return 0;
}

static void client_snapshot(struct gt_flight *f, gt_control_client client, const struct gt_control_question *question)
{
	const struct gt_flight_meta reason = {"reason", question->reason};
	char cause[GT_FLIGHT_CAUSE_MAX + GT_CONTROL_REASON_MAX];
	struct request *request;

	/* One line, whatever was sent. */
	snprintf(cause, sizeof(cause), "command%s%s", question->reason[0] ? ": " : "", question->reason);
	for (char *at = cause; *at; at++)
		if ((unsigned char)*at < ' ')
			*at = ' ';
	for (size_t i = 0; i < f->waiting_count; i++) {
		request = f->waiting[i];
		if (!is_client(request) || request->client_count == GT_CONTROL_CLIENTS_MAX ||
			!same_file(request, cause, question->path))
			continue;
		request->clients[request->client_count++] = client;
		request->count++;
		return;
	}
	/* Of those that left without an answer, requests may still stand here. */
	if (f->waiting_count - f->own_count >= GT_CONTROL_CLIENTS_MAX) {
		gt_control_answer(f->control, client, true, "", "too many snapshots wait to be written: try again");
		return;
	}
	request = request_new(cause, question->path, &reason, question->reason[0] != 0);
	if (!request) {
		gt_control_answer(f->control, client, true, "", "the recorder is out of memory");
		return;
	}
	request->clients[request->client_count++] = client;
	f->waiting[f->waiting_count++] = request;
}

static void on_question(void *context, gt_control_client client, const struct gt_control_question *question)
{
	struct gt_flight *f = context;
	const struct gt_record_options *o = &f->recording->options;
	char text[512], age[32], size[32];

	if (question->what == GT_CONTROL_SNAPSHOT) {
		client_snapshot(f, client, question);
		return;
	}
	snprintf(text, sizeof(text), "the last %s in at most %s, %" PRIu64 " snapshots written",
		gt_format_duration(o->min_age_ns, age), gt_format_size(o->window_bytes_max, size), f->written);
	gt_control_answer(f->control, client, false, f->recording->path, text);
}

static void answer(struct gt_flight *f, struct request *request, bool failed, const char *path, const char *text)
{
	for (size_t i = 0; i < request->client_count; i++)
		gt_control_answer(f->control, request->clients[i], failed, path, text);
	request->told = true;
}

/* ---- files that were written ---- */

static void forget_oldest(struct gt_flight *f)
{
	struct kept oldest = f->kept[0];
	struct stat st;

	/* Only if it is still that file. */
	if (lstat(oldest.path, &st) == 0 && st.st_dev == oldest.device && st.st_ino == oldest.inode)
		unlink(oldest.path);
	free(oldest.path);
	f->kept_bytes -= oldest.bytes;
	memmove(f->kept, f->kept + 1, --f->kept_count * sizeof(*f->kept));
}

/* The newest stays, be it larger than what is allowed. */
static void rotate(struct gt_flight *f, const struct gt__report *report)
{
	const struct gt_record_options *o = &f->recording->options;
	char *path;

	if (!o->keep && !o->disk_bytes_max)
		return;
	path = strdup(report->path);
	if (f->kept_count == f->kept_room) {
		size_t room = f->kept_room ? 2 * f->kept_room : 64;
		struct kept *list = realloc(f->kept, room * sizeof(*list));

		if (list) {
			f->kept = list;
			f->kept_room = room;
		}
	}
	if (!path || f->kept_count == f->kept_room) {
		free(path);
		return;
	}
	f->kept[f->kept_count++] = (struct kept){path, report->bytes, report->device, report->inode};
	f->kept_bytes += report->bytes;
	while (f->kept_count > 1 &&
		((o->keep && f->kept_count > o->keep) || (o->disk_bytes_max && f->kept_bytes > o->disk_bytes_max)))
		forget_oldest(f);
}

static void on_report(struct gt_flight *f, const struct gt__report *report)
{
	struct request *request;

	if (report->index >= f->writing_count)
		return;
	request = f->writing[report->index];
	if (report->ret < 0 || !f->recording->options.quiet)
		fprintf(stderr, "gtrace: %s\n", report->line);
	if (request->last)
		f->last_ret = report->ret;
	if (report->ret == 0) {
		f->written++;
		if (!request->path && !request->last)
			rotate(f, report);
	}
	/* Last: who was answered finds all as it should be. */
	answer(f, request, report->ret < 0, report->path, report->line);
}

/* Of what is being written: what has no report has failed, for @why. */
static void end_writing(struct gt_flight *f, const char *why)
{
	for (size_t i = 0; i < f->writing_count; i++) {
		if (!f->writing[i]->told) {
			fprintf(stderr, "gtrace: cannot write the snapshot: %s: %s\n", f->writing[i]->cause, why);
			answer(f, f->writing[i], true, "", why);
			if (f->writing[i]->last)
				f->last_ret = -EIO;
		}
		request_free(f->writing[i]);
	}
	f->writing_count = 0;
}

/* ---- the child ---- */

static void write_all(struct gt_flight *f, const struct gt__copied *copied, int to)
{
	static struct gt__report report;

	for (size_t i = 0; i < f->writing_count; i++) {
		const struct request *request = f->writing[i];
		const struct gt__snapshot snapshot = {
			.cause = request->cause,
			.path = request->path,
			.exit_text = request->exit_text,
			.metas = request->metas,
			.meta_count = request->meta_count,
			.requests = request->count,
			.last = request->last,
		};

		memset(&report, 0, sizeof(report));
		report.index = (uint32_t)i;
		gt__flight_write(f->recording, &snapshot, copied, &report);
		if (to < 0) {
			on_report(f, &report);
			continue;
		}
		for (size_t sent = 0; sent < sizeof(report);) {
			ssize_t size = write(to, (char *)&report + sent, sizeof(report) - sent);

			if (size < 0 && errno != EINTR)
				break; /* gtrace is gone: the files are wanted all the same */
			sent += size > 0 ? (size_t)size : 0;
		}
	}
}

/* Signals stay blocked as they are in gtrace: what the terminal sends does not cut the file off. */
static void child(struct gt_flight *f, const struct gt__copied *copied, const int *ends)
{
	prctl(PR_SET_NAME, "gtrace-snapshot");
	setpriority(PRIO_PROCESS, 0, CHILD_NICE);
	syscall(SYS_ioprio_set, 1, 0, IOPRIO_IDLE);
	close(ends[0]);
	close(f->epoll);
	if (f->control)
		gt_control_leave(f->control);
	for (size_t i = 0; i < 2; i++)
		if (f->recording->private_fds[i] > 0)
			close(f->recording->private_fds[i]);
	write_all(f, copied, ends[1]);
	_exit(0);
}

static int start_child(struct gt_flight *f, const struct gt__copied *copied)
{
	struct epoll_event event = {.events = EPOLLIN};
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		child(f, copied, ends);
	if (pid < 0) {
		int ret = -errno;

		close(ends[0]);
		close(ends[1]);
		return ret;
	}
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	epoll_ctl(f->epoll, EPOLL_CTL_ADD, ends[0], &event);
	f->child = pid;
	f->pipe = ends[0];
	f->report_bytes = 0;
	return 0;
}

static void child_ended(struct gt_flight *f)
{
	char why[128] = "the process that wrote it ended early";
	int status = 0;

	epoll_ctl(f->epoll, EPOLL_CTL_DEL, f->pipe, NULL);
	close(f->pipe);
	/* It closed its end by ending, so this is soon. */
	while (waitpid(f->child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "the process that wrote it was ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	f->child = 0;
	end_writing(f, why);
}

/* What the child has sent so far. */
static void hear_child(struct gt_flight *f)
{
	while (f->child) {
		ssize_t size = read(f->pipe, (char *)&f->report + f->report_bytes, sizeof(f->report) - f->report_bytes);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			return;
		if (size <= 0) {
			child_ended(f);
			return;
		}
		f->report_bytes += (size_t)size;
		if (f->report_bytes < sizeof(f->report))
			continue;
		f->report_bytes = 0;
		on_report(f, &f->report);
	}
}

/* ---- taking one ---- */

/* What is due by @now_ns goes from waiting to writing. */
static bool take_due(struct gt_flight *f, int64_t now_ns)
{
	size_t left = 0;

	f->writing_count = f->own_count = 0;
	for (size_t i = 0; i < f->waiting_count; i++) {
		struct request *request = f->waiting[i];

		if (request->due_ns <= now_ns) {
			f->writing[f->writing_count++] = request;
		} else {
			f->waiting[left++] = request;
			f->own_count += !is_client(request);
		}
	}
	f->waiting_count = left;
	return f->writing_count != 0;
}

/* @lives: the process; its goroutines are read. */
static int copy(struct gt_flight *f, bool lives, struct gt__copied *copied)
{
	struct gt_recording *r = f->recording;
	struct timespec now;
	struct gt_error err;
	int ret;

	if (r->kernel)
		gt_kernel_round(r->kernel, NULL);
	if (lives)
		gt_standing_read(r);
	gt_collector_follow(r->collector);
	gt_cost_step(&r->cost);
	clock_gettime(CLOCK_REALTIME, &now);
	copied->realtime_ns = now.tv_sec * 1000000000ll + now.tv_nsec;
	ret = gt_collector_copy(r->collector, &copied->result, &err);
	if (ret < 0) {
		end_writing(f, err.text);
		return ret;
	}
	gt_collector_totals(r->collector, &copied->totals);
	f->copied_ns = gt_monotonic_ns();
	return 0;
}

static void take(struct gt_flight *f)
{
	struct gt__copied copied;
	char why[160];
	int ret;

	if (copy(f, true, &copied) < 0)
		return;
	ret = start_child(f, &copied);
	gt_collector_standing(f->recording->collector, 0, NULL, 0); /* the child has it */
	if (ret < 0) {
		snprintf(why, sizeof(why), "cannot start the process that writes it: %s: try again", strerror(-ret));
		end_writing(f, why);
	}
}

/* ---- the flight ---- */

int gt_flight_fd(const struct gt_flight *f)
{
	return f ? f->epoll : -1;
}

static void ask_in_time(struct gt_flight *f, int64_t now_ns)
{
	const struct gt_record_options *o = &f->recording->options;
	char cause[64];

	if (!o->every_ns || now_ns < f->every_ns)
		return;
	snprintf(cause, sizeof(cause), "every %s", o->every_text);
	gt_flight_request(f, cause, 0, NULL, 0);
	f->every_ns += (int64_t)o->every_ns;
	if (f->every_ns <= now_ns) /* we were stopped: not all of those at once */
		f->every_ns = now_ns + (int64_t)o->every_ns;
}

void gt_flight_step(struct gt_flight *f)
{
	int64_t now_ns = gt_monotonic_ns();

	if (f->control)
		gt_control_step(f->control, on_question, f);
	hear_child(f);
	ask_in_time(f, now_ns);
	if (!f->child && f->waiting_count && now_ns - f->copied_ns >= GT_FLIGHT_GAP_NS && take_due(f, now_ns))
		take(f);
}

int64_t gt_flight_due_ns(const struct gt_flight *f)
{
	int64_t due_ns = INT64_MAX;

	if (!f)
		return due_ns;
	for (size_t i = 0; i < f->waiting_count && !f->child; i++)
		due_ns = f->waiting[i]->due_ns < due_ns ? f->waiting[i]->due_ns : due_ns;
	if (due_ns < f->copied_ns + GT_FLIGHT_GAP_NS)
		due_ns = f->copied_ns + GT_FLIGHT_GAP_NS;
	return f->recording->options.every_ns && f->every_ns < due_ns ? f->every_ns : due_ns;
}

struct gt_flight *gt_flight_start(struct gt_recording *r)
{
	struct gt_flight *f = calloc(1, sizeof(*f));
	struct epoll_event event = {.events = EPOLLIN};
	struct gt_error err;

	if (!f)
		return NULL;
	f->recording = r;
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	f->copied_ns = gt_monotonic_ns() - GT_FLIGHT_GAP_NS;
	f->every_ns = gt_monotonic_ns() + (int64_t)r->options.every_ns;
	if (gt_control_open(r->pid, &f->control, &err) < 0) {
		f->control = NULL;
		if (!r->options.quiet)
			fprintf(stderr, "gtrace: `gtrace snapshot' will not find this recorder: %s\n", err.text);
	} else {
		epoll_ctl(f->epoll, EPOLL_CTL_ADD, gt_control_fd(f->control), &event);
	}
	return f;
}

static void wait_for_child(struct gt_flight *f)
{
	while (f->child) {
		struct pollfd end = {.fd = f->pipe, .events = POLLIN};

		poll(&end, 1, -1);
		hear_child(f);
	}
}

int gt_flight_end(struct gt_flight *f, const char *cause, const char *exit_text, const struct gt_flight_meta *metas,
	size_t meta_count)
{
	struct request *last = request_new(cause, NULL, metas, meta_count);
	struct gt__copied copied;

	if (f->control)
		gt_control_step(f->control, on_question, f);
	wait_for_child(f);
	/* Asked for while we waited. */
	if (f->control)
		gt_control_step(f->control, on_question, f);
	take_due(f, INT64_MAX);
	if (!last) {
		end_writing(f, "out of memory");
		return -ENOMEM;
	}
	last->last = true;
	last->exit_text = exit_text;
	memmove(f->writing + 1, f->writing, f->writing_count++ * sizeof(*f->writing));
	f->writing[0] = last;
	if (copy(f, false, &copied) < 0)
		return -ENOMEM;
	write_all(f, &copied, -1);
	end_writing(f, "out of memory");
	return f->last_ret;
}

void gt_flight_free(struct gt_flight *f)
{
	if (!f)
		return;
	gt_control_close(f->control);
	if (f->epoll >= 0)
		close(f->epoll);
	for (size_t i = 0; i < f->waiting_count; i++)
		request_free(f->waiting[i]);
	while (f->kept_count)
		free(f->kept[--f->kept_count].path);
	free(f->kept);
	free(f);
}
