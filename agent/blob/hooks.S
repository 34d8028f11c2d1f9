/*
 * hooks.S - the code that a patched function of Go's runtime runs through.
 *
 * A template, from hook_NAME to hook_NAME_end, is copied once for each site; behind the copy follow the
 * site's own instructions and a jump back. What depends on the Go version or on where the memory lies is
 * an undefined symbol K_...: agent/probe.c writes its value into each copy. What templates share
 * (walk, thunk_*) is there once.
 *
 * Rules in here
 *   - No byte of the goroutine's stack is written: many of these functions are nosplit, and the linker has
 *     counted their stack.
 *   - R14 is the current g. RSP, RBP and the registers that the site's function still needs are
 *     kept: arguments at an entry (RAX, RBX, RCX at most, in the functions hooked here), results at a return.
 *     All others, and the flags, are dead at both in Go's ABIInternal. No vector register is touched.
 *   - Space is reserved by an xadd without lock: one instruction is atomic against this thread's own signals.
 *   - Nothing here may fault: pointers are Go's own, or checked, or into the shared memory.
 *
 * Registers by custom: r12 = m, then a record's last word; r13 = the M's line; r15 = the shared memory;
 * rsi = a record's word 1; r9 = its word 2; r11 = where a shared part jumps back to.
 */
#include "agent/blob/offsets.h"

#define KEY(old, new) ((old) << 4 | (new))

/* r12 = m, r13 = its line, r15 = the shared memory; to \none when it has no line. Scratch: rdi, or another. */
.macro LOAD_M none, scratch32=%edi, scratch=%rdi
	mov	K_G_M(%r14), %r12
	movabs	$K_SHM, %r15
	mov	K_M_ID(%r12), %r13
	mov	SHM_M_LIMIT(%r15), \scratch32
	cmp	\scratch, %r13
	jae	\none
	shl	$M_SHIFT, %r13
	lea	K_MS_OFFSET(%r15, %r13), %r13
.endm

/* What LOAD_M's \none usually is. */
.macro COUNT_NO_M out
	lock incq SHM_LOST_NO_M(%r15)
	jmp	\out
.endm

/* \id = the goid of \g; to \big when it does not fit a record. Scratch: rdi. */
.macro LOAD_GOID g, id, big
	mov	K_G_GOID(\g), \id
	mov	\id, %rdi
	shr	$40, %rdi
	jnz	\big
.endm

/* \reg (64 bit) |= old << 40 | new << 44, constants. Scratch: rdi. */
.macro OR_STATES reg, old, new
	movabs	$((\old) << 40 | (\new) << 44), %rdi
	or	%rdi, \reg
.endm

/* rdi = m.p's id + 1, 0 when it has none. */
.macro LOAD_P_ARG
	mov	K_M_P(%r12), %rdi
	test	%rdi, %rdi
	jz	.Lp_done\@
	mov	K_P_ID(%rdi), %edi
	inc	%edi
.Lp_done\@:
.endm

/* Reserves \size bytes; rdi = where. When the block is full: \full, with nothing reserved any more. Scratch: rdx. */
.macro RESERVE size, full
	mov	$\size, %edi
	xadd	%rdi, M_POS(%r13)
	lea	\size(%rdi), %rdx
	cmp	M_END(%r13), %rdx
	ja	\full
	lea	K_BLOCKS_OFFSET(%r15, %rdi), %rdi
.endm

/* Stamps and commits the record at rdi, whose payload is stored. RAX is kept in r8. Scratch: rdx. */
.macro COMMIT kind, cells
	mov	%rax, %r8
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	shl	$8, %rax
	or	$((\kind) << 3 | (\cells) << 1 | 1), %rax
	mov	%rax, (%rdi)
	addq	$((\cells) * 16), M_DONE(%r13)
	mov	%r8, %rax
.endm

/* The way out of line when a block is full: a new one, and again at \again, or the record is lost: \out. */
.macro FULL size, again, out
	lea	.Lfilled_\@(%rip), %r11
	mov	$\size, %edi
	jmp	thunk_refill
.Lfilled_\@:
	test	%r10d, %r10d
	jnz	\again
	jmp	\out
.endm

/* A record of 1 cell: word 1 = rsi. */
.macro EMIT1 kind, full
	RESERVE	16, \full
	mov	%rsi, 8(%rdi)
	COMMIT	\kind, 1
.endm

