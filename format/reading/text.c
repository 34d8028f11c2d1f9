/* text.c - a trace as text. docs/text.md tells the exact form. */
#include "format/reading/text.h"
#include "format/reading/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

/* ---- for people ---- */

struct line {
	char *text;
	size_t size, used;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
	va_list args;
	int length;

	if (line->used >= line->size)
		return;
	va_start(args, format);
	length = vsnprintf(line->text + line->used, line->size - line->used, format, args);
	va_end(args);
	line->used = length < 0 ? line->size : line->used + (size_t)length;
}

/* What most of a line is made of; add's formats are far slower. */
static void add_bytes(struct line *line, const char *bytes, size_t length)
{
	size_t room = line->used < line->size ? line->size - line->used - 1 : 0;

	if (line->used >= line->size)
		return;
	memcpy(line->text + line->used, bytes, length < room ? length : room);
	line->used += length;
	line->text[line->used < line->size ? line->used : line->size - 1] = 0;
}

static void add_text(struct line *line, const char *text)
{
	add_bytes(line, text, strlen(text));
}

/* In quotes, or in brackets behind a space. */
static void add_within(struct line *line, const char *begin, const char *text, const char *end)
{
	add_text(line, begin);
	add_text(line, text);
	add_text(line, end);
}

/* Decimal, or hexadecimal with its 0x. */
static void add_number(struct line *line, uint64_t value, unsigned int base)
{
	char digits[20];
	size_t i = sizeof(digits);

	for (; base == 16 && value > 15; value >>= 4)
		digits[--i] = "0123456789abcdef"[value & 15];
	for (; base == 10 && value > 9; value /= 10)
		digits[--i] = (char)('0' + value % 10);
	digits[--i] = "0123456789abcdef"[value];
	if (base == 16)
		add_text(line, "0x");
	add_bytes(line, digits + i, sizeof(digits) - i);
}

static void add_arg(struct line *line, const struct gt_trace *trace, enum gt_arg_type type, uint64_t value)
{
	const struct gt_trace_goroutine *goroutine;
	const char *name;

	switch (type) {
	case GT_ARG_STATE:
		add_text(line, gt_state_text(value < GT_STATE_COUNT ? (unsigned int)value : GT_STATE_COUNT));
		break;
	case GT_ARG_REASON:
		add_within(line, "\"", gt_reason_text(value < GT_REASON_COUNT ? (unsigned int)value : GT_REASON_COUNT),
			"\"");
		break;
	case GT_ARG_OBJECT:
		add_within(line, "\"", gt_object_text(value < GT_OBJECT_COUNT ? (unsigned int)value : GT_OBJECT_COUNT),
			"\"");
		break;
	case GT_ARG_CAUSE:
		add_within(
			line, "\"", gt_cause_text(value < GT_CAUSE_COUNT ? (unsigned int)value : GT_CAUSE_COUNT), "\"");
		break;
	case GT_ARG_ADDR:
		add_number(line, value, 16);
		break;
	case GT_ARG_SYSCALL:
		name = gt_trace_syscall(trace, value);
		add_number(line, value, 10);
		if (name)
			add_within(line, " (", name, ")");
		break;
	case GT_ARG_PC:
		name = gt_trace_function(trace, value);
		add_number(line, value, 16);
		if (name)
			add_within(line, " (", name, ")");
		break;
	case GT_ARG_P:
		if (value)
			add_number(line, value - 1, 10);
		else
			add_text(line, "-");
		break;
	case GT_ARG_STR:
		name = gt_trace_string(trace, value);
		if (name)
			add_within(line, "\"", name, "\"");
		else
			add_number(line, value, 10);
		break;
	case GT_ARG_G:
		goroutine = gt_trace_goroutine(trace, value);
		name = goroutine ? gt_trace_function(trace, goroutine->start_pc) : NULL;
		add_number(line, value, 10);
		if (name)
			add_within(line, " (", name, ")");
		break;
	default:
		add_number(line, value, 10);
		break;
	}
}

