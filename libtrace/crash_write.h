/* crash_write.h - the crash file while its process lives. */
#ifndef GT_LIBTRACE_CRASH_WRITE_H
#define GT_LIBTRACE_CRASH_WRITE_H

#include "base/clock.h"
#include "base/error.h"
#include "libtrace/crash.h"
#include "libtrace/shm_create.h"

/* An empty file at @path, locked as long as this process lives. A dead process's becomes PATH.old; -EBUSY: a living one's. */
int gt_crash_open(const char *path, struct gt_error *err);
/* What stands behind the shared memory: gt_shm_config.extra_bytes. */
uint64_t gt_crash_bytes(size_t names_max);
/* NULL: failed. Never unmapped. */
struct gt_crash *gt_crash_map(const struct gt_memory *memory, size_t names_max, struct gt_error *err);
/* A recording begins. */
void gt_crash_begin(struct gt_crash *crash, const struct gt_clock_pair *start, int64_t realtime_ns, uint64_t slide);
/* Now and then: the clock's pair. */
void gt_crash_tick(struct gt_crash *crash);

#endif