/* Of 1 cell, too, of the kind that r9d = WORD0_1(kind) tells. */
#define WORD0_1(kind) ((kind) << 3 | 1 << 1 | 1)
.macro EMIT1_KIND full
	RESERVE	16, \full
	mov	%rsi, 8(%rdi)
	mov	%rax, %r8
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	shl	$8, %rax
	or	%r9, %rax
	mov	%rax, (%rdi)
	addq	$16, M_DONE(%r13)
	mov	%r8, %rax
.endm

/* rsi, a goroutine's id, |= \reg << 40. */
.macro OR_SIDE reg
	shl	$G_BITS, \reg
	or	\reg, %rsi
.endm

/* A record of 2 cells: rsi, r9, r12. Its length stands there first: a reader may have to step over it. */
.macro EMIT2 kind, full
	RESERVE	32, \full
	movq	$(2 << 1), (%rdi)
	mov	%rsi, 8(%rdi)
	mov	%r9, 16(%rdi)
	mov	%r12, 24(%rdi)
	COMMIT	\kind, 2
.endm

.macro COUNT_BIG_G out
	lock incq SHM_LOST_BIG_G(%r15)
	jmp	\out
.endm

/* r9 = the stack id of \g, which has been switched away from (its state is in g.sched), or runs right here. */
.macro WALK_OTHER g
	mov	\g, %r12
	mov	K_G_SCHED_PC(\g), %rsi
	mov	K_G_SCHED_BP(\g), %rdi
	lea	.Lwalked\@(%rip), %r11
	cmp	%r14, \g
	jne	walk
	mov	(%rsp), %rsi
	mov	%rbp, %rdi
	jmp	walk
.Lwalked\@:
.endm

/* r9 = the stack id of the goroutine that runs; at a function's entry only. */
.macro WALK_SELF walk=walk
	mov	%r14, %r12
	mov	(%rsp), %rsi
	mov	%rbp, %rdi
	lea	.Lwalked\@(%rip), %r11
	jmp	\walk
.Lwalked\@:
.endm

.macro HOOK name
	.balign	16
	.globl	hook_\name, hook_\name\()_end
hook_\name:
.endm

.macro HOOK_END name
hook_\name\()_end:
.endm

	.section .hooks, "ax", @progbits

/* To \found, with r10 = where and r9 = what, when the M's hint there is one for goroutine rsi. Scratch: rdi. */
.macro HINT_FOR at, found
	lea	M_HINTS+\at(%r13), %r10
	mov	(%r10), %r9
	mov	%r9, %rdi
	xor	%rsi, %rdi
	shl	$SIDE_BITS, %rdi
	jz	\found
.endm

/* ---- casgstatus(gp, old, new): RAX, EBX, ECX ---- */

/* \objects: what the goroutine waits for, and what wakes it when no goroutine does (sys.S). */
.macro CASGSTATUS name, stacks, objects
HOOK \name
	mov	%ebx, %edx
	shl	$4, %edx
	or	%ecx, %edx
	.if	\stacks
	cmp	$KEY(2, 4), %edx
	je	.Lwait\@
	cmp	$KEY(4, 1), %edx
	je	.Lload\@
	cmp	$K_KEY_SYSCALL, %edx            /* 2 -> 3 where casgstatus does it */
	je	.Lsyscall\@
	.endif
	cmp	$K_KEY_SKIP_A, %edx
	je	.Lend\@
	cmp	$K_KEY_SKIP_B, %edx
	je	.Lend\@
.Lload\@:
	LOAD_M	.Lno_m\@
	LOAD_GOID %rax, %rsi, .Lbig_g\@
	cmp	$KEY(4, 1), %edx
	je	.Lwake\@
	cmp	$KEY(1, 2), %edx
	je	.Lrun\@
	cmp	$KEY(2, 1), %edx
	je	.Lyield\@
	cmp	$KEY(3, 2), %edx
	je	.Lleave\@
	.if	!\stacks
	cmp	$KEY(2, 4), %edx
	je	.Lwait_plain\@
	.endif
	jmp	.Lother\@

.Lno_m\@:
	COUNT_NO_M .Lend\@
.Lbig_g\@:
	COUNT_BIG_G .Lend\@
.Lfull1\@:
	FULL	16, .Lemit1_kind\@, .Lend\@
.Lfull2\@:
	FULL	32, .Lemit2\@, .Lend\@

	.if	\stacks
