/*
 * holes.h - what is open in the hooks' templates: the symbols K_NAME of hooks.S, filled by agent/probe.c.
 */
#ifndef GT_AGENT_BLOB_HOLES_H
#define GT_AGENT_BLOB_HOLES_H

#define GT_HOLES(X) \
	/* fields of Go's structs */ \
	X(G_M) \
	X(G_GOID) \
	X(G_STATUS) \
	X(G_WAITREASON) \
	X(G_SCHED_PC) \
	X(G_SCHED_BP) \
	X(G_STACK_LO) \
	X(G_STACK_HI) \
	X(G_PARENT) \
	X(G_GOPC) \
	X(G_STARTPC) \
	X(G_COROARG) \
	X(G_STACKGUARD0) \
	X(G_WAITING) \
	X(SUDOG_C) \
	X(SUDOG_WAITLINK) \
	X(PD_FD) \
	X(PD_RG) \
	X(PD_WG) \
	X(TIMER_WHEN) \
	X(TIMER_STATUS) \
	X(G_COROEXIT) \
	X(CORO_GP) \
	X(M_PROCID) \
	X(M_GSIGNAL) \
	X(M_CURG) \
	X(M_LOCKS) \
	X(M_P) \
	X(M_ID) \
	X(P_ID) \
	X(M_PREEMPTOFF) \
	X(GC_HEAP_LIVE) \
	X(GC_STACK_BYTES) \
	X(SPAN_NPAGES) \
	X(SPAN_ELEMSIZE) \
	X(SPAN_ALLOC_COUNT) \
	/* the shared memory, in the program's addresses; offsets from its start */ \
	X(SHM) \
	X(STACKS) \
	X(MS_OFFSET) \
	X(BLOCKS_OFFSET) \
	X(SPILL_OFFSET) \
	X(SPILL_MASK) \
	X(STACK_MASK) \
	/* the program's text; frames at most */ \
	X(TEXT) \
	X(TEXT_SIZE) \
	X(DEPTH) \
	X(DEPTH_ALLOC) \
	/* casgstatus' old << 4 | new: what is not its to tell, what takes the goroutine's own stack; the reason "preempted" */ \
	/* what a wait reason of this version says about the object: PARK_* of offsets.h, eight reasons a word */ \
	X(PARK0) \
	X(PARK1) \
	X(PARK2) \
	X(PARK3) \
	X(PARK4) \
	X(PARK5) \
	X(PARK6) \
	X(PARK7) \
	X(KEY_SKIP_A) \
	X(KEY_SKIP_B) \
	X(KEY_SYSCALL) \
	X(PREEMPTED) \
	/* mallocgc leaves smaller ones to others; mean distance of sampled allocations; what StartRegion returns instead of a region that \
	 * its End does not tell, 0: nothing */ \
	X(ALLOC_MIN) \
	X(ALLOC_RATE) \
	X(REGION) \
	/* where that one's name, which has no length, stands; where the program's tracing.enabled is. 0: none */ \
	X(REGION_NAME) \
	X(TRACING) \
	/* this site's own (struct gt_probe): the number of the system call */ \
	X(SITE)

enum gt_hole {
#define GT_HOLE(name) GT_HOLE_##name,
	GT_HOLES(GT_HOLE)
#undef GT_HOLE
		GT_HOLE_COUNT
};

/* The templates: symbols hook_NAME and hook_NAME_end. */
#define GT_TEMPLATES(X) \
	X(casgstatus_plain) \
	X(casgstatus_stacks) \
	X(casgstatus_objects_plain) \
	X(casgstatus_objects_stacks) \
	X(call_enter) \
	X(call_exit_plain) \
	X(call_exit_stacks) \
	X(stub_enter) \
	X(stub_enter_sleep) \
	X(stub_enter_child) \
	X(fork_begin) \
	X(fork_clone) \
	X(fork_end) \
	X(stub_enter_only) \
	X(stub_enter_loaded) \
	X(park) \
	X(pending_semaphore) \
	X(pending_fd) \
	X(pending_sleep) \
	X(netpoll_ready) \
	X(deadline_begin) \
	X(deadline_end) \
	X(timer_start) \
	X(timer_modify) \
	X(timer_run) \
	X(timer_fire) \
	X(timer_delete) \
	X(timer_stop) \
	X(create) \
	X(create_curg) \
	X(syscall_enter_plain) \
	X(syscall_enter_stacks) \
	X(syscall_exit) \
	X(preempt_park_plain) \
	X(preempt_park_stacks) \
	X(coroswitch_plain) \
	X(coroswitch_stacks) \
	X(why_gosched) \
	X(why_preempt) \
	X(why_no_p) \
	X(gc_begin_plain) \
	X(gc_begin_stacks) \
	X(gc_end) \
	X(stw_begin_plain) \
	X(stw_begin_stacks) \
	X(stw_begin_text_plain) \
	X(stw_begin_text_stacks) \
	X(stw_stopped) \
	X(stw_end) \
	X(assist_enter) \
	X(assist_begin_plain) \
	X(assist_begin_stacks) \
	X(assist_stopped_plain) \
	X(assist_stopped_stacks) \
	X(assist_end) \
	X(sweep_open) \
	X(sweep_close) \
	X(sweep_flush) \
	X(sweep_span_plain) \
	X(sweep_span_stacks) \
	X(sweep_counted) \
	X(sweep_chunk_enter) \
	X(sweep_chunk_looked) \
	X(sweep_chunk_leave_plain) \
	X(sweep_chunk_leave_stacks) \
	X(gc_label) \
	X(procs_plain) \
	X(procs_stacks) \
	X(heap_live) \
	X(heap_reset) \
	X(heap_goal) \
	X(alloc_sample_plain) \
	X(alloc_sample_stacks) \
	X(alloc_all_plain) \
	X(alloc_all_stacks) \
	X(alloc_small_sample_plain) \
	X(alloc_small_sample_stacks) \
	X(alloc_small_all_plain) \
	X(alloc_small_all_stacks) \
	X(mark_task_begin) \
	X(mark_task_end) \
	X(mark_region) \
	X(mark_log) \
	X(mark_logf) \
	X(mark_start_region) \
	X(mark_region_started) \
	X(mark_task_context) \
	X(p_start) \
	X(p_take) \
	X(p_stop) \
	X(p_idle) \
	X(m_start) \
	X(m_idle) \
	X(m_end)

enum gt_template {
#define GT_TEMPLATE(name) GT_TEMPLATE_##name,
	GT_TEMPLATES(GT_TEMPLATE)
#undef GT_TEMPLATE
		GT_TEMPLATE_COUNT
};

/* A place in the piece that is filled in each copy. */
enum gt_fill_kind {
	GT_FILL_U32,      /* value, zero-extended by the processor or compared: must be below 2^31 */
	GT_FILL_S32,      /* value, sign-extended */
	GT_FILL_U64,      /* value */
	GT_FILL_RELATIVE, /* 32 bits: to a shared part */
};

struct gt_fill {
	unsigned short offset; /* in the piece */
	unsigned char kind;
	unsigned char hole; /* enum gt_hole; of GT_FILL_RELATIVE nothing */
	int target;         /* addend; of GT_FILL_RELATIVE: offset in the piece, addend included */
};

#endif
