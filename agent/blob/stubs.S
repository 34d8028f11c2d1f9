/*
 * stubs.S - a part of hooks.S: the system calls that Go's runtime makes by assembly of its own (futex, mmap, nanosleep, ...).
 *
 *   mov  $nr, %eax      replaced by a jump to stub_enter_*, which then does it
 *   syscall             stays where it is: a thread that sleeps in the kernel stands in Go's code, not in ours
 *   mov  %eax, 48(%rsp) the window of sys.S' call_exit, as behind Syscall6
 *   ret
 *
 * The kernel's arguments are in RDI, RSI, RDX, R10, R8, R9 and are kept. RAX, RCX and R11 the call itself overwrites; RBX, R12, R13,
 * R15 and the flags are dead in Go's ABI0 (agent/site.c looks that nothing behind the call reads one). K_SITE: the call's number.
 *
 * These functions run anywhere: on g0, before a thread has told of itself, without a P. Where g is not known, or not ours to use, they
 * are not hooked, or not told: on a signal's stack, in a child of fork (NOT_FORKING_STUB).
 */

/* Whoever runs here, what its M runs may be forking. Scratch: rcx r11. */
.macro NOT_FORKING_STUB out
	mov	K_M_CURG(%r12), %rcx
	test	%rcx, %rcx
	jz	.Lnobody_forks\@
	cmpq	$STACK_FORK, K_G_STACKGUARD0(%rcx)
	je	\out
	mov	M_FORK(%r13), %r11
	and	$~FORK_SHARES, %r11
	cmp	%rcx, %r11
	je	\out
.Lnobody_forks\@:
.endm

/*
 * \result: a hook behind the call tells what came of it. \sleeps: the call is made to sleep; of those that --events=syscall>TIME asks
 * for none is. \child: a forked child makes it too, on its goroutine's own stack, and the mark of forking may be gone (sys.S).
 * \loaded: the number is the function's first argument.
 */
.macro STUB_NUMBER loaded
	.if	\loaded
	movzwl	8(%rsp), %ecx
	.else
	mov	$K_SITE, %ecx
	.endif
.endm

/* What the hook behind the call will find. Scratch: rcx. */
.macro STUB_MARK_CALL result, loaded
	.if	\result
	STUB_NUMBER \loaded
	inc	%ecx
	mov	%ecx, M_CALL(%r13)
	.else
	movl	$0, M_CALL(%r13)
	.endif
.endm

.macro STUB_ENTER name, result, sleeps, child, loaded=0
HOOK \name
	test	%r14, %r14
	jz	.Lend\@
	mov	K_G_M(%r14), %r12
	cmp	K_M_GSIGNAL(%r12), %r14
	je	.Lend\@
	LOAD_M	.Lno_m\@, %ecx, %rcx
	.if	\child
	NOT_FORKING .Lend\@
	.endif
	NOT_FORKING_STUB .Lend\@
	cmpq	$0, SHM_CALL_TICKS_MIN(%r15)
	jne	.Ltime\@
	STUB_MARK_CALL \result, \loaded
.Lword\@:
	/* g is told where it runs as the trace has it: running, or in a system call */
	mov	K_G_STATUS(%r14), %ecx
	and	$14, %ecx
	cmp	$2, %ecx
	mov	$0, %r12d
	cmove	K_G_GOID(%r14), %r12
	mov	%r12, %rcx
	shr	$40, %rcx
	jnz	.Lbig_g\@
	shl	$8, %r12
	or	$CALL_ENTER, %r12
	STUB_NUMBER \loaded
	shl	$48, %rcx
	or	%rcx, %r12
	mov	$32, %ecx
	xadd	%rcx, M_POS(%r13)
	lea	32(%rcx), %rax
	cmp	M_END(%r13), %rax
	ja	.Lfull\@
	lea	K_BLOCKS_OFFSET(%r15, %rcx), %rcx
	movq	$(2 << 1), (%rcx)
	mov	%r12, 8(%rcx)
	mov	%rdi, 16(%rcx)
	mov	%rdx, 24(%rcx)
	mov	%rdx, %rbx
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	shl	$8, %rax
	or	$(REC_SYSCALL << 3 | 2 << 1 | 1), %rax
	mov	%rax, (%rcx)
	addq	$32, M_DONE(%r13)
	mov	%rbx, %rdx
	jmp	.Lend\@
.Ltime\@:
	STUB_MARK_CALL \result && !\sleeps, \loaded
	.if	\result && !\sleeps
	mov	%rdx, %rbx
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, M_CALL_TICKS(%r13)
	mov	%rbx, %rdx
	.endif
	jmp	.Lend\@
.Lno_m\@:
	COUNT_NO_M .Lend\@
.Lbig_g\@:
	COUNT_BIG_G .Lend\@
.Lfull\@:
	mov	%rdi, %rbx
	mov	%r8, %rcx
	mov	%r10, %r12
	mov	%rdx, M_CALL_TICKS(%r13)
	mov	%rax, %rdx
	lea	.Lagain\@(%rip), %r11
	mov	$32, %edi
	jmp	thunk_refill
.Lagain\@:
	mov	%r10d, %eax
	mov	M_CALL_TICKS(%r13), %rdx
	mov	%r12, %r10
	mov	%rcx, %r8
	mov	%rbx, %rdi
	test	%eax, %eax
	jnz	.Lword\@
.Lend\@:
HOOK_END \name
.endm

	STUB_ENTER stub_enter, 1, 0, 0
	STUB_ENTER stub_enter_sleep, 1, 1, 0
	STUB_ENTER stub_enter_child, 1, 0, 1
	STUB_ENTER stub_enter_only, 0, 0, 0
	STUB_ENTER stub_enter_loaded, 1, 0, 1, 1
