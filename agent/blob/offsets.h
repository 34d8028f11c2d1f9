/*
 * offsets.h - the numbers of libtrace/shm.h that assembly uses; slow.c asserts each against the structs.
 */
#ifndef GT_AGENT_BLOB_OFFSETS_H
#define GT_AGENT_BLOB_OFFSETS_H

/* struct gt_shm */
#define SHM_M_LIMIT     136
#define SHM_CALL_TICKS_MIN 152
#define SHM_LOST_NO_M   256
#define SHM_LOST_BIG_G  264
#define SHM_LOST_SPILL  272
#define SHM_STACKS_LOST 280

/* struct gt_m */
#define M_POS         0
#define M_END         8
#define M_DONE        16
#define M_WHY         24
#define M_TID         28
#define M_DEADLINE    128
#define M_CALL        136
#define M_FORKING     140
#define M_CALL_TICKS  144
#define M_PENDING     152
#define M_PENDING_G   160
#define M_OBJECT      168
#define M_LOST        48
#define M_LOST_NESTED 56
#define M_SHIFT       8

/* records */
#define REC_VOID     0
#define REC_STATE    1
#define REC_STATE2   2
#define REC_CREATE   3
#define REC_SLOT     4
#define REC_THREAD   5
#define REC_CORO     6
#define REC_OBJECT   8
#define REC_SYSCALL  9
#define REC_TIMER    11
#define REC_HINT     13
#define SLOT_START   1
#define SLOT_STOP    2
#define SLOT_IDLE    3
#define THREAD_START 1
#define THREAD_IDLE  2
#define THREAD_END   3

#define CALL_ENTER 1
#define CALL_LEAVE  2
#define CALL_LONG  3
#define TIMER_FIRE    2
#define TIMER_STOP    3
#define TIMER_SET_AT  4

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

#define SELECT_TOLD 8    /* channels of a select that are told */
#define SELECT_MAX  1024 /* and that are counted: a loop must end */

/* Go's: g.stackguard0 between BeforeFork and AfterFork, and when it shall give way; timer.status, before Go 1.23: waiting, modifying, modified, moving */
#define STACK_FORK           (-1234)
#define STACK_PREEMPT        (-1314)
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

#endif
