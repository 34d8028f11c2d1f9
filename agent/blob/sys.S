/*
 * sys.S - a part of hooks.S: system calls, what a goroutine waits for, timers.
 *
 * The hook at gopark looks what its goroutine is about to wait for and leaves that in the M's line; casgstatus' hook, the
 * next on this M (nothing between can be preempted), puts it into the record of the wait. Where gopark's arguments do not
 * tell, a hook of the function that calls it has left a value in the line before.
 */

/* A record of @cells, whose place is in r10; to \full, with nothing reserved, when the block is. For functions whose arguments
 * (RAX, RBX, RCX, RDI, RSI, R8, R9) are needed still. Scratch: rdx. */
.macro RESERVE_KEEP cells, full
	mov	$((\cells) * 16), %r10d
	xadd	%r10, M_POS(%r13)
	lea	((\cells) * 16)(%r10), %rdx
	cmp	M_END(%r13), %rdx
	ja	\full
	lea	K_BLOCKS_OFFSET(%r15, %r10), %r10
.endm

/* As COMMIT, for r10. Scratch: rdx r11. */
.macro COMMIT_KEEP kind, cells
	mov	%rax, %r11
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	shl	$8, %rax
	or	$((\kind) << 3 | (\cells) << 1 | 1), %rax
	mov	%rax, (%r10)
	addq	$((\cells) * 16), M_DONE(%r13)
	mov	%r11, %rax
.endm

/* ---- Syscall6(number, 6 arguments): RAX, RBX, RCX, RDI, RSI, R8, R9 ---- */

/* To \out on a signal's stack: what it interrupted may be in the kernel already, and calls do not nest. */
.macro LOAD_M_OF_CALL none, out
	test	%r14, %r14
	jz	\out
	mov	K_G_M(%r14), %r12
	cmp	K_M_GSIGNAL(%r12), %r14
	je	\out
	LOAD_M	\none, %r10d, %r10
.endm

/*
 * A child that was forked shares this memory but for its own stack and heap, where g and m are. One of vfork uses our line while its
 * parent stands still; another would be a second writer. So from BeforeFork to AfterFork (which a child never comes to) nothing is
 * recorded. Two marks say so:
 *   g.stackguard0   is what BeforeFork made it: the child's own too. sysmon, asking for preemption, may have written over it
 *   M_FORK          is this g, from BeforeFork's return to AfterFork: the child's too, while its parent stands still
 * A child with a memory of its own, whose mark sysmon took before the fork, has neither when its parent is through. Where that
 * can have been (fork_end), FORK_UNSURE stays, and from then on a g that is asked to give way and holds a lock of the runtime's is left out.
 * r12: m, r13: its line. Scratch: r11, flags.
 */
.macro NOT_FORKING out
	cmpq	$STACK_FORK, K_G_STACKGUARD0(%r14)
	je	\out
	mov	M_FORK(%r13), %r11
	test	%r11, %r11
	jz	.Lnot_forking\@
	and	$~FORK_SHARES, %r11
	cmp	%r14, %r11
	je	\out
	cmp	$FORK_UNSURE, %r11
	jne	.Lnot_forking\@
	cmpq	$STACK_PREEMPT, K_G_STACKGUARD0(%r14)
	jne	.Lnot_forking\@
	cmp	K_M_CURG(%r12), %r14
	jne	.Lnot_forking\@
	cmpl	$0, K_M_LOCKS(%r12)
	jne	\out
.Lnot_forking\@:
.endm

/* Returns of BeforeFork() */
HOOK fork_begin
	LOAD_M	.Lfork_begin_end
	cmpq	$FORK_UNSURE, M_FORK(%r13)
	je	.Lfork_begin_end
	mov	K_M_CURG(%r12), %rdi
	mov	%rdi, M_FORK(%r13)
.Lfork_begin_end:
HOOK_END fork_begin

/* rawVforkSyscall(number, flags, ...), on the stack; clone3's flags are the first of its struct */
HOOK fork_clone
	LOAD_M	.Lfork_clone_end
	mov	16(%rsp), %rdi
	cmpl	$CALL_CLONE3, 8(%rsp)
	jne	.Lfork_clone_flags
	mov	(%rdi), %rdi
.Lfork_clone_flags:
	test	$CLONE_VM, %edi
	jz	.Lfork_clone_end
	cmpq	$FORK_UNSURE, M_FORK(%r13)
	jbe	.Lfork_clone_end
	orq	$FORK_SHARES, M_FORK(%r13)
.Lfork_clone_end:
HOOK_END fork_clone

