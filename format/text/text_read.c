/*
 * text_read.c - text to a .gtrace file.
 *
 * A line is a word and name=value pairs. Each kind of line has its function, which asks for its pairs by name; a pair
 * that nobody asked for is an error, so that a typing mistake in a test does not become another test.
 */
#include "format/text/text_read.h"
#include "format/text/build.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define LINE_BYTES_MAX (64u << 20)
#define PAIRS_MAX      (GT_EVENT_ARGS_MAX + 4)

struct pair {
	const char *name;
	char *value; /* without quotes and escapes; a list without its brackets */
	size_t size;
	bool quoted, list, used;
};

struct parser {
	FILE *in;
	char *line;
	size_t room;
	unsigned long number;
	const char *word;
	struct pair pairs[PAIRS_MAX];
	unsigned int pair_count;
	char why[160]; /* "" : nothing wrong in this line */

	struct gt_build build;
	bool begun, ended;
	int failed; /* -errno of building */

	/* the record that is being put together */
	struct gt_build_bytes record;
	bool run; /* an Events record is open */
	struct gt_build_bytes events;
	uint64_t m, base, ticks, count;
};

static void wrong(struct parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void wrong(struct parser *parser, const char *format, ...)
{
	va_list args;

	if (parser->why[0])
		return;
	va_start(args, format);
	vsnprintf(parser->why, sizeof(parser->why), format, args);
	va_end(args);
}

/* ---- a line into its pairs ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* A quoted text in place; returns what follows its end quote, NULL when there is none. */
static char *unquote(struct parser *parser, char *at, struct pair *pair)
{
	char *to = at;

	pair->value = at;
	pair->quoted = true;
	for (; *at && *at != '"'; at++) {
		if (*at != '\\') {
			*to++ = *at;
			continue;
		}
		at++;
		if (*at == 'n') {
			*to++ = '\n';
		} else if (*at == '"' || *at == '\\') {
			*to++ = *at;
		} else if (*at == 'x' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
			*to++ = (char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
			at += 2;
		} else {
			wrong(parser, "an escape that does not exist");
			return NULL;
		}
	}
	if (*at != '"') {
		wrong(parser, "a text without its end quote");
		return NULL;
	}
	pair->size = (size_t)(to - pair->value);
	return at + 1;
}

static char *parse_value(struct parser *parser, char *at, struct pair *pair)
{
	char *end;

	if (*at == '"')
		return unquote(parser, at + 1, pair);
	pair->list = *at == '[';
	pair->value = at + pair->list;
	end = pair->list ? strchr(at, ']') : at + strcspn(at, " ");
	if (!end) {
		wrong(parser, "a list without its end");
		return NULL;
	}
	pair->size = (size_t)(end - pair->value);
	if (pair->list)
		*end++ = 0;
	return end;
}

static void parse_line(struct parser *parser)
{
	char *at = parser->line;

	parser->pair_count = 0;
	parser->why[0] = 0;
	parser->word = at;
	at += strcspn(at, " ");
	while (*at && !parser->why[0]) {
		struct pair *pair = &parser->pairs[parser->pair_count];
		char *name;

		*at++ = 0;
		at += strspn(at, " ");
		if (!*at)
			break;
		if (parser->pair_count == PAIRS_MAX) {
			wrong(parser, "more values than any line has");
			return;
		}
		memset(pair, 0, sizeof(*pair));
		name = at;
		at += strcspn(at, "= ");
		if (*at != '=') {
			wrong(parser, "no '=' behind a name");
			return;
		}
		*at++ = 0;
		pair->name = name;
		at = parse_value(parser, at, pair);
		if (!at)
			return;
		if (*at && *at != ' ') {
			wrong(parser, "no space behind a value");
			return;
		}
		parser->pair_count++;
	}
	/* Bare values end at the space that is now a NUL, or at the line's end. */
}

/* ---- pairs by name ---- */

static struct pair *want(struct parser *parser, const char *name)
{
	for (unsigned int i = 0; i < parser->pair_count; i++)
		if (!strcmp(parser->pairs[i].name, name)) {
			parser->pairs[i].used = true;
			return &parser->pairs[i];
		}
	return NULL;
}

/* Decimal or 0x; no sign, no space, nothing behind it. */
static bool parse_number(const char *text, size_t size, uint64_t *out)
{
	bool hex = size > 2 && text[0] == '0' && text[1] == 'x';
	uint64_t value = 0;

	for (size_t i = hex ? 2 : 0; i < size; i++) {
		int digit = hex_digit(text[i]);

		if (digit < 0 || (!hex && digit > 9) || __builtin_mul_overflow(value, hex ? 16u : 10u, &value) ||
			__builtin_add_overflow(value, (uint64_t)digit, &value))
			return false;
	}
	*out = value;
	return size > 0;
}

static uint64_t number_or(struct parser *parser, const char *name, uint64_t absent)
{
	const struct pair *pair = want(parser, name);
	uint64_t value = absent;

	if (pair && (pair->quoted || pair->list || !parse_number(pair->value, pair->size, &value)))
		wrong(parser, "%s is no number", name);
	return value;
}

static int64_t signed_or(struct parser *parser, const char *name, int64_t absent)
{
	const struct pair *pair = want(parser, name);
	bool minus = pair && pair->size && pair->value[0] == '-';
	uint64_t value = 0;

	if (!pair)
		return absent;
	if (pair->quoted || pair->list || !parse_number(pair->value + minus, pair->size - minus, &value) ||
		value > (uint64_t)INT64_MAX + minus)
		wrong(parser, "%s is no number", name);
	return minus ? (int64_t)(0 - value) : (int64_t)value;
}

static void put_number(struct parser *parser, const char *name)
{
	gt_build_uvarint(&parser->record, number_or(parser, name, 0));
}

static const struct pair *want_text(struct parser *parser, const char *name)
{
	static const struct pair nothing = {.value = (char *)""};
	const struct pair *pair = want(parser, name);

	if (pair && !pair->quoted)
		wrong(parser, "%s is no text in quotes", name);
	return pair ? pair : &nothing;
}

static void put_text(struct parser *parser, const char *name)
{
	const struct pair *pair = want_text(parser, name);

	gt_build_text(&parser->record, pair->value, pair->size);
}

/* The items of a list, one by one: the next one's end; false behind the last. */
static bool next_item(char **at, char **item, size_t *size)
{
	*at += strspn(*at, " ");
	*item = *at;
	*size = strcspn(*at, " ");
	*at += *size;
	return *size > 0;
}

static char *want_list(struct parser *parser, const char *name)
{
	const struct pair *pair = want(parser, name);

	if (pair && !pair->list)
		wrong(parser, "%s is no list in brackets", name);
	return pair && pair->list ? pair->value : (char *)"";
}

static uint64_t count_items(char *list)
{
	uint64_t count = 0;
	char *item;
	size_t size;

	while (next_item(&list, &item, &size))
		count++;
	return count;
}

/* ---- lines ---- */

static void end_run(struct parser *parser)
{
	if (!parser->run)
		return;
	parser->run = false;
	parser->record.size = 0;
	gt_build_uvarint(&parser->record, parser->m);
	gt_build_uvarint(&parser->record, parser->base);
	gt_build_uvarint(&parser->record, parser->count);
	gt_build_put(&parser->record, parser->events.at, parser->events.size);
	if (parser->record.no_memory || parser->events.no_memory)
		parser->failed = -ENOMEM;
	else
		parser->failed =
			gt_build_record(&parser->build, GT__REC_EVENTS, parser->record.at, parser->record.size);
}

static void line_gtrace(struct parser *parser)
{
	struct gt__header header = {.version_major = 1};
	const struct pair *version = want(parser, "version");
	unsigned int major, minor;

	if (parser->begun)
		wrong(parser, "a second header");
	if (version) {
		if (sscanf(version->value, "%5u.%5u", &major, &minor) != 2 || major > UINT16_MAX || minor > UINT16_MAX)
			wrong(parser, "version is not like 1.0");
		else {
			header.version_major = (uint16_t)major;
			header.version_minor = (uint16_t)minor;
		}
	}
	header.flags = number_or(parser, "flags", 0);
	header.ticks_per_second = number_or(parser, "ticks_per_second", 1000000000);
	header.start_ticks = number_or(parser, "start_ticks", 0);
	header.start_realtime_ns = signed_or(parser, "start_realtime_ns", 0);
	header.start_monotonic_ns = signed_or(parser, "start_monotonic_ns", 0);
	if (parser->why[0])
		return;
	parser->begun = true;
	parser->failed = gt_build_begin(&parser->build, parser->build.out, &header);
}

static void line_frame(struct parser *parser)
{
	uint64_t ticks = number_or(parser, "ticks", 0), watermark = number_or(parser, "watermark", 0);
	int64_t monotonic_ns = signed_or(parser, "monotonic_ns", 0);
	uint64_t events = number_or(parser, "events", UINT64_MAX);

	if (events != UINT64_MAX && events > UINT32_MAX)
		wrong(parser, "more events than a frame can have");
	if (!parser->why[0])
		parser->failed = gt_build_frame(&parser->build, ticks, monotonic_ns, watermark, events);
}

static void line_index(struct parser *parser)
{
	uint64_t ticks = number_or(parser, "ticks", 0), watermark = number_or(parser, "watermark", 0);
	int64_t monotonic_ns = signed_or(parser, "monotonic_ns", 0);

	if (parser->why[0])
		return;
	parser->failed = gt_build_index(&parser->build, ticks, monotonic_ns, watermark);
	parser->ended = true;
}

static void record(struct parser *parser, unsigned int type)
{
	if (parser->record.no_memory)
		parser->failed = -ENOMEM;
	else if (!parser->why[0])
		parser->failed = gt_build_record(&parser->build, type, parser->record.at, parser->record.size);
}

static void line_meta(struct parser *parser)
{
	put_text(parser, "key");
	put_text(parser, "value");
	record(parser, GT__REC_META);
}

static void line_string(struct parser *parser)
{
	const struct pair *text = want_text(parser, "text");

	put_number(parser, "id");
	gt_build_put(&parser->record, text->value, text->size);
	record(parser, GT__REC_STRING);
}

static void line_pc(struct parser *parser)
{
	char *list = want_list(parser, "lines"), *item;
	size_t size;

	put_number(parser, "pc");
	gt_build_uvarint(&parser->record, count_items(list));
	while (next_item(&list, &item, &size)) {
		for (int i = 0; i < 3; i++) {
			size_t length = i < 2 ? strcspn(item, ": ") : size;
			uint64_t value;

			if (length > size || !parse_number(item, length, &value) || (i < 2 && item[length] != ':')) {
				wrong(parser, "an item of lines is not function:file:line");
				return;
			}
			gt_build_uvarint(&parser->record, value);
			item += length + (i < 2);
			size -= length + (i < 2);
		}
	}
	record(parser, GT__REC_PC);
}

static void line_stack(struct parser *parser)
{
	char *list = want_list(parser, "pcs"), *item;
	size_t size;

	put_number(parser, "id");
	gt_build_uvarint(&parser->record, count_items(list));
	while (next_item(&list, &item, &size)) {
		uint64_t pc;

		if (!parse_number(item, size, &pc)) {
			wrong(parser, "an item of pcs is no number");
			return;
		}
		gt_build_uvarint(&parser->record, pc);
	}
	record(parser, GT__REC_STACK);
}

static void line_thread(struct parser *parser)
{
	put_number(parser, "m");
	put_number(parser, "tid");
	put_text(parser, "name");
	record(parser, GT__REC_THREAD);
}

static void line_goroutine(struct parser *parser)
{
	put_number(parser, "g");
	put_number(parser, "parent");
	put_number(parser, "start");
	put_number(parser, "site");
	record(parser, GT__REC_GOROUTINE);
}

static void line_loss(struct parser *parser)
{
	put_text(parser, "what");
	put_number(parser, "count");
	record(parser, GT__REC_LOSS);
}

static void line_since(struct parser *parser)
{
	put_number(parser, "m");
	put_number(parser, "ticks");
	record(parser, GT__REC_SINCE);
}

static void line_record(struct parser *parser)
{
	const struct pair *bytes = want_text(parser, "bytes");
	uint64_t type = number_or(parser, "type", 0);

	if (type > 255)
		wrong(parser, "type is larger than a byte");
	gt_build_put(&parser->record, bytes->value, bytes->size);
	record(parser, (unsigned int)type);
}

static void line_bytes(struct parser *parser)
{
	const struct pair *bytes = want_text(parser, "bytes");

	if (!parser->why[0])
		parser->failed = gt_build_raw(&parser->build, bytes->value, bytes->size);
}

static void line_events(struct parser *parser)
{
	parser->m = number_or(parser, "m", 0);
	parser->base = parser->ticks = number_or(parser, "base", 0);
	parser->count = 0;
	parser->events.size = 0;
	parser->run = true;
}

/* ---- events ---- */

static uint64_t state_number(struct parser *parser, const struct pair *pair)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < GT_STATE_COUNT; i++)
		if (gt_state_known(i) && !strcmp(pair->value, gt_state_text(i)))
			return i;
	if (!parse_number(pair->value, pair->size, &value))
		wrong(parser, "%s is no state", pair->name);
	return value;
}