.Lsyscall\@:
	WALK_SELF
	LOAD_M	.Lno_m\@
	LOAD_GOID %rax, %rsi, .Lbig_g\@
	OR_SIDE	%r9
	mov	$WORD0_1(REC_ENTER), %r9d
	jmp	.Lemit1_kind\@
	.endif

	/* Rare changes: each state as Go numbers it -> as a record does. Changes to or from a state that a record
	 * does not know, and those that are none in its eyes, are left out. */
.Lother\@:
	cmp	$11, %ebx
	ja	.Lend\@
	cmp	$11, %ecx
	ja	.Lend\@
	mov	%rcx, %r8
	movabs	$0x644ff6f43210, %r9           /* 4 bits a state from the right: 0-4 as they are, 5 none, 6, 7 and 8 none, 9 and 10 -> 4, 11 -> 6 */
	shl	$2, %ecx
	mov	%r9, %r10
	shr	%cl, %r10
	and	$15, %r10d                      /* new */
	lea	(, %rbx, 4), %ecx
	shr	%cl, %r9
	and	$15, %r9d                       /* old */
	mov	%r8, %rcx
	cmp	$15, %r10d
	je	.Lend\@
	cmp	$15, %r9d
	je	.Lend\@
	cmp	%r9d, %r10d
	je	.Lend\@
	/* creation: newproc1's return tells it, with the goid */
	test	%r9d, %r9d
	jz	.Lend\@
	cmp	$6, %r9d
	jne	.Lstates\@
	cmp	$1, %r10d
	je	.Lend\@
	cmp	$4, %r10d
	je	.Lend\@
.Lstates\@:
	xor	%edi, %edi
	cmp	$2, %r10d
	jne	.Lreason\@
	LOAD_P_ARG
	jmp	.Larg\@
.Lreason\@:
	cmp	$4, %r10d
	jne	.Larg\@
	movzbl	K_G_WAITREASON(%rax), %edi
.Larg\@:
	shl	$44, %r10
	shl	$40, %r9
	or	%r10, %rsi
	or	%r9, %rsi
	shl	$48, %rdi
	or	%rdi, %rsi
	jmp	.Lemit1\@

	.if	\stacks
.Lwait\@:
	WALK_OTHER %rax
	LOAD_M	.Lno_m\@
	LOAD_GOID %rax, %rsi, .Lbig_g\@
	movzbl	K_G_WAITREASON(%rax), %edx
	shl	$48, %rdx
	or	%rdx, %rsi
	OR_STATES %rsi, 2, 4
	.if	\objects
	mov	M_OBJECT(%r13), %r12
	movq	$0, M_OBJECT(%r13)
	.else
	xor	%r12d, %r12d
	.endif
	jmp	.Lemit2\@
	.else
.Lwait_plain\@:
	movzbl	K_G_WAITREASON(%rax), %edx
	shl	$48, %rdx
	or	%rdx, %rsi
	OR_STATES %rsi, 2, 4
	.if	\objects
	xor	%r9d, %r9d
	mov	M_OBJECT(%r13), %r12
	movq	$0, M_OBJECT(%r13)
	jmp	.Lemit2\@
	.else
	jmp	.Lemit1\@
	.endif
	.endif

	.if	\objects
.Lcause\@:
	movzbl	K_G_WAITREASON(%rax), %edi
	and	$63, %edi
	lea	park_classes(%rip), %rdx
	movzbl	(%rdx, %rdi), %edi
	mov	$CAUSE_GC, %edx
	cmp	$PARK_GC, %edi
	je	.Lcaused\@
	mov	$CAUSE_TIMER, %edx
	cmp	$PARK_CHAN, %edi
	je	.Lcaused\@
	cmp	$PARK_SELECT, %edi
	je	.Lcaused\@
	cmp	$PARK_SLEEP, %edi
	je	.Lcaused\@
	cmp	$PARK_IO, %edi
	mov	$0, %edx
	jne	.Lcaused\@
	mov	M_DEADLINE(%r13), %rdi
	test	%rdi, %rdi
	jnz	.Ldeadline\@
	HINT_FOR 0, .Lhinted\@
	HINT_FOR 8, .Lhinted\@
	HINT_FOR 16, .Lhinted\@
	HINT_FOR 24, .Lhinted\@
	mov	$CAUSE_NETPOLL, %edx
