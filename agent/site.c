/*
 * site.c - finds windows that a jump may replace, and moves their instructions.
 *
 * Two things must never happen: that something jumps into the middle of the five bytes, and that a return address
 * of a goroutine's stack points out of Go's code (its tracebacks and stack copies would stop the program). Hence no call
 * in a window, and no instruction boundary inside it that a branch, a switch's table or a recovered panic could reach.
 */
#include "agent/site.h"
#include "agent/code.h"

#include <errno.h>
#include <string.h>

#define CHECK_STEPS_MAX  6 /* the stack check stands among the first instructions */
#define RETURN_STEPS_MAX 4 /* instructions in front of a return that may be moved with it */

static int refuse(struct gt_error *err, const struct gt_gofunction *function, uint64_t va, const char *why)
{
	return gt_fail(err, ENOTSUP, "%s cannot be hooked at 0x%llx: %s", function->name, (unsigned long long)va, why);
}

static bool branches_into(const struct gt__code *code, int64_t from, int64_t to)
{
	for (uint32_t i = 0; i < code->count; i++) {
		const struct gt__step *step = &code->steps[i];

		if (step->target >= from && step->target < to && step->kind != GT__STEP_PLAIN)
			return true;
	}
	return false;
}

/* A switch's table leads to places that the instructions do not name. */
static bool jumps_by_table(const struct gt__code *code)
{
	for (uint32_t i = 0; i < code->count; i++) {
		if (code->steps[i].kind == GT__STEP_INDIRECT)
			return true;
	}
	return false;
}

/* Why the steps [@first, @first + @count) are no window; NULL when they are one. */
static const char *window_fault(const struct gt__code *code, const struct gt__step *first, uint32_t count)
{
	bool by_table = jumps_by_table(code);
	const struct gt__step *last = first + count - 1;

	for (const struct gt__step *step = first; step <= last; step++) {
		if (step->kind == GT__STEP_CALL)
			return "a call stands there: its return address must stay in Go's code";
		if (step->kind == GT__STEP_SYSCALL || step->kind == GT__STEP_TRAP)
			return "a system call or a trap stands there";
		if (step->kind == GT__STEP_INDIRECT)
			return "an indirect jump stands there";
		if (step < last && (step->kind == GT__STEP_RET || step->kind == GT__STEP_JUMP))
			return "fewer than 5 bytes before the code's end";
		if (step < last && by_table && !step->frame)
			return "a jump table may lead into its first bytes";
	}
	if (branches_into(code, first->offset + 1, last->offset + last->size))
		return "a branch leads into its first bytes";
	if (code->recovery > first->offset && code->recovery < last->offset + last->size)
		return "a recovered panic goes on in its first bytes";
	return NULL;
}

static void fill_site(const struct gt__code *code, const struct gt__step *first, uint32_t count, struct gt_site *out)
{
	const struct gt__step *last = first + count - 1;

	memset(out, 0, sizeof(*out));
	out->va = code->va + first->offset;
	out->function_va = code->va;
	out->used = (uint8_t)(last->offset + last->size - first->offset);
	out->instructions = (uint8_t)count;
	out->ends = last->kind == GT__STEP_RET || last->kind == GT__STEP_JUMP;
	memcpy(out->original, code->bytes + first->offset, out->used);
}

/* The window of whole instructions from @first on. */
static int window_from(const struct gt__code *code, const struct gt_gofunction *function, const struct gt__step *first,
	struct gt_site *out, struct gt_error *err)
{
	const struct gt__step *end = code->steps + code->count;
	uint64_t va = code->va + first->offset;
	uint32_t size = 0, count = 0;
	const char *fault;

	while (size < GT_SITE_JUMP_SIZE && first + count < end) {
		size += first[count].size;
		count++;
	}
	if (size < GT_SITE_JUMP_SIZE || size > GT_SITE_WINDOW_MAX)
		return refuse(err, function, va, "fewer than 5 bytes of code");
	fault = window_fault(code, first, count);
	if (fault)
		return refuse(err, function, va, fault);
	fill_site(code, first, count, out);
	return 0;
}

static int decode(const struct gt_gobin *bin, const struct gt_gofunction *function, unsigned int flags,
	struct gt__code *code, struct gt_error *err)
{
	if ((function->flags & GT_GOFUNC_ASM) && !(flags & GT_SITE_ASM_KNOWN))
		return refuse(err, function, function->va, "it is written in assembly, and not known");
	return gt__code_decode(bin, function, code, err);
}

