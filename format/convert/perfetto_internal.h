/* perfetto_internal.h - what the parts of the Perfetto converter share: its state, and the beginnings and ends of packets. */
#ifndef GT_FORMAT_PERFETTO_INTERNAL_H
#define GT_FORMAT_PERFETTO_INTERNAL_H

#include "format/convert/intern.h"
#include "format/convert/perfetto.h"
#include "format/convert/protobuf.h"
#include "format/convert/rows.h"
#include "format/convert/typed.h"
#include "format/convert/wrapper.h"

#define GT__PF_THREADS      2u /* the sequence of Ms and CPUs, which are a machine of their own */
#define GT__PF_MACHINE      1u
#define GT__PF_CPU_MAX      4096u               /* what a trace processor has room for on a machine */
#define GT__PF_PID_REAL_MAX (UINT64_C(1) << 22) /* Linux gives no higher one */
#define GT__PF_REGION_DEPTH 256u
/* So many goroutines that ended are known should their ids come again. */
#define GT__PF_ENDED    4096u
#define GT__PF_TEXT_MAX 400 /* of a user's or a notice's text */

enum { /* TracePacket */
	PACKET_CLOCKS = 6,
	PACKET_TIME = 8,
	PACKET_SEQUENCE = 10,
	PACKET_EVENT = 11,
	PACKET_FLAGS = 13,
	PACKET_DEFAULTS = 59,
	PACKET_TRACK = 60,
	PACKET_MACHINE = 98,
	PACKET_STATE = 117,
	PACKET_PROCESSES = 122,
};

enum { EVENT_BEGIN = 1, EVENT_END = 2, EVENT_INSTANT = 3, EVENT_COUNTER = 4 };

enum gt__pf_state { /* GenericKernelTaskStateEvent */
	KERNEL_NONE = 0,
	KERNEL_RUNNABLE = 2,
	KERNEL_RUNNING = 3,
	KERNEL_SLEEPING = 4,
	KERNEL_UNINTERRUPTIBLE = 5,
	KERNEL_STOPPED = 6,
	KERNEL_DESTROYED = 8,
};

enum gt__pf_track { /* rows of ours have higher ids */
	TRACK_NOTICES = 1,
	TRACK_TASKS,
	TRACK_THREADS,
	TRACK_GOROUTINES,
	TRACK_RUNNING,
	TRACK_RUNNABLE,
	TRACK_WAITING,
	TRACK_SYSCALL,
	TRACK_SLOTS,
	TRACK_SLOTS_RUNNING,
	TRACK_SLOTS_ALL,
	TRACK_HEAP,
	TRACK_HEAP_LIVE,
	TRACK_HEAP_GOAL,
	TRACK_HEAP_STACKS,
	TRACK_HEAP_OBJECTS,
	TRACK_GC,
	TRACK_GC_MARK,
	TRACK_GC_STW,
	TRACK_QUOTA,
	TRACK_FIRST,
};

struct gt__pf_region {
	uint64_t name, task;
};

enum { INNER_ASSIST = 1, INNER_SWEEP = 2 };

/* A goroutine's row, beside what rows.h knows. */
struct gt__pf_strip {
	uint64_t tid;
	uint64_t label; /* a string: what it does for the scheduler in the slice that is open */
	int64_t end_ns; /* of the state last told */
	int64_t min_ns; /* nothing is shown before */
	uint32_t cpu;   /* while that is running */
	uint32_t count; /* open regions, those beyond GT__PF_REGION_DEPTH too */
	uint32_t room;  /* of regions */
	uint8_t state;  /* enum gt__pf_state */
	uint8_t inner;  /* INNER_: what is open inside of all regions, in this order */
	bool told;      /* its name is written */
	bool hidden;    /* not among those asked for */
	struct gt__pf_region *regions;
	struct gt__pf_strip *next; /* of the spare ones */
};

/* A counter as last written. */
struct gt__pf_counter {
	uint64_t value, shown;
};

