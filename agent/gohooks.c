/* gohooks.c - the table of hooks, by Go version. */
#include "agent/gohooks.h"

#include "agent/blob/offsets.h"
#include "agent/code.h"
#include "format/wire/event.h"

#include <errno.h>
#include <string.h>

enum where { ENTRY, RETURNS, ASM_ENTRY, BEFORE_SYSCALL, AFTER_SYSCALL };

#define NEWEST   255
#define IF_THERE 2
#define NO_KEY   0x1ff /* old << 4 | new that never is */

/*
 * The hooks. `needed`: without it states do not add up, so it must be there. The others are left out by the linker
 * where a program cannot reach them, or tell of threads and Ps only.
 */
static const struct hook {
	const char *function;
	enum where where;
	uint8_t plain, stacks; /* enum gt_template */
	uint8_t first, last;   /* Go minor versions */
	uint8_t needed;        /* 1: it must be there; IF_THERE: where it is there, it must be hooked */
	uint32_t on, off;      /* enum gt_set: of this set; where that one is not on */
} hooks_table[] = {
#define BOTH(name)   GT_TEMPLATE_##name##_plain, GT_TEMPLATE_##name##_stacks
#define ALWAYS(name) GT_TEMPLATE_##name, GT_TEMPLATE_##name
	{"runtime.casgstatus", ENTRY, BOTH(casgstatus), 0, NEWEST, true, 0, GT_SET_OBJECTS},
	{"runtime.casgstatus", ENTRY, BOTH(casgstatus_objects), 0, NEWEST, true, GT_SET_OBJECTS, 0},
	{"runtime.newproc1", RETURNS, ALWAYS(create), 21, NEWEST, true, 0, 0},
	{"runtime.newproc1", RETURNS, ALWAYS(create_curg), 0, 20, true, 0, 0},
	/* Since 1.26 these change the status without casgstatus. */
	{"runtime.reentersyscall", ENTRY, BOTH(syscall_enter), 26, NEWEST, true, 0, 0},
	{"runtime.entersyscallblock", ENTRY, BOTH(syscall_enter), 26, NEWEST, false, 0, 0},
	{"runtime.exitsyscall", ENTRY, ALWAYS(syscall_exit), 26, NEWEST, true, 0, 0},
	{"runtime.exitsyscallNoP", ENTRY, ALWAYS(why_no_p), 26, NEWEST, false, 0, 0},
	{"runtime.goschedImpl", ENTRY, ALWAYS(why_gosched), 22, NEWEST, false, 0, 0},
	{"runtime.gopreempt_m", ENTRY, ALWAYS(why_preempt), 0, 21, false, 0, 0},
	{"runtime.preemptPark", ENTRY, BOTH(preempt_park), 0, NEWEST, true, 0, 0},
	{"runtime.coroswitch_m", ENTRY, BOTH(coroswitch), 22, NEWEST, false, 0, 0},
	/* Ps */
	/* Until 1.25 a P is given up at the begin of each system call and taken back at its end; casgstatus' hook tells of both. */
	{"runtime.wirep", ENTRY, ALWAYS(p_take), 0, 25, false, 0, 0},
	{"runtime.wirep", ENTRY, ALWAYS(p_start), 26, NEWEST, false, 0, 0},
	{"runtime.releasep", ENTRY, ALWAYS(p_stop), 0, 21, false, 0, 0},
	{"runtime.releasepNoTrace", ENTRY, ALWAYS(p_stop), 22, NEWEST, false, 0, 0},
	{"runtime.pidleput", ENTRY, ALWAYS(p_idle), 0, NEWEST, false, 0, 0},
	/* Ms */
	{"runtime.minit", RETURNS, ALWAYS(m_start), 0, NEWEST, false, 0, 0},
	{"runtime.stopm", ENTRY, ALWAYS(m_idle), 0, NEWEST, false, 0, 0},
	{"runtime.stoplockedm", ENTRY, ALWAYS(m_idle), 0, NEWEST, false, 0, 0},
	{"runtime.mexit", ENTRY, ALWAYS(m_end), 0, NEWEST, false, 0, 0},
#include "agent/gohooks_gc.def"
	/* system calls: all that Go code makes go through one function */
	{"runtime/internal/syscall.Syscall6", ASM_ENTRY, ALWAYS(call_enter), 0, 22, false, GT_SET_SYSCALLS, 0},
	{"runtime/internal/syscall.Syscall6", AFTER_SYSCALL, BOTH(call_exit), 0, 22, false, GT_SET_SYSCALLS, 0},
	{"internal/runtime/syscall.Syscall6", ASM_ENTRY, ALWAYS(call_enter), 23, 25, false, GT_SET_SYSCALLS, 0},
	{"internal/runtime/syscall.Syscall6", AFTER_SYSCALL, BOTH(call_exit), 23, 25, false, GT_SET_SYSCALLS, 0},
	{"internal/runtime/syscall/linux.Syscall6", ASM_ENTRY, ALWAYS(call_enter), 26, NEWEST, false, GT_SET_SYSCALLS,
		0},
	{"internal/runtime/syscall/linux.Syscall6", AFTER_SYSCALL, BOTH(call_exit), 26, NEWEST, false, GT_SET_SYSCALLS,
		0},
#include "agent/gohooks_stubs.def"
	/* what a goroutine waits for */
	{"runtime.gopark", ENTRY, ALWAYS(park), 0, NEWEST, true, GT_SET_OBJECTS, 0},
	{"runtime.(*semaRoot).queue", ENTRY, ALWAYS(pending_semaphore), 0, NEWEST, true, GT_SET_OBJECTS, 0},
	{"runtime.netpollblock", ENTRY, ALWAYS(pending_fd), 0, NEWEST, false, GT_SET_OBJECTS, 0},
	{"time.Sleep", ENTRY, ALWAYS(pending_sleep), 0, NEWEST, false, GT_SET_OBJECTS, 0},
	{"runtime.netpollready", ENTRY, ALWAYS(netpoll_ready), 0, NEWEST, false, GT_SET_OBJECTS, 0},
	{"runtime.netpolldeadlineimpl", ENTRY, ALWAYS(deadline_begin), 0, NEWEST, false, GT_SET_OBJECTS, 0},
	{"runtime.netpolldeadlineimpl", RETURNS, ALWAYS(deadline_end), 0, NEWEST, false, GT_SET_OBJECTS, 0},
	/* timers */
	{"time.startTimer", ENTRY, ALWAYS(timer_start), 0, 22, false, GT_SET_TIMERS, 0},
	{"runtime.modtimer", ENTRY, ALWAYS(timer_modify), 0, 22, false, GT_SET_TIMERS, 0},
	{"runtime.runOneTimer", ENTRY, ALWAYS(timer_run), 0, 22, false, GT_SET_TIMERS, 0},
	{"runtime.deltimer", ENTRY, ALWAYS(timer_delete), 0, 22, false, GT_SET_TIMERS, 0},
	{"runtime.(*timer).modify", ENTRY, ALWAYS(timer_modify), 23, NEWEST, false, GT_SET_TIMERS, 0},
	{"runtime.(*timer).unlockAndRun", ENTRY, ALWAYS(timer_fire), 23, NEWEST, false, GT_SET_TIMERS, 0},
	{"runtime.(*timer).stop", ENTRY, ALWAYS(timer_stop), 23, NEWEST, false, GT_SET_TIMERS, 0},
#undef BOTH
#undef ALWAYS
};

