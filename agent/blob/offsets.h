/*
 * offsets.h - the numbers of libtrace/shm.h that assembly uses; slow.c asserts each against the structs.
 */
#ifndef GT_AGENT_BLOB_OFFSETS_H
#define GT_AGENT_BLOB_OFFSETS_H

/* struct gt_shm */
#define SHM_M_LIMIT        136
#define SHM_CALL_TICKS_MIN 152
#define SHM_LOST_NO_M      256
#define SHM_LOST_BIG_G     264
#define SHM_LOST_SPILL     272
#define SHM_STACKS_LOST    280

#define SHM_GC_CYCLE     400
#define SHM_CONTEXT_KIND 408
#define SHM_CONTEXT_KEY  416

/* struct gt_m */
#define M_POS         0
#define M_END         8
#define M_DONE        16
#define M_WHY         24
#define M_TID         28
#define M_DEADLINE    128
#define M_CALL        136
#define M_CALL_TICKS  144
#define M_PENDING     152
#define M_PENDING_G   160
#define M_OBJECT      168
#define M_FORK        176
#define M_SAVED       184
#define M_LOST        48
#define M_LOST_NESTED 56
#define M_STEP        72
#define M_SWEPT       80
#define M_RECLAIMED   88
#define M_ALLOC_LEFT  96
#define M_ALLOC_STEP  104
#define M_TOOK        112
#define M_HINTS       216
#define M_SHIFT       8

/* M_STEP's low bits, 0 there is none; M_SWEPT's: pages are 8 KiB */
#define STEP_REGION        1
#define STEP_ASSIST        2
#define STEP_SPAN          3
#define STEP_MASK          3
#define SWEEP_DEPTH        0x3ff
#define SWEEP_CHUNK        0x400
#define SWEEP_CHUNK_LOOKED 0x800
#define SWEEP_LOW          0xfff
#define SWEEP_CHUNK_PAGES  512
#define PAGE_SHIFT         13

/* records */
#define REC_VOID     0
#define REC_STATE    1
#define REC_STATE2   2
#define REC_CREATE   3
#define REC_SLOT     4
#define REC_THREAD   5
#define REC_CORO     6
#define REC_HEAP     10
#define REC_GC       20
#define REC_OBJECT   8
#define REC_SYSCALL  9
#define REC_TIMER    11
#define REC_HINT     13
#define REC_ENTER    14
#define REC_LEAVE    15
#define REC_POLLED   16
#define REC_WOKEN    17
#define REC_ALLOC    21
#define SLOT_START   1
#define SLOT_STOP    2
#define SLOT_IDLE    3
#define THREAD_START 1
#define THREAD_IDLE  2
#define THREAD_END   3

#define HEAP_ALLOC 1
#define HEAP_LIVE  3

/* REC_ALLOC's word 1 */
#define ALLOC_G_BITS     15
#define ALLOC_STACK_BITS 17
#define ALLOC_SIZE_BITS  10
#define ALLOC_TYPE_BITS  22
#define ALLOC_TYPE_SHIFT 3

/* enum gt_gc_op */
#define GC_BEGIN        1
#define GC_END          2
#define GC_STW_BEGIN    3
#define GC_STW_STOPPED  4
#define GC_STW_END      5
#define GC_ASSIST_BEGIN 6
#define GC_ASSIST_END   7
#define GC_SWEEP_BEGIN  8
#define GC_SWEEP_END    9
#define GC_LABEL        10
#define GC_PROCS        11
#define GC_STACKS       12
#define GC_GOAL         13

/* what thunk_mark is for: gt_mark_op as far as there is one */
#define MARK_TASK_BEGIN   1
#define MARK_TASK_END     2
#define MARK_REGION       3
#define MARK_LOG          5
#define MARK_START_REGION 16
#define MARK_SURE         0x100 /* of MARK_REGION: StartRegion has not told it */
#define MARK_LOGF         17    /* and, 8 bits up, the length of its format */
#define CALL_ENTER        1
#define CALL_LEAVE        2
#define CALL_LONG         3
#define TIMER_FIRE        2
#define TIMER_STOP        3
#define TIMER_SET_AT      4

/* enum gt_object */
#define OBJECT_CHAN      1
#define OBJECT_SELECT    2
#define OBJECT_MUTEX     3
#define OBJECT_RWMUTEX   4
#define OBJECT_COND      5
#define OBJECT_WAITGROUP 6
#define OBJECT_SEMAPHORE 8
#define OBJECT_FD_READ   9
#define OBJECT_FD_WRITE  10
#define OBJECT_SLEEP     13

/* enum gt_cause */
#define CAUSE_TIMER    1
#define CAUSE_NETPOLL  2
#define CAUSE_DEADLINE 3
#define CAUSE_GC       4

/* What a wait reason says (agent/gohooks.c). */
#define PARK_NOTHING       0
#define PARK_CHAN          1
#define PARK_MUTEX         2
#define PARK_WAITGROUP     3
#define PARK_RWMUTEX_LOCK  4
#define PARK_RWMUTEX_RLOCK 5
#define PARK_SEMAPHORE     6
#define PARK_SELECT        7
#define PARK_COND          8
#define PARK_IO            9
#define PARK_SLEEP         10
#define PARK_GC            11

/* Words at M_HINTS; what a word has beside a goroutine's id */
#define HINTS     4
#define G_BITS    40
#define SIDE_BITS 24

#define SELECT_TOLD 8    /* channels of a select that are told */
#define SELECT_MAX  1024 /* and that are counted: a loop must end */

/* Go's: g.stackguard0 between BeforeFork and AfterFork, and when it shall give way; timer.status, before Go 1.23: waiting, modifying, modified, moving */
#define STACK_FORK    (-1234)
#define STACK_PREEMPT (-1314)

/* M_FORK's low bit: parent and child share all memory. FORK_UNSURE alone: a child may be about that nobody can tell from its parent */
#define FORK_SHARES 1
#define FORK_UNSURE 2

/* the kernel's */
#define CLONE_VM             0x100
#define CALL_EXIT_GROUP      231
#define CALL_CLONE3          435
#define TIMER_STATES_PENDING 0x3c2

/* enum gt_reason */
#define REASON_GOSCHED      64
#define REASON_PREEMPT      65
#define REASON_SYSCALL_NO_P 66

/* private stacks */
#define SPILL_SHIFT 13
#define SPILL_BYTES (1 << SPILL_SHIFT)
#define SPILL_TRIES 4

/* stack table */
#define STACK_SLOT_SHIFT 4
#define STACK_PROBES     16

/* what gt_slow_stack needs to hash like the assembly does */
#define STACK_HASH_SEED     0x2545f491
#define STACK_HASH_MULTIPLY 0x4f6cdd1d
#define STACK_HASH_ROTATE   29

/* The hash's low bit: a stack of the set alloc, where more frames would make more stacks than the table holds */
#define STACK_OF_ALLOC    1
#define STACK_DEPTH_ALLOC 8

#endif
