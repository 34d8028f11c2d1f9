/*
 * offsets.h - the numbers of libtrace/shm.h that assembly uses; slow.c asserts each against the structs.
 */
#ifndef GT_AGENT_BLOB_OFFSETS_H
#define GT_AGENT_BLOB_OFFSETS_H

/* struct gt_shm */
#define SHM_M_LIMIT     136
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
#define M_LOST        48
#define M_LOST_NESTED 56
#define M_SHIFT       7

/* records */
#define REC_VOID     0
#define REC_STATE    1
#define REC_STATE2   2
#define REC_CREATE   3
#define REC_SLOT     4
#define REC_THREAD   5
#define REC_CORO     6
#define SLOT_START   1
#define SLOT_STOP    2
#define SLOT_IDLE    3
#define THREAD_START 1
#define THREAD_IDLE  2
#define THREAD_END   3

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