static uint64_t reason_number(struct parser *parser, const struct pair *pair)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < GT_REASON_COUNT && pair->quoted; i++) {
		const char *text = gt_reason_text(i);

		if (gt_reason_known(i) && strlen(text) == pair->size && !memcmp(pair->value, text, pair->size))
			return i;
	}
	if (pair->quoted || !parse_number(pair->value, pair->size, &value))
		wrong(parser, "%s is no reason", pair->name);
	return value;
}

/* One of the words of objects.def or causes.def, in quotes, or its number. */
static uint64_t word_number(struct parser *parser, const struct pair *pair, bool object)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < (object ? GT_OBJECT_COUNT : GT_CAUSE_COUNT) && pair->quoted; i++) {
		const char *text = object ? gt_object_text(i) : gt_cause_text(i);

		if ((object ? gt_object_known(i) : gt_cause_known(i)) && strlen(text) == pair->size &&
			!memcmp(pair->value, text, pair->size))
			return i;
	}
	if (pair->quoted || !parse_number(pair->value, pair->size, &value))
		wrong(parser, "%s is no %s", pair->name, object ? "object" : "cause");
	return value;
}

static uint64_t arg_number(struct parser *parser, const struct gt_arg_spec *spec)
{
	const struct pair *pair = want(parser, spec->name);
	uint64_t value;

	if (!pair)
		return 0;
	if (spec->type == GT_ARG_REASON)
		return reason_number(parser, pair);
	if (spec->type == GT_ARG_OBJECT || spec->type == GT_ARG_CAUSE)
		return word_number(parser, pair, spec->type == GT_ARG_OBJECT);
	if (spec->type == GT_ARG_STATE && !pair->quoted && !pair->list)
		return state_number(parser, pair);
	if (spec->type == GT_ARG_P && !strcmp(pair->value, "-"))
		return 0;
	value = number_or(parser, spec->name, 0);
	if (spec->type == GT_ARG_P && ++value == 0)
		wrong(parser, "%s is too large", spec->name);
	return value;
}