/* Its number, and the short name. */
static void add_object(struct line *line, const struct gt_trace *trace, unsigned int what, uint64_t object)
{
	char name[GT_TRACE_OBJECT_BYTES];

	add_number(line, object, gt_object_is_address(what) ? 16 : 10);
	if (what)
		add_within(line, " (", gt_trace_object(trace, what, object, name), ")");
}

/* What the first argument of a system call is, when that is a descriptor. */
static void add_fd(struct line *line, const struct gt_trace *trace, const struct gt_event *event)
{
	const char *name = gt_trace_string(trace, gt_trace_syscall_fd(trace, event->args[1], event->args[2]));

	if (name && *name)
		add_within(line, " (", name, ")");
}

void gt_text_event(const struct gt_trace *trace, const struct gt_event *event, char *text, size_t size)
{
	const struct gt_event_spec *spec = event->kind < GT_EVENT_KIND_COUNT ? &gt_event_specs[event->kind] : NULL;
	struct line line = {.text = text, .size = size};

	if (!spec || !spec->text) {
		add(&line, "event of kind %u", event->kind);
		return;
	}
	add_text(&line, spec->text);
	for (unsigned int i = 0; i < spec->arg_count; i++) {
		add_within(&line, " ", spec->args[i].name, "=");
		if (i && spec->args[i - 1].type == GT_ARG_OBJECT)
			add_object(&line, trace, (unsigned int)event->args[i - 1], event->args[i]);
		else
			add_arg(&line, trace, spec->args[i].type, event->args[i]);
		if (i == 2 && (event->kind == GT_EV_SYSCALL_INFO || event->kind == GT_EV_SYSCALL_LONG))
			add_fd(&line, trace, event);
	}
}

static int finish(FILE *out, struct gt_error *err)
{
	if (fflush(out) || ferror(out)) {
		int code = errno ? errno : EIO;

		return gt_fail(err, code, "cannot write the text: %s", strerror(code));
	}
	return 0;
}

int gt_text_events(struct gt_trace *trace, FILE *out, struct gt_error *err)
{
	struct gt_event event;
	int ret = gt_trace_rewind(trace);

	if (ret < 0)
		return gt_fail(err, ret, "no memory to read it again");
	while (gt_trace_next(trace, &event) > 0 && !ferror_unlocked(out)) {
		char text[64 + 1024 + 1];
		struct line line = {.text = text, .size = 64};

		if (event.time_ns < 0)
			add(&line, "%14" PRId64, event.time_ns);
		for (int64_t place = 10000000000000; event.time_ns >= 0 && place > event.time_ns && place > 1;
			place /= 10)
			add_text(&line, " ");
		if (event.time_ns >= 0)
			add_number(&line, (uint64_t)event.time_ns, 10);
		add_text(&line, " m=");
		add_number(&line, event.m, 10);
		add_text(&line, " ");
		gt_text_event(trace, &event, text + line.used, 1024);
		line.used += strlen(text + line.used);
		text[line.used++] = '\n';
		fwrite_unlocked(text, 1, line.used, out);
	}
	return finish(out, err);
}

/* ---- exact ---- */

static size_t canonical(uint64_t value)
{
	return value < 0x80 ? 1 : (70u - (unsigned int)__builtin_clzll(value)) / 7;
}

/* A number that stands as a writer writes it; else the record is told by its bytes. */
static uint64_t get_exact(struct gt_cursor *cursor)
{
	const uint8_t *at = cursor->at;
	uint64_t value = gt_get_uvarint(cursor);

	if (!cursor->bad && (size_t)(cursor->at - at) != canonical(value))
		cursor->bad = true;
	return value;
}

static void put_quoted(FILE *out, const uint8_t *bytes, size_t size)
{
	putc('"', out);
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			fprintf(out, "\\%c", bytes[i]);
		else if (bytes[i] == '\n')
			fputs("\\n", out);
		else if (bytes[i] < 0x20 || bytes[i] == 0x7f)
			fprintf(out, "\\x%02x", bytes[i]);
		else
			putc(bytes[i], out);
	}
	putc('"', out);
}

static const uint8_t *get_text(struct gt_cursor *cursor, size_t *size)
{
	uint64_t length = get_exact(cursor);
	const uint8_t *bytes = gt_get_bytes(cursor, length);

	*size = bytes ? (size_t)length : 0;
	return bytes;
}

