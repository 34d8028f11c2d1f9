/*
 * attend.h - how a running program that links libtrace is told that a gtrace wants to record it.
 *
 * The library has one struct gt_attend in its data; a note of the file (owner "gtrace", type GT_ATTEND_NOTE) says where. gtrace writes
 * what it wants there (/proc/PID/mem), and the number of the request last. A thread of the scheduler that looks every now
 * and then (gt_hook_watch) starts a thread that answers, as long as it is needed: an ordinary thread, which may allocate and map.
 * One that sleeps is woken by a cleared word and a stop by ptrace, after which the kernel looks at the word anew.
 *
 *   MEMORY   the memory is made, as gtrace wants it, or is there from an earlier recording: a descriptor of it
 *   OPEN     hooks go on; who is there is listed
 *   LIST     who is there now, and stands where; at any time, also for the gtrace that started the program
 *   CLOSE    hooks go off; what was begun is written. The memory stays for the next time, without its pages (gtrace takes them out)
 *
 * A recorder whose process is gone is closed by the answering thread. Both sides check what the other says.
 */
#ifndef GT_LIBTRACE_ATTEND_H
#define GT_LIBTRACE_ATTEND_H

#include <stdint.h>

#define GT_ATTEND_NOTE  2
#define GT_ATTEND_MAGIC "gtattnd"
#define GT_ATTEND_ABI   1u

enum gt_attend_what { GT_ATTEND_MEMORY = 1, GT_ATTEND_OPEN, GT_ATTEND_CLOSE, GT_ATTEND_LIST };

struct gt_attend_alive {
	uint64_t g, parent, start;
	uint32_t m; /* its M's id + 1 while it is on one */
	uint32_t p; /* P id + 1 while it runs */
	uint8_t state, reason;
	uint8_t reserved[2];
	uint32_t stack; /* its id, 0: not known */
};

struct gt_attend {
	/* the program's */
	char magic[8];
	uint32_t abi, bytes;
	uint64_t asleep;    /* address of a word that is 0 unless the thread that looks sleeps on it; 0: nobody looks */
	uint32_t looker;    /* id of that thread */
	uint32_t attendant; /* of the thread that answers; 0: there is none */
	uint32_t
		state; /* enum gt_attend_what of the last request that was done (LIST: only when nobody is attached); CLOSE or 0: nobody records */
	uint32_t answer; /* the request that was answered last */
	int32_t result;  /* 0 or -errno, and a line */
	int32_t fd;      /* MEMORY */
	uint64_t alive,
		alive_count; /* OPEN: a list of struct gt_attend_alive, those with an M first; LIST: those with one last; until the next, or CLOSE */
	uint32_t none_m; /* the M that tells of goroutines that are on none */
	uint32_t reserved;
	char text[256];

	/* gtrace's */
	uint32_t request; /* number:28 | what:4; written last */
	uint32_t owner;   /* its process; 0: nobody's, or of another PID namespace */
	uint64_t since;   /* OPEN: ticks of the recording's begin */
	uint32_t sets;
	uint32_t block_count; /* MEMORY: as in struct gt_shm_config */
	uint64_t max_bytes;
	uint32_t mode, m_count, m_limit, stack_slot_count, arena_words, stack_depth, string_slot_count, string_bytes;
};

#endif