static bool time_on(struct parser *parser, unsigned int kind)
{
	uint64_t dt = number_or(parser, "dt", 0);

	if (!parser->run)
		wrong(parser, "an event that stands in no Events record");
	else if (kind ? __builtin_add_overflow(parser->ticks, dt, &parser->ticks) : dt > parser->ticks)
		wrong(parser, "dt leads out of time");
	if (parser->why[0])
		return false;
	if (!kind)
		parser->ticks -= dt;
	gt_build_u8(&parser->events, (uint8_t)kind);
	gt_build_uvarint(&parser->events, dt);
	parser->count += !!kind;
	if (parser->events.size > GT__RAW_BYTES_MAX)
		parser->failed = -EFBIG;
	return true;
}

static bool line_event(struct parser *parser)
{
	for (unsigned int kind = 1; kind < GT_EVENT_KIND_COUNT; kind++) {
		const struct gt_event_spec *spec = &gt_event_specs[kind];

		if (!spec->text || strcmp(parser->word, spec->text))
			continue;
		if (!time_on(parser, kind))
			return true;
		for (unsigned int i = 0; i < spec->arg_count; i++)
			gt_build_uvarint(&parser->events, arg_number(parser, &spec->args[i]));
		return true;
	}
	return false;
}

static void line_other_event(struct parser *parser)
{
	uint64_t kind = number_or(parser, "kind", 0);
	const struct pair *bytes = want_text(parser, "bytes");

	if (kind < GT_EVENT_KIND_COUNT || kind > 255)
		wrong(parser, "kind is not one of 128 to 255");
	if (parser->why[0] || !time_on(parser, (unsigned int)kind))
		return;
	gt_build_text(&parser->events, bytes->value, bytes->size);
}