/* @value: of a site in front of a system call its number. */
static int find_sites(struct gt_gobin *bin, const struct hook *hook, struct gt_site *sites, size_t max, size_t *count,
	uint32_t *value, struct gt_error *err)
{
	unsigned int flags = hook->where >= ASM_ENTRY ? GT_SITE_ASM_KNOWN : 0;
	struct gt_gofunction function;
	uint64_t va = 0;
	int ret = 0;

	*count = 0;
	if (!gt_pclntab_find(bin->pclntab, hook->function, &function))
		return gt_fail(err, ENOENT, "%s is not in the program", hook->function);
	if (hook->where == RETURNS)
		return gt_site_returns(bin, &function, 0, sites, max, count, err);
	if (!max)
		return gt_fail(err, ENOSPC, "too many hooks");
	if (hook->where == AFTER_SYSCALL || hook->where == BEFORE_SYSCALL) {
		ret = hook->where == AFTER_SYSCALL ? gt_site_syscall_end(bin, &function, &va, err)
						   : gt_site_syscall_begin(bin, &function, &va, value, err);
		if (ret >= 0)
			ret = gt_site_inside(bin, &function, va, flags, &sites[0], err);
	} else {
		ret = gt_site_entry(bin, &function, flags, &sites[0], err);
	}
	if (ret >= 0)
		*count = 1;
	return ret;
}

