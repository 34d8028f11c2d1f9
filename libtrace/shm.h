/*
 * shm.h - the memory that the traced program and the collector share: one memfd, mapped by both.
 *
 *   +--------------------+ 0
 *   | struct gt_shm      |  sizes and offsets (fixed after creation), modes, the two queues' words, counters
 *   +--------------------+ slots_offset
 *   | slots: sealed,free |  2 x slot_count x u64: block numbers in order of age (research: exchange queue)
 *   +--------------------+ ms_offset
 *   | M table            |  m_count x 256 bytes, indexed by M id; sparse: a page exists once m_limit covers it
 *   +--------------------+ stacks_offset
 *   | stack table        |  stack_slot_count x struct gt_stack_slot, then the arena of frames
 *   +--------------------+ strings_offset
 *   | string table       |  string_slot_count x struct gt_string_slot, then the arena of bytes (library form)
 *   +--------------------+ spill_offset
 *   | hook stacks        |  spill_count x GT_SPILL_BYTES: private stacks for hooks that run C (injected form only)
 *   +--------------------+ blocks_offset
 *   | blocks             |  block_count x 4 KiB
 *   +--------------------+ total_bytes
 *
 * The program's side is written by a process that may be killed or go wrong at any instant: the collector
 * trusts no value in here, it checks each against the sizes it chose itself when it made the memory.
 *
 * Offsets that assembly uses (agent/blob) are asserted at the foot. A change of any of this is a change of
 * GT_SHM_ABI.
 *
 * Ordering (one table; the tags stand at each use)
 *   [commit] word 0 of a record, store-release      -> [walk]  reader's load-acquire: the record's payload
 *   [done]   M.done, release (add)                  -> [done?] reader's load-acquire: all records below it
 *   [put]    slot CAS acq_rel                       -> [take]  slot CAS / reader's load-acquire: the whole sealed block
 *   [seize]  slot CAS to taken, then id = 0, fence  -> [again] data, fence(acquire), slot and id once more (seqlock)
 *   [own]    M.own, release                         -> [own?]  reader's load-acquire: the put came before
 *   [steal]  end = 0, membarrier                    -> [end]   writer: pos stored, end loaded (asymmetric Dekker)
 *   [stack]  slot.arena, store-release              -> [frames] load-acquire: the frames behind a stack id
 *   [string] slot.at, store-release                 -> [bytes] load-acquire: the bytes behind a string id
 */
#ifndef GT_LIBTRACE_SHM_H
#define GT_LIBTRACE_SHM_H

#include <stdatomic.h>
#include <stdint.h>

#define GT_SHM_MAGIC  0x4d48534543415254ull /* "TRACESHM" */
#define GT_SHM_ABI    3u
#define GT_CACHE_LINE 128

/* ---- records: 1 to 3 cells of 16 bytes; word 0 is stored last and makes the record valid ---- */

/*
 *   word 0:  time:56 | kind:5 | cells:2 | commit:1
 *            time = the low 56 bits of the clock's ticks; the block's t_open gives the rest
 */
#define GT_CELL_BYTES                16u
#define GT_CELLS_MAX                 3u
#define GT_WORD0(ticks, kind, cells) ((uint64_t)(ticks) << 8 | (uint64_t)(kind) << 3 | (cells) << 1 | 1u)
#define GT_WORD0_COMMITTED(word)     ((word)&1u)
#define GT_WORD0_CELLS(word)         ((unsigned int)((word) >> 1 & 3u))
#define GT_WORD0_KIND(word)          ((unsigned int)((word) >> 3 & 31u))
#define GT_WORD0_TIME(word)          ((word) >> 8)
#define GT_TIME_MASK                 0x00ffffffffffffffull

