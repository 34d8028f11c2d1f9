/*
 * golayout.h - where Go's runtime keeps what a hook reads, by Go version.
 *
 * One table a minor version, in layouts/go1.NN.def. Only fields that no patch release has ever moved: all of g and p,
 * and of m what stands before m.id. A table is believed only after gt_golayout_verify has found the same
 * numbers in the program's own code.
 */
#ifndef GT_AGENT_GOLAYOUT_H
#define GT_AGENT_GOLAYOUT_H

#include "agent/gobinary.h"
#include "base/error.h"

#include <stdint.h>

/*
 * Every field of a table, in bytes from the start of its struct; -1: this version has none.
 * GT_LAYOUT_FIELDS(X): X(name, Go's path)
 */
#define GT_LAYOUT_FIELDS(X) \
	X(g_stack_lo, "g.stack.lo") \
	X(g_stack_hi, "g.stack.hi") \
	X(g_stackguard0, "g.stackguard0") \
	X(g_m, "g.m") \
	X(g_sched_sp, "g.sched.sp") \
	X(g_sched_pc, "g.sched.pc") \
	X(g_sched_bp, "g.sched.bp") \
	X(g_atomicstatus, "g.atomicstatus") \
	X(g_goid, "g.goid") \
	X(g_waitreason, "g.waitreason") \
	X(g_parent_goid, "g.parentGoid") \
	X(g_gopc, "g.gopc") \
	X(g_startpc, "g.startpc") \
	X(g_coroarg, "g.coroarg") \
	X(g_coroexit, "g.coroexit") \
	X(coro_gp, "coro.gp") \
	X(g_waiting, "g.waiting") \
	X(sudog_c, "sudog.c") \
	X(sudog_c_value, "sudog.c.maybeTraceablePtr.vu") \
	X(sudog_waitlink, "sudog.waitlink") \
	X(polldesc_fd, "pollDesc.fd") \
	X(polldesc_rg, "pollDesc.rg") \
	X(polldesc_wg, "pollDesc.wg") \
	X(timer_when, "timer.when") \
	X(timer_status, "timer.status") \
	X(m_g0, "m.g0") \
	X(m_procid, "m.procid") \
	X(m_gsignal, "m.gsignal") \
	X(m_curg, "m.curg") \
	X(m_p, "m.p") \
	X(m_nextp, "m.nextp") \
	X(m_oldp, "m.oldp") \
	X(m_id, "m.id") \
	X(m_preemptoff, "m.preemptoff") \
	X(m_locks, "m.locks") \
	X(p_id, "p.id") \
	X(moduledata_text, "moduledata.text") \
	X(moduledata_etext, "moduledata.etext") \
	X(moduledata_gofunc, "moduledata.gofunc") \
	X(moduledata_types, "moduledata.types") \
	X(gc_heap_live, "gcControllerState.heapLive") \
	X(gc_stack_bytes, "gcControllerState.maxStackScan") \
	X(span_npages, "mspan.npages") \
	X(span_elemsize, "mspan.elemsize") \
	X(span_alloc_count, "mspan.allocCount")

struct gt_golayout {
	unsigned int minor;
#define GT_LAYOUT_FIELD(name, path) int32_t name;
	GT_LAYOUT_FIELDS(GT_LAYOUT_FIELD)
#undef GT_LAYOUT_FIELD
	uint8_t reason_count;
	uint8_t reasons[64]; /* this version's wait reason -> enum gt_reason (format/wire/reasons.def) */
};

#define GT_GO_MINOR_MIN 19
#define GT_GO_MINOR_MAX 27

/* The table for @bin's version. -EPROTONOSUPPORT and a line that names the versions known. */
int gt_golayout_find(const struct gt_gobin *bin, const struct gt_golayout **out, struct gt_error *err);

/* By number; NULL when unknown. */
const struct gt_golayout *gt_golayout_of_minor(unsigned int minor);

/* Decodes runtime.casgstatus, mcall and others of the program and compares what they say with @layout. -EBADMSG and a line
 * that names the field, what was expected and what was found: then nothing may be patched. */
int gt_golayout_verify(struct gt_gobin *bin, const struct gt_golayout *layout, struct gt_error *err);

/* enum gt_reason of this version's number; GT_REASON_UNKNOWN (0) for one that it has not. */
static inline uint8_t gt_golayout_reason(const struct gt_golayout *layout, uint32_t number)
{
	return number < layout->reason_count ? layout->reasons[number] : 0;
}

#endif