/* AfterFork(), of the parent alone */
HOOK fork_end
	LOAD_M	.Lfork_end_end
	mov	M_FORK(%r13), %rdi
	cmp	$FORK_UNSURE, %rdi
	je	.Lfork_end_end
	xor	%esi, %esi
	test	$FORK_SHARES, %dil
	jnz	.Lfork_end_store
	mov	K_M_CURG(%r12), %rdx
	test	%rdx, %rdx
	jz	.Lfork_end_store
	cmpq	$STACK_FORK, K_G_STACKGUARD0(%rdx)
	je	.Lfork_end_store
	mov	$FORK_UNSURE, %esi
.Lfork_end_store:
	mov	%rsi, M_FORK(%r13)
.Lfork_end_end:
HOOK_END fork_end

/* exit_group is left out: a program's own end is runtime.exit; here it is a child's, of one that was forked to see whether it can be. */
HOOK call_enter
	cmp	$CALL_EXIT_GROUP, %eax
	je	.Lenter_end
	LOAD_M_OF_CALL .Lenter_no_m, .Lenter_end
	NOT_FORKING .Lenter_end
	movzwl	%ax, %r10d
	inc	%r10d
	mov	%r10d, M_CALL(%r13)
	cmpq	$0, SHM_CALL_TICKS_MIN(%r15)
	jne	.Lenter_time
	mov	K_G_GOID(%r14), %r12
	mov	%r12, %r10
	shr	$40, %r10
	jnz	.Lenter_big_g
	shl	$8, %r12
	or	$CALL_ENTER, %r12
	movzwl	%ax, %r10d
	shl	$48, %r10
	or	%r10, %r12
.Lenter_emit:
	RESERVE_KEEP 2, .Lenter_full
	movq	$(2 << 1), (%r10)
	mov	%r12, 8(%r10)
	mov	%rbx, 16(%r10)
	mov	%rdi, 24(%r10)
	COMMIT_KEEP REC_SYSCALL, 2
	jmp	.Lenter_end
.Lenter_time:
	mov	%rax, %r11
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, M_CALL_TICKS(%r13)
	mov	%r11, %rax
	jmp	.Lenter_end
.Lenter_no_m:
	COUNT_NO_M .Lenter_end
.Lenter_big_g:
	COUNT_BIG_G .Lenter_end
.Lenter_full:
	mov	%rdi, M_CALL_TICKS(%r13)
	mov	%r8, M_PENDING(%r13)
	lea	.Lenter_again(%rip), %r11
	mov	$32, %edi
	jmp	thunk_refill
.Lenter_again:
	mov	M_CALL_TICKS(%r13), %rdi
	mov	M_PENDING(%r13), %r8
	test	%r10d, %r10d
	jnz	.Lenter_emit
.Lenter_end:
HOOK_END call_enter

/* Behind the syscall instruction: RAX is its result, RDX the second one; RDI still the first argument. RBX, RCX and all others are
 * dead: the function sets them. */
.macro CALL_EXIT name, stacks
HOOK \name
	LOAD_M_OF_CALL .Lend\@, .Lend\@
	mov	M_CALL(%r13), %ecx
	test	%ecx, %ecx
	jz	.Lend\@
	NOT_FORKING .Lend\@
	movl	$0, M_CALL(%r13)
	dec	%ecx
	mov	%rdx, %rbx
	mov	%rax, %r9
	mov	SHM_CALL_TICKS_MIN(%r15), %r10
	test	%r10, %r10
	jnz	.Llong\@
	xor	%r12d, %r12d
	.if	\stacks
	mov	K_G_STATUS(%r14), %r10d
	and	$15, %r10d
	cmp	$3, %r10d                       /* of a blocking one GoSyscall told the stack */
	je	.Lword\@
	cmpq	$0, K_G_GOID(%r14)
	je	.Lword\@
	WALK_SELF
	LOAD_M	.Lrestore\@
	mov	%r9, %r12
	mov	%rax, %r9
	.endif
.Lword\@:
	mov	K_G_GOID(%r14), %rsi
	mov	%rsi, %rdi
	shr	$40, %rdi
	jnz	.Lbig_g\@
	shl	$8, %rsi
	or	$CALL_LEAVE, %rsi
	shl	$48, %rcx
	or	%rcx, %rsi
.Lemit2\@:
	EMIT2	REC_SYSCALL, .Lfull2\@
	jmp	.Lrestore\@

