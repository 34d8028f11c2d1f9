/*
 * state.h - what the analysis holds while it reads, and what its reports read afterwards.
 *
 *   goroutine ---> group   its start function
 *       |   \---> past     its last few slices: what it did while others waited for it
 *       v
 *     site                 where time went: state, reason, stack, group
 *       |
 *     blame                waits with a cost that somebody else makes: a lock, a channel's slow reader, the collector
 */
#ifndef GT_ANALYSIS_STATE_H
#define GT_ANALYSIS_STATE_H

#include "analysis/analysis.h"
#include "base/hash.h"
#include "format/convert/map.h"
#include "format/convert/rows.h"

#define GT__GROUPS_MAX  65535u
#define GT__SITES_MAX   (1u << 20)
#define GT__OBJECTS_CAP 65536u
#define GT__BLAMES_MAX  65536u
#define GT__PAST        6u
#define GT__PASTS_MAX   (1u << 18) /* goroutines whose past is kept */
#define GT__WORST       10u
#define GT__CHAIN       8u
#define GT__CULPRITS    16u
#define GT__WAITERS     64u
#define GT__CALLS       512u
#define GT__STW_KINDS   16u
#define GT__SLOTS_MAX   4096u

/* A hostile trace's times may add up to anything: sums stop at the greatest number. */
static inline int64_t gt__sum(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}
#define GT__ADD(to, ns) ((to) = gt__sum((to), (ns)))
/* 146 years; twice that fits. */
#define GT__TIME_MAX (INT64_C(1) << 61)

/* Count, sum, and the longest with its place. */
struct gt__stat {
	uint64_t count;
	int64_t total_ns, max_ns;
	int64_t max_at_ns; /* where the longest began */
	uint64_t max_g;
};

/* Of durations: values within 1/64 of themselves. */
#define GT__HIST_SUB  64u
#define GT__HIST_SIZE (GT__HIST_SUB * 60u)
struct gt__hist {
	uint64_t counts[GT__HIST_SIZE];
	struct gt__stat all;
};

/* What kind of wait. */
enum gt__class {
	GT__WAIT_OTHER,
	GT__WAIT_LOCK,
	GT__WAIT_SEND,
	GT__WAIT_RECEIVE,
	GT__WAIT_SELECT,
	GT__WAIT_SYNC, /* conditions, groups, semaphores that are no locks */
	GT__WAIT_NETWORK,
	GT__WAIT_SLEEP,
	GT__WAIT_GC,
	GT__WAIT_NEVER, /* nil channels, a select without cases */
	GT__WAIT_CLASSES
};

/* Where a thread was while its goroutine ran, as the kernel tells. */
enum gt__cpu_at {
	GT__CPU_UNKNOWN,
	GT__CPU_ON,
	GT__CPU_OTHERS, /* preempted: its CPU was another process's, or a quota held it */
	GT__CPU_OWN,    /* preempted for another thread of the program */
	GT__CPU_FAULT,  /* blocked: waited for a page */
	GT__CPU_BLOCKED,
	GT__CPU_KINDS
};

struct gt__group {
	const char *name;  /* start function */
	const char *shown; /* what the wrapper that it is calls, when that is known */
	uint32_t index;
	uint64_t start_pc;
	bool system;        /* the runtime's own */
	bool wrapper;       /* see format/convert/wrapper.h */
	bool mixed;         /* and its goroutines are for different functions */
	const char *inside; /* what it calls; NULL not known */
	uint64_t created, seen, ended, live;
	struct gt__stat state[GT_STATE_COUNT];
	int64_t wait_ns[GT__WAIT_CLASSES];
	struct gt__stat reason[GT_REASON_COUNT]; /* waits */
	int64_t starved_ns;                      /* runnable while every P was taken */
	int64_t on_cpu_ns;                       /* of running */
	struct gt__stat off_cpu[GT__CPU_KINDS];
	int64_t first_created_ns, last_created_ns;
};