.Lcaused\@:
	shl	$48, %rdx
	or	%rdx, %rsi
	OR_STATES %rsi, 4, 1
	jmp	.Lemit1\@
.Lhinted\@:
	movq	$0, (%r10)
	mov	%r9, %rsi
	mov	$WORD0_1(REC_POLLED), %r9d
	jmp	.Lemit1_kind\@
.Ldeadline\@:
	mov	$CAUSE_DEADLINE, %edx
	shl	$48, %rdx
	or	%rdx, %rsi
	lea	-1(%rdi), %r9
	shl	$32, %r9
	OR_STATES %rsi, 4, 1
	xor	%r12d, %r12d
	jmp	.Lemit2\@
	.endif

.Lwake\@:
	mov	K_M_CURG(%r12), %rdi
	test	%rdi, %rdi
	.if	\objects
	jz	.Lcause\@
	.else
	jz	.Lwake_alone\@
	.endif
	mov	K_G_GOID(%rdi), %r12
	mov	%r12, %rdi
	sub	%rsi, %rdi
	lea	(1 << (SIDE_BITS - 1))(%rdi), %rdx
	shr	$SIDE_BITS, %rdx
	jnz	.Lwake_far\@
	OR_SIDE	%rdi
	mov	$WORD0_1(REC_WOKEN), %r9d
	jmp	.Lemit1_kind\@
	.if	!\objects
.Lwake_alone\@:
	OR_STATES %rsi, 4, 1
	jmp	.Lemit1\@
	.endif
.Lwake_far\@:
	OR_STATES %rsi, 4, 1
	xor	%r9d, %r9d
.Lemit2\@:
	EMIT2	REC_STATE2, .Lfull2\@
	jmp	.Lend\@

.Lyield\@:
	OR_STATES %rsi, 2, 1
	mov	M_WHY(%r13), %edx
	mov	$(REASON_GOSCHED), %edi
	test	%edx, %edx
	jz	.Lyield_why\@
	movl	$0, M_WHY(%r13)
	lea	-1(%rdx), %edi
.Lyield_why\@:
	shl	$48, %rdi
	or	%rdi, %rsi
	jmp	.Lemit1\@

.Lrun\@:
	LOAD_P_ARG
	shl	$48, %rdi
	or	%rdi, %rsi
	OR_STATES %rsi, 1, 2
	jmp	.Lemit1\@

	/* With the P that wirep's hook left */
.Lleave\@:
	mov	M_TOOK(%r13), %edi
	movl	$0, M_TOOK(%r13)
	OR_SIDE	%rdi
	mov	$WORD0_1(REC_LEAVE), %r9d
	jmp	.Lemit1_kind\@
.Lemit1\@:
	mov	$WORD0_1(REC_STATE), %r9d
.Lemit1_kind\@:
	EMIT1_KIND .Lfull1\@
.Lend\@:
HOOK_END \name
.endm

	CASGSTATUS casgstatus_plain, 0, 0
	CASGSTATUS casgstatus_stacks, 1, 0
	CASGSTATUS casgstatus_objects_plain, 0, 1
	CASGSTATUS casgstatus_objects_stacks, 1, 1

/* ---- return of newproc1: RAX = newg, its goid, startpc and gopc are valid ---- */

.macro CREATE name, parent_field
HOOK \name
	test	%rax, %rax
	jz	.Lend\@
	LOAD_M	.Lno_m\@
	LOAD_GOID %rax, %rsi, .Lbig_g\@
	mov	K_G_STATUS(%rax), %edi
	and	$15, %edi                       /* a scan bit may be on */
	shl	$44, %rdi
	or	%rdi, %rsi
	.if	\parent_field
	mov	K_G_PARENT(%rax), %r12
	.else
	mov	K_M_CURG(%r12), %rdi
	xor	%r12d, %r12d
	test	%rdi, %rdi
	jz	.Lemit\@
	mov	K_G_GOID(%rdi), %r12
	.endif
	jmp	.Lemit\@
.Lno_m\@:
	COUNT_NO_M .Lend\@
.Lbig_g\@:
	COUNT_BIG_G .Lend\@
.Lfull\@:
	FULL	48, .Lemit\@, .Lend\@