int gt_gohooks_find(struct gt_gobin *bin, const struct gt_golayout *layout, bool stacks, uint32_t sets,
	const char *skip, struct gt_gohooks *hooks, struct gt_error *err)
{
	const size_t rows = sizeof(hooks_table) / sizeof(hooks_table[0]);
	bool skip_known = !skip || !*skip;

	memset(hooks, 0, sizeof(*hooks));
	for (size_t i = 0; i < rows; i++)
		skip_known |= !skip_known && !strcmp(skip, hooks_table[i].function);
	if (!skip_known)
		return gt_fail(err, EINVAL, "no such hook to leave out: %s", skip);
	for (size_t i = 0; i < rows; i++) {
		const struct hook *hook = &hooks_table[i];
		struct gt_site sites[GT_GOHOOKS_MAX];
		uint32_t value = 0;
		size_t count;
		int ret;

		if (layout->minor < hook->first || layout->minor > hook->last)
			continue;
		if ((hook->on && !(sets & hook->on)) || (sets & hook->off))
			continue;
		if (skip && !strcmp(skip, hook->function))
			continue;
		ret = find_sites(bin, hook, sites, GT_GOHOOKS_MAX - hooks->count, &count, &value, err);
		if (ret < 0 && (hook->needed == 1 || (hook->needed == IF_THERE && ret != -ENOENT) || ret == -ENOSPC))
			return gt_fail_prefix(err, ret == -ENOENT ? -ENOTSUP : ret, "cannot hook %s", hook->function);
		if (ret < 0) {
			hooks->missing[hooks->missing_count++] = hook->function;
			continue;
		}
		for (size_t j = 0; j < count; j++) {
			hooks->names[hooks->count] = hook->function;
			hooks->probes[hooks->count].template = stacks ? hook->stacks : hook->plain;
			hooks->probes[hooks->count].value = value;
			hooks->probes[hooks->count++].site = sites[j];
		}
	}
	return 0;
}

/* This version's own number of a reason; 0 when it has none. */
static uint64_t reason_number(const struct gt_golayout *layout, uint8_t reason)
{
	for (uint32_t i = 0; i < layout->reason_count; i++)
		if (layout->reasons[i] == reason)
			return i;
	return 0;
}

/* PARK_*: what a goroutine that waits for this reason waits for. */
static uint8_t park_class(uint8_t reason)
{
	switch (reason) {
	case GT_REASON_CHAN_RECEIVE:
	case GT_REASON_CHAN_SEND:
	case GT_REASON_SYNCTEST_RECEIVE:
	case GT_REASON_SYNCTEST_SEND:
		return PARK_CHAN;
	case GT_REASON_SELECT:
	case GT_REASON_SYNCTEST_SELECT:
		return PARK_SELECT;
	case GT_REASON_SYNC_MUTEX_LOCK:
		return PARK_MUTEX;
	case GT_REASON_SYNC_RWMUTEX_LOCK:
		return PARK_RWMUTEX_LOCK;
	case GT_REASON_SYNC_RWMUTEX_RLOCK:
		return PARK_RWMUTEX_RLOCK;
	case GT_REASON_SYNC_WAITGROUP_WAIT:
	case GT_REASON_SYNCTEST_WAITGROUP:
		return PARK_WAITGROUP;
	case GT_REASON_SEMACQUIRE:
		return PARK_SEMAPHORE;
	case GT_REASON_SYNC_COND_WAIT:
		return PARK_COND;
	case GT_REASON_IO_WAIT:
		return PARK_IO;
	case GT_REASON_SLEEP:
		return PARK_SLEEP;
	case GT_REASON_GC_ASSIST_WAIT:
	case GT_REASON_GC_SWEEP_WAIT:
	case GT_REASON_GC_SCAVENGE_WAIT:
	case GT_REASON_FINALIZER_WAIT:
	case GT_REASON_FORCE_GC_IDLE:
	case GT_REASON_WAIT_FOR_GC_CYCLE:
	case GT_REASON_GC_WORKER_IDLE:
	case GT_REASON_CLEANUP_WAIT:
		return PARK_GC;
	default:
		return PARK_NOTHING;
	}
}

