/* flight_file.c - see flight_file.h. */
#include "cli/flight_file.h"

#include "cli/metas.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLUG_MAX  40
#define NAMES_MAX 1000 /* of the same time and cause */

static int64_t ticks_to_ns(int64_t ticks)
{
	return (int64_t)((__int128)ticks * 1000000000 / (__int128)gt_clock_rate());
}

/* ---- the name ---- */

/* "trigger: blocked > 1s" -> "trigger-blocked-1s" */
static void slug(const char *cause, char *out)
{
	size_t used = 0;

	for (; *cause && used < SLUG_MAX; cause++) {
		if (isalnum((unsigned char)*cause))
			out[used++] = *cause;
		else if (used && out[used - 1] != '-')
			out[used++] = '-';
	}
	while (used && out[used - 1] == '-')
		used--;
	out[used] = 0;
}

/* NAME.gtrace -> NAME-20261122T181530.123Z-CAUSE.gtrace; what is there already is left alone. */
static int timed_path(const char *output, const struct gt__snapshot *s, int64_t realtime_ns, char *path, size_t size,
	struct gt_error *err)
{
	const char *dot = strrchr(output, '.'), *slash = strrchr(output, '/');
	int stem = dot && (!slash || dot > slash) ? (int)(dot - output) : (int)strlen(output);
	char when[32], cause[SLUG_MAX + 1], more[16] = "";
	time_t seconds = realtime_ns / 1000000000;
	struct stat st;
	struct tm tm;

	if (stat(output, &st) == 0 && !S_ISREG(st.st_mode))
		return gt_fail(err, EINVAL,
			"cannot name a snapshot by time: %s: it is no regular file: give another with -o", output);
	gmtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%S", &tm);
	slug(s->cause, cause);
	for (unsigned int i = 2; i < NAMES_MAX; i++) {
		if ((size_t)snprintf(path, size, "%.*s-%s.%03dZ%s%s%s%s", stem, output, when,
			    (int)(realtime_ns / 1000000 % 1000), *cause ? "-" : "", cause, more, output + stem) >= size)
			return gt_fail(err, ENAMETOOLONG, "the name of the snapshot is too long: %s", output);
		if (lstat(path, &st) < 0)
			return 0;
		snprintf(more, sizeof(more), "-%u", i);
	}
	return gt_fail(err, EEXIST, "there are too many snapshots of this name: %s", path);
}

/* One that a client asked for by name. */
static int check_path(const struct gt_recording *r, const char *path, struct gt_error *err)
{
	struct stat there, program;
	char exe[64];

	if (path[0] != '/' || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0)
		return gt_fail(err, EINVAL, "a snapshot needs the name of a file: %s: choose another", path);
	if (stat(path, &there) < 0)
		return 0;
	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)r->pid);
	if ((stat(exe, &program) == 0 || stat(r->path, &program) == 0) && program.st_dev == there.st_dev &&
		program.st_ino == there.st_ino)
		return gt_fail(err, EINVAL, "cannot write: %s: it is the program itself: choose another name", path);
	if (!S_ISREG(there.st_mode))
		return gt_fail(err, EINVAL, "cannot write: %s: it is no regular file: choose another name", path);
	return 0;
}

static void make_absolute(const char *path, char *out, size_t size)
{
	char folder[PATH_MAX];

	if (path[0] != '/' && getcwd(folder, sizeof(folder)) &&
		(size_t)snprintf(out, size, "%s/%s", folder, path) < size)
		return;
	if ((size_t)snprintf(out, size, "%s", path) >= size)
		out[0] = '\0'; /* half a name is none */
}

/* ---- what it says ---- */

static void write_head(struct gt_recording *r, const struct gt__snapshot *s, struct gt_writer *writer)
{
	gt_writer_meta(writer, "cause", s->cause);
	for (size_t i = 0; i < s->meta_count; i++)
		gt_writer_meta(writer, s->metas[i].key, s->metas[i].value);
	if (s->requests > 1)
		gt_writer_meta_number(writer, "requests", s->requests);
	if (s->exit_text)
		gt_writer_meta(writer, "exit", s->exit_text);
	gt_writer_meta_number(writer, "min_age_ns", r->options.min_age_ns);
	gt_writer_meta_number(writer, "max_bytes", r->options.window_bytes_max);
}

static void write_result(const struct gt_snapshot_result *result, const struct gt_collector_totals *totals,
	const char *standing_missing, struct gt_writer *writer)
{
	gt_writer_meta_number(writer, "end_ticks", result->end_ticks);
	gt_writer_meta_number(writer, "kept_bytes", result->kept_bytes);
	gt_writer_meta_number(writer, "kept_ns", (uint64_t)ticks_to_ns(result->kept_ticks));
	gt_writer_meta_number(writer, "complete_ns", (uint64_t)ticks_to_ns(result->complete_ticks));
	gt_writer_meta_number(writer, "copy_ns", (uint64_t)result->copy_ns);
	gt_writer_meta_number(writer, "copy_bytes", result->scratch_bytes);
	gt_standing_meta(writer, result, standing_missing);
	gt_record_write_losses(totals, writer);
	if (result->blocks_torn)
		gt_writer_loss(writer, "blocks overwritten during the copy", result->blocks_torn);
}

