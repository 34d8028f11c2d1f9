/*
 * pprof.c - profile.proto by hand: varints and lengths are all there is to it.
 *
 * Samples, mappings, locations and functions are put into the output as they come, for protobuf does not ask for an order; the
 * string table and the single fields follow at the end.
 */
#include "format/pprof/pprof.h"

#include "base/hash.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { /* fields of Profile */
	SAMPLE_TYPE = 1,
	SAMPLE = 2,
	MAPPING = 3,
	LOCATION = 4,
	FUNCTION = 5,
	STRING = 6,
	TIME = 9,
	DURATION = 10,
	PERIOD_TYPE = 11,
	PERIOD = 12,
	COMMENT = 13,
	DEFAULT_TYPE = 14,
};

struct buffer {
	uint8_t *bytes;
	size_t size;
	size_t room;
};

struct gt_pprof {
	int error;
	struct buffer out;
	struct buffer message; /* the one being made */
	struct buffer inner;   /* one inside of it */
	struct gt_strings strings;
	struct gt_strings functions; /* ids of name and file, line: as bytes */
	size_t types;
	uint64_t mappings, locations;
	uint64_t default_type;
	int64_t time_ns, duration_ns, period;
};

struct gt_pprof *gt_pprof_new(void)
{
	return calloc(1, sizeof(struct gt_pprof));
}

void gt_pprof_free(struct gt_pprof *profile)
{
	if (!profile)
		return;
	free(profile->out.bytes);
	free(profile->message.bytes);
	free(profile->inner.bytes);
	gt_strings_free(&profile->strings);
	gt_strings_free(&profile->functions);
	free(profile);
}

/* ---- protobuf ---- */

static uint8_t *room_for(struct gt_pprof *profile, struct buffer *to, size_t bytes)
{
	if (profile->error)
		return NULL;
	if (to->room - to->size < bytes) {
		size_t room = to->room ? to->room : 256;
		uint8_t *grown;

		while (room - to->size < bytes && room <= SIZE_MAX / 4)
			room *= 2;
		grown = room - to->size < bytes ? NULL : realloc(to->bytes, room);
		if (!grown) {
			profile->error = -ENOMEM;
			return NULL;
		}
		to->bytes = grown;
		to->room = room;
	}
	return to->bytes + to->size;
}

static void put_varint(struct gt_pprof *profile, struct buffer *to, uint64_t value)
{
	uint8_t *at = room_for(profile, to, 10);

	if (!at)
		return;
	for (; value >= 0x80; value >>= 7) {
		*at++ = (uint8_t)(value | 0x80);
		to->size++;
	}
	*at = (uint8_t)value;
	to->size++;
}

/* A zero is what is not there. */
static void put_number(struct gt_pprof *profile, struct buffer *to, uint32_t field, uint64_t value)
{
	if (!value)
		return;
	put_varint(profile, to, field << 3);
	put_varint(profile, to, value);
}

static void put_bytes(struct gt_pprof *profile, struct buffer *to, uint32_t field, const void *bytes, size_t size)
{
	uint8_t *at;

	put_varint(profile, to, field << 3 | 2);
	put_varint(profile, to, size);
	at = room_for(profile, to, size);
	if (!at)
		return;
	if (size)
		memcpy(at, bytes, size);
	to->size += size;
}

/* Puts what was made into @to, and begins again. */
static void put_made(struct gt_pprof *profile, struct buffer *to, uint32_t field, struct buffer *made)
{
	put_bytes(profile, to, field, made->bytes, made->size);
	made->size = 0;
}

/* Strings are UTF-8 in protobuf, and readers refuse others: what is not is told as such. */
static bool is_utf8(const unsigned char *at, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t more = at[i] < 0x80 ? 0 : at[i] >= 0xf0 ? 3 : at[i] >= 0xe0 ? 2 : 1;

		if (more && (at[i] < 0xc2 || at[i] > 0xf4 || size - i <= more))
			return false;
		for (size_t k = 1; k <= more; k++)
			if ((at[i + k] & 0xc0) != 0x80)
				return false;
		if (more == 2 && ((at[i] == 0xe0 && at[i + 1] < 0xa0) || (at[i] == 0xed && at[i + 1] > 0x9f)))
			return false;
		if (more == 3 && ((at[i] == 0xf0 && at[i + 1] < 0x90) || (at[i] == 0xf4 && at[i + 1] > 0x8f)))
			return false;
		i += more + 1;
	}
	return true;
}

static uint64_t string(struct gt_pprof *profile, const char *text)
{
	size_t size = text ? strlen(text) : 0;
	uint64_t id = 0;
	int ret;

	if (profile->error || !size)
		return 0;
	if (!is_utf8((const unsigned char *)text, size)) {
		text = "(not UTF-8)";
		size = strlen(text);
	}
	ret = gt_strings_intern(&profile->strings, text, size, &id);
	if (ret < 0)
		profile->error = ret;
	return id;
}

static void put_type(struct gt_pprof *profile, uint32_t field, const char *type, const char *unit)
{
	put_number(profile, &profile->message, 1, string(profile, type));
	put_number(profile, &profile->message, 2, string(profile, unit));
	put_made(profile, &profile->out, field, &profile->message);
}

/* ---- what there is in a profile ---- */

void gt_pprof_sample_type(struct gt_pprof *profile, const char *type, const char *unit)
{
	put_type(profile, SAMPLE_TYPE, type, unit);
	profile->types++;
}

void gt_pprof_default_type(struct gt_pprof *profile, const char *type)
{
	profile->default_type = string(profile, type);
}