/* The step behind the stack check, or the first when there is none. */
static const struct gt__step *behind_stack_check(const struct gt__code *code)
{
	for (uint32_t i = 0; i + 2 < code->count && i < CHECK_STEPS_MAX; i++) {
		const struct gt__step *step = &code->steps[i];

		if (step->checks_stack && step[1].kind == GT__STEP_BRANCH)
			return step + 2;
		if (step->kind == GT__STEP_RET || step->kind == GT__STEP_CALL || step->kind == GT__STEP_JUMP)
			break;
	}
	return code->steps;
}

int gt_site_entry(const struct gt_gobin *bin, const struct gt_gofunction *function, unsigned int flags,
	struct gt_site *out, struct gt_error *err)
{
	const struct gt__step *first;
	struct gt__code code;
	int ret = decode(bin, function, flags, &code, err);

	if (ret < 0)
		return ret;
	if (code.count == 0) {
		gt__code_free(&code);
		return refuse(err, function, function->va, "it has no code");
	}
	first = behind_stack_check(&code);
	ret = window_from(&code, function, first, out, err);
	if (ret == 0) {
		out->has_stack_check = first != code.steps;
		/* A loop that comes back to the window would be counted as a call each time. */
		if (branches_into(&code, first->offset, first->offset + 1))
			ret = refuse(err, function, out->va, "a loop of the function starts there");
	}
	gt__code_free(&code);
	return ret;
}

int gt_site_inside(const struct gt_gobin *bin, const struct gt_gofunction *function, uint64_t va, unsigned int flags,
	struct gt_site *out, struct gt_error *err)
{
	const struct gt__step *first = NULL;
	struct gt__code code;
	int ret = decode(bin, function, flags, &code, err);

	if (ret < 0)
		return ret;
	if (va >= code.va && va - code.va < code.size)
		first = gt__code_step(&code, (uint32_t)(va - code.va));
	if (first)
		ret = window_from(&code, function, first, out, err);
	else
		ret = refuse(err, function, va, "no instruction starts there");
	gt__code_free(&code);
	return ret;
}

/* The window that ends with the return at @ret_step: as few instructions in front of it as make 5 bytes. */
static int return_window(const struct gt__code *code, const struct gt_gofunction *function,
	const struct gt__step *ret_step, struct gt_site *out, struct gt_error *err)
{
	const struct gt__step *first = ret_step;
	uint64_t va = code->va + ret_step->offset;
	uint32_t size = ret_step->size;
	const char *fault;

	while (size < GT_SITE_JUMP_SIZE && first > code->steps && ret_step - first < RETURN_STEPS_MAX) {
		first--;
		size += first->size;
	}
	if (size < GT_SITE_JUMP_SIZE || size > GT_SITE_WINDOW_MAX)
		return refuse(err, function, va, "fewer than 5 bytes before the return");
	fault = window_fault(code, first, (uint32_t)(ret_step - first) + 1);
	if (fault)
		return refuse(err, function, va, fault);
	fill_site(code, first, (uint32_t)(ret_step - first) + 1, out);
	return 0;
}

int gt_site_returns(const struct gt_gobin *bin, const struct gt_gofunction *function, unsigned int flags,
	struct gt_site *sites, size_t max, size_t *count, struct gt_error *err)
{
	struct gt__code code;
	size_t found = 0;
	int ret = decode(bin, function, flags, &code, err);

	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < code.count && ret == 0; i++) {
		if (code.steps[i].kind != GT__STEP_RET)
			continue;
		if (found == max)
			ret = gt_fail(err, ENOSPC, "%s has more than %zu returns", function->name, max);
		else
			ret = return_window(&code, function, &code.steps[i], &sites[found++], err);
	}
	gt__code_free(&code);
	if (ret == 0 && found == 0)
		ret = refuse(err, function, function->va, "it never returns");
	*count = ret == 0 ? found : 0;
	return ret;
}

int gt_site_syscall_end(
	const struct gt_gobin *bin, const struct gt_gofunction *function, uint64_t *va, struct gt_error *err)
{
	struct gt__code code;
	uint64_t found = 0;
	int ret = decode(bin, function, GT_SITE_ASM_KNOWN, &code, err);

	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < code.count && ret == 0; i++) {
		if (code.steps[i].kind != GT__STEP_SYSCALL)
			continue;
		if (found)
			ret = refuse(err, function, function->va, "it makes more than one system call");
		found = code.va + code.steps[i].offset + code.steps[i].size;
	}
	gt__code_free(&code);
	if (ret == 0 && !found)
		return gt_fail(err, ENOENT, "%s makes no system call", function->name);
	if (ret == 0)
		*va = found;
	return ret;
}