struct gt__blame;
struct gt__cpu;
struct gt__cpu_thread;
struct gt__site {
	uint8_t state, reason, class, what;
	uint64_t stack;
	struct gt__group *group;
	struct gt__stat done;
	struct gt__stat open;    /* still so at the trace's end */
	struct gt__blame *blame; /* of waits whose object was not recorded */
	uint64_t timer_wakes;    /* waits that a timer ended, and what came of them */
	int64_t timer_wait_ns, timer_run_ns, timer_runnable_ns;
	struct gt__stat starved; /* runnable: while every P was taken */
};

struct gt__past {
	int64_t since_ns, end_ns;
	struct gt__site *site;
	struct gt__blame *blame; /* of a wait; NULL none */
	uint64_t by;             /* who ended it */
	uint64_t call;           /* system call's number + 1; 0 not known */
	uint64_t object;         /* of a wait */
	uint8_t cause;           /* enum gt_cause */
};

struct gt__goroutine {
	struct gt__group *group;
	struct gt__row *row;
	uint64_t g, parent;
	int64_t begin_ns;
	bool created, main;
	uint8_t unwraps;    /* tries to find `inside` */
	const char *inside; /* what its wrapper calls, NULL none or not known */
	uint64_t runs;
	int64_t state_ns[GT_STATE_COUNT];
	int64_t wait_ns[GT__WAIT_CLASSES];
	struct gt__past *past; /* GT__PAST of them, or NULL */
	uint8_t past_next, past_count;
	uint8_t cause; /* of the wake-up under way */
	uint64_t by;
	uint64_t call;             /* number + 1 of the system call under way */
	struct gt__site *wait;     /* the last wait that ended */
	struct gt__site *woken_at; /* by a timer, there; its next run is counted */
	uint64_t last_waker;       /* of a wait at this site */
	struct gt__site *last_site;
	struct gt__site *usual; /* where it waits most, about */
	uint32_t usual_count;
	int64_t all_busy_mark;
	int64_t assist_ns; /* -1 none */
	uint64_t assist_stack;
	/* at the trace's end */
	uint8_t visit;
};

/* What the one waited for did meanwhile. */
enum gt__root {
	GT__ROOT_UNKNOWN,
	GT__ROOT_RUNNING,
	GT__ROOT_NO_P,
	GT__ROOT_SYSCALL,
	GT__ROOT_SLEEP,
	GT__ROOT_NETWORK,
	GT__ROOT_GC,
	GT__ROOT_WAIT,    /* for something that no goroutine is known to end */
	GT__ROOT_OFF_CPU, /* running, without a CPU; its reason is an enum gt__cpu_at */
	GT__ROOTS
};

struct gt__culprit {
	uint8_t root, reason;
	uint64_t stack;
	uint64_t call; /* + 1 */
	struct gt__group *group;
	int64_t ns;
	uint64_t count;
	uint64_t g;
	int64_t at_ns, longest_ns; /* of its longest part */
};

struct gt__share {
	struct gt__group *group;
	int64_t ns;
};

/* From one hand-over of a lock to the next, and what its holder did in most of it. */
#define GT__HOLDS 32u
struct gt__hold {
	int64_t since_ns, end_ns;
	uint8_t root, reason;
	uint64_t stack, call, g;
	struct gt__group *group;
};

enum gt__blame_kind { GT__BLAME_LOCK, GT__BLAME_SEND, GT__BLAME_GC };

struct gt__blame {
	uint8_t kind; /* enum gt__blame_kind */
	uint8_t what;
	uint64_t object;  /* 0: not recorded */
	const char *name; /* the function that waits */
	struct gt__stat waits;
	uint64_t open;
	int64_t open_ns;
	uint64_t open_unknown; /* whose holder nobody knows */
	uint64_t worst_stack;
	int64_t holds_ns; /* from the hand-over to the next */
	uint64_t holds;
	struct gt__hold *ring; /* of a lock: the last GT__HOLDS; NULL none yet */
	uint32_t ring_next, ring_count;
	int64_t taken_ns; /* told by another finding */
	uint64_t waiters[GT__WAITERS];
	uint32_t waiter_count;
	bool waiters_more;
	struct gt__culprit culprits[GT__CULPRITS];
	uint32_t culprit_count;
	int64_t roots[GT__ROOTS];
	struct gt__share groups[8]; /* who waited */
	int64_t most_ns;            /* with others added: of the one whose name it has */
	uint64_t alike;             /* so many more of its kind, waited for at the same place, were added to it */
};