.Lemit\@:
	RESERVE	48, .Lfull\@
	movq	$(3 << 1), (%rdi)
	mov	%rsi, 8(%rdi)
	mov	K_G_STARTPC(%rax), %rdx
	mov	%rdx, 16(%rdi)
	mov	K_G_GOPC(%rax), %rdx
	mov	%rdx, 24(%rdi)
	mov	%r12, 32(%rdi)
	movq	$0, 40(%rdi)
	COMMIT	REC_CREATE, 3
.Lend\@:
HOOK_END \name
.endm

	CREATE	create, 1
	CREATE	create_curg, 0                  /* before Go 1.21: no g.parentGoid; newproc1 runs on g0, curg is the parent */

/* ---- system calls, Go >= 1.26 (before, casgstatus sees them): g = R14 ---- */

.macro SYSCALL_ENTER name, stacks
HOOK \name
	.if	\stacks
	WALK_SELF
	.endif
	LOAD_M	.Lno_m\@
	LOAD_GOID %r14, %rsi, .Lbig_g\@
	.if	\stacks
	OR_SIDE	%r9
	.else
	OR_STATES %rsi, 2, 3
	.endif
	jmp	.Lemit\@
.Lno_m\@:
	COUNT_NO_M .Lend\@
.Lbig_g\@:
	COUNT_BIG_G .Lend\@
.Lfull\@:
	FULL	16, .Lemit\@, .Lend\@
.Lemit\@:
	.if	\stacks
	EMIT1	REC_ENTER, .Lfull\@
	.else
	EMIT1	REC_STATE, .Lfull\@
	.endif
.Lend\@:
HOOK_END \name
.endm

	SYSCALL_ENTER syscall_enter_plain, 0
	SYSCALL_ENTER syscall_enter_stacks, 1

HOOK syscall_exit
	LOAD_M	.Lexit_no_m
	LOAD_GOID %r14, %rsi, .Lexit_big_g
	OR_STATES %rsi, 3, 2
	jmp	.Lexit_emit
.Lexit_no_m:
	COUNT_NO_M .Lexit_end
.Lexit_big_g:
	COUNT_BIG_G .Lexit_end
.Lexit_full:
	FULL	16, .Lexit_emit, .Lexit_end
.Lexit_emit:
	EMIT1	REC_STATE, .Lexit_full
.Lexit_end:
HOOK_END syscall_exit

/* ---- preemptPark(gp): RAX. running -> waiting, whose own steps pass casgstatus by ---- */

.macro PREEMPT_PARK name, stacks
HOOK \name
	.if	\stacks
	WALK_OTHER %rax
	.endif
	LOAD_M	.Lno_m\@
	LOAD_GOID %rax, %rsi, .Lbig_g\@
	OR_STATES %rsi, 2, 4
	mov	$K_PREEMPTED, %edi
	shl	$48, %rdi
	or	%rdi, %rsi
	xor	%r12d, %r12d
	jmp	.Lemit\@
.Lno_m\@:
	COUNT_NO_M .Lend\@
.Lbig_g\@:
	COUNT_BIG_G .Lend\@
.Lfull\@:
	FULL	(16*(1+\stacks)), .Lemit\@, .Lend\@
.Lemit\@:
	.if	\stacks
	EMIT2	REC_STATE2, .Lfull\@
	.else
	EMIT1	REC_STATE, .Lfull\@
	.endif
.Lend\@:
HOOK_END \name
.endm

	PREEMPT_PARK preempt_park_plain, 0
	PREEMPT_PARK preempt_park_stacks, 1

/* ---- coroswitch_m(gp): RAX ---- */

.macro COROSWITCH name, stacks
HOOK \name
	.if	\stacks
	WALK_OTHER %rax
	.else
	xor	%r9d, %r9d
	.endif
	LOAD_M	.Lno_m\@
	LOAD_GOID %rax, %rsi, .Lbig_g\@
	LOAD_P_ARG
	shl	$32, %rdi
	or	%rdi, %r9
	movzbl	K_G_COROEXIT(%rax), %edi
	and	$1, %edi
	shl	$40, %rdi
	or	%rdi, %rsi
	mov	K_G_COROARG(%rax), %rdi
	xor	%r12d, %r12d
	test	%rdi, %rdi
	jz	.Lemit\@
	mov	K_CORO_GP(%rdi), %rdi
	test	%rdi, %rdi
	jz	.Lemit\@
	mov	K_G_GOID(%rdi), %r12
	jmp	.Lemit\@
.Lno_m\@:
	COUNT_NO_M .Lend\@
