/*
 * crash.h - what a crash file holds behind the shared memory: all that a reader needs when the process is gone.
 *
 *   +------------------+ 0            as in a memfd (shm.h)
 *   | shared memory    |
 *   +------------------+ total_bytes
 *   | struct gt_crash  |              facts of the process; the clock's last pair
 *   | names            |              names_max x struct gt_crash_name; g = 0: free
 *   +------------------+
 *
 * The collector alone writes here. A change is a change of GT_CRASH_ABI. Who reads checks every value.
 */
#ifndef GT_LIBTRACE_CRASH_H
#define GT_LIBTRACE_CRASH_H

#include <stdatomic.h>
#include <stdint.h>

#define GT_CRASH_MAGIC    0x3148534152435447ull /* "GTCRASH1" */
#define GT_CRASH_ABI      1u
#define GT_CRASH_NAMES_AT 8192u /* from the head's begin */

enum gt_crash_state { GT_CRASH_NOTHING = 0, GT_CRASH_RECORDS, GT_CRASH_STOPPED };

struct gt_crash_name {
	uint64_t g; /* stored last */
	uint64_t parent;
	uint64_t start_pc, site_pc; /* slide included */
};

struct gt_crash {
	_Atomic uint64_t magic; /* stored last */
	uint32_t abi;
	uint32_t names_at;
	uint64_t names_max;
	uint64_t total_bytes; /* of the file */
	uint32_t pid;
	_Atomic uint32_t state; /* enum gt_crash_state */
	uint64_t start_ticks;
	int64_t start_monotonic_ns, start_realtime_ns;
	uint64_t ticks_per_second;
	uint64_t slide;
	uint64_t since_ticks; /* of the recording */
	_Atomic uint64_t last_ticks;
	_Atomic int64_t last_monotonic_ns;
	uint64_t min_age_ns, max_bytes; /* of the first recorder */
	uint32_t sets;
	uint32_t build_id_bytes;
	uint8_t build_id[64];
	char clock[128], machine[72], gtrace[32];
	char program[4096];
};
_Static_assert(sizeof(struct gt_crash) <= GT_CRASH_NAMES_AT, "the names lie behind it");

#endif