struct gt__link {
	uint64_t g;
	const struct gt__group *group;
	uint8_t state, reason, what, cause; /* running, with a reason: without a CPU, enum gt__cpu_at */
	uint64_t object, stack, call;
	int64_t since_ns, ns;
};
struct gt__chain {
	int64_t ns;
	uint32_t count;
	uint32_t hands; /* so many others had the lock before the one who is told */
	bool open;
	uint8_t root;
	struct gt__link links[GT__CHAIN];
};

struct gt__latency {
	uint64_t g;
	const struct gt__group *group;
	int64_t since_ns, ns, busy_ns;
	uint8_t reason; /* of a yield */
	bool created;
	uint64_t by, stack;
	uint8_t cause;
};

struct gt__object {
	uint8_t what;
	uint64_t object;
	char *name;
	struct gt__stat waits;
	uint64_t worst_holder;
};

/* One call under way on an M. */
struct gt__thread {
	uint64_t number;
	int64_t since_ns;
	uint64_t g;
	bool inside;
	struct gt__cpu_thread *cpu;
};

struct gt__call {
	struct gt__stat all;
	uint64_t errors;
};

enum gt__presence { GT__P_GONE, GT__P_HELD, GT__P_IDLE };
struct gt__slot {
	uint8_t presence; /* enum gt__presence */
	int64_t running_ns, syscall_ns;
	uint64_t runs;
};

struct gt__alloc {
	uint64_t key; /* the stack, or the type's string */
	uint64_t count, bytes, weight;
};

/* CPU samples of one goroutine at one stack. */
struct gt__sample {
	uint64_t stack, g, count;
	const struct gt__group *group; /* NULL: no goroutine */
	uint8_t state;                 /* of the goroutine */
};

struct gt__stw {
	uint64_t kind; /* string id */
	struct gt__stat all;
};

struct gt__finding {
	const char *kind;
	char *title;
	char *detail; /* lines, or NULL */
	int64_t lost_ns;
	uint64_t count;
	int64_t at_ns, at_for_ns;
	uint64_t g, stack;
	const char *stack_of; /* what the stack is: "waiter"... */
	uint64_t culprit_g, culprit_stack;
	const char *advice;
};
#define GT__FINDINGS_MAX 64u

struct gt_analysis {
	struct gt_trace *trace;
	struct gt_analysis_options options;
	struct gt__rows rows;
	bool go;     /* a Go program's frames */
	bool failed; /* without memory */
	bool finishing;
	bool begun;
	uint64_t wakes, creates; /* of a goroutine by another */
	uint64_t samples_counted;
	uint64_t events, by_kind[GT_EVENT_KIND_COUNT];
	int64_t begin_ns, end_ns; /* first event; the trace's end, or that of what was asked for */
	int64_t last_ns;          /* last event */