/*
 * Kinds of records. A goroutine id takes 40 bits; an event of a larger id is counted as lost.
 *
 *   STATE   word 1 = g:40 | old:4 | new:4 | arg:16
 *           arg: new running: P id + 1, 0 when there is none. New waiting: why; injected hooks store the Go version's own
 *           number of a wait reason (the collector maps it), a library enum gt_reason. Running -> runnable: enum gt_reason
 *           from both. Waiting -> runnable: enum gt_cause, whose detail is not told. Else 0
 *   STATE2  word 1 as STATE, but waiting -> runnable: arg = enum gt_cause
 *           running -> waiting: word 2 = stack id:32 | holder's low 32 bits; word 3 = GT_OBJECT_WORD, holder's high 8 bits on top
 *           waiting -> runnable: word 2 = stack id:32 | the cause's detail:32; word 3 = by:40 (goroutine that acted, 0 none)
 *           else: word 2 = stack id:32; word 3 = 0
 *   CREATE  word 1 as STATE (old = none, arg unused); word 2 = start pc; word 3 = site pc;
 *           word 4 = parent:40; word 5 unused
 *   SLOT    word 1 = what:8 | p + 1:32                (enum gt_slot_op: events of Ps)
 *   THREAD  word 1 = what:8 | tid:32                  (enum gt_thread_op: events of Ms)
 *   CORO    word 1 = from:40 | exits:1 (bit 40); word 2 = stack id:32 | p + 1:32; word 3 = to:40
 *           a coroutine switch: from waits (or ends, a STATE record follows), to runs
 *   MARK    word 1 = what:8 | g:40 (bits 8..47); word 2 = task; word 3 = parent; word 4 = string id; word 5 = second string id
 *   ALIVE   as CREATE, of one that was there before the trace: word 1 = its state, arg: the reason when waiting; no site
 *           GT_MARK_NAME: word 2 = the object's address; word 4 = its name
 *   OBJECT  word 1 = g:40; word 2 = holder:40; word 3 = GT_OBJECT_WORD: one more that g is about to wait for (select)
 *   SYSCALL word 1 = what:8 | g:40 (bits 8..47) | number:16; enter: word 2 = first argument, word 3 = third;
 *           exit: word 2 = what the kernel returned (-4095..-1: -errno), word 3 = stack id:32 of one outside of GoSyscall (0: not taken)
 *           long (3 cells): exit, of one whose begin was not recorded: word 3 = first argument, 4 = third, 5 = how many ticks it took
 *   HEAP    word 1 = what:8 | g:40 (bits 8..47); alloc (3 cells): word 2 = address, 3 = bytes, 4 = weight, 5 = stack id:32;
 *           free: word 2 = address, 3 = bytes; live: word 2 = bytes, 3 = pieces; live of 1 cell: word 1 = what:8 | bytes:56
 *           injected: word 5's high 32 bits are the address of the type, less the text's; 0 none. Where every allocation is told:
 *           alloc (2 cells): word 2 = bytes, and the weight; word 3 = as word 5
 *   GC      word 1 = what:8 | g:40 (bits 8..47) | arg:16; arg: of sweeps p + 1; of GT_GC_STW_BEGIN Go's number of the reason, or 0x8000 |
 *           a text's length << 8 | its first letter; of GT_GC_LABEL 1 dedicated, 2 fractional, 3 idle.
 *           word 2 = cycle (begin, end); bytes swept, word 3 = of them reclaimed (sweep end); number (procs, stacks, goal)
 *           else, of begins and procs: word 3 = stack id:32
 *   TIMER   word 1 = what:8 | g:40 (bits 8..47); word 2 = the timer's address; word 3 = ns: set, until then; fire, since then;
 *           set at: when, by CLOCK_MONOTONIC
 *   HINT    word 1 = g:40; word 2 = fd: should this M be the one that wakes g, by the poller, this is the descriptor. Of 1 cell: word 1 = g:40 | fd:24
 *
 * What is told most often has a kind of its own that needs one cell only (injected hooks; a number that does not fit is told as above):
 *   ENTER   word 1 = g:40 | stack id:24: running -> syscall
 *   LEAVE   word 1 = g:40 | p + 1:24: the M takes P p, which it had until the system call or takes from another M's; then syscall ->
 *           running. p + 1 = 0: a SLOT record has told which P it has
 *   POLLED  word 1 = g:40 | fd:24: waiting -> runnable by the poller, as STATE2 after a HINT
 *   WOKEN   word 1 = g:40 | by - g:24, signed: waiting -> runnable by goroutine by
 *   ALLOC   word 1 = g:15 | stack id:17 | bytes:10 | type:22, the type's distance from the text in units of 8 bytes, 0 none: where
 *           every allocation is told, as HEAP's alloc of 2 cells
 *
 * Hooks of Go fill the parts of STATE2 that they know; 0 is not known in each of them.
 */