.Lbig_g\@:
	COUNT_BIG_G .Lend\@
.Lfull\@:
	FULL	32, .Lemit\@, .Lend\@
.Lemit\@:
	EMIT2	REC_CORO, .Lfull\@
.Lend\@:
HOOK_END \name
.endm

	COROSWITCH coroswitch_plain, 0
	COROSWITCH coroswitch_stacks, 1

/* ---- why the next running -> runnable happens: no record ---- */

.macro WHY name, reason
HOOK \name
	.ifc	\name, why_gosched              /* goschedImpl(gp, preempted): BL */
	test	%bl, %bl
	jz	.Lend\@
	.endif
	LOAD_M	.Lend\@
	movl	$(\reason + 1), M_WHY(%r13)
.Lend\@:
HOOK_END \name
.endm

	WHY	why_gosched, REASON_PREEMPT
	WHY	why_preempt, REASON_PREEMPT
	WHY	why_no_p, REASON_SYSCALL_NO_P

/* ---- Ps and Ms: word 1 = what | (p + 1 or tid) << 8. Some run before there is a g. ---- */

.macro THING name, kind, what
HOOK \name
	test	%r14, %r14
	jz	.Lend\@
	LOAD_M	.Lno_m\@
	.ifc	\kind, REC_THREAD
	mov	K_M_PROCID(%r12), %esi
	test	%esi, %esi
	jz	.Ltid\@
	mov	%esi, M_TID(%r13)
.Ltid\@:
	.else
	.ifc	\name, p_stop
	mov	K_M_P(%r12), %rdi
	.else
	mov	%rax, %rdi
	.endif
	test	%rdi, %rdi
	jz	.Lend\@
	.ifc	\name, p_take                  /* by one that leaves a system call: told with that */
	cmp	K_M_CURG(%r12), %r14
	jne	.Lalone\@
	mov	K_G_STATUS(%r14), %edx
	and	$15, %edx
	cmp	$3, %edx
	jne	.Lalone\@
	mov	K_P_ID(%rdi), %edx
	inc	%edx
	mov	%edx, %esi
	shr	$SIDE_BITS, %esi
	jnz	.Lalone\@
	mov	%edx, M_TOOK(%r13)
	jmp	.Lend\@
.Lalone\@:
	movl	$0, M_TOOK(%r13)                /* whatever was left by one whose record could not be */
	.endif
	mov	K_P_ID(%rdi), %esi
	inc	%esi
	.endif
	shl	$8, %rsi
	or	$\what, %rsi
	jmp	.Lemit\@
.Lno_m\@:
	COUNT_NO_M .Lend\@
.Lfull\@:
	FULL	16, .Lemit\@, .Lend\@
.Lemit\@:
	EMIT1	\kind, .Lfull\@
.Lend\@:
HOOK_END \name
.endm

	THING	p_start, REC_SLOT, SLOT_START
	THING	p_take, REC_SLOT, SLOT_START
	THING	p_stop, REC_SLOT, SLOT_STOP
	THING	p_idle, REC_SLOT, SLOT_IDLE
	THING	m_start, REC_THREAD, THREAD_START
	THING	m_idle, REC_THREAD, THREAD_IDLE
	THING	m_end, REC_THREAD, THREAD_END

#include "agent/blob/gc_hooks.S"
#include "agent/blob/marks_hooks.S"
#include "agent/blob/sys.S"
#include "agent/blob/stubs.S"

/* ==== shared parts: jumped to, jump back to r11 ==== */

	.text

/* By wait reason: PARK_*. */
	.balign	8
park_classes:
	.quad	K_PARK0, K_PARK1, K_PARK2, K_PARK3, K_PARK4, K_PARK5, K_PARK6, K_PARK7

/*
 * A walk takes the frame rsi = pc, \fp = its frame pointer into the hash rdx: rsi and \next are its caller's then. To \hashed when it was the
 * last that may be taken, or is none. r13 = the text, r12 = the last place in the stack where a frame pointer and a return address can be,
 * r10d = frames that may be taken. Two of them make a turn, each with the other's registers, so that none has to be moved.
 */
.macro WALK_FRAME fp, next, hashed, outermost
	sub	%r13, %rsi
	cmp	$K_TEXT_SIZE, %rsi
	jae	\hashed
	add	%rsi, %rdx
	imul	$STACK_HASH_MULTIPLY, %rdx, %rdx
	dec	%r10d
	jz	\hashed
	cmp	%r12, \fp
	ja	\hashed
	mov	8(\fp), %rsi
	mov	(\fp), \next
	cmp	\fp, \next
	jbe	\outermost
