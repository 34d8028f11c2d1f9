/* gotrace_internal.h - between the files of format/import that read Go's traces. */
#ifndef GT_FORMAT_GOTRACE_INTERNAL_H
#define GT_FORMAT_GOTRACE_INTERNAL_H

#include "base/bytes.h"
#include "base/hash.h"
#include "base/source.h"
#include "format/import/gotrace.h"

#define GT__GO_HEADER_BYTES   16u
#define GT__GO_BATCH_MAX      65536u
#define GT__GO_STRING_MAX     1024u
#define GT__GO_BATCHES_MAX    (1u << 22) /* of a generation */
#define GT__GO_NAME_BYTES_MAX (512ull << 20)
#define GT__GO_HELD_MAX       (1ull << 30) /* batches in memory at once: one an M */
#define GT__GO_SAMPLES_MAX    (1u << 23)
#define GT__GO_GOROUTINES_MAX (1u << 24)
#define GT__GO_THREADS_MAX    (1u << 20)
#define GT__GO_PROCS_MAX      (1u << 20)
#define GT__GO_TASKS_MAX      (1u << 22)
#define GT__GO_REGIONS_MAX    (1u << 24) /* open at once, in all goroutines */
#define GT__GO_RANGES_MAX     32u        /* open at once in a goroutine */

/* Numbers of what is no timed event. */
enum {
	GT__GO_EVENT_BATCH = 1,
	GT__GO_STACKS = 2,
	GT__GO_STACK = 3,
	GT__GO_STRINGS = 4,
	GT__GO_STRING = 5,
	GT__GO_CPU_SAMPLES = 6,
	GT__GO_FREQUENCY = 8,
	GT__GO_EXPERIMENTAL_BATCH = 49,
	GT__GO_SYNC = 50,
	GT__GO_END_OF_GENERATION = 52,
};

/* ---- the file ---- */

enum gt__go_found { GT__GO_BATCH, GT__GO_END /* of the file */, GT__GO_GENERATION_ENDS, GT__GO_BAD };
struct gt__go_header {
	uint64_t next; /* where the next one begins */
	uint64_t data; /* where the payload begins */
	uint64_t gen, m, time;
	uint32_t size;
	uint8_t experiment;
	uint8_t first; /* byte of the payload, 0 when there is none */
};
/* Reads the header at @offset; on BAD *why. */
enum gt__go_found gt__go_header(
	const struct gt_source *file, uint64_t offset, struct gt__go_header *out, const char **why);

/* ---- a generation ---- */

#define GT__GO_NO_BATCH UINT32_MAX

struct gt__go_batch {
	uint64_t offset;
	uint64_t time;
	uint32_t size;
	uint32_t next; /* of the same M */
};

struct gt__go_text {
	size_t at; /* in the bytes */
	uint32_t size;
};
struct gt__go_stack {
	size_t at; /* in the pcs */
	uint32_t count;
};
struct gt__go_sample {
	int64_t time_ns;
	uint64_t m, p, g, stack;
};

/* A growing array. */
struct gt__go_array {
	void *at;
	size_t count, room;
};
/* Room for one more of @size bytes; NULL without memory. */
void *gt__go_add(struct gt__go_array *array, size_t size);

struct gt__go_stream {
	uint64_t m;
	uint32_t first, last; /* batches */
};

struct gt__go_generation {
	uint64_t number;
	uint64_t begin; /* the least time of a batch */
	double ns_per_unit;
	bool has_frequency;
	struct gt_gotrace_clock clock;
	uint64_t clock_units;
	uint64_t experimental_batches;
	struct gt__go_array batches; /* struct gt__go_batch */
	struct gt__go_array streams; /* struct gt__go_stream, in the order of their first batches */
	struct gt_map stream_of;     /* m -> place + 1 */
	struct gt__go_array samples; /* struct gt__go_sample */
	struct gt__go_array texts;   /* struct gt__go_text */
	struct gt_map strings;       /* id -> place */
	struct gt__go_array stacks;  /* struct gt__go_stack */
	struct gt_map stack_of;      /* id -> place */
	struct gt__go_array frames;  /* struct gt_gotrace_frame */
	struct gt_map frame_of;      /* pc -> place */
	uint8_t *bytes;              /* of the strings */
	size_t byte_count, byte_room;
	struct gt__go_array pcs; /* places of frames, uint32_t */
};

void gt__go_generation_free(struct gt__go_generation *generation); /* valid and empty again */

/*
 * Reads the generation at *offset: 1, with *offset behind it; 0 when there is none; -1 with *why when it is not whole: nothing of it is
 * to be used. @pending: the trace is broken behind this generation, which is whole (before 1.26 its end is seen by what follows).
 * @cut: what is wrong is that the file ends.
 */
int gt__go_generation_read(const struct gt_source *file, unsigned int version, uint64_t *offset,
	struct gt__go_generation *out, char why[256], bool *pending, bool *cut);

int64_t gt__go_ns(double ns_per_unit, uint64_t units);
bool gt__go_string_known(const struct gt__go_generation *generation, uint64_t id);
bool gt__go_stack_known(const struct gt__go_generation *generation, uint64_t id);
const char *gt__go_string(const struct gt__go_generation *generation, uint64_t id, size_t *size);

/* ---- order ---- */

struct gt__go_order;

int gt__go_order_new(struct gt__go_order **out);
void gt__go_order_free(struct gt__go_order *order);

enum gt__go_fit { GT__GO_WAITS, GT__GO_FITS, GT__GO_BROKEN };

/* May @event, of M @m, come now? When it fits, it (and what it stands for) is queued and its effect is made. BROKEN: @why. */
enum gt__go_fit gt__go_advance(struct gt__go_order *order, struct gt_gotrace_event *event,
	const struct gt__go_generation *generation, char why[256]);
bool gt__go_pop(struct gt__go_order *order, struct gt_gotrace_event *event);
const char *gt__go_order_name(const struct gt__go_order *order, uint64_t name, size_t *size);

#endif
