/*
 * tables.h - what names things: metas, strings, pcs, stacks, threads, goroutines, losses.
 *
 * Entries stay where they are until _free. All of it together is bounded: beyond GT__TABLE_BYTES_MAX records
 * are refused with -ENOSPC (their ids stay unknown), whatever the file says.
 */
#ifndef GT_FORMAT_TABLES_H
#define GT_FORMAT_TABLES_H

#include "base/bytes.h"
#include "base/hash.h"
#include "format/reading/objects.h"
#include "format/reading/reader.h"

#define GT__TABLE_BYTES_MAX (1ull << 30)
#define GT__KEYS_MAX        65536u /* metas, and losses */

struct gt__chunk;
struct gt__free_goroutine;

struct gt__value {
	const char *text; /* metas */
	uint64_t count;   /* losses */
	bool final;       /* from the index: nothing replaces it */
};

struct gt__keyed {
	struct gt_strings keys; /* id - 1 is the place in values */
	struct gt__value *values;
	size_t room;
};

struct gt__tables {
	struct gt__chunk *chunks;
	uint8_t *at, *end; /* in the newest chunk */
	uint64_t bytes;    /* held by all of it, about */
	struct gt__keyed metas, losses;
	struct gt_map strings, pcs, stacks, threads; /* values are pointers into the chunks */
	struct gt_map goroutines;                    /* g -> struct gt_trace_goroutine */
	struct gt_map tids;                          /* a thread's id -> its M, the last one told */
	struct gt__free_goroutine *free_goroutines;
	struct gt__objects objects;
	uint64_t since_max; /* ticks: from here on every M is complete; 0 = no SINCE */
	bool partial;       /* SINCE or GOROUTINE records: some things were there before the trace */
	bool complete;      /* the whole file was read: further passes change no names */
};

void gt__tables_free(struct gt__tables *tables);

/* A record of a type that is a table's: 0, -EBADMSG, -ENOSPC or -ENOMEM. Other types: 0, untouched. @final: from the index. */
int gt__tables_record(struct gt__tables *tables, unsigned int type, const uint8_t *bytes, size_t size, bool final);

/* Not names that hold for the whole file: each pass meets them where they stand. */
static inline bool gt__of_its_place(unsigned int type)
{
	return type == GT__REC_GOROUTINE || type == GT__REC_SINCE;
}
/* What the bytes of one say; -EBADMSG. */
int gt__goroutine_parse(const uint8_t *bytes, size_t size, struct gt_trace_goroutine *out);
int gt__since_parse(const uint8_t *bytes, size_t size, uint64_t *ticks);

int gt__tables_goroutine_add(struct gt__tables *tables, const struct gt_trace_goroutine *goroutine);
void gt__tables_goroutine_drop(struct gt__tables *tables, uint64_t g);
/* And names of objects: before another pass. */
void gt__tables_goroutines_clear(struct gt__tables *tables);

#endif