	/* A goroutine of a wrapper -> its group << 32 | the function that it is for, a string of names. Read again (gt_analysis_run) these
	 * stand in `placed`, and are in that function's group from the first. */
	struct gt_map insides, placed;
	struct gt__map groups_by_pc; /* start pc -> group */
	struct gt_strings names;     /* group and function names */
	struct gt__map groups_by_name;
	struct gt__group **groups;
	size_t group_count;
	struct gt__map sites, blames, objects, stack_names, allocs, alloc_types; /* allocs: by stack, by type */
	size_t site_count, blame_count, object_count, past_count;
	struct gt__hist latency;
	struct gt__latency worst[GT__WORST];
	size_t worst_count;
	struct gt__chain chains[GT__WORST];
	size_t chain_count;
	struct gt__call calls[GT__CALLS], calls_other;
	struct gt__slot *slots;
	uint64_t slots_seen;    /* the greatest P + 1 */
	uint64_t procs;         /* GOMAXPROCS as told, 0 not known */
	bool procs_told;        /* by an event */
	uint64_t present;       /* Ps that are held or idle now */
	int64_t *busy_by_procs; /* with every one of so many Ps taken; GT__SLOTS_MAX + 1 of them */
	int64_t all_busy_ns;    /* with every P taken */
	int64_t all_busy_at;    /* counted up to here */
	int64_t starved_ns;     /* goroutines x time: runnable with every P taken */
	int64_t starved_timer_ns;
	struct gt__latency starved_worst;
	uint64_t gc_cycles;
	int64_t gc_since, gc_ns;
	struct gt__stat assist, sweep, stw;
	struct gt__stw stw_kinds[GT__STW_KINDS];
	size_t stw_count;
	int64_t stw_since, sweep_since;
	uint64_t stw_kind, stw_g;
	struct {
		uint64_t g, bytes, weight; /* 0: its type is told */
	} alloc_last;
	bool alloc_sampled;
	uint64_t heap_peak, heap_last, heap_goal, alloc_count, alloc_bytes, swept, reclaimed;
	uint64_t goroutines_live_peak, goroutines_live, goroutines_seen, goroutines_created, goroutines_ended;
	int64_t throttled_ns;
	struct gt__map cpu_threads, samples;
	struct gt__cpu *cpus;
	struct gt__site off_sites[GT__CPU_KINDS]; /* what struct gt__past shows of a time without a CPU */
	struct gt__finding findings[GT__FINDINGS_MAX];
	size_t finding_count;
};

/* ---- count.c ---- */
void gt__stat_add(struct gt__stat *stat, int64_t ns, int64_t at_ns, uint64_t g);
/* Of @map, which does not have @key: zeroes. NULL: without memory, and @a->failed. */
void *gt__made(struct gt_analysis *a, struct gt__map *map, uint64_t key, size_t size);
/* An array of pointers to all that @map has, to free(); NULL: without memory. Orders: what is largest first. */
void *gt__sorted(const struct gt__map *map, int (*order)(const void *x, const void *y));
int gt__by_site(const void *x, const void *y);
int gt__by_object(const void *x, const void *y);
int gt__by_weight(const void *x, const void *y);
void gt__hist_add(struct gt__hist *hist, int64_t ns, int64_t at_ns, uint64_t g);
int64_t gt__hist_quantile(const struct gt__hist *hist, double q);
struct gt__goroutine *gt__goroutine_of(const struct gt_analysis *a, uint64_t g);
int64_t gt__span_ns(const struct gt_analysis *a);
uint64_t gt__procs(const struct gt_analysis *a);
/* These: NULL without memory. */
struct gt__group *gt__group_of(struct gt_analysis *a, uint64_t start_pc);
struct gt__group *gt__group_named(struct gt_analysis *a, const char *name);
struct gt__site *gt__site_of(struct gt_analysis *a, struct gt__group *group, unsigned int state, unsigned int reason,
	uint64_t stack, unsigned int what);
struct gt__site *gt__wait_site(struct gt_analysis *a, const struct gt__goroutine *gor, const struct gt__slice *slice);
void gt__count_object(struct gt_analysis *a, const struct gt__slice *slice, int64_t ns, uint64_t g);
const char *gt__intern(struct gt_analysis *a, const char *text);
/* "linker.(*context).run" of "example.org/tool/linker.(*context).run". */
const char *gt__short(const char *function);

/* ---- run.c ---- */
/* Before the part that was asked for: known, not counted. */
static inline bool gt__early(const struct gt_analysis *a, int64_t time_ns)
{
	return time_ns < a->options.from_ns;
}
/* @gor was in @slice until @end_ns. */
void gt__remember(struct gt_analysis *a, struct gt__goroutine *gor, const struct gt__slice *slice, int64_t end_ns,
	struct gt__site *site, uint64_t by, struct gt__blame *blame);