/* mov $imm32, %eax or %rax: the immediate; mov 8(%rsp), %rax: 0, it is the first argument. */
static bool loads_number(const struct gt__code *code, const struct gt__step *step, uint32_t *number)
{
	static const uint8_t wide[] = {0x48, 0xc7, 0xc0}, argument[] = {0x48, 0x8b, 0x44, 0x24, 0x08};
	const uint8_t *at = code->bytes + step->offset;
	bool narrow = step->size == 5 && at[0] == 0xb8;

	if (step->size == sizeof(argument) && !memcmp(at, argument, sizeof(argument))) {
		*number = 0;
		return true;
	}
	if (!narrow && (step->size != 7 || memcmp(at, wide, sizeof(wide)) != 0))
		return false;
	memcpy(number, at + step->size - 4, sizeof(*number));
	return true;
}

/* Does the instruction read a register that is neither a result, rax or rdx, nor part of the stack's frame? */
static bool reads_others(const ZydisDecoder *decoder, const struct gt__code *code, const struct gt__step *step)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;

	if (ZYAN_FAILED(
		    ZydisDecoderDecodeFull(decoder, code->bytes + step->offset, step->size, &instruction, operands)))
		return true;
	for (unsigned int i = 0; i < instruction.operand_count; i++) {
		const ZydisDecodedOperand *operand = &operands[i];
		ZydisRegister used[2] = {ZYDIS_REGISTER_NONE, ZYDIS_REGISTER_NONE};

		if (operand->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			used[0] = operand->mem.base;
			used[1] = operand->mem.index;
		} else if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
			   operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) {
			used[0] = operand->reg.value;
		}
		for (int j = 0; j < 2; j++) {
			ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, used[j]);

			if (whole != ZYDIS_REGISTER_NONE && whole != ZYDIS_REGISTER_RAX &&
				whole != ZYDIS_REGISTER_RDX && whole != ZYDIS_REGISTER_RSP &&
				whole != ZYDIS_REGISTER_RBP && whole != ZYDIS_REGISTER_RIP &&
				whole != ZYDIS_REGISTER_RFLAGS && whole != ZYDIS_REGISTER_SS)
				return true;
		}
	}
	return false;
}

int gt_site_syscall_begin(const struct gt_gobin *bin, const struct gt_gofunction *function, uint64_t *va,
	uint32_t *number, struct gt_error *err)
{
	const char *fault = NULL;
	ZydisDecoder decoder;
	struct gt__code code;
	uint64_t end;
	int ret = gt_site_syscall_end(bin, function, &end, err);

	if (ret >= 0)
		ret = decode(bin, function, GT_SITE_ASM_KNOWN, &code, err);
	if (ret < 0)
		return ret;
	gt__decoder_init(&decoder);
	for (uint32_t i = 0; i < code.count && !fault; i++) {
		const struct gt__step *step = &code.steps[i];

		if (step->kind == GT__STEP_SYSCALL) {
			if (i == 0 || !loads_number(&code, &step[-1], number) || *number > UINT16_MAX - 1)
				fault = "no number stands before its system call";
			else
				*va = code.va + step[-1].offset;
		} else if (code.va + step->offset >= end && step->kind != GT__STEP_TRAP &&
			   reads_others(&decoder, &code, step)) {
			fault = "it keeps something in a register over its system call";
		}
	}
	gt__code_free(&code);
	return fault ? refuse(err, function, function->va, fault) : 0;
}

/* Moving */

struct mover {
	uint8_t *out;
	size_t size; /* room */
	size_t used;
	uint64_t to_va;
};

static bool put(struct mover *mover, const uint8_t *bytes, size_t size)
{
	if (size > mover->size - mover->used)
		return false;
	memcpy(mover->out + mover->used, bytes, size);
	mover->used += size;
	return true;
}

static bool fits_32(int64_t value)
{
	return value >= INT32_MIN && value <= INT32_MAX;
}

/* Puts the opcode bytes @head and a rel32 that leads to @target. */
static int put_relative(struct mover *mover, const uint8_t *head, size_t head_size, uint64_t target)
{
	int64_t distance = (int64_t)(target - (mover->to_va + mover->used + head_size + 4));
	int32_t relative = (int32_t)distance;

	if (!fits_32(distance))
		return -ERANGE;
	if (!put(mover, head, head_size) || !put(mover, (const uint8_t *)&relative, sizeof(relative)))
		return -ENOSPC;
	return 0;
}

