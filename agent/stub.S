/*
 * stub.S - what a fresh program runs first: it maps two memfds of gtrace into itself and goes on where it was.
 *
 * It is written into bytes of the program's own code that are zero and never run. It needs nobody: should gtrace die meanwhile, the
 * calls fail, or not, and the program starts all the same. The registers are as the kernel hands them to a new program:
 * all zero. gtrace looks at each call's result as it passes, and takes the stub out again.
 */
#include "agent/stub.h"

	.section .rodata
	.balign 16
	.globl	gt__stub, gt__stub_data, gt__stub_end
	.hidden	gt__stub, gt__stub_data, gt__stub_end

gt__stub:
	/* The rings: any address. */
	lea	rings_path(%rip), %rdi
	mov	$GT_STUB_OPEN_RINGS, %esi
	mov	$2, %eax
	syscall
	mov	%eax, %ebx
	test	%eax, %eax
	js	code
	xor	%edi, %edi
	mov	rings_size(%rip), %rsi
	mov	$3, %edx                        /* PROT_READ | PROT_WRITE */
	mov	$1, %r10d                       /* MAP_SHARED */
	mov	%ebx, %r8d
	xor	%r9d, %r9d
	mov	$9, %eax
	syscall
	mov	%ebx, %edi
	mov	%rax, %rbx
	mov	$3, %eax
	syscall
	/* The blocks' pages now, and not one by one under the hooks. Before Linux 5.14 this fails: then one by one. */
	mov	populate_offset(%rip), %rdi
	add	%rbx, %rdi
	mov	populate_size(%rip), %rsi
	mov	$GT_STUB_POPULATE, %edx
	mov	$28, %eax
	syscall
code:
	lea	code_path(%rip), %rdi
	mov	$GT_STUB_OPEN_CODE, %esi
	xor	%edx, %edx
	mov	$2, %eax
	syscall
	mov	%eax, %ebx
	test	%eax, %eax
	js	out
	mov	code_address(%rip), %rdi
	mov	code_size(%rip), %rsi
	mov	$5, %edx                        /* PROT_READ | PROT_EXEC */
	mov	$GT_STUB_MAP_CODE, %r10d
	mov	%ebx, %r8d
	xor	%r9d, %r9d
	mov	$9, %eax
	syscall
	mov	%ebx, %edi
	mov	$3, %eax
	syscall
out:
	xor	%eax, %eax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	jmp	*resume(%rip)

	/* struct gt__stub_data */
	.balign	8
gt__stub_data:
resume:
	.quad	0
code_address:
	.quad	0
code_size:
	.quad	0
rings_size:
	.quad	0
populate_offset:
	.quad	0
populate_size:
	.quad	0
rings_path:
	.zero	GT_STUB_PATH_BYTES
code_path:
	.zero	GT_STUB_PATH_BYTES
gt__stub_end:

	.section .note.GNU-stack, "", @progbits