/* Each of these tells whether the record is whole, ends where it should and stands as a writer writes it; with @out it is printed.
 * They are called twice: once to see, once to print. */

static bool text_meta(struct gt_cursor *cursor, FILE *out)
{
	size_t key_size, size;
	const uint8_t *key = get_text(cursor, &key_size);
	const uint8_t *value = get_text(cursor, &size);

	if (!out || cursor->bad)
		return !cursor->bad;
	fputs("Meta key=", out);
	put_quoted(out, key, key_size);
	fputs(" value=", out);
	put_quoted(out, value, size);
	return true;
}

static bool text_string(struct gt_cursor *cursor, FILE *out)
{
	uint64_t id = get_exact(cursor);
	size_t size = gt_cursor_left(cursor);
	const uint8_t *bytes = gt_get_bytes(cursor, size);

	if (!out || cursor->bad)
		return !cursor->bad;
	fprintf(out, "String id=%" PRIu64 " text=", id);
	put_quoted(out, bytes, size);
	return true;
}

static bool text_pc(struct gt_cursor *cursor, FILE *out)
{
	uint64_t pc = get_exact(cursor), count = get_exact(cursor);

	if (out)
		fprintf(out, "Pc pc=0x%" PRIx64 " lines=[", pc);
	for (uint64_t i = 0; i < count && !cursor->bad; i++) {
		uint64_t function = get_exact(cursor), file = get_exact(cursor), line = get_exact(cursor);

		if (out)
			fprintf(out, "%s%" PRIu64 ":%" PRIu64 ":%" PRIu64, i ? " " : "", function, file, line);
	}
	if (out)
		putc(']', out);
	return !cursor->bad;
}

static bool text_stack(struct gt_cursor *cursor, FILE *out)
{
	uint64_t id = get_exact(cursor), count = get_exact(cursor);

	if (out)
		fprintf(out, "Stack id=%" PRIu64 " pcs=[", id);
	for (uint64_t i = 0; i < count && !cursor->bad; i++) {
		uint64_t pc = get_exact(cursor);

		if (out)
			fprintf(out, "%s0x%" PRIx64, i ? " " : "", pc);
	}
	if (out)
		putc(']', out);
	return !cursor->bad;
}

static bool text_thread(struct gt_cursor *cursor, FILE *out)
{
	uint64_t m = get_exact(cursor), tid = get_exact(cursor);
	size_t size;
	const uint8_t *name = get_text(cursor, &size);

	if (!out || cursor->bad)
		return !cursor->bad;
	fprintf(out, "Thread m=%" PRIu64 " tid=%" PRIu64 " name=", m, tid);
	put_quoted(out, name, size);
	return true;
}

static bool text_goroutine(struct gt_cursor *cursor, FILE *out)
{
	uint64_t g = get_exact(cursor), parent = get_exact(cursor), start = get_exact(cursor), site = get_exact(cursor);

	if (out)
		fprintf(out, "Goroutine g=%" PRIu64 " parent=%" PRIu64 " start=0x%" PRIx64 " site=0x%" PRIx64, g,
			parent, start, site);
	return !cursor->bad;
}

static bool text_loss(struct gt_cursor *cursor, FILE *out)
{
	size_t size;
	const uint8_t *what = get_text(cursor, &size);
	uint64_t count = get_exact(cursor);

	if (!out || cursor->bad)
		return !cursor->bad;
	fputs("Loss what=", out);
	put_quoted(out, what, size);
	fprintf(out, " count=%" PRIu64, count);
	return true;
}

static bool text_since(struct gt_cursor *cursor, FILE *out)
{
	uint64_t m = get_exact(cursor), ticks = get_exact(cursor);

	if (out)
		fprintf(out, "Since m=%" PRIu64 " ticks=%" PRIu64, m, ticks);
	return !cursor->bad;
}