void gt_gohooks_values(const struct gt_golayout *layout, struct gt_probe_values *values)
{
	const struct {
		enum gt_hole hole;
		int32_t offset;
	} fields[] = {
		{GT_HOLE_G_M, layout->g_m},
		{GT_HOLE_G_GOID, layout->g_goid},
		{GT_HOLE_G_STATUS, layout->g_atomicstatus},
		{GT_HOLE_G_WAITREASON, layout->g_waitreason},
		{GT_HOLE_G_SCHED_PC, layout->g_sched_pc},
		{GT_HOLE_G_SCHED_BP, layout->g_sched_bp},
		{GT_HOLE_G_STACK_LO, layout->g_stack_lo},
		{GT_HOLE_G_STACK_HI, layout->g_stack_hi},
		{GT_HOLE_G_PARENT, layout->g_parent_goid},
		{GT_HOLE_G_GOPC, layout->g_gopc},
		{GT_HOLE_G_STARTPC, layout->g_startpc},
		{GT_HOLE_G_COROARG, layout->g_coroarg},
		{GT_HOLE_G_COROEXIT, layout->g_coroexit},
		{GT_HOLE_CORO_GP, layout->coro_gp},
		{GT_HOLE_G_STACKGUARD0, layout->g_stackguard0},
		{GT_HOLE_G_WAITING, layout->g_waiting},
		{GT_HOLE_SUDOG_C, layout->sudog_c_value >= 0 ? layout->sudog_c_value : layout->sudog_c},
		{GT_HOLE_SUDOG_WAITLINK, layout->sudog_waitlink},
		{GT_HOLE_PD_FD, layout->polldesc_fd},
		{GT_HOLE_PD_RG, layout->polldesc_rg},
		{GT_HOLE_PD_WG, layout->polldesc_wg},
		{GT_HOLE_TIMER_WHEN, layout->timer_when},
		{GT_HOLE_TIMER_STATUS, layout->timer_status},
		{GT_HOLE_M_PROCID, layout->m_procid},
		{GT_HOLE_M_GSIGNAL, layout->m_gsignal},
		{GT_HOLE_M_CURG, layout->m_curg},
		{GT_HOLE_M_LOCKS, layout->m_locks},
		{GT_HOLE_M_P, layout->m_p},
		{GT_HOLE_M_ID, layout->m_id},
		{GT_HOLE_P_ID, layout->p_id},
		{GT_HOLE_M_PREEMPTOFF, layout->m_preemptoff},
		{GT_HOLE_GC_HEAP_LIVE, layout->gc_heap_live},
		{GT_HOLE_GC_STACK_BYTES, layout->gc_stack_bytes},
		{GT_HOLE_SPAN_NPAGES, layout->span_npages},
		{GT_HOLE_SPAN_ELEMSIZE, layout->span_elemsize},
		{GT_HOLE_SPAN_ALLOC_COUNT, layout->span_alloc_count},
	};
	bool own_syscalls = layout->minor >= 26;

	/* -1, a field that this version lacks, becomes 2^64 - 1: too big for its place, should a template still ask. */
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		values->holes[fields[i].hole] = (uint64_t)(int64_t)fields[i].offset;
	values->holes[GT_HOLE_KEY_SKIP_A] = own_syscalls ? 0x23 : NO_KEY;
	values->holes[GT_HOLE_KEY_SKIP_B] = own_syscalls ? 0x32 : NO_KEY;
	values->holes[GT_HOLE_KEY_SYSCALL] = own_syscalls ? NO_KEY : 0x23;
	values->holes[GT_HOLE_PREEMPTED] = reason_number(layout, GT_REASON_PREEMPTED);
	for (uint32_t i = 0; i < layout->reason_count; i++)
		values->holes[GT_HOLE_PARK0 + i / 8] |= (uint64_t)park_class(layout->reasons[i]) << i % 8 * 8;
}