static int move_branch(struct mover *mover, const ZydisDecodedInstruction *instruction, uint64_t target)
{
	uint8_t conditional[2] = {0x0f, 0};

	switch (instruction->opcode) {
	case 0xe8:
		return put_relative(mover, (const uint8_t *)"\xe8", 1, target);
	case 0xe9:
	case 0xeb:
		return put_relative(mover, (const uint8_t *)"\xe9", 1, target);
	default:
		break;
	}
	if (instruction->meta.category != ZYDIS_CATEGORY_COND_BR)
		return -ENOTSUP;
	/* jcc: 7x rel8 or 0f 8x rel32. jrcxz and loop (ex) have no long form. */
	if (instruction->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (instruction->opcode & 0xf0) == 0x70)
		conditional[1] = (uint8_t)(instruction->opcode + 0x10);
	else if (instruction->opcode_map == ZYDIS_OPCODE_MAP_0F && (instruction->opcode & 0xf0) == 0x80)
		conditional[1] = instruction->opcode;
	else
		return -ENOTSUP;
	return put_relative(mover, conditional, sizeof(conditional), target);
}

/* Copies an instruction whose memory operand counts from RIP. */
static int move_rip_relative(
	struct mover *mover, const uint8_t *at, uint64_t va, const ZydisDecodedInstruction *instruction)
{
	uint8_t copy[ZYDIS_MAX_INSTRUCTION_LENGTH];
	uint64_t target = va + instruction->length + (uint64_t)instruction->raw.disp.value;
	int64_t distance = (int64_t)(target - (mover->to_va + mover->used + instruction->length));
	int32_t relative = (int32_t)distance;

	if (instruction->raw.disp.size != 32)
		return -ENOTSUP;
	if (!fits_32(distance))
		return -ERANGE;
	memcpy(copy, at, instruction->length);
	memcpy(copy + instruction->raw.disp.offset, &relative, sizeof(relative));
	return put(mover, copy, instruction->length) ? 0 : -ENOSPC;
}

static int move_one(struct mover *mover, const struct gt_site *site, uint64_t from_va, uint32_t offset,
	const ZydisDecodedInstruction *instruction)
{
	const uint8_t *at = site->original + offset;
	uint64_t va = from_va + offset;

	if (instruction->raw.imm[0].is_relative) {
		uint64_t target = va + instruction->length + (uint64_t)instruction->raw.imm[0].value.s;

		/* Inside the window stands the jump to us, not the instruction that was meant. */
		if (target > from_va && target < from_va + site->used)
			return -ENOTSUP;
		return move_branch(mover, instruction, target);
	}
	if (instruction->attributes & ZYDIS_ATTRIB_IS_RELATIVE)
		return move_rip_relative(mover, at, va, instruction);
	return put(mover, at, instruction->length) ? 0 : -ENOSPC;
}

int gt_site_relocate(const struct gt_site *site, uint64_t from_va, uint64_t to_va, uint8_t *out, size_t out_size,
	size_t *used, struct gt_error *err)
{
	struct mover mover = {.out = out, .size = out_size, .to_va = to_va};
	ZydisDecodedInstruction instruction;
	ZydisDecoder decoder;

	if (site->used > sizeof(site->original))
		return gt_fail(err, ENOTSUP, "a window of %u bytes", site->used);
	gt__decoder_init(&decoder);
	for (uint32_t offset = 0; offset < site->used; offset += instruction.length) {
		int ret = -ENOTSUP;

		if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
			    &decoder, NULL, site->original + offset, site->used - offset, &instruction)))
			ret = move_one(&mover, site, from_va, offset, &instruction);
		if (ret < 0)
			return gt_fail(err, -ret, "the instruction at 0x%llx cannot be moved to 0x%llx%s",
				(unsigned long long)(from_va + offset), (unsigned long long)to_va,
				ret == -ERANGE ? ": too far" : "");
	}
	*used = mover.used;
	return 0;
}

bool gt_site_calls(const struct gt_site *site)
{
	ZydisDecodedInstruction instruction;
	ZydisDecoder decoder;

	gt__decoder_init(&decoder);
	for (uint32_t at = 0; at < site->used; at += instruction.length)
		if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(
			    &decoder, NULL, site->original + at, site->used - at, &instruction)) ||
			instruction.mnemonic == ZYDIS_MNEMONIC_CALL)
			return true;
	return false;
}