enum gt_record_kind {
	GT_REC_VOID = 0, /* its trace had ended before it was written */
	GT_REC_STATE = 1,
	GT_REC_STATE2,
	GT_REC_CREATE,
	GT_REC_SLOT,
	GT_REC_THREAD,
	GT_REC_CORO,
	GT_REC_MARK,
	GT_REC_OBJECT,
	GT_REC_SYSCALL,
	GT_REC_HEAP,
	GT_REC_TIMER,
	GT_REC_ALIVE,
	GT_REC_HINT,
	GT_REC_ENTER,
	GT_REC_LEAVE,
	GT_REC_POLLED,
	GT_REC_WOKEN,
	GT_REC_GC = 20, /* 18 and 19 are free */
	GT_REC_ALLOC,
	GT_REC_END, /* to 31 are free */
};
enum gt_slot_op { GT_SLOT_START = 1, GT_SLOT_STOP, GT_SLOT_IDLE };
enum gt_thread_op { GT_THREAD_START = 1, GT_THREAD_IDLE, GT_THREAD_END };
enum gt_mark_op {
	GT_MARK_TASK_BEGIN = 1,
	GT_MARK_TASK_END,
	GT_MARK_REGION_BEGIN,
	GT_MARK_REGION_END,
	GT_MARK_LOG,
	GT_MARK_NAME
};
enum gt_syscall_op { GT_SYSCALL_ENTER = 1, GT_SYSCALL_EXIT, GT_SYSCALL_LONG };
enum gt_heap_op { GT_HEAP_ALLOC = 1, GT_HEAP_FREE, GT_HEAP_LIVE };
enum gt_gc_op {
	GT_GC_BEGIN = 1,
	GT_GC_END,
	GT_GC_STW_BEGIN,
	GT_GC_STW_STOPPED,
	GT_GC_STW_END,
	GT_GC_ASSIST_BEGIN,
	GT_GC_ASSIST_END,
	GT_GC_SWEEP_BEGIN,
	GT_GC_SWEEP_END,
	GT_GC_LABEL,
	GT_GC_PROCS,
	GT_GC_STACKS,
	GT_GC_GOAL
};
enum gt_timer_op { GT_TIMER_SET = 1, GT_TIMER_FIRE, GT_TIMER_STOP, GT_TIMER_SET_AT };

#define GT_G_BITS    40
#define GT_G_MASK    0xffffffffffull
#define GT_SIDE_BITS 24 /* what a word has beside a goroutine's id */
/* Word 1 of ALLOC, from bit 0 up. */
#define GT_ALLOC_G_BITS     15
#define GT_ALLOC_STACK_BITS 17
#define GT_ALLOC_SIZE_BITS  10
#define GT_ALLOC_TYPE_BITS  22
#define GT_ALLOC_TYPE_SHIFT 3
#define GT_STATE_WORD(g, old, new_, arg) \
	((uint64_t)(g) | (uint64_t)(old) << 40 | (uint64_t)(new_) << 44 | (uint64_t)(arg) << 48)

/* An object: what:8 (enum gt_object) above 48 bits of address, or of what objects.def says. */
#define GT_OBJECT_MASK              0xffffffffffffull
#define GT_OBJECT_WORD(what, value) (((uint64_t)(value)&GT_OBJECT_MASK) | (uint64_t)(what) << 48)
#define GT_OBJECT_WORD_WHAT(word)   ((unsigned int)((word) >> 48 & 255u))

/* ---- blocks ---- */

#define GT_BLOCK_BYTES        4096u
#define GT_BLOCK_HEADER_BYTES 32u

struct gt_block {
	_Atomic uint64_t id; /* M:24 | seq:40; 0 = not valid. Unique for ever. seq begins at 1 */
	_Atomic uint64_t
		t_open; /* all 64 bits of the clock, a moment before it was opened; every record in it is later */
	_Atomic uint64_t lost; /* the M's lost + lost_nested then */
	_Atomic uint64_t used; /* bytes of records when it was sealed (header not counted); 0 while open */
	uint64_t cells[(GT_BLOCK_BYTES - GT_BLOCK_HEADER_BYTES) / 8];
};
#define GT_BLOCK_ID(m, seq) ((uint64_t)(m) << 40 | (seq))
#define GT_BLOCK_ID_M(id)   ((uint32_t)((id) >> 40))
#define GT_BLOCK_ID_SEQ(id) ((id)&0xffffffffffull)

/* ---- queue of block numbers: word = next ticket:44 | length:20 ---- */

#define GT_QUEUE_LENGTH_BITS 20
#define GT_BLOCKS_MAX        1000000u /* the rest of the length's 20 bits is room for puts that are under way */
#define GT_SLOT_EMPTY        0xfffffu /* block field of a slot that holds none */

