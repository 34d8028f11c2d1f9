/* cmd_convert.c - gtrace convert IN [--to FORMAT] [-o OUT]. */
#include "analysis/analysis.h"
#include "cli/cli.h"
#include "format/convert/chrome.h"
#include "format/convert/perfetto.h"
#include "format/reading/text.h"
#include "format/reading/trace.h"
#include "format/text/text_read.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_TO = 256, KEY_SLICES_ONLY, KEY_GZIP, KEY_ZSTD, KEY_FROM, KEY_GOROUTINE, KEY_FUNCTION, KEY_PROFILE };
#define WANTED_MAX 1000

static const struct argp_option options[] = {
	{"output", 'o', "OUT", 0, "write to OUT; - is standard output (default: IN with the format's ending)", 0},
	{"to", KEY_TO, "FORMAT|TIME", 0,
		"json, perfetto, pprof, folded, csv, events, text or gtrace (default: by OUT's ending; json without "
		"OUT); a "
		"time (2s): end there",
		0},
	{"slices-only", KEY_SLICES_ONLY, NULL, 0, "json, perfetto: no arguments, arrows or counters", 0},
	{"from", KEY_FROM, "TIME", 0,
		"json, perfetto: begin there (1.5s, 200ms since the trace's begin), with what is then under way", 0},
	{"goroutine", KEY_GOROUTINE, "ID[,ID...]", 0, "json, perfetto: these goroutines only; may be given again", 0},
	{"function", KEY_FUNCTION, "TEXT", 0,
		"json, perfetto: goroutines only whose first function has TEXT in its name; may be given again", 0},
	{"gzip", KEY_GZIP, NULL, 0, "json, perfetto: packed (default when OUT ends in .gz); viewers open it", 0},
	{"profile", KEY_PROFILE, "NAME", 0,
		"pprof, folded: sync-block, sched-latency, syscall-block, network-block, alloc or cpu (default: "
		"sync-block)",
		0},
	{"zstd", KEY_ZSTD, NULL, 0, "the same by zstd (.zst): smaller and faster, for Perfetto 58 and later", 0},
	{0},
};

struct convert_options {
	const char *in, *out, *to;
	bool slices_only;
	uint64_t from_ns, to_ns; /* 0: the trace's */
	enum gt_sink_packing packing;
	uint64_t goroutines[WANTED_MAX];
	const char *functions[WANTED_MAX];
	size_t goroutine_count, function_count;
	enum gt_profile profile;
	bool profile_given;
	bool *found; /* one of the wanted goroutines is there */
};

static void parse_time(const char *text, uint64_t *ns, struct argp_state *state)
{
	if (!gt_parse_duration(text, ns))
		argp_error(state, "no time: %s: a number and ns, us, ms, s or m, as in 1.5s", text);
}

static void parse_goroutines(struct convert_options *o, const char *text, struct argp_state *state)
{
	for (;;) {
		char *end;

		errno = 0;
		if (o->goroutine_count == WANTED_MAX)
			argp_error(state, "more than %d goroutines", WANTED_MAX);
		o->goroutines[o->goroutine_count] = strtoull(text + (*text == 'G'), &end, 10);
		/* strtoull would take a sign. */
		if (end == text || errno || text[*text == 'G'] < '0' || text[*text == 'G'] > '9' ||
			!o->goroutines[o->goroutine_count] || (*end && *end != ','))
			argp_error(state, "no goroutine: %s: ids are numbers, as in 7 or 7,12", text);
		o->goroutine_count++;
		if (!*end)
			return;
		text = end + 1;
	}
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct convert_options *o = state->input;

	switch (key) {
	case 'o':
		o->out = arg;
		return 0;
	case KEY_TO:
		/* No format begins with a digit. */
		if (*arg >= '0' && *arg <= '9')
			parse_time(arg, &o->to_ns, state);
		else
			o->to = arg;
		return 0;
	case KEY_FROM:
		parse_time(arg, &o->from_ns, state);
		return 0;
	case KEY_GOROUTINE:
		parse_goroutines(o, arg, state);
		return 0;
	case KEY_FUNCTION:
		if (o->function_count == WANTED_MAX)
			argp_error(state, "more than %d functions", WANTED_MAX);
		o->functions[o->function_count++] = arg;
		return 0;
	case KEY_GZIP:
		o->packing = GT_SINK_GZIP;
		return 0;
	case KEY_ZSTD:
		o->packing = GT_SINK_ZSTD;
		return 0;
	case KEY_SLICES_ONLY:
		o->slices_only = true;
		return 0;
	case KEY_PROFILE:
		o->profile = GT_PROFILE_SYNC_BLOCK;
		while (gt_profile_name(o->profile) && strcmp(gt_profile_name(o->profile), arg) != 0)
			o->profile++;
		if (!gt_profile_name(o->profile))
			argp_error(state,
				"no such profile: %s: give sync-block, sched-latency, syscall-block, network-block, "
				"alloc or cpu",
				arg);
		o->profile_given = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->in)
			argp_error(state, "one IN only");
		o->in = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->in)
			argp_error(state, "IN is missing");
		if (o->to_ns && o->to_ns <= o->from_ns)
			argp_error(state, "--to TIME is not after --from TIME");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- where the bytes go: a file appears under its name when it is whole ---- */