struct gt__perfetto {
	struct gt_trace *trace;
	struct gt_sink *sink;
	const struct gt_convert_options *options;
	unsigned int parts;
	uint32_t track_next;
	uint32_t pid_next;
	uint32_t thread_pid;
	struct gt__rows rows;
	struct gt__intern intern;
	struct gt__insides insides; /* what the goroutines of wrappers are for */
	struct gt__map pids;        /* function, a pointer to its name -> process */
	struct gt__map tasks;       /* id -> task */
	struct gt__map calls;       /* M -> the system call it is in */
	struct gt__map sweeps;      /* M -> the goroutine that sweeps there */
	struct gt__map threads;     /* tid -> thread, of the kernel's layer */
	struct gt__map tid_ms;      /* tid -> M + 1 */
	struct gt__map tid_tracks;  /* tid -> track */
	uint32_t *cpu_threads;      /* who runs there: tid + 1; GT__PF_CPU_MAX of them */
	bool others_told;           /* the process of other processes' threads has its name */
	struct gt__pf_strip *spare; /* to use again */
	void *strip_slabs;
	struct {
		uint64_t g;
		int64_t end_ns;
	} ended[GT__PF_ENDED];
	/* Each P, or M without one: until when a goroutine ran there, as told. */
	struct {
		uint64_t g;
		int64_t end_ns;
	} cpus[GT__PF_CPU_MAX];
	const struct gt_event *event;
	struct gt__typed typed;
	struct gt_convert_totals totals;
	int64_t from_ns;
	int64_t counter_step_ns;
	int64_t counter_due_ns;
	uint64_t shown[GT_STATE_COUNT]; /* counters as last written */
	uint64_t shown_slots;
	struct gt__pf_counter live, goal, stacks, objects, slots;
	uint64_t told; /* tracks of enum gt__pf_track that have their name */
	struct {
		uint64_t cycle, g, stack;
		bool open;
	} gc;
	struct {
		uint64_t kind, g, stack;
		bool open, stopped;
	} stw;
	bool quiet; /* before from_ns: nothing is written */
	bool clocks;
	bool failed;          /* no memory */
	char *packet, *inner; /* what is open */
};

/* ---- packets ---- */

static inline char *gt__pf_open(struct gt__perfetto *pf)
{
	char *to = gt_sink_room(pf->sink, GT_SINK_RECORD_MAX);

	pf->totals.records++;
	return pf->packet = gt_pb_open(to, 1);
}

static inline void gt__pf_close(struct gt__perfetto *pf, char *to)
{
	pf->sink->at = gt_pb_close(pf->packet, to);
}

/* Of the goroutines' sequence. */
static inline char *gt__pf_begin_packet(struct gt__perfetto *pf, int64_t time_ns)
{
	char *to = gt_pb_number(gt__pf_open(pf), PACKET_TIME, (uint64_t)time_ns);

	to = gt_pb_number(to, PACKET_SEQUENCE, GT__INTERN_SEQUENCE);
	return gt_pb_number(to, PACKET_FLAGS, 2);
}

/* Of the threads'. */
static inline char *gt__pf_begin_thread_packet(struct gt__perfetto *pf, int64_t time_ns)
{
	char *to = gt_pb_number(gt__pf_open(pf), PACKET_TIME, (uint64_t)time_ns);

	to = gt_pb_number(to, PACKET_SEQUENCE, GT__PF_THREADS);
	to = gt_pb_number(to, PACKET_FLAGS, 2);
	return gt_pb_number(to, PACKET_MACHINE, GT__PF_MACHINE);
}

static inline char *gt__pf_event(struct gt__perfetto *pf, char *to, unsigned int type, uint64_t track)
{
	pf->inner = to = gt_pb_open(to, PACKET_EVENT);
	to = gt_pb_number(to, 9, type);
	return gt_pb_number(to, 11, track);
}

static inline char *gt__pf_begin(struct gt__perfetto *pf, int64_t time_ns, unsigned int type, uint64_t track)
{
	return gt__pf_event(pf, gt__pf_begin_packet(pf, time_ns), type, track);
}

static inline void gt__pf_end(struct gt__perfetto *pf, char *to)
{
	gt_pb_close(pf->inner, to);
	gt__pf_close(pf, to);
}

static inline char *gt__pf_named(char *to, uint64_t name, enum gt__intern_category category)
{
	to = gt_pb_number(to, 10, name);
	return gt_pb_number(to, 3, category + 1u);
}

static inline void gt__pf_slice_end(struct gt__perfetto *pf, int64_t time_ns, uint64_t track)
{
	gt__pf_end(pf, gt__pf_begin(pf, time_ns, EVENT_END, track));
}