void gt_pprof_period(struct gt_pprof *profile, const char *type, const char *unit, int64_t period)
{
	put_type(profile, PERIOD_TYPE, type, unit);
	profile->period = period;
}

void gt_pprof_time(struct gt_pprof *profile, int64_t time_ns, int64_t duration_ns)
{
	profile->time_ns = time_ns;
	profile->duration_ns = duration_ns;
}

void gt_pprof_comment(struct gt_pprof *profile, const char *text)
{
	put_number(profile, &profile->out, COMMENT, string(profile, text));
}

uint64_t gt_pprof_mapping(struct gt_pprof *profile, const struct gt_pprof_mapping *mapping)
{
	struct buffer *to = &profile->message;
	uint64_t id = ++profile->mappings;

	put_number(profile, to, 1, id);
	put_number(profile, to, 2, mapping->start);
	put_number(profile, to, 3, mapping->limit);
	put_number(profile, to, 4, mapping->offset);
	put_number(profile, to, 5, string(profile, mapping->file));
	put_number(profile, to, 6, string(profile, mapping->build_id));
	put_number(profile, to, 7, mapping->has_functions);
	put_number(profile, to, 8, mapping->has_files);
	put_number(profile, to, 9, mapping->has_lines);
	put_number(profile, to, 10, mapping->has_inlines);
	put_made(profile, &profile->out, MAPPING, to);
	return id;
}

uint64_t gt_pprof_function(struct gt_pprof *profile, const char *name, const char *file, int64_t start_line)
{
	struct {
		uint64_t name, file;
		int64_t line;
	} key = {string(profile, name), string(profile, file), start_line};
	struct buffer *to = &profile->message;
	uint64_t id = 0;
	int ret;

	if (profile->error)
		return 0;
	ret = gt_strings_intern(&profile->functions, &key, sizeof(key), &id);
	if (ret < 0)
		profile->error = ret;
	if (ret <= 0)
		return id;
	put_number(profile, to, 1, id);
	put_number(profile, to, 2, key.name);
	put_number(profile, to, 3, key.name);
	put_number(profile, to, 4, key.file);
	put_number(profile, to, 5, (uint64_t)start_line);
	put_made(profile, &profile->out, FUNCTION, to);
	return id;
}

uint64_t gt_pprof_location(struct gt_pprof *profile, uint64_t mapping, uint64_t address,
	const struct gt_pprof_line *lines, size_t line_count)
{
	struct buffer *to = &profile->message, *line = &profile->inner;
	uint64_t id = ++profile->locations;

	put_number(profile, to, 1, id);
	put_number(profile, to, 2, mapping);
	put_number(profile, to, 3, address);
	for (size_t i = 0; i < line_count; i++) {
		put_number(profile, line, 1, lines[i].function);
		put_number(profile, line, 2, (uint64_t)lines[i].line);
		put_made(profile, to, 4, line);
	}
	put_made(profile, &profile->out, LOCATION, to);
	return id;
}

void gt_pprof_sample(struct gt_pprof *profile, const uint64_t *locations, size_t depth, const int64_t *values,
	const struct gt_pprof_label *labels, size_t label_count)
{
	struct buffer *to = &profile->message, *inner = &profile->inner;

	for (size_t i = 0; i < depth; i++)
		put_varint(profile, inner, locations[i]);
	put_made(profile, to, 1, inner);
	for (size_t i = 0; i < profile->types; i++)
		put_varint(profile, inner, (uint64_t)values[i]);
	put_made(profile, to, 2, inner);
	for (size_t i = 0; i < label_count; i++) {
		put_number(profile, inner, 1, string(profile, labels[i].key));
		if (labels[i].text) {
			put_number(profile, inner, 2, string(profile, labels[i].text));
		} else {
			put_number(profile, inner, 3, (uint64_t)labels[i].number);
			put_number(profile, inner, 4, string(profile, labels[i].unit));
		}
		put_made(profile, to, 3, inner);
	}
	put_made(profile, &profile->out, SAMPLE, to);
}

/* ---- the end ---- */

static int zip(const struct buffer *in, void **bytes, size_t *size)
{
	z_stream z = {.next_in = in->bytes};
	size_t left = in->size, bound;
	uint8_t *out;
	int ret;

	/* 15: the greatest window; 16: gzip's header and end. */
	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	bound = deflateBound(&z, left);
	out = malloc(bound);
	if (!out || bound > UINT_MAX || left > UINT_MAX) {
		free(out);
		deflateEnd(&z);
		return out ? -EFBIG : -ENOMEM;
	}
	z.avail_in = (uInt)left;
	z.next_out = out;
	z.avail_out = (uInt)bound;
	ret = deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : -EIO;
	*size = z.total_out;
	deflateEnd(&z);
	if (ret < 0) {
		free(out);
		return ret;
	}
	*bytes = out;
	return 0;
}

int gt_pprof_finish(struct gt_pprof *profile, void **bytes, size_t *size)
{
	put_number(profile, &profile->out, TIME, (uint64_t)profile->time_ns);
	put_number(profile, &profile->out, DURATION, (uint64_t)profile->duration_ns);
	put_number(profile, &profile->out, PERIOD, (uint64_t)profile->period);
	put_number(profile, &profile->out, DEFAULT_TYPE, profile->default_type);
	for (uint64_t id = 0; id <= profile->strings.count; id++) {
		size_t length;
		const char *text = gt_strings_get(&profile->strings, id, &length);

		put_bytes(profile, &profile->out, STRING, text, length);
	}
	return profile->error ? profile->error : zip(&profile->out, bytes, size);
}