struct output {
	const char *name;       /* as the user calls it */
	char partial[PATH_MAX]; /* "": written in place (a pipe, a device, standard output) */
	int fd;
	FILE *file; /* for the formats that print */
};

static bool same_file(const char *a, const char *b)
{
	struct stat left, right;

	return stat(a, &left) == 0 && stat(b, &right) == 0 && S_ISREG(left.st_mode) && left.st_dev == right.st_dev &&
	       left.st_ino == right.st_ino;
}

/* What a signal that ends us finds half done. */
static const char *volatile unfinished;

static void interrupted(int number)
{
	if (unfinished)
		unlink(unfinished);
	raise(number); /* its own effect, once we return */
}

/* Those that are ignored, by nohup say, stay so. */
static void remove_when_interrupted(const char *partial)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction before, action = {.sa_handler = interrupted, .sa_flags = SA_RESETHAND};

	unfinished = partial;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			sigaction(numbers[i], &action, NULL);
}

static int output_open(struct output *out, const char *in, const char *name, struct gt_error *err)
{
	struct stat st;

	memset(out, 0, sizeof(*out));
	out->name = name;
	if (strcmp(name, "-") == 0) {
		out->name = "standard output";
		out->fd = dup(STDOUT_FILENO);
	} else if (stat(name, &st) == 0 && !S_ISREG(st.st_mode)) {
		out->fd = open(name, O_WRONLY | O_CLOEXEC);
	} else {
		if (snprintf(out->partial, sizeof(out->partial), "%s.partial", name) >= (int)sizeof(out->partial))
			return gt_fail(err, ENAMETOOLONG, "cannot write: %s: name too long", name);
		if (same_file(in, name) || same_file(in, out->partial))
			return gt_fail(err, EEXIST,
				"cannot write: %s: it is what is to be read: choose another name with -o", name);
		unlink(out->partial);
		remove_when_interrupted(out->partial);
		out->fd = open(out->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	}
	if (out->fd < 0)
		return gt_fail(err, errno, "cannot write: %s: %s", name, strerror(errno));
	return 0;
}

/* @ret: how the conversion went. Keeps the file only when all is well. */
static int output_close(struct output *out, int ret, struct gt_error *err)
{
	if (out->file) {
		/* The stream owns a copy of the descriptor. It does not keep why a write failed: that is asked again. */
		if (fflush(out->file) || ferror(out->file)) {
			struct gt_sink asked = {.name = out->name, .error = write(out->fd, "\n", 1) < 0 ? errno : EIO};

			ret = gt_sink_error(&asked, err);
		}
		fclose(out->file);
	}
	if (close(out->fd) < 0 && ret >= 0)
		ret = gt_fail(err, errno, "cannot write: %s: %s", out->name, strerror(errno));
	if (out->partial[0]) {
		if (ret >= 0 && rename(out->partial, out->name) < 0)
			ret = gt_fail(err, errno, "cannot write: %s: %s", out->name, strerror(errno));
		if (ret < 0)
			unlink(out->partial);
		unfinished = NULL;
	}
	return ret;
}

static int output_stream(struct output *out, struct gt_error *err)
{
	int fd = dup(out->fd);

	out->file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out->file)
		return gt_fail(err, errno, "cannot write: %s: %s", out->name, strerror(errno));
	setvbuf(out->file, NULL, _IOFBF, 1 << 18);
	return 0;
}

