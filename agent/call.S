/*
 * call.S - a thread of a running process is made to do a few system calls, and goes on where it was.
 *
 * It is written over code of the program that has done its work (runtime.schedinit). gtrace sets the registers for one call after
 * the other and takes the thread back at each call's end; what stands behind a call is only run when gtrace has died meanwhile: the
 * descriptor is closed, the signal mask and every register are put back, without one byte of stack.
 */
#include "agent/call.h"

	.section .rodata
	.balign 16
	.globl	gt__call, gt__call_descriptor, gt__call_with, gt__call_plain, gt__call_data, gt__call_end
	.hidden	gt__call, gt__call_descriptor, gt__call_with, gt__call_plain, gt__call_data, gt__call_end

gt__call:
	.ascii	"gtrace1\0"                     /* known again when it was left behind */
gt__call_descriptor:
	syscall
	mov	%eax, %ebx
	jmp	drop
gt__call_with:
	syscall
drop:
	mov	%ebx, %edi
	mov	$3, %eax
	syscall                                 /* close */
	jmp	back
gt__call_plain:
	syscall
back:
	mov	$2, %edi                        /* SIG_SETMASK */
	lea	mask(%rip), %rsi
	xor	%edx, %edx
	mov	$8, %r10d
	mov	$14, %eax
	syscall                                 /* rt_sigprocmask */
	cld
	cmpb	$0, direction(%rip)
	je	1f
	std
1:	mov	overflow(%rip), %al
	mov	flags(%rip), %ah
	add	$0x7f, %al                      /* 1 overflows */
	sahf
	mov	saved_rbx(%rip), %rbx
	mov	saved_rcx(%rip), %rcx
	mov	saved_rdx(%rip), %rdx
	mov	saved_rsi(%rip), %rsi
	mov	saved_rdi(%rip), %rdi
	mov	saved_rbp(%rip), %rbp
	mov	saved_rsp(%rip), %rsp
	mov	saved_r8(%rip), %r8
	mov	saved_r9(%rip), %r9
	mov	saved_r10(%rip), %r10
	mov	saved_r11(%rip), %r11
	mov	saved_r12(%rip), %r12
	mov	saved_r13(%rip), %r13
	mov	saved_r14(%rip), %r14
	mov	saved_r15(%rip), %r15
	mov	saved_rax(%rip), %rax
	jmp	*saved_rip(%rip)

	/* struct gt__call_data */
	.balign	8
gt__call_data:
mask:
	.quad	0
saved_rax:
	.quad	0
saved_rbx:
	.quad	0
saved_rcx:
	.quad	0
saved_rdx:
	.quad	0
saved_rsi:
	.quad	0
saved_rdi:
	.quad	0
saved_rbp:
	.quad	0
saved_rsp:
	.quad	0
saved_r8:
	.quad	0
saved_r9:
	.quad	0
saved_r10:
	.quad	0
saved_r11:
	.quad	0
saved_r12:
	.quad	0
saved_r13:
	.quad	0
saved_r14:
	.quad	0
saved_r15:
	.quad	0
saved_rip:
	.quad	0
flags:
	.byte	0
overflow:
	.byte	0
direction:
	.byte	0
	.zero	5
gt__call_end:

	.section .note.GNU-stack, "", @progbits
