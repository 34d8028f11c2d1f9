/*
 * intern.h - Perfetto's interned data: each name, string and stack written once, then called by its number.
 *
 * What is new is written as a packet of its own, so ask for all numbers before the packet that holds them is begun. Numbers are
 * valid until gt__intern_limit, which forgets all when there are too many: readers are told, and they come anew.
 */
#ifndef GT_FORMAT_INTERN_H
#define GT_FORMAT_INTERN_H

#include "format/convert/map.h"
#include "format/convert/sink.h"
#include "format/reading/trace.h"

#define GT__INTERN_SEQUENCE   1u
#define GT__INTERN_TEXT_MAX   200 /* bytes of a name, before bad ones are replaced */
#define GT__INTERN_FRAMES_MAX 400 /* of a stack */

enum gt__intern_key { /* names of arguments; their numbers are these + 1 */
#define GT_KEYS(K) \
	K(ON, "on") \
	K(HOLDER, "holder") \
	K(WAKER, "waker") \
	K(CAUSE, "cause") \
	K(LOST, "lost") \
	K(P, "p") \
	K(M, "m") \
	K(NUMBER, "number") \
	K(ARG0, "arg0") \
	K(ARG2, "arg2") \
	K(RESULT, "result") \
	K(ERROR, "errno") \
	K(TASK, "task") \
	K(PARENT, "parent") \
	K(VALUE, "value") \
	K(ADDRESS, "address") \
	K(BYTES, "bytes") \
	K(WEIGHT, "weight") \
	K(NS, "ns") \
	K(LATE, "late ns") \
	K(FD, "fd") \
	K(CYCLE, "cycle") \
	K(BY, "by") \
	K(CPU, "cpu") \
	K(FILE, "file") \
	K(SITE, "site") \
	K(TYPE, "type")
#define K(name, text) GT_KEY_##name,
	GT_KEYS(K)
#undef K
		GT_KEY_COUNT,
};

enum gt__intern_category {
#define GT_CATEGORIES(C) \
	C(WAIT, "wait") \
	C(SCHED, "sched") \
	C(SYSCALL, "syscall") \
	C(REGION, "region") \
	C(TASK, "task") \
	C(LOG, "log") \
	C(WAKE, "wake") \
	C(HEAP, "heap") \
	C(TIMER, "timer") \
	C(GC, "gc") \
	C(STW, "stw") \
	C(SAMPLE, "sample") \
	C(NOTICE, "gtrace")
#define C(name, text) GT_CATEGORY_##name,
	GT_CATEGORIES(C)
#undef C
		GT_CATEGORY_COUNT,
};

/* Names of slices that are no strings of the trace; their numbers are these + 1. */
enum gt__intern_name {
	GT_NAME_WAIT,
	GT_NAME_RUNNABLE = GT_NAME_WAIT + GT_REASON_COUNT,
	GT_NAME_SYSCALL = GT_NAME_RUNNABLE + GT_REASON_COUNT,
	GT_NAME_WOKEN,
	GT_NAME_CREATED,
	GT_NAME_ALLOC,
	GT_NAME_FREE,
	GT_NAME_TIMER_SET,
	GT_NAME_TIMER_STOP,
	GT_NAME_TIMER_FIRE,
	GT_NAME_REGION,
	GT_NAME_TASK,
	GT_NAME_LOG,
	GT_NAME_ASSIST,
	GT_NAME_SWEEP,
	GT_NAME_GC,
	GT_NAME_STW,
	GT_NAME_STOPPED,
	GT_NAME_SAMPLE,
	GT_NAME_FAULT,
	GT_NAME_THROTTLED,
	GT_NAME_COUNT,
};

struct gt__intern {
	const struct gt_trace *trace;
	struct gt_sink *sink;
	uint64_t clock; /* the sequence's clock, 0 the default one */
	uint64_t next;  /* number */
	size_t limit;   /* of what the maps hold */
	bool failed;    /* no memory */
	bool keys[GT_KEY_COUNT], categories[GT_CATEGORY_COUNT], names[GT_NAME_COUNT];
	struct gt__map strings, functions, files, pcs, stacks, sites, objects, calls, texts;
};

/* Writes the packet that begins the sequence. */
void gt__intern_init(
	struct gt__intern *intern, const struct gt_trace *trace, struct gt_sink *sink, uint64_t clock, size_t limit);
void gt__intern_free(struct gt__intern *intern);

void gt__intern_new_key(struct gt__intern *intern, enum gt__intern_key key);
void gt__intern_new_category(struct gt__intern *intern, enum gt__intern_category category);
void gt__intern_new_name(struct gt__intern *intern, unsigned int name);

static inline void gt__intern_key(struct gt__intern *intern, enum gt__intern_key key)
{
	if (__builtin_expect(!intern->keys[key], 0))
		gt__intern_new_key(intern, key);
}

static inline void gt__intern_category(struct gt__intern *intern, enum gt__intern_category category)
{
	if (__builtin_expect(!intern->categories[category], 0))
		gt__intern_new_category(intern, category);
}

/* What a slice of this name has for its number. */
static inline uint64_t gt__intern_name(struct gt__intern *intern, unsigned int name)
{
	if (__builtin_expect(!intern->names[name], 0))
		gt__intern_new_name(intern, name);
	return name + 1;
}

/* Each gives 0 when nothing is known. */
uint64_t gt__intern_string(struct gt__intern *intern, uint64_t id); /* a slice's name */
uint64_t gt__intern_text(struct gt__intern *intern, uint64_t id);   /* an argument's text that is a string */
uint64_t gt__intern_syscall(
	struct gt__intern *intern, uint64_t number); /* a slice's name, never 0 but without memory */
uint64_t gt__intern_stack(struct gt__intern *intern, uint64_t id);
uint64_t gt__intern_site(struct gt__intern *intern, uint64_t pc);                          /* a stack of one place */
uint64_t gt__intern_object(struct gt__intern *intern, unsigned int what, uint64_t object); /* an argument's text */
/* What lies at the address has a new name. */
void gt__intern_object_named(struct gt__intern *intern, uint64_t object);

/* Between two packets. */
void gt__intern_forget(struct gt__intern *intern);

static inline void gt__intern_limit(struct gt__intern *intern)
{
	if (__builtin_expect(intern->next > intern->limit, 0))
		gt__intern_forget(intern);
}

/* @field with at most @max bytes of @text; what is no good UTF-8 becomes U+FFFD. At most 3 * @max + 20 bytes. */
char *gt__pb_text(char *to, uint32_t field, const char *text, size_t max);

#endif