static void put_arg(FILE *out, const struct gt_arg_spec *spec, uint64_t value)
{
	fprintf(out, " %s=", spec->name);
	if (spec->type == GT_ARG_STATE && value < GT_STATE_COUNT && gt_state_known((unsigned int)value))
		fputs(gt_state_text((unsigned int)value), out);
	else if (spec->type == GT_ARG_REASON && value < GT_REASON_COUNT && gt_reason_known((unsigned int)value))
		fprintf(out, "\"%s\"", gt_reason_text((unsigned int)value));
	else if (spec->type == GT_ARG_OBJECT && value < GT_OBJECT_COUNT && gt_object_known((unsigned int)value))
		fprintf(out, "\"%s\"", gt_object_text((unsigned int)value));
	else if (spec->type == GT_ARG_CAUSE && value < GT_CAUSE_COUNT && gt_cause_known((unsigned int)value))
		fprintf(out, "\"%s\"", gt_cause_text((unsigned int)value));
	else if (spec->type == GT_ARG_PC || spec->type == GT_ARG_ADDR)
		fprintf(out, "0x%" PRIx64, value);
	else if (spec->type == GT_ARG_P && !value)
		putc('-', out);
	else
		fprintf(out, "%" PRIu64, spec->type == GT_ARG_P ? value - 1 : value);
}

/* One event or step back; false at the end, with cursor->bad when it is not as it should be. */
static bool text_one_event(struct gt_cursor *cursor, uint64_t *left, uint64_t *ticks, FILE *out)
{
	const struct gt_event_spec *spec;
	unsigned int kind;
	uint64_t dt;

	if (cursor->bad || cursor->at == cursor->end)
		return false;
	kind = gt_get_u8(cursor);
	dt = get_exact(cursor);
	if (!kind ? dt > *ticks : (!*left || __builtin_add_overflow(*ticks, dt, ticks)))
		cursor->bad = true;
	if (!kind) {
		*ticks -= dt;
		if (out)
			fprintf(out, "\nBack dt=%" PRIu64, dt);
		return !cursor->bad;
	}
	(*left)--;
	if (kind >= GT_EVENT_KIND_COUNT) {
		size_t size;
		const uint8_t *bytes = get_text(cursor, &size);

		if (out) {
			fprintf(out, "\nEvent kind=%u dt=%" PRIu64 " bytes=", kind, dt);
			put_quoted(out, bytes, size);
		}
		return !cursor->bad;
	}
	spec = &gt_event_specs[kind];
	if (!spec->text)
		cursor->bad = true;
	else if (out)
		fprintf(out, "\n%s dt=%" PRIu64, spec->text, dt);
	for (unsigned int i = 0; i < spec->arg_count && !cursor->bad; i++) {
		uint64_t value = get_exact(cursor);

		if (out)
			put_arg(out, &spec->args[i], value);
	}
	return !cursor->bad;
}

static bool text_run(struct gt_cursor *cursor, FILE *out)
{
	uint64_t m = get_exact(cursor), base = get_exact(cursor), left = get_exact(cursor);

	if (out)
		fprintf(out, "Events m=%" PRIu64 " base=%" PRIu64, m, base);
	while (text_one_event(cursor, &left, &base, out))
		;
	return !cursor->bad && !left;
}

static void text_record(unsigned int type, const uint8_t *at, size_t size, FILE *out)
{
	static bool (*const forms[])(struct gt_cursor *, FILE *) = {
		[GT__REC_META] = text_meta,
		[GT__REC_STRING] = text_string,
		[GT__REC_PC] = text_pc,
		[GT__REC_STACK] = text_stack,
		[GT__REC_THREAD] = text_thread,
		[GT__REC_GOROUTINE] = text_goroutine,
		[GT__REC_EVENTS] = text_run,
		[GT__REC_LOSS] = text_loss,
		[GT__REC_SINCE] = text_since,
	};
	struct gt_cursor look = {.at = at, .end = at + size};

	if (type < sizeof(forms) / sizeof(forms[0]) && forms[type] && forms[type](&look, NULL) && look.at == look.end) {
		look.at = at;
		forms[type](&look, out);
	} else {
		fprintf(out, "Record type=%u bytes=", type);
		put_quoted(out, at, size);
	}
	putc('\n', out);
}