struct gt_queue {
	_Alignas(GT_CACHE_LINE) _Atomic uint64_t word;
	_Alignas(64) uint64_t
		slots_offset; /* from the start of the memory; slot = ticket:44 | block:20. Not on the word's line */
	uint64_t slot_mask;   /* slot_count - 1; slot_count >= 2 * block_count */
};

/* ---- an M's own line: written by its thread only (and by a thief, after membarrier) ---- */

struct gt_m {
	/* hot: every record */
	_Atomic uint64_t pos;  /* next free byte, as an offset from blocks_offset; xadd reserves */
	_Atomic uint64_t end;  /* first byte that may not be used; 0 = no block: take the slow path */
	_Atomic uint64_t done; /* bytes committed, same scale as pos; equal to pos when nothing is in flight */
	/* pending facts for the next record (injected hooks) */
	_Atomic uint32_t why; /* enum gt_reason + 1 for the next running -> runnable; 0 = plain yield */
	_Atomic uint32_t tid; /* kernel thread id, 0 = not known yet */
	/* cold: the slow path */
	_Atomic uint64_t own;         /* GT_OWN(): block:20, version:40, state:4 (enum gt_own) from bit 0 up */
	_Atomic uint64_t seq;         /* of the block that is open, or was last */
	_Atomic uint64_t lost;        /* records dropped: no free block */
	_Atomic uint32_t lost_nested; /* records dropped: a signal's hook met a record in flight at a block's end */
	_Atomic uint32_t busy;        /* inside the slow path */
	_Atomic uint64_t t_birth;     /* clock at its first record */
	/* injected hooks: what two of them tell together (agent/blob/gc_hooks.S) */
	uint64_t step;       /* begun, and told by nobody yet; low 2 bits: whose it is */
	uint64_t swept;      /* bytes since the last end of a sweep, and how deep in sweeping functions */
	uint64_t reclaimed;  /* of them */
	int64_t alloc_left;  /* bytes until the next sampled allocation */
	uint64_t alloc_step; /* from the last one to that */
	uint32_t
		took; /* p + 1 of the P that was taken back at a system call's end, for the LEAVE that follows; 0 = none */
	uint32_t unused_word;
	uint64_t reserved;
	/* what hooks of Go keep from one to the next: plain words, the thread's own */
	uint64_t deadline; /* fd + 1 while a timer of a deadline is at work */
	uint32_t call;     /* number + 1 of the system call it is in; 0 = none that was seen to begin */
	uint32_t unused_half;
	uint64_t call_ticks; /* with call_ticks_min: when it began */
	uint64_t pending;    /* what the next gopark is about: an address, or ns */
	uint64_t pending_g;  /* the goroutine that said so */
	uint64_t object;     /* GT_OBJECT_WORD for the next wait; 0 = none */
	uint64_t fork;       /* the goroutine that forks right now; and more (agent/blob/sys.S) */
	uint64_t saved[4];   /* registers, while a hook is at work */
	uint64_t hints[4];   /* fd << 40 | g: the poller found fd ready, g will be woken; 0 = free */
	uint64_t unused;
};
#define GT_M_BYTES 256u
#define GT_OWN(block, version, state) \
	((uint64_t)(block) | ((uint64_t)(version)&GT_G_MASK) << 20 | (uint64_t)(state) << 60)
#define GT_OWN_BLOCK(own)   ((uint32_t)((own)&0xfffffu))
#define GT_OWN_VERSION(own) ((own) >> 20 & GT_G_MASK)
#define GT_OWN_STATE(own)   ((unsigned int)((own) >> 60))
#define GT_M_IDS_MAX        (1u << 20) /* larger ids: dropped, counted in lost_no_m */
enum gt_own { GT_OWN_NONE = 0, GT_OWN_OWNED, GT_OWN_BUSY, GT_OWN_STOLEN };

/* ---- stacks: an id is the number of its slot; the frames follow a moment later ---- */

struct gt_stack_slot {
	_Atomic uint64_t hash;  /* of the frames; 0 = free; claimed by one CAS, then for ever. Slot 0's is 1, which no
	                                   stack has: id 0 means none */
	_Atomic uint32_t arena; /* [stack] index of the first word in the arena, 0 = not stored (yet) */
	uint32_t reserved;
};
/* In the arena (u32 words): count, then count frames, innermost first, each pc - text_base. */
#define GT_STACK_FRAMES_MAX 64u
#define GT_STACK_PROBES_MAX 16u