/* ---- all lines ---- */

static void take_line(struct parser *parser)
{
	static const struct {
		const char *word;
		void (*take)(struct parser *);
	} words[] = {
		{"Frame", line_frame},
		{"Meta", line_meta},
		{"String", line_string},
		{"Pc", line_pc},
		{"Stack", line_stack},
		{"Thread", line_thread},
		{"Goroutine", line_goroutine},
		{"Loss", line_loss},
		{"Since", line_since},
		{"Record", line_record},
		{"Bytes", line_bytes},
		{"Events", line_events},
		{"Index", line_index},
	};

	if (!strcmp(parser->word, "gtrace")) {
		line_gtrace(parser);
		return;
	}
	if (!parser->begun) {
		wrong(parser, "no line \"gtrace ...\" before it");
		return;
	}
	if (parser->ended) {
		wrong(parser, "a line behind Index");
		return;
	}
	if (!strcmp(parser->word, "Back")) {
		(void)time_on(parser, 0);
		return;
	}
	if (!strcmp(parser->word, "Event")) {
		line_other_event(parser);
		return;
	}
	if (line_event(parser))
		return;
	end_run(parser);
	parser->record.size = 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && parser->failed >= 0; i++)
		if (!strcmp(parser->word, words[i].word)) {
			words[i].take(parser);
			return;
		}
	wrong(parser, "no such word: %.40s", parser->word);
}

