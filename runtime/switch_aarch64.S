/*
 * switch_aarch64.S - from one stack to another.
 *
 * A saved stack, from its sp up:   d8 .. d15 | x19 .. x28 | x29 x30 | fpcr -
 */
	.text

/* void gt__switch(void **save, void *load) */
	.globl	gt__switch
	.hidden	gt__switch
	.type	gt__switch, %function
	.p2align 4
gt__switch:
	.cfi_startproc
	sub	sp, sp, #176
	.cfi_adjust_cfa_offset 176
	stp	d8, d9, [sp, #0]
	stp	d10, d11, [sp, #16]
	stp	d12, d13, [sp, #32]
	stp	d14, d15, [sp, #48]
	stp	x19, x20, [sp, #64]
	.cfi_rel_offset x19, 64
	.cfi_rel_offset x20, 72
	stp	x21, x22, [sp, #80]
	.cfi_rel_offset x21, 80
	.cfi_rel_offset x22, 88
	stp	x23, x24, [sp, #96]
	.cfi_rel_offset x23, 96
	.cfi_rel_offset x24, 104
	stp	x25, x26, [sp, #112]
	.cfi_rel_offset x25, 112
	.cfi_rel_offset x26, 120
	stp	x27, x28, [sp, #128]
	.cfi_rel_offset x27, 128
	.cfi_rel_offset x28, 136
	stp	x29, x30, [sp, #144]
	.cfi_rel_offset x29, 144
	.cfi_rel_offset x30, 152
	mrs	x9, fpcr
	str	x9, [sp, #160]
	mov	x10, sp
	str	x10, [x0]
	mov	sp, x1
	ldr	x10, [sp, #160]
	cmp	x9, x10
	b.eq	1f
	msr	fpcr, x10
1:	ldp	d8, d9, [sp, #0]
	ldp	d10, d11, [sp, #16]
	ldp	d12, d13, [sp, #32]
	ldp	d14, d15, [sp, #48]
	ldp	x19, x20, [sp, #64]
	ldp	x21, x22, [sp, #80]
	ldp	x23, x24, [sp, #96]
	ldp	x25, x26, [sp, #112]
	ldp	x27, x28, [sp, #128]
	ldp	x29, x30, [sp, #144]
	add	sp, sp, #176
	.cfi_adjust_cfa_offset -176
	br	x30
	.cfi_endproc
	.size	gt__switch, .-gt__switch

/* A goroutine's first instruction, and the end of its stack for unwinders. */
	.globl	gt__entry
	.hidden	gt__entry
	.type	gt__entry, %function
	.p2align 4
	.cfi_startproc
	.cfi_undefined x30
	nop
gt__entry:
	mov	x29, xzr
	mov	x30, xzr
	bl	gt__g_main
	brk	#0
	.cfi_endproc
	.size	gt__entry, .-gt__entry

	.section .note.GNU-stack, "", %progbits