.endm

/*
 * The id of a stack: rsi = innermost pc, rdi = frame pointer, r12 = its g -> r9, 0 when there is none.
 * Clobbers rdx rsi rdi r8 r10 r12 r13 r15. Frame pointers must lie in g's stack and grow. The hash says how deep it may be: \mark.
 */
.macro WALK name, depth, mark
	.balign	32
\name:
	mov	%rsi, %r8
	mov	%rdi, %r9
	movabs	$K_TEXT, %r13
	mov	$STACK_HASH_SEED, %edx
	mov	$\depth, %r10d
	cmp	K_G_STACK_LO(%r12), %rdi
	mov	K_G_STACK_HI(%r12), %r12
	jb	.Lonly_pc\@
	cmp	%r12, %rdi
	jb	.Linside\@
.Lonly_pc\@:
	mov	$1, %r10d
	xor	%r12d, %r12d                    /* the stack's end, as thunk_stack tells it: no frame pointer is below */
.Linside\@:
	sub	$16, %r12
.Lframe\@:
	WALK_FRAME %rdi, %r15, .Lhashed\@, .Loutermost\@
	WALK_FRAME %r15, %rdi, .Lhashed\@, .Loutermost\@
	jmp	.Lframe\@
.Loutermost\@:
	mov	$1, %r10d                       /* its pc is the last */
	jmp	.Lframe\@
.Lhashed\@:
	cmp	$STACK_HASH_SEED, %rdx
	je	.Lno_stack\@
	mov	%rdx, %r15
	shr	$32, %r15
	xor	%r15, %rdx
	and	$~3, %rdx
	or	$(2 + \mark), %rdx              /* neither 0, free, nor 1, slot 0's */
	movabs	$K_STACKS, %r13
	mov	$STACK_PROBES, %r10d
	mov	%edx, %edi
	shr	$2, %edi
.Lprobe\@:
	and	$K_STACK_MASK, %edi
	mov	%edi, %r15d
	shl	$STACK_SLOT_SHIFT, %r15
	mov	(%r13, %r15), %r15
	cmp	%rdx, %r15
	je	.Lfound\@
	test	%r15, %r15
	jz	thunk_stack
	inc	%edi
	dec	%r10d
	jnz	.Lprobe\@
	movabs	$K_SHM, %r15
	lock incq SHM_STACKS_LOST(%r15)
.Lno_stack\@:
	xor	%r9d, %r9d
	jmp	*%r11
.Lfound\@:
	mov	%edi, %r9d
	jmp	*%r11
.endm

	WALK	walk, K_DEPTH, 0
	WALK	walk_alloc, K_DEPTH_ALLOC, STACK_OF_ALLOC

/* r10 = a private stack, ours until its first word is 0 again; to \none after a few tries. Needs r15 = the shared
 * memory. A handler on gsignal gets none: what it interrupted may be in the midst of the same. Scratch: rdx r8; edi keeps its low 16
 * bits, its high ones must be 0. */
.macro SPILL_TAKE none
	mov	K_G_M(%r14), %rdx
	cmp	K_M_GSIGNAL(%rdx), %r14
	je	\none
	mov	K_M_ID(%rdx), %r8d
	add	$(SPILL_TRIES << 16), %edi
.Ltry\@:
	and	$K_SPILL_MASK, %r8d
	mov	%r8, %r10
	shl	$SPILL_SHIFT, %r10
	lea	K_SPILL_OFFSET(%r15, %r10), %r10
	mov	$1, %edx
	xchg	%rdx, (%r10)
	test	%rdx, %rdx
	jz	.Ltaken\@
	inc	%r8d
	sub	$(1 << 16), %edi
	cmp	$(1 << 16), %edi
	jae	.Ltry\@
	jmp	\none
.Ltaken\@:
.endm

/*
 * The block of the M's line r13 has no room for edi bytes, which are still reserved and end at rdx. r10 = 1: there may be
 * room now. 0: the record is lost, and counted. Keeps all but rdx rdi r8 r10.
 */