/* The next line without its end, or false. NULs are no text. */
static bool next_line(struct parser *parser)
{
	ssize_t length = getline(&parser->line, &parser->room, parser->in);

	if (length < 0)
		return false;
	parser->number++;
	if (length && parser->line[length - 1] == '\n')
		parser->line[--length] = 0;
	parser->why[0] = 0;
	if (strlen(parser->line) != (size_t)length)
		wrong(parser, "a NUL in a text");
	if ((size_t)length > LINE_BYTES_MAX)
		wrong(parser, "a line that is too long");
	return true;
}

static void take_all(struct parser *parser)
{
	while (!parser->failed && next_line(parser)) {
		size_t blank = strspn(parser->line, " \t");

		if (parser->why[0])
			return;
		if (parser->line[blank] == '#' || !parser->line[blank])
			continue;
		parse_line(parser);
		if (!parser->why[0])
			take_line(parser);
		for (unsigned int i = 0; i < parser->pair_count; i++)
			if (!parser->pairs[i].used)
				wrong(parser, "%s has no %.40s", parser->word, parser->pairs[i].name);
		if (parser->why[0])
			return;
	}
	if (!parser->failed && !parser->begun)
		wrong(parser, "no line \"gtrace ...\" in it");
	if (!parser->failed && !parser->why[0])
		end_run(parser);
}

int gt_text_read(FILE *in, FILE *out, struct gt_error *err)
{
	struct parser parser = {.in = in, .build.out = out};
	int ret = 0, end;

	take_all(&parser);
	if (parser.why[0])
		ret = gt_fail(err, EBADMSG, "line %lu: %s", parser.number, parser.why);
	else if (parser.failed == -EFBIG)
		ret = gt_fail(err, EBADMSG, "line %lu: the frame is larger than a frame may be", parser.number);
	else if (parser.failed || ferror(in))
		ret = gt_fail(err, parser.failed ? parser.failed : EIO, "line %lu: %s", parser.number,
			strerror(parser.failed ? -parser.failed : EIO));
	end = gt_build_end(&parser.build);
	if (!ret && end < 0)
		ret = gt_fail(err, end, "cannot be written: %s", strerror(-end));
	free(parser.line);
	gt_build_bytes_free(&parser.record);
	gt_build_bytes_free(&parser.events);
	return ret;
}