/* ---- cpu.c ---- */
struct gt__cpu_time {
	int64_t running_ns; /* the sum of the others */
	int64_t on_ns, off_ns, unknown_ns;
	struct gt__stat off[GT__CPU_KINDS];
};
int gt__cpu_init(struct gt_analysis *a);
void gt__cpu_free(struct gt_analysis *a);
/* The M's thread is known. */
void gt__cpu_bind(struct gt_analysis *a, struct gt__row *row);
/* A slice of an M ended. */
void gt__cpu_slice(struct gt_analysis *a, const struct gt__row *row, const struct gt__slice *slice, int64_t end_ns);
void gt__on_kernel(struct gt_analysis *a, const struct gt_event *event);
/* What is open at the end. */
void gt__cpu_finish(struct gt_analysis *a);
/* Does the trace tell who was on a CPU? */
bool gt__has_kernel(const struct gt_analysis *a);
void gt__cpu_add(struct gt__cpu_time *sum, const struct gt__group *group);
const char *gt__cpu_text(unsigned int at);
/* "preempted by another process", or what a quota did. */
const char *gt__off_text(const struct gt_analysis *a, unsigned int at);
int64_t gt__sample_period(const struct gt_analysis *a);

/* ---- beside.c ---- */
void gt__on_call(struct gt_analysis *a, const struct gt_event *event);
void gt__on_alloc(struct gt_analysis *a, const struct gt_event *event);
void gt__on_gc(struct gt_analysis *a, const struct gt_event *event);

/* ---- blame.c ---- */
/* @gor waited at @site from @since until now, when @by woke it (open: waits still, for the holder @by; 0 not known). */
struct gt__blame *gt__blame_wait(struct gt_analysis *a, struct gt__goroutine *gor, struct gt__site *site,
	const struct gt__slice *slice, int64_t end_ns, uint64_t by, bool open);
/* Adds what @from has to @to: the same kind, waited for at the same place. */
void gt__blame_add(struct gt__blame *to, const struct gt__blame *from);
void gt__blame_assist(
	struct gt_analysis *a, struct gt__goroutine *gor, uint64_t stack, int64_t since_ns, int64_t end_ns);
const char *gt__root_text(unsigned int root);

/* ---- stuck.c: while goroutines are still there, at the trace's end ---- */
void gt__find_stuck(struct gt_analysis *a);

/* ---- findings.c ---- */
void gt__findings(struct gt_analysis *a);
/* Room for one more (the least goes when there is none), or NULL. */
struct gt__finding *gt__finding_add(struct gt_analysis *a, const char *kind, int64_t lost_ns);
char *gt__format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- frames.c ---- */
bool gt__system_function(const struct gt_analysis *a, const char *name);
bool gt__library_function(const struct gt_analysis *a, const char *name);
bool gt__library_line(const struct gt_analysis *a, const struct gt_trace_line *line);
/* The innermost frame of the user's own; else the outermost of a library above the runtime; NULL: nothing known. */
const struct gt_trace_line *gt__user_frame(const struct gt_analysis *a, uint64_t stack);
const char *gt__user_function(const struct gt_analysis *a, uint64_t stack); /* "" when not known */
/* @stack is one of @gor's: which function is it for? */
void gt__unwrap(struct gt_analysis *a, struct gt__goroutine *gor, uint64_t stack);
/* Finds struct gt__group's `shown`. */
void gt__show_groups(struct gt_analysis *a);
bool gt__stack_has(const struct gt_analysis *a, uint64_t stack, const char *part);
/* Of a system call: by its number when that is known, else by the stack's functions. NULL: not known. */
const char *gt__call_name(const struct gt_analysis *a, uint64_t call, uint64_t stack, char out[64]);
/* "main.put store.go:12 < main.work store.go:40": at most @max frames, the user's own first. */
char *gt__stack_text(const struct gt_analysis *a, uint64_t stack, unsigned int max, char *out, size_t size);
/* "mutex#1", "chan \"jobs\"". */
char *gt__object_text(const struct gt_analysis *a, unsigned int what, uint64_t object, char *out);
/* "1.234 s" */
char *gt__time(int64_t ns, char out[32]);

#endif