/* Of the time that the window shows. */
static void write_cost(struct gt_recording *r, const struct gt_snapshot_result *result, struct gt_writer *writer)
{
	struct gt_writer_totals written;
	struct gt_cost_span span = {
		.bytes = result->kept_bytes,
		.span_ns = ticks_to_ns(result->kept_ticks),
		.by_kind = result->by_kind,
	};

	gt_writer_totals(writer, &written);
	span.events = written.events;
	gt_cost_write(&r->cost, writer, &span);
}

static void write_line(const struct gt_recording *r, const struct gt__snapshot *s, const char *path,
	const struct gt_snapshot_result *result, const struct gt_collector_totals *totals, char *out, size_t size)
{
	char age[32], text[32], asked[32], lost[48] = "", gap[96] = "", kept[96];

	gt_format_duration((uint64_t)ticks_to_ns(result->kept_ticks), age);
	if (totals->lost)
		snprintf(lost, sizeof(lost), "%" PRIu64 " lost, ", totals->lost);
	if (result->whole && !totals->lost)
		snprintf(kept, sizeof(kept), "all %s since the start", age);
	else
		snprintf(kept, sizeof(kept), "the last %s of %s asked", age,
			gt_format_duration(r->options.min_age_ns, asked));
	if (result->blocks_missed)
		snprintf(gap, sizeof(gap), " (%" PRIu64 " blocks missed: no gap in the last %s)", result->blocks_missed,
			gt_format_duration((uint64_t)ticks_to_ns(result->complete_ticks), text));
	if ((size_t)snprintf(out, size,
		    "snapshot %s: %" PRIu64 " events, %s%s%s, %s of records in %s, copied in %s to %s apart "
		    "(%s)",
		    path, result->events, lost, kept, gap, gt_format_size(result->kept_bytes, text),
		    gt_format_size(r->options.window_bytes_max, asked),
		    gt_format_duration((uint64_t)result->copy_ns, (char[32]){0}),
		    gt_format_size(result->scratch_bytes, (char[32]){0}), s->cause) >= size)
		memcpy(out + size - 4, "...", 4);
}

/* ---- the file ---- */

static int write_file(struct gt_recording *r, const struct gt__snapshot *s, const struct gt__copied *copied,
	const char *path, struct gt__report *report, struct gt_error *err)
{
	struct gt_snapshot_result result = copied->result;
	struct gt_collector_totals totals = copied->totals;
	char partial[PATH_MAX + 128 + 16];
	struct gt_writer *writer;
	struct gt_clock_pair now;
	struct stat file;
	int ret = gt_record_open_writer(r, path, &writer, err);

	if (ret < 0)
		return ret;
	write_head(r, s, writer);
	ret = gt_collector_write_copy(r->collector, writer, &result);
	if (ret >= 0 && r->kernel)
		ret = gt_kernel_write(
			r->kernel, writer, result.whole ? 0 : result.end_ticks - (uint64_t)result.kept_ticks);
	/* Of a dead program, whole frames in NAME.partial are all that there is. */
	if (ret >= 0 || (s->last && gt_writer_failure(writer, NULL) < 0)) {
		/* What a thread was writing when the program died is not to come any more. */
		if (s->last) {
			totals.lost_in_flight += result.in_flight;
			totals.lost += result.in_flight;
		}
		write_result(&result, &totals, s->last ? NULL : r->standing_missing, writer);
		gt_record_kernel_end(r, writer);
		write_cost(r, &result, writer);
		now = gt_clock_pair();
		ret = gt_writer_close(writer, now.ticks, now.monotonic_ns, err);
		/* What is left of it would fill the disk with parts of snapshots. */
		snprintf(partial, sizeof(partial), "%s.partial", path);
		if (ret < 0 && !s->last)
			unlink(partial);
		if (ret < 0 && s->last)
			return ret;
	} else {
		gt_writer_abandon(writer);
	}
	if (ret < 0)
		return gt_fail(err, -ret, "cannot write the snapshot: %s: %s%s", path, strerror(-ret),
			s->last ? "" : ": nothing of the window was lost: try again");
	if (stat(path, &file) == 0) {
		report->bytes = (uint64_t)file.st_size;
		report->device = file.st_dev;
		report->inode = file.st_ino;
	}
	write_line(r, s, path, &result, &totals, report->line, sizeof(report->line));
	return 0;
}

void gt__flight_write(struct gt_recording *r, const struct gt__snapshot *s, const struct gt__copied *copied,
	struct gt__report *report)
{
	char path[PATH_MAX + 128];
	struct gt_error err;

	if (s->last)
		snprintf(path, sizeof(path), "%s", r->output);
	else if (s->path)
		snprintf(path, sizeof(path), "%s", s->path);
	report->ret = 0;
	if (!s->last && s->path)
		report->ret = check_path(r, path, &err);
	else if (!s->last)
		report->ret = timed_path(r->output, s, copied->realtime_ns, path, sizeof(path), &err);
	if (report->ret == 0)
		report->ret = write_file(r, s, copied, path, report, &err);
	if (report->ret < 0)
		snprintf(report->line, sizeof(report->line), "%s", err.text);
	else
		make_absolute(path, report->path, sizeof(report->path));
}
