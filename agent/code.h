/*
 * code.h - a function's machine code as a list of instructions, for the other files of agent/ that decode.
 */
#ifndef GT_AGENT_CODE_H
#define GT_AGENT_CODE_H

#include "agent/gobinary.h"
#include "base/error.h"

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

#define GT__CODE_BYTES_MAX (1u << 20) /* a bigger function is refused */

enum gt__step_kind {
	GT__STEP_PLAIN,
	GT__STEP_JUMP,     /* jmp with a target in the instruction */
	GT__STEP_BRANCH,   /* jcc, jrcxz, loop: goes on or jumps */
	GT__STEP_CALL,     /* near call, direct or not */
	GT__STEP_INDIRECT, /* jmp through a register or memory: a switch's table, a tail call */
	GT__STEP_RET,
	GT__STEP_SYSCALL,
	GT__STEP_TRAP, /* int3, ud2, hlt: what stands between functions too */
};

struct gt__step {
	uint32_t offset; /* from the function's start */
	uint8_t size;
	uint8_t kind;
	bool frame;        /* part of a prologue or epilogue: no branch can lead to right behind it ... */
	bool checks_stack; /* compares rsp with g.stackguard0 or 1 */
	int64_t target;    /* of jumps, branches and direct calls, from the function's start */
};

struct gt__code {
	const uint8_t *bytes;
	uint64_t va;
	uint32_t size;
	uint32_t recovery; /* where a recovered panic goes on, from the function's start; 0: nowhere */
	uint32_t count;
	struct gt__step *steps;
};

/* Decodes all of @function. -ENOTSUP with a line when something in it is no instruction. */
int gt__code_decode(
	const struct gt_gobin *bin, const struct gt_gofunction *function, struct gt__code *out, struct gt_error *err);
void gt__code_free(struct gt__code *code);

/* The step that starts at @offset; NULL when none does. */
const struct gt__step *gt__code_step(const struct gt__code *code, uint32_t offset);

void gt__decoder_init(ZydisDecoder *decoder);

#endif