.Llong\@:
	rdtsc
	shl	$32, %rdx
	or	%rax, %rdx
	mov	%r9, %rax
	sub	M_CALL_TICKS(%r13), %rdx
	cmp	%r10, %rdx
	jb	.Lrestore\@
	mov	%rdx, %r12
	mov	K_G_GOID(%r14), %rsi
	mov	%rsi, %r10
	shr	$40, %r10
	jnz	.Lbig_g\@
	shl	$8, %rsi
	or	$CALL_LONG, %rsi
	shl	$48, %rcx
	or	%rcx, %rsi
	mov	%rdi, %rcx
.Lemit3\@:
	RESERVE	48, .Lfull3\@
	movq	$(3 << 1), (%rdi)
	mov	%rsi, 8(%rdi)
	mov	%r9, 16(%rdi)
	mov	%rcx, 24(%rdi)
	mov	%rbx, 32(%rdi)
	mov	%r12, 40(%rdi)
	COMMIT	REC_SYSCALL, 3
	jmp	.Lrestore\@
.Lbig_g\@:
	COUNT_BIG_G .Lrestore\@
.Lfull2\@:
	FULL	32, .Lemit2\@, .Lrestore\@
.Lfull3\@:
	FULL	48, .Lemit3\@, .Lrestore\@
.Lrestore\@:
	mov	%rbx, %rdx
.Lend\@:
HOOK_END \name
.endm

	CALL_EXIT call_exit_plain, 0
	CALL_EXIT call_exit_stacks, 1

/* ---- what a goroutine waits for ---- */

/* gopark(unlockf, lock, reason, ...): RAX, RBX, CL, RDI, RSI. Leaves the object's word in the M's line. */
HOOK park
	LOAD_M	.Lpark_end, %r10d, %r10
	movzbl	%cl, %r10d
	and	$63, %r10d
	lea	park_classes(%rip), %r11
	movzbl	(%r11, %r10), %r10d
	xor	%r12d, %r12d
	cmp	$PARK_SEMAPHORE, %r10d
	ja	.Lpark_others
	cmp	$PARK_CHAN, %r10d
	jb	.Lpark_store
	ja	.Lpark_semaphores
	mov	K_G_WAITING(%r14), %r11
	test	%r11, %r11
	jz	.Lpark_store
	mov	K_SUDOG_C(%r11), %r12
	mov	$OBJECT_CHAN, %r11d
	jmp	.Lpark_word

.Lpark_semaphores:                              /* the address of the word in the lock that they sleep at */
	mov	M_PENDING(%r13), %r12
	mov	$OBJECT_SEMAPHORE, %r11d
	cmp	$PARK_SEMAPHORE, %r10d
	je	.Lpark_word
	sub	$4, %r12
	mov	$OBJECT_MUTEX, %r11d
	cmp	$PARK_MUTEX, %r10d
	je	.Lpark_word
	sub	$4, %r12
	mov	$OBJECT_WAITGROUP, %r11d
	cmp	$PARK_WAITGROUP, %r10d
	je	.Lpark_word
	mov	$OBJECT_RWMUTEX, %r11d
	cmp	$PARK_RWMUTEX_LOCK, %r10d
	je	.Lpark_word
	sub	$4, %r12                        /* RLock */
	jmp	.Lpark_word

.Lpark_others:
	cmp	$PARK_SELECT, %r10d
	je	.Lpark_select
	cmp	$PARK_IO, %r10d
	je	.Lpark_io
	cmp	$PARK_SLEEP, %r10d
	je	.Lpark_sleep
	cmp	$PARK_COND, %r10d
	jne	.Lpark_store
	lea	-24(%rbx), %r12                 /* lock is its notifyList's */
	mov	$OBJECT_COND, %r11d
	jmp	.Lpark_word

.Lpark_io:                                      /* lock: pollDesc.rg or .wg */
	mov	M_PENDING(%r13), %r11
	mov	%rbx, %r10
	sub	%r11, %r10
	cmp	$K_PD_RG, %r10
	je	.Lpark_read
	cmp	$K_PD_WG, %r10
	jne	.Lpark_store
	mov	K_PD_FD(%r11), %r12
	mov	$OBJECT_FD_WRITE, %r11d
	jmp	.Lpark_word
.Lpark_read:
	mov	K_PD_FD(%r11), %r12
	mov	$OBJECT_FD_READ, %r11d
	jmp	.Lpark_word

.Lpark_sleep:
	mov	$OBJECT_SLEEP, %r11d
	cmp	M_PENDING_G(%r13), %r14
	jne	.Lpark_word
	mov	M_PENDING(%r13), %r12
.Lpark_word:
	shl	$16, %r12
	shr	$16, %r12
	shl	$48, %r11
	or	%r11, %r12
.Lpark_store:
	mov	%r12, M_OBJECT(%r13)
	jmp	.Lpark_end

	/* The first channels, each by a record; then how many. The list holds while the goroutine has locked them all. */
