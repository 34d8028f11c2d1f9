/*
 * site.h - a window of a function's code that may be replaced by a jump.
 *
 *   entry:  cmp rsp,[r14+16]          the stack check: morestack comes back to the entry, so a hook
 *           jbe morestack             before it would count twice
 *   va ->   push rbp          \
 *           mov rbp,rsp        | used >= 5 bytes, whole instructions; no branch of the function leads inside
 *           sub rsp,32        /
 *   va + used -> ...                  where the trampoline jumps back to
 *
 * A site is found by decoding the whole function; what cannot be decoded, or is not sure, is refused.
 */
#ifndef GT_AGENT_SITE_H
#define GT_AGENT_SITE_H

#include "agent/gobinary.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define GT_SITE_JUMP_SIZE     5 /* e9 rel32 */
#define GT_SITE_WINDOW_MAX    32
#define GT_SITE_RELOCATED_MAX 64 /* bytes that gt_site_relocate may need */

enum gt_site_flags {
	GT_SITE_ASM_KNOWN = 1, /* the caller knows this assembly function: do not refuse FuncFlag_Asm */
};

struct gt_site {
	uint64_t va; /* link-time address of the window */
	uint64_t function_va;
	uint8_t used; /* its bytes: whole instructions, >= GT_SITE_JUMP_SIZE */
	uint8_t instructions;
	bool ends;                            /* the window ends with ret: nothing to jump back to */
	bool has_stack_check;                 /* the window stands behind one */
	uint8_t original[GT_SITE_WINDOW_MAX]; /* what must be in memory before patching, and is put back after */
};

/* The window at @function's entry, after its stack check. -ENOTSUP with a line when there is none that is safe. */
int gt_site_entry(const struct gt_gobin *bin, const struct gt_gofunction *function, unsigned int flags,
	struct gt_site *out, struct gt_error *err);

/* The window that starts at @va inside @function (say: what follows a syscall instruction). */
int gt_site_inside(const struct gt_gobin *bin, const struct gt_gofunction *function, uint64_t va, unsigned int flags,
	struct gt_site *out, struct gt_error *err);

/* A window in front of every ret, ret included: results are in RAX, RBX, ... there. All of them or an error: one
 * return that cannot be patched would lose events silently. @count gets how many; -ENOSPC when @max is too few,
 * -ENOTSUP when a ret has no window or the function has no ret. */
int gt_site_returns(const struct gt_gobin *bin, const struct gt_gofunction *function, unsigned int flags,
	struct gt_site *sites, size_t max, size_t *count, struct gt_error *err);

/* The address behind the only `syscall` instruction of @function. -ENOENT when there is none, -ENOTSUP when several. */
int gt_site_syscall_end(
	const struct gt_gobin *bin, const struct gt_gofunction *function, uint64_t *va, struct gt_error *err);

/*
 * The only system call of an assembly function: @va of the instruction that loads its number, right in front of the call, and that @number;
 * 0 when it is the function's first argument. Behind the call nothing but its results and the stack may be read: a hook there
 * leaves no other register as it was. -ENOTSUP with a line for any other.
 */
int gt_site_syscall_begin(const struct gt_gobin *bin, const struct gt_gofunction *function, uint64_t *va,
	uint32_t *number, struct gt_error *err);

/* Writes the window's instructions as they must stand at @to_va when the code itself runs at @from_va (its run-time address:
 * site->va + slide). RIP-relative operands, call, jmp and jcc are fixed (rel8 becomes rel32); what does not reach or is
 * not known gives -ERANGE / -ENOTSUP. Writes no jump back. @used gets the size, <= GT_SITE_RELOCATED_MAX. */
int gt_site_relocate(const struct gt_site *site, uint64_t from_va, uint64_t to_va, uint8_t *out, size_t out_size,
	size_t *used, struct gt_error *err);

/* Does the window hold a call? Then a return address into its copy may stay on a stack for ever. */
bool gt_site_calls(const struct gt_site *site);

#endif