/* ---- formats ---- */

static bool wanted(void *user, uint64_t g, const char *function)
{
	const struct convert_options *o = user;

	for (size_t i = 0; i < o->goroutine_count; i++)
		if (o->goroutines[i] == g)
			return *o->found = true;
	for (size_t i = 0; function && i < o->function_count; i++)
		if (strstr(function, o->functions[i]))
			return *o->found = true;
	return false;
}

typedef int converter(
	struct gt_trace *trace, struct gt_sink *sink, const struct gt_convert_options *options, struct gt_error *err);

static int to_picture(struct gt_trace *trace, struct output *out, const struct convert_options *o, converter *convert,
	struct gt_error *err)
{
	struct gt_convert_options picture = GT_CONVERT_OPTIONS_DEFAULT;
	struct gt_sink sink;
	int ret = gt_sink_open_fd(&sink, out->fd, out->name), closed;

	if (ret < 0)
		return gt_fail(err, -ret, "out of memory");
	if (o->slices_only)
		picture.parts = GT_CONVERT_SLICES;
	/* An object tells Catapult to keep nanoseconds, but cut off it is worth nothing; a file is never cut off, a pipe may be. */
	picture.object = out->partial[0];
	picture.from_ns = (int64_t)o->from_ns;
	picture.to_ns = (int64_t)o->to_ns;
	if (o->goroutine_count || o->function_count) {
		picture.shown = wanted;
		picture.shown_user = (void *)(uintptr_t)o;
	}
	ret = gt_sink_pack(&sink, o->packing);
	if (ret < 0)
		gt_fail(err, -ret, "out of memory");
	else
		ret = convert(trace, &sink, &picture, err);
	closed = gt_sink_close(&sink, NULL, NULL, ret < 0 ? NULL : err);
	return ret < 0 ? ret : closed;
}

static int to_json(struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err)
{
	return to_picture(trace, out, o, gt_convert_chrome, err);
}

static int to_perfetto(
	struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err)
{
	return to_picture(trace, out, o, gt_convert_perfetto, err);
}

static int to_events(struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err)
{
	int ret = output_stream(out, err);

	return ret < 0 ? ret : gt_text_events(trace, out->file, err);
}

static int to_text(struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err)
{
	int ret = output_stream(out, err);

	return ret < 0 ? ret : gt_text_write(trace, out->file, err);
}

/* Both profiles: of the whole trace, added up. */
static int to_profile(
	struct gt_trace *trace, struct output *out, const struct convert_options *o, bool folded, struct gt_error *err)
{
	struct gt_analysis *analysis;
	void *bytes = NULL;
	size_t size = 0;
	int ret = output_stream(out, err);

	if (ret >= 0)
		ret = gt_analysis_run(trace, NULL, &analysis, err);
	if (ret < 0)
		return ret;
	if (folded)
		ret = gt_profile_folded(analysis, o->profile, out->file);
	else
		ret = gt_profile_pprof(analysis, o->profile, &bytes, &size);
	if (ret >= 0 && size && fwrite(bytes, 1, size, out->file) != size)
		ret = -EIO;
	free(bytes);
	gt_analysis_free(analysis);
	return ret < 0 ? gt_fail(err, -ret, "cannot write: %s: %s", out->name, strerror(-ret)) : 0;
}

static int to_pprof(struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err)
{
	return to_profile(trace, out, o, false, err);
}

static int to_folded(struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err)
{
	return to_profile(trace, out, o, true, err);
}

static int to_csv(struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err)
{
	int ret = output_stream(out, err);

	return ret < 0 ? ret : gt_goroutines_csv(trace, out->file, err);
}