.Lpark_select:
	mov	K_G_GOID(%r14), %r10
	shr	$40, %r10
	jnz	.Lpark_store                    /* casgstatus counts it */
	mov	K_G_WAITING(%r14), %r12
	mov	%rdi, %r9
	movq	$0, M_PENDING(%r13)
.Lpark_next:
	test	%r12, %r12
	jz	.Lpark_selected
	mov	M_PENDING(%r13), %r10
	inc	%r10
	mov	%r10, M_PENDING(%r13)
	cmp	$SELECT_MAX, %r10
	jae	.Lpark_selected
	cmp	$SELECT_TOLD, %r10
	ja	.Lpark_told
.Lpark_emit:
	RESERVE_KEEP 2, .Lpark_full
	movq	$(2 << 1), (%r10)
	mov	K_G_GOID(%r14), %rdx
	mov	%rdx, 8(%r10)
	movq	$0, 16(%r10)
	mov	K_SUDOG_C(%r12), %rdx
	shl	$16, %rdx
	shr	$16, %rdx
	bts	$48, %rdx                       /* OBJECT_CHAN */
	mov	%rdx, 24(%r10)
	COMMIT_KEEP REC_OBJECT, 2
.Lpark_told:
	mov	K_SUDOG_WAITLINK(%r12), %r12
	jmp	.Lpark_next
.Lpark_full:
	lea	.Lpark_again(%rip), %r11
	mov	$32, %edi
	jmp	thunk_refill
.Lpark_again:
	test	%r10d, %r10d
	jnz	.Lpark_emit
	jmp	.Lpark_told
.Lpark_selected:
	mov	%r9, %rdi
	mov	M_PENDING(%r13), %r12
	mov	$OBJECT_SELECT, %r11d
	jmp	.Lpark_word
.Lpark_end:
HOOK_END park

/* What gopark's arguments do not tell. semaRoot.queue(root, addr, ...): root is locked until gopark. netpollblock(pd, ...).
 * time.Sleep(ns): may come to gopark on another M, so the goroutine is noted too. */
.macro PENDING name, value, g=0
HOOK \name
	LOAD_M	.Lend\@, %r10d, %r10
	mov	\value, M_PENDING(%r13)
	.if	\g
	mov	%r14, M_PENDING_G(%r13)
	.endif
.Lend\@:
HOOK_END \name
.endm

	PENDING	pending_semaphore, %rbx
	PENDING	pending_fd, %rax
	PENDING	pending_sleep, %rax, 1

/* ---- what wakes it ---- */

/* rdx = this place for a hint when it is free; when it holds one for goroutine rsi. Scratch: r10 r11. */
.macro FREE_HINT at
	lea	M_HINTS+\at(%r13), %r10
	cmpq	$0, (%r10)
	cmove	%r10, %rdx
.endm
.macro OLD_HINT at
	lea	M_HINTS+\at(%r13), %r10
	mov	(%r10), %r11
	xor	%rsi, %r11
	shl	$SIDE_BITS, %r11
	cmovz	%r10, %rdx
.endm

/*
 * Goroutine rsi's wake-up, which follows on this M, will tell of descriptor r9. Else, with many at once, a record has to. The hint of one that
 * another M wakes first stays: until the next for the same goroutine. rax rbx rcx r9 r12 r13 r15 are kept.
 */
.macro TELL_HINT
	mov	%r9, %r8
	mov	%r9, %rdi
	shl	$G_BITS, %r8
	or	%rsi, %r8
	xor	%edx, %edx
	FREE_HINT 0
	FREE_HINT 8
	FREE_HINT 16
	FREE_HINT 24
	OLD_HINT 0
	OLD_HINT 8
	OLD_HINT 16
	OLD_HINT 24
	shr	$SIDE_BITS, %rdi
	mov	$0, %edi
	cmovnz	%rdi, %r8                       /* no room for such a number: nor is an old hint left */
	test	%rdx, %rdx
	jz	.Lnowhere\@
	mov	%r8, (%rdx)
	test	%r8, %r8
	jnz	.Ltold\@
.Lnowhere\@:
	test	%r8, %r8
	jz	.Llong\@
	mov	%r8, %rsi
.Lshort\@:
	EMIT1	REC_HINT, .Lfull1\@
	jmp	.Ltold\@
.Lfull1\@:
	FULL	16, .Lshort\@, .Ltold\@
.Lfull2\@:
	FULL	32, .Llong\@, .Ltold\@
.Llong\@:
	EMIT2	REC_HINT, .Lfull2\@
.Ltold\@:
.endm