/* ---- strings of marks: an id is the number of its slot (never 0); the bytes follow a moment later ---- */

struct gt_string_slot {
	_Atomic uint64_t hash; /* of the bytes; 0 = free; claimed by one CAS, then for ever */
	_Atomic uint32_t at;   /* [string] index of the first byte in the arena, 0 = not stored (yet) */
	_Atomic uint32_t length;
};
#define GT_STRING_BYTES_MAX  1024u /* longer ones are cut */
#define GT_STRING_PROBES_MAX 16u

/* ---- private stacks of hooks that run C ---- */
#define GT_SPILL_BYTES 8192u /* first 8 bytes: taken flag; the stack grows down from its end */

/* ---- the head ---- */

enum gt_shm_mode { GT_MODE_STREAM = 0, GT_MODE_FLIGHT = 1 };

struct gt_shm {
	/* fixed when the memory is made */
	uint64_t magic;
	uint32_t abi;
	uint32_t header_bytes;
	uint64_t total_bytes;
	uint64_t ms_offset;
	uint64_t stacks_offset;
	uint64_t arena_offset;
	uint64_t spill_offset;
	uint64_t blocks_offset;
	uint32_t m_count;
	uint32_t stack_slot_count; /* a power of two */
	uint32_t arena_words;
	uint32_t spill_count;
	uint32_t block_count;
	uint32_t stack_depth; /* frames a hook takes at most; 0 = no stacks */
	uint64_t text_base;   /* link-time address that frames are relative to (their load slide is off already);
	                                   library form: 0 */
	uint64_t text_end;
	uint64_t strings_offset;
	uint32_t string_slot_count; /* a power of two, or 0 */
	uint32_t string_bytes;      /* of the arena behind the slots */

	/* changed by the collector */
	_Alignas(GT_CACHE_LINE) _Atomic uint32_t mode; /* enum gt_shm_mode */
	_Atomic uint32_t enabled; /* library form: the sets of events (enum gt_set) that hooks record; 0: none */
	_Atomic uint32_t m_limit; /* M ids below it have their page; grows only */
	_Atomic uint32_t
		barrier; /* 1: membarrier reaches the program's threads, so that blocks of idle Ms may be stolen */
	_Atomic uint64_t heartbeat;      /* clock of the collector's last round */
	_Atomic uint64_t call_ticks_min; /* hooks of Go: only system calls that took so long are recorded; 0 = all, as
	                                    they begin and end */
	_Atomic uint32_t aside;          /* blocks that are in no queue and on no M: the window is to be smaller */

	/* changed by writers, rarely */
	_Alignas(GT_CACHE_LINE) _Atomic uint64_t lost_no_m; /* records of Ms with an id >= m_limit */
	_Atomic uint64_t lost_big_g;                        /* records of goroutines with an id >= 2^40 */
	_Atomic uint64_t lost_spill;                        /* C hooks that found no private stack */
	_Atomic uint64_t stacks_lost;                       /* stacks that found no slot or no room: their id is 0 */
	_Atomic uint64_t m_next;                            /* library form: next M id */
	_Atomic uint64_t slide;                             /* library form: the program's load slide */
	_Atomic uint64_t strings_lost;                      /* strings that found no slot or no room: their id is 0 */
	_Atomic uint64_t
		blocks_leaked; /* blocks given up by a put that met too many laps: only a damaged queue does that */
	_Alignas(GT_CACHE_LINE) _Atomic uint64_t arena_used; /* words; next free index; begins at 1 */
	_Atomic uint64_t strings_used;                       /* bytes; next free index; begins at 1 */
	/* injected hooks */
	_Atomic uint64_t gc_cycle; /* begun since the recording's begin */
	_Atomic uint64_t
		context_kind; /* itab of Go's *context.valueCtx, and type of the key under which it holds a task; */
	_Atomic uint64_t context_key; /* 0: not met yet */

	struct gt_queue sealed; /* in order of age */
	struct gt_queue free;   /* blank blocks */
};

_Static_assert(sizeof(struct gt_block) == GT_BLOCK_BYTES, "a block is a page");
_Static_assert(sizeof(struct gt_m) == GT_M_BYTES, "assembly shifts an M id by 8");
_Static_assert(sizeof(struct gt_stack_slot) == 16, "assembly shifts a slot number by 4");
_Static_assert(sizeof(struct gt_string_slot) == 16, "as a stack's");

#endif