static const struct format {
	const char *name, *ending, *ending_too;
	int (*convert)(
		struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err);
} formats[] = {
	{"json", ".json", ".json", to_json}, {"perfetto", ".pftrace", ".perfetto-trace", to_perfetto},
	{"events", ".txt", ".events", to_events}, {"text", ".gttext", ".gtt", to_text},
	{"pprof", ".pb.gz", ".pprof", to_pprof}, {"folded", ".folded", ".folded", to_folded},
	{"csv", ".csv", ".csv", to_csv}, {"gtrace", ".gtrace", ".gtrace", NULL}, /* from exact text */
};
#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

/* Without its last @behind bytes. */
static bool ends_with(const char *text, size_t behind, const char *ending)
{
	size_t length = strlen(text) - behind, tail = strlen(ending);

	return length > tail && strncmp(text + length - tail, ending, tail) == 0;
}

static const char *packing_ending(enum gt_sink_packing packing)
{
	return packing == GT_SINK_GZIP ? ".gz" : packing == GT_SINK_ZSTD ? ".zst" : "";
}

/* What OUT's ending says of packing. */
static void choose_packing(struct convert_options *o)
{
	/* A profile is packed as it is: .pb.gz is its own ending. */
	if (o->to ? strcmp(o->to, "pprof") == 0 : o->out && ends_with(o->out, 0, ".pb.gz"))
		return;
	for (enum gt_sink_packing packing = GT_SINK_GZIP; o->out && !o->packing && packing <= GT_SINK_ZSTD; packing++)
		if (ends_with(o->out, 0, packing_ending(packing)))
			o->packing = packing;
}

static const struct format *choose(const struct convert_options *o)
{
	size_t behind = strlen(packing_ending(o->packing));

	if (!o->out || !ends_with(o->out, 0, packing_ending(o->packing)))
		behind = 0;
	for (size_t i = 0; i < FORMAT_COUNT; i++) {
		if (o->to ? strcmp(o->to, formats[i].name) == 0
			  : o->out && (ends_with(o->out, behind, formats[i].ending) ||
					      ends_with(o->out, behind, formats[i].ending_too)))
			return &formats[i];
	}
	return o->to || (o->out && strcmp(o->out, "-") != 0) ? NULL : &formats[0];
}

/* IN's name with the format's ending in place of its own. */
static char *default_name(const char *in, const char *ending, const char *packing)
{
	const char *dot = strrchr(in, '.'), *slash = strrchr(in, '/');
	int stem = dot && dot != in && (!slash || dot > slash + 1) ? (int)(dot - in) : (int)strlen(in);
	char *name;

	return asprintf(&name, "%.*s%s%s", stem, in, ending, packing) < 0 ? NULL : name;
}

static void tell_damage(const struct gt_trace *trace, const char *in)
{
	struct gt_trace_damage damage;
	struct gt_trace_info info;

	gt_trace_damage(trace, &damage);
	gt_trace_info(trace, &info);
	if (damage.first[0] && info.source)
		gt_die_text(0, "%s: %s", in, damage.first);
	else if (damage.first[0] && info.cut && !damage.frames_bad && !damage.records_bad)
		gt_die_text(0, "%s was cut off: every whole frame of it is there", in);
	else if (damage.first[0])
		gt_die_text(0,
			"%s is damaged: %s: %" PRIu64 " frames and %" PRIu64
			" records were left out, the rest is there",
			in, damage.first, damage.frames_bad, damage.records_bad);
	if (damage.order_broken)
		gt_die_text(0, "%s: %" PRIu64 " events fit nowhere and stand at their own time: see gtrace check", in,
			damage.order_broken);
	if (damage.events_lost)
		gt_die_text(0, "%s: %" PRIu64 " events were lost when it was recorded", in, damage.events_lost);
}

/* One of Go's own traces as exact text, in a file without a name: NULL and one line when that fails. */
static FILE *foreign_text(const char *in, struct gt_error *err)
{
	struct gt_trace *trace;
	FILE *text;

	if (gt_trace_open(in, &trace, err) < 0)
		return NULL;
	text = tmpfile();
	if (!text) {
		gt_fail(err, errno, "cannot make a file for its text: %s", strerror(errno));
	} else if (gt_text_write(trace, text, err) < 0) {
		fclose(text);
		text = NULL;
	} else {
		rewind(text);
	}
	gt_trace_close(trace);
	return text;
}

