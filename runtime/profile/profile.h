/*
 * profile.h - between the files of this folder.
 *
 * In the runtime:
 *   profile.c      the interface: which profiles there are, block and mutex, differences
 *   cpu.c          SIGPROF, its timers and its ring        goroutines.c     where goroutines and threads are
 * In libgtrace_profile, which knows nothing of the runtime's inside, and brings zlib and libdw:
 *   make.c         what is done before                     encode.c, text.c what comes out
 *   symbolize.c    modules, functions, lines
 *
 * What a profile says at one moment is a set of buckets. Their tags: [0] a number (CPU: the goroutine; heap: the bytes of one
 * object; debug=2: the goroutine), [1] to [3] a goroutine's name, filled up with zeros.
 */
#ifndef GT_RUNTIME_PROFILE_PROFILE_H
#define GT_RUNTIME_PROFILE_PROFILE_H

#include "base/buckets.h"

#include <gtrace/pprof.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gt_profile_data {
	struct gt_buckets buckets;
	int64_t realtime_ns; /* when */
	int64_t now_ns;      /* CLOCK_MONOTONIC */
	int64_t period;      /* of CPU: ns; of heap: bytes; of mutex: one of so many */
	uint64_t lost;       /* samples for which there was no room */
};

struct gt_profile_kind {
	const char *name;
	const char *description;
	const char *types[4][2]; /* and units */
	const char *default_type;
	const char *period_type[2];
	const char *number; /* the label of tags[0]; NULL: it has none */
	const char *number_unit;
	bool trim; /* stacks begin inside the runtime */
	int (*collect)(struct gt_profile_data *data, int debug);
	uint64_t (*count)(void);
};

extern const struct gt_profile_kind gt__profile_cpu;
const struct gt_profile_kind *gt__profile_find(const char *name);
void gt__profile_data_init(struct gt_profile_data *data);
/* Runs @fn where there is a real stack, and holds no P meanwhile. 0 or -errno: it did not run. */
int gt__profile_apart(void (*fn)(void *arg), void *arg);

/* Encodes and writes it, and frees the data. */
int gt__profile_put(const struct gt_profile_kind *kind, struct gt_profile_data *data, int64_t time_ns,
	int64_t duration_ns, gt_profile_write_fn *write, void *ctx);

int gt__profile_collect_goroutines(struct gt_profile_data *data, int debug);
int gt__profile_collect_threads(struct gt_profile_data *data, int debug);

/* Asks the thread that runs @g where it is, by a signal. False: it did not say, or runs another one by now. */
struct gt_g;
bool gt__profile_ask(const struct gt_g *g, int thread, uintptr_t *pcs, size_t max, size_t *depth);

/* ---- symbols ---- */

#define GT_PROFILE_LINES 32u

struct gt_symbols_line {
	const char *function; /* "": unknown */
	const char *file;
	uint32_t line, start_line;
};

struct gt_symbols_module {
	uintptr_t start, limit; /* what can be executed of it */
	uint64_t offset;
	uintptr_t bias;
	const char *path; /* as it is known; "" for none */
	const char *build_id;
	bool tried;
	struct gt_elf_symbols *symbols;
};

struct gt_symbolizer;
struct gt_symbolizer *gt__symbolizer_new(void);
void gt__symbolizer_free(struct gt_symbolizer *symbolizer);
size_t gt__symbolizer_modules(struct gt_symbolizer *symbolizer, struct gt_symbols_module **modules);
/* The module of @pc, or -1. */
int gt__symbolizer_module(struct gt_symbolizer *symbolizer, uintptr_t pc);
/* Inlined calls first; valid until _free. 0: nothing is known. */
size_t gt__symbolizer_lines(struct gt_symbolizer *symbolizer, uintptr_t pc, struct gt_symbols_line *lines, size_t max);
/* Leaves out what the runtime itself put at the ends of a stack; at the inner end only when @inner. */
void gt__symbolizer_trim(struct gt_symbolizer *symbolizer, bool inner, const uintptr_t **pcs, size_t *depth);

/* ---- out: bytes that the caller frees ---- */

struct gt_profile_input {
	const struct gt_profile_kind *kind;
	struct gt_profile_data *data; /* is changed */
	int debug;
	int64_t time_ns, duration_ns;
	bool heap_known;                                              /* libgtrace_malloc is there */
	uint64_t allocs, frees, alloc_bytes, free_bytes;              /* what it counted */
	const char *(*what_it_does)(uint32_t state, uint32_t reason); /* a goroutine */
};

/* What libgtrace_profile gives the runtime; looked up by name, for it may be loaded when it is needed first. */
#define GT_PROFILE_ENCODER         gt__profile_encoder
#define GT_PROFILE_ENCODER_NAME    "gt__profile_encoder"
#define GT_PROFILE_ENCODER_VERSION 1u
struct gt_profile_encoder {
	uint32_t version;
	int (*make)(const struct gt_profile_input *in, void **bytes, size_t *size);
};

int gt__profile_encode(const struct gt_profile_input *in, struct gt_symbolizer *symbolizer, void **bytes, size_t *size);
int gt__profile_text(const struct gt_profile_input *in, struct gt_symbolizer *symbolizer, void **bytes, size_t *size);

#endif