/* netpollready(list, pd, mode): RAX, RBX, ECX: who waits for the descriptor. Another may wake it first: only its casgstatus tells. */
HOOK netpoll_ready
	LOAD_M	.Lready_end
	movq	$0, M_DEADLINE(%r13)
	mov	K_PD_FD(%rbx), %r9
	xor	%r12d, %r12d
	cmp	$'w', %ecx
	je	.Lready_write
	mov	K_PD_RG(%rbx), %rsi
	cmp	$2, %rsi                        /* pdNil, pdReady, pdWait */
	jbe	.Lready_read_done
	LOAD_GOID %rsi, %rsi, .Lready_read_done
	TELL_HINT
.Lready_read_done:
	cmp	$'r', %ecx
	je	.Lready_end
.Lready_write:
	mov	K_PD_WG(%rbx), %rsi
	cmp	$2, %rsi
	jbe	.Lready_end
	LOAD_GOID %rsi, %rsi, .Lready_end
	TELL_HINT
.Lready_end:
HOOK_END netpoll_ready

/* netpolldeadlineimpl(pd, ...): RAX, RBX, CL, DIL; on g0, by a timer. */
HOOK deadline_begin
	LOAD_M	.Ldeadline_end, %r10d, %r10
	mov	K_PD_FD(%rax), %r12
	inc	%r12
	mov	%r12, M_DEADLINE(%r13)
.Ldeadline_end:
HOOK_END deadline_begin

HOOK deadline_end
	LOAD_M	.Ldeadline_ended
	movq	$0, M_DEADLINE(%r13)
.Ldeadline_ended:
HOOK_END deadline_end

/* ---- timers ---- */

/* \timer: its register; \when: the register with the time at which it is to fire, of Go's nanotime, or none: the timer's own. The
 * first seven arguments are kept. \pending: only when it was to fire; told by \timer.status (1) or .when (2). */
.macro TIMER name, what, timer, when=none, pending=0
HOOK \name
	LOAD_M	.Lno_m\@, %r10d, %r10
	.if	\pending == 1
	mov	K_TIMER_STATUS(\timer), %r10d
	mov	$TIMER_STATES_PENDING, %r11d
	bt	%r10d, %r11d
	jnc	.Lend\@
	.elseif	\pending == 2
	cmpq	$0, K_TIMER_WHEN(\timer)
	je	.Lend\@
	.endif
	mov	K_G_GOID(%r14), %r12
	mov	%r12, %r10
	shr	$40, %r10
	jnz	.Lbig_g\@
	shl	$8, %r12
	or	$\what, %r12
.Lemit\@:
	RESERVE_KEEP 2, .Lfull\@
	movq	$(2 << 1), (%r10)
	mov	%r12, 8(%r10)
	mov	\timer, 16(%r10)
	.if	\what == TIMER_FIRE                     /* \when: now */
	mov	\when, %rdx
	sub	K_TIMER_WHEN(\timer), %rdx
	.else
	.ifc	\when, none
	mov	K_TIMER_WHEN(\timer), %rdx
	.else
	mov	\when, %rdx
	.endif
	.endif
	mov	%rdx, 24(%r10)
	COMMIT_KEEP REC_TIMER, 2
	jmp	.Lend\@
.Lno_m\@:
	COUNT_NO_M .Lend\@
.Lbig_g\@:
	COUNT_BIG_G .Lend\@
.Lfull\@:
	mov	%rdi, M_CALL_TICKS(%r13)
	mov	%r8, M_PENDING(%r13)
	lea	.Lagain\@(%rip), %r11
	mov	$32, %edi
	jmp	thunk_refill
.Lagain\@:
	mov	M_CALL_TICKS(%r13), %rdi
	mov	M_PENDING(%r13), %r8
	test	%r10d, %r10d
	jnz	.Lemit\@
.Lend\@:
HOOK_END \name
.endm

	TIMER	timer_start, TIMER_SET_AT, %rax                     /* startTimer(t), before Go 1.23 */
	TIMER	timer_modify, TIMER_SET_AT, %rax, %rbx              /* modtimer(t, when, ...), t.modify(when, ...) */
	TIMER	timer_run, TIMER_FIRE, %rbx, %rcx                   /* runOneTimer(p, t, now), before Go 1.23 */
	TIMER	timer_fire, TIMER_FIRE, %rax, %rbx                  /* t.unlockAndRun(now) */
	TIMER	timer_delete, TIMER_STOP, %rax, none, 1             /* deltimer(t), before Go 1.23 */
	TIMER	timer_stop, TIMER_STOP, %rax, none, 2               /* t.stop() */