#define REGION_BYTES 24 /* of runtime/trace.Region */

/* Go's copying of stacks stops the program at a pointer below; its heap lies above. */
#define POINTER_MIN 4096
#define POINTER_MAX UINT32_MAX

/* The bytes of a Region in what is never written to: no id, a name of no length that stands at *@name, where no other's does; 0 when
 * there are none. */
static uint64_t region_bytes(const struct gt_elf_image *image, uint64_t *name)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct gt_elf_segment *segment = &image->segments[i];
		const uint8_t *bytes;
		uint64_t left;

		if (segment->flags & PF_W)
			continue;
		bytes = gt_elf_from(image, segment->va, &left);
		for (uint64_t at = -segment->va & 7; bytes && at + REGION_BYTES <= left; at += 8) {
			uint64_t words[REGION_BYTES / 8];

			memcpy(words, bytes + at, sizeof(words));
			*name = words[1];
			if (!words[0] && !words[2] && words[1] > POINTER_MIN && words[1] < POINTER_MAX)
				return segment->va + at;
		}
	}
	return 0;
}

/* runtime/trace's tracing.enabled: the first thing of the program's data that both of these read. 0: it cannot be told. */
static uint64_t tracing_flag(struct gt_gobin *bin)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;
	struct gt_gofunction function;
	struct gt_error unused;
	struct gt__code code;
	ZydisDecoder decoder;
	ZyanU64 at = 0;

	if ((!gt_pclntab_find(bin->pclntab, "runtime/trace.StartRegion", &function) &&
		    !gt_pclntab_find(bin->pclntab, "runtime/trace.Logf", &function)) ||
		gt__code_decode(bin, &function, &code, &unused) < 0)
		return 0;
	gt__decoder_init(&decoder);
	for (uint32_t i = 0; i < code.count && !at; i++) {
		const struct gt__step *step = &code.steps[i];

		if (step->kind == GT__STEP_CALL || step->kind == GT__STEP_RET ||
			ZYAN_FAILED(ZydisDecoderDecodeFull(
				&decoder, code.bytes + step->offset, step->size, &instruction, operands)))
			break;
		for (unsigned int j = 0; j < instruction.operand_count_visible && !at; j++)
			if (operands[j].type == ZYDIS_OPERAND_TYPE_MEMORY &&
				operands[j].mem.base == ZYDIS_REGISTER_RIP && operands[j].size <= 32 &&
				operands[j].actions & ZYDIS_OPERAND_ACTION_MASK_READ)
				ZydisCalcAbsoluteAddress(&instruction, &operands[j], code.va + step->offset, &at);
	}
	gt__code_free(&code);
	for (uint32_t i = 0; at && i < bin->image.segment_count; i++) {
		const struct gt_elf_segment *segment = &bin->image.segments[i];

		if (segment->flags & PF_W && at >= segment->va && at - segment->va < segment->size)
			return at;
	}
	return 0;
}

/* Go 1.27's functions for small sizes take those below this away from mallocgc. */
#define SMALL_SIZES_END 81

void gt_gohooks_bin_values(struct gt_gobin *bin, uint64_t slide, uint32_t alloc_rate, struct gt_probe_values *values)
{
	struct gt_gofunction function;
	uint64_t name, tracing = tracing_flag(bin), region = region_bytes(&bin->image, &name);
	bool small = bin->minor >= 27 && gt_pclntab_find(bin->pclntab, "runtime.mallocgcTinySC2", &function);

	values->holes[GT_HOLE_ALLOC_MIN] = small ? SMALL_SIZES_END : 1;
	values->holes[GT_HOLE_ALLOC_RATE] = alloc_rate;
	values->holes[GT_HOLE_REGION] = region ? region + slide : 0;
	values->holes[GT_HOLE_REGION_NAME] = region ? name : 0;
	values->holes[GT_HOLE_TRACING] = tracing ? tracing + slide : 0;
}
