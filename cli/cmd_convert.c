/* cmd_convert.c - gtrace convert IN [--to FORMAT] [-o OUT]. */
#include "cli/cli.h"
#include "format/convert/chrome.h"
#include "format/reading/text.h"
#include "format/reading/trace.h"
#include "format/text/text_read.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_TO = 256, KEY_SLICES_ONLY };

static const struct argp_option options[] = {
	{"output", 'o', "OUT", 0, "write to OUT; - is standard output (default: IN with the format's ending)", 0},
	{"to", KEY_TO, "FORMAT", 0, "json, events, text or gtrace (default: by OUT's ending, else json)", 0},
	{"slices-only", KEY_SLICES_ONLY, NULL, 0, "json: no arguments, arrows or counters", 0},
	{0},
};

struct convert_options {
	const char *in, *out, *to;
	bool slices_only;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct convert_options *o = state->input;

	switch (key) {
	case 'o':
		o->out = arg;
		return 0;
	case KEY_TO:
		o->to = arg;
		return 0;
	case KEY_SLICES_ONLY:
		o->slices_only = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->in)
			argp_error(state, "one IN only");
		o->in = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->in)
			argp_error(state, "IN is missing");
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
		/* The stream owns a copy of the descriptor. */
		if ((fflush(out->file) || ferror(out->file)) && ret >= 0)
			ret = gt_fail(err, errno ? errno : EIO, "cannot write: %s: %s", out->name, strerror(errno));
		fclose(out->file);
	}
	if (close(out->fd) < 0 && ret >= 0)
		ret = gt_fail(err, errno, "cannot write: %s: %s", out->name, strerror(errno));
	if (out->partial[0]) {
		if (ret >= 0 && rename(out->partial, out->name) < 0)
			ret = gt_fail(err, errno, "cannot write: %s: %s", out->name, strerror(errno));
		if (ret < 0)
			unlink(out->partial);
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

static int to_json(struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err)
{
	struct gt_convert_options convert = GT_CONVERT_OPTIONS_DEFAULT;
	struct gt_sink sink;
	int ret = gt_sink_open_fd(&sink, out->fd, out->name), closed;

	if (ret < 0)
		return gt_fail(err, -ret, "out of memory");
	if (o->slices_only)
		convert.parts = GT_CONVERT_SLICES;
	/* An object tells Catapult to keep nanoseconds, but cut off it is worth nothing; a file is never cut off, a pipe may be. */
	convert.object = out->partial[0];
	ret = gt_convert_chrome(trace, &sink, &convert, err);
	closed = gt_sink_close(&sink, NULL, NULL, ret < 0 ? NULL : err);
	return ret < 0 ? ret : closed;
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

static const struct format {
	const char *name, *ending, *ending_too;
	int (*convert)(
		struct gt_trace *trace, struct output *out, const struct convert_options *o, struct gt_error *err);
} formats[] = {
	{"json", ".json", ".json", to_json}, {"events", ".txt", ".events", to_events},
	{"text", ".gttext", ".gtt", to_text}, {"gtrace", ".gtrace", ".gtrace", NULL}, /* from exact text */
};
#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

static bool ends_with(const char *text, const char *ending)
{
	size_t length = strlen(text), tail = strlen(ending);

	return length > tail && strcmp(text + length - tail, ending) == 0;
}

static const struct format *choose(const struct convert_options *o)
{
	for (size_t i = 0; i < FORMAT_COUNT; i++) {
		if (o->to ? strcmp(o->to, formats[i].name) == 0
			  : o->out && (ends_with(o->out, formats[i].ending) ||
					      ends_with(o->out, formats[i].ending_too)))
			return &formats[i];
	}
	return o->to || (o->out && strcmp(o->out, "-") != 0) ? NULL : &formats[0];
}

/* IN's name with the format's ending in place of its own. */
static char *default_name(const char *in, const char *ending)
{
	const char *dot = strrchr(in, '.'), *slash = strrchr(in, '/');
	int stem = dot && dot != in && (!slash || dot > slash + 1) ? (int)(dot - in) : (int)strlen(in);
	char *name;

	return asprintf(&name, "%.*s%s", stem, in, ending) < 0 ? NULL : name;
}

static void tell_damage(const struct gt_trace *trace, const char *in)
{
	struct gt_trace_damage damage;
	struct gt_trace_info info;

	gt_trace_damage(trace, &damage);
	gt_trace_info(trace, &info);
	if (damage.first[0] && info.source)
		gt_die_text(0, "%s: %s", in, damage.first);
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

static bool is_foreign(const char *in)
{
	char first[5] = "";
	FILE *file = strcmp(in, "-") == 0 ? NULL : fopen(in, "re");
	bool foreign = file && fread(first, 1, sizeof(first), file) == sizeof(first) && !memcmp(first, "go 1.", 5);

	if (file)
		fclose(file);
	return foreign;
}

/* Exact text back to a file; or one of Go's own traces. */
static int from_text(const char *in, struct output *out, struct gt_error *err)
{
	bool foreign = is_foreign(in);
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
	if (ret >= 0)
		ret = output_open(&out, o->in, name, err);
	if (ret >= 0) {
		ret = trace ? format->convert(trace, &out, o, err) : from_text(o->in, &out, err);
		ret = output_close(&out, ret, err);
	}
	if (ret >= 0 && trace)
		tell_damage(trace, o->in);
	gt_trace_close(trace);
	return ret;
}

int gt_cmd_convert(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "IN",
		.doc = "Turns a trace, gtrace's or one of Go's own (1.22 to 1.27), into Chrome JSON (opens in "
		       "ui.perfetto.dev and chrome://tracing), into a line an "
		       "event, or into "
		       "exact text.\vExamples:\n  gtrace convert app.gtrace -o app.json\n  gtrace convert app.gtrace "
		       "--to events -o -",
	};
	struct convert_options o = {0};
	const struct format *format;
	struct gt_error err;
	char *name = NULL;
	int ret;

	argp_err_exit_status = GT_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	format = choose(&o);
	if (!format)
		return gt_die_text(GT_EXIT_USAGE, "no such format: %s: give --to json, events, text or gtrace",
			o.to ? o.to : o.out);
	if (!o.out) {
		name = default_name(o.in, format->ending);
		if (!name)
			return gt_die_text(GT_EXIT_FAILURE, "out of memory");
	}
	ret = convert(&o, format, o.out ? o.out : name, &err);
	free(name);
	return ret < 0 ? gt_die(GT_EXIT_FAILURE, &err) : 0;
}