thunk_refill:
	cmp	%rdx, M_POS(%r13)
	jne	.Lrefill_behind
	sub	%rdi, M_POS(%r13)
	SPILL_TAKE .Lrefill_none
	lea	SPILL_BYTES(%r10), %rdx
	xchg	%rsp, %rdx
	push	%rdx
	push	%r10
	push	%rax
	push	%rcx
	push	%rsi
	push	%r9
	push	%r11
	push	%r12
	movzwl	%di, %ecx
	mov	%r15, %rdi
	mov	%r13, %rsi
	mov	K_G_M(%r14), %r8
	mov	K_M_ID(%r8), %edx
	mov	K_M_PROCID(%r8), %r8d
	call	gt_slow_refill
	mov	%eax, %edx
	pop	%r12
	pop	%r11
	pop	%r9
	pop	%rsi
	pop	%rcx
	pop	%rax
	pop	%r10
	pop	%rsp
	movq	$0, (%r10)
	mov	%edx, %r10d
	jmp	*%r11
	/* A handler's record stands behind the place: there was room for both, then a thief cleared the end (refill.h, invariant
	 * 5). The place is not given back but filled with a record that says nothing. It lies in our block: no thief takes that while done != pos. */
.Lrefill_behind:
	sub	%rdi, %rdx
	lea	K_BLOCKS_OFFSET(%r15, %rdx), %r10
	mov	%rax, %r8
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	shl	$8, %rax
	mov	%edi, %edx
	shr	$3, %edx                        /* cells << 1 */
	lea	REC_VOID << 3 | 1(%rax, %rdx), %rax
	mov	%rax, (%r10)
	add	%rdi, M_DONE(%r13)
	mov	%r8, %rax
	mov	$1, %r10d
	jmp	*%r11
.Lrefill_none:
	lock incq SHM_LOST_SPILL(%r15)
	xor	%r10d, %r10d
	jmp	*%r11

/* A stack that is not in the table: r8 = pc, r9 = frame pointer, rdx = hash, r12 = the stack's end less 16 -> r9 = its id or 0. */
thunk_stack:
	mov	%r8, %rsi
	mov	%rdx, %r13
	movabs	$K_SHM, %r15
	xor	%edi, %edi
	SPILL_TAKE .Lstack_none
	lea	SPILL_BYTES(%r10), %rdx
	xchg	%rsp, %rdx
	push	%rdx
	push	%r10
	push	%rax
	push	%rcx
	push	%r11
	push	%r11
	mov	%r15, %rdi
	mov	%r9, %rdx
	mov	%r9, %rcx
	lea	16(%r12), %r8
	mov	%r13, %r9
	movabs	$K_TEXT, %rax
	push	$K_TEXT_SIZE
	push	%rax
	call	gt_slow_stack
	mov	%eax, %r9d
	add	$16, %rsp
	pop	%r11
	pop	%r11
	pop	%rcx
	pop	%rax
	pop	%r10
	pop	%rsp
	movq	$0, (%r10)
	jmp	*%r11
.Lstack_none:
	lock incq SHM_LOST_SPILL(%r15)
	xor	%r9d, %r9d
	jmp	*%r11

/*
 * A mark, r12d = which: gt_slow_mark gets all arguments of the function that is hooked, and writes the record. All of them are kept.
 */
thunk_mark:
	mov	%rdi, %r9
	movabs	$K_SHM, %r15
	xor	%edi, %edi
	SPILL_TAKE .Lmark_none
	lea	SPILL_BYTES(%r10), %rdx
	xchg	%rsp, %rdx
	push	%rdx
	push	%r10
	push	%rax
	push	%rbx
	push	%rcx
	push	%r9
	push	%rsi
	push	%r11
	push	%r12
	push	%r12
	mov	%r15, %rdi
	mov	%rsp, %rsi
	mov	K_G_M(%r14), %rax
	mov	%r14, %rdx
	mov	K_G_GOID(%r14), %rcx
	mov	K_M_ID(%rax), %r8
	mov	K_M_PROCID(%rax), %r9d
	call	gt_slow_mark
	pop	%r12
	pop	%r12
	pop	%r11
	pop	%rsi
	pop	%rdi
	pop	%rcx
	pop	%rbx
	pop	%rax
	pop	%r10
	pop	%rsp
	movq	$0, (%r10)
	jmp	*%r11
.Lmark_none:
	lock incq SHM_LOST_SPILL(%r15)
	mov	%r9, %rdi
	jmp	*%r11

	.section .note.GNU-stack, "", @progbits