/* ---- arguments: the key was interned before the packet was begun. No argument but a text is longer than 127 bytes ---- */

static inline char *gt__pf_arg(char *to, enum gt__intern_key key, uint32_t field, uint64_t value)
{
	char *inside = to = gt_pb_tag(to, 4, 2) + 1;

	to = gt_pb_number(to, 1, key + 1u);
	to = gt_pb_number(to, field, value);
	inside[-1] = (char)(to - inside);
	return to;
}

static inline char *gt__pf_number(char *to, enum gt__intern_key key, uint64_t value)
{
	return gt__pf_arg(to, key, 3, value);
}

static inline char *gt__pf_address(char *to, enum gt__intern_key key, uint64_t value)
{
	return gt__pf_arg(to, key, 7, value);
}

static inline char *gt__pf_interned(char *to, enum gt__intern_key key, uint64_t number)
{
	return gt__pf_arg(to, key, 17, number);
}

static inline char *gt__pf_text(char *to, enum gt__intern_key key, const char *text)
{
	char *inside = to = gt_pb_open(to, 4);

	to = gt_pb_number(to, 1, key + 1u);
	return gt_pb_close(inside, gt__pb_text(to, 6, text, GT__PF_TEXT_MAX));
}

static inline uint64_t gt__pf_stack(struct gt__perfetto *pf, uint64_t id)
{
	return pf->parts & GT_CONVERT_STACKS ? gt__intern_stack(&pf->intern, id) : 0;
}

/* ---- perfetto_rows.c: names, states, slices, arrows ---- */

void gt__pf_on_row(void *user, struct gt__row *row);
void gt__pf_on_slice(void *user, const struct gt__row *row, int64_t end_ns);
bool gt__pf_on_link(void *user, const struct gt__row *from, const struct gt__row *to_row, enum gt__link_kind kind,
	uint64_t link, int64_t now_ns, uint64_t site_pc);
void gt__pf_on_gone(void *user, struct gt__row *row);
/* A root when @parent is 0; a counter's when @unit is not NULL. @what, for those who ask, may be NULL. */
void gt__pf_put_track(struct gt__perfetto *pf, uint64_t track, uint64_t parent, const char *name, const char *unit,
	uint32_t rank, const char *what);
/* The goroutine's strip, its name written; NULL: it is not shown, or not known. */
struct gt__pf_strip *gt__pf_strip(struct gt__perfetto *pf, struct gt__row *row);
/* The track of thread @tid on the threads' machine; @name is used when it has none yet. */
uint32_t gt__pf_tid_track(struct gt__perfetto *pf, uint64_t tid, const char *name);
void gt__pf_rows_free(struct gt__perfetto *pf);

/* ---- perfetto_marks.c: a user's marks, system calls, what goroutines do for the collector, instants ---- */

void gt__pf_on_mark(struct gt__perfetto *pf, const struct gt_event *event);
void gt__pf_on_other(struct gt__perfetto *pf, const struct gt_event *event);
/* Inside of all regions is nothing open any more, or nothing but @keep. */
void gt__pf_end_inner(
	struct gt__perfetto *pf, const struct gt__row *row, struct gt__pf_strip *strip, unsigned int keep);
/* Of all that is open at from_ns, the begins. */
void gt__pf_marks_resume(struct gt__perfetto *pf);
void gt__pf_marks_finish(struct gt__perfetto *pf);
void gt__pf_marks_free(struct gt__perfetto *pf);

/* ---- perfetto_gc.c: the collector as a whole, counters ---- */

void gt__pf_on_gc(struct gt__perfetto *pf, const struct gt_event *event);
void gt__pf_gc_resume(struct gt__perfetto *pf);
void gt__pf_gc_finish(struct gt__perfetto *pf);
void gt__pf_counters(struct gt__perfetto *pf, int64_t time_ns);

/* ---- perfetto_kernel.c: threads and CPUs ---- */

void gt__pf_on_kernel(struct gt__perfetto *pf, const struct gt_event *event);
/* What stands for it: the same number, until it comes again as another thread's. */
uint64_t gt__pf_shown_tid(const struct gt__perfetto *pf, uint64_t tid);
void gt__pf_kernel_resume(struct gt__perfetto *pf);
void gt__pf_kernel_free(struct gt__perfetto *pf);

#endif