static void text_frame(const struct gt__frame *frame, const uint8_t *raw, FILE *out)
{
	struct gt_cursor cursor = {.at = raw, .end = raw + frame->raw_bytes};

	fprintf(out, "Frame ticks=%" PRIu64 " monotonic_ns=%" PRId64 " watermark=%" PRIu64 " events=%" PRIu32 "\n",
		frame->ticks, frame->monotonic_ns, frame->watermark, frame->event_count);
	while (cursor.at < cursor.end && !ferror(out)) {
		const uint8_t *record = cursor.at;
		unsigned int type = gt_get_u8(&cursor);
		uint64_t size = get_exact(&cursor);
		const uint8_t *at = gt_get_bytes(&cursor, size);

		if (cursor.bad) { /* what follows cannot be told apart: as bytes */
			fputs("Bytes bytes=", out);
			put_quoted(out, record, (size_t)(cursor.end - record));
			putc('\n', out);
			return;
		}
		text_record(type, at, (size_t)size, out);
	}
}

static void text_header(const struct gt__header *header, FILE *out)
{
	fprintf(out,
		"gtrace version=%u.%u flags=%" PRIu64 " ticks_per_second=%" PRIu64 " start_ticks=%" PRIu64
		" start_realtime_ns=%" PRId64 " start_monotonic_ns=%" PRId64 "\n",
		header->version_major, header->version_minor, header->flags, header->ticks_per_second,
		header->start_ticks, header->start_realtime_ns, header->start_monotonic_ns);
}

static void text_index(const struct gt__frame *frame, FILE *out)
{
	fprintf(out, "Index ticks=%" PRIu64 " monotonic_ns=%" PRId64 " watermark=%" PRIu64 "\n", frame->ticks,
		frame->monotonic_ns, frame->watermark);
}

static int foreign_header(void *user, const struct gt__header *header)
{
	text_header(header, user);
	return 0;
}

static int foreign_frame(void *user, const struct gt__frame *frame, const uint8_t *raw)
{
	if (frame->kind == GT__FRAME_INDEX)
		text_index(frame, user);
	else
		text_frame(frame, raw, user);
	return ferror((FILE *)user) ? -EIO : 0;
}

/* As the text of the .gtrace file that it would be. */
static int write_foreign(struct gt_trace *trace, FILE *out, struct gt_error *err)
{
	struct gt__foreign_out to = {.user = out, .header = foreign_header, .frame = foreign_frame};
	int ret = gt__foreign_frames(trace, &to);

	if (ret < 0 && !ferror(out))
		return gt_fail(err, ret, "cannot be read: %s", strerror(-ret));
	return finish(out, err);
}

int gt_text_write(struct gt_trace *trace, FILE *out, struct gt_error *err)
{
	uint64_t offset = trace->reader.header.header_bytes;
	struct gt_trace_damage damage = {0};
	struct gt__frame frame;
	uint8_t *raw;
	int ret;

	if (trace->foreign)
		return write_foreign(trace, out, err);
	text_header(&trace->reader.header, out);
	while ((ret = gt__reader_next(&trace->reader, offset, &frame, &damage)) > 0 && !ferror(out)) {
		offset = frame.next;
		if (frame.kind == GT__FRAME_INDEX && frame.offset == trace->reader.index_offset) {
			/* Its contents follow from the rest. */
			text_index(&frame, out);
			continue;
		}
		if (frame.kind != GT__FRAME_DATA) {
			fprintf(out, "# a frame of kind %u with %u bytes\n", frame.kind, frame.raw_bytes);
			continue;
		}
		raw = malloc(frame.raw_bytes <= GT__RAW_BYTES_MAX ? frame.raw_bytes + 1u : 1u);
		if (!raw)
			return gt_fail(err, ENOMEM, "no memory for a frame of %u bytes", frame.raw_bytes);
		ret = gt__reader_unpack(&trace->reader, &frame, raw, &damage);
		if (!ret)
			text_frame(&frame, raw, out);
		free(raw);
		if (ret < 0 && ret != -EBADMSG)
			break;
	}
	if (ret < 0 && ret != -EBADMSG)
		return gt_fail(err, ret, "cannot be read: %s", strerror(-ret));
	if (damage.frames_bad || damage.first[0])
		fprintf(out, "# damaged: %" PRIu64 " frames: %s\n", damage.frames_bad, damage.first);
	return finish(out, err);
}
