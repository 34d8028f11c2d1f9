/*
 * switch_x86_64.S - from one stack to another.
 *
 * A saved stack, from its sp up:   mxcsr:32 x87cw:16 -:16 | r15 r14 r13 r12 rbx rbp | return address
 */
	.text

/* void gt__switch(void **save, void *load): both sides are inside this function, so that one CFI serves. */
	.globl	gt__switch
	.hidden	gt__switch
	.type	gt__switch, @function
	.p2align 4
gt__switch:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	movl	$0, 4(%rsp)
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%rsp, (%rdi)
	/* Nearly always the same modes: loading them costs more than the comparison. */
	movl	(%rsp), %eax
	movzwl	4(%rsp), %edx
	movq	%rsi, %rsp
	cmpl	(%rsp), %eax
	je	1f
	ldmxcsr	(%rsp)
1:	cmpw	4(%rsp), %dx
	je	2f
	fldcw	4(%rsp)
2:	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	/* A ret would be predicted to go back to the caller of this call, which it hardly ever does. */
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rcx
	jmpq	*%rcx
	.cfi_endproc
	.size	gt__switch, .-gt__switch

/* A goroutine's first instruction, and the end of its stack for unwinders. */
	.globl	gt__entry
	.hidden	gt__entry
	.type	gt__entry, @function
	.p2align 4
	.cfi_startproc
	.cfi_undefined %rip
	nop			/* unwinders look up the address before the return address */
gt__entry:
	xorl	%ebp, %ebp
	call	gt__g_main
	ud2
	.cfi_endproc
	.size	gt__entry, .-gt__entry

	.section .note.GNU-stack, "", @progbits