static bool begins_with(const char *in, const char *mark)
{
	char first[16];
	size_t size = strlen(mark);
	FILE *file = strcmp(in, "-") == 0 ? NULL : fopen(in, "re");
	bool same = file && fread(first, 1, size, file) == size && memcmp(first, mark, size) == 0;

	if (file)
		fclose(file);
	return same;
}

/* Exact text back to a file; or one of Go's own traces. */
static int from_text(const char *in, struct output *out, struct gt_error *err)
{
	bool foreign = begins_with(in, "go 1.");
	FILE *text = foreign ? foreign_text(in, err) : strcmp(in, "-") == 0 ? stdin : fopen(in, "re");
	int ret;

	if (!text)
		return foreign ? -EIO : gt_fail(err, errno, "cannot open: %s: %s", in, strerror(errno));
	ret = output_stream(out, err);
	if (ret >= 0) {
		ret = gt_text_read(text, out->file, err);
		if (ret < 0)
			gt_fail_prefix(err, ret, "cannot read: %s", in);
	}
	if (text != stdin)
		fclose(text);
	return ret;
}

static int convert(const struct convert_options *o, const struct format *format, const char *name, struct gt_error *err)
{
	struct gt_trace *trace = NULL;
	struct output out;
	int ret = 0;

	if (format->convert)
		ret = gt_trace_open(o->in, &trace, err);
	else if (begins_with(o->in, "\x89GTRACE\n"))
		ret = gt_fail(err, EINVAL, "nothing to convert: %s: it is a .gtrace file already", o->in);
	if (ret >= 0)
		ret = output_open(&out, o->in, name, err);
	if (ret >= 0) {
		ret = trace ? format->convert(trace, &out, o, err) : from_text(o->in, &out, err);
		ret = output_close(&out, ret, err);
	}
	if (ret >= 0 && trace)
		tell_damage(trace, o->in);
	if (ret >= 0 && trace && (o->goroutine_count || o->function_count) && !*o->found)
		gt_die_text(0, "%s: none of its goroutines was asked for: %s is empty", o->in, out.name);
	gt_trace_close(trace);
	return ret;
}

int gt_cmd_convert(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "IN",
		.doc = "Turns a trace, gtrace's or one of Go's own (1.22 to 1.27), into Perfetto's format (opens in "
		       "ui.perfetto.dev), into Chrome JSON (opens "
		       "there and in chrome://tracing), into a line an event, or into exact text.\vExamples:\n  gtrace "
		       "convert app.gtrace -o app.pftrace.gz\n  gtrace convert app.gtrace -o part.pftrace --from 1.2s "
		       "--to 1.3s --function main.worker\n  gtrace convert app.gtrace -o app.json\n  gtrace convert "
		       "app.gtrace --to events -o -",
	};
	static bool found;
	static struct convert_options o = {.found = &found};
	const struct format *format;
	struct gt_error err;
	char *name = NULL;
	int ret;

	signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error like others */
	argp_err_exit_status = GT_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	choose_packing(&o);
	format = choose(&o);
	if (format && format->convert != to_json && format->convert != to_perfetto &&
		(o.packing || o.from_ns || o.to_ns || o.goroutine_count || o.function_count))
		return gt_die_text(GT_EXIT_USAGE,
			"not for %s: packing, times, goroutines and functions are for json and perfetto", format->name);
	if (!format)
		return gt_die_text(GT_EXIT_USAGE,
			"%s: %s: give --to json, perfetto, pprof, folded, csv, events, text or gtrace",
			o.to ? "no such format" : "the name's ending tells no format", o.to ? o.to : o.out);
	if (o.profile_given && format->convert != to_pprof && format->convert != to_folded)
		return gt_die_text(GT_EXIT_USAGE, "--profile goes with --to pprof and --to folded");
	if (!o.out) {
		name = default_name(o.in, format->ending, packing_ending(o.packing));
		if (!name)
			return gt_die_text(GT_EXIT_FAILURE, "out of memory");
	}
	ret = convert(&o, format, o.out ? o.out : name, &err);
	free(name);
	return ret < 0 ? gt_die(GT_EXIT_FAILURE, &err) : 0;
}
