/* code.c - decodes a function. */
#include "agent/code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void gt__decoder_init(ZydisDecoder *decoder)
{
	ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static bool starts_with(const uint8_t *at, uint8_t size, const char *prefix, uint8_t prefix_size)
{
	return size >= prefix_size && memcmp(at, prefix, prefix_size) == 0;
}

/* The instructions that Go's compiler makes frames with. They come in runs that no branch leads into. */
static bool is_frame(const uint8_t *at, uint8_t size)
{
	static const struct {
		char bytes[5];
		uint8_t size;
	} forms[] = {
		{"\x55", 1},             /* push rbp */
		{"\x5d", 1},             /* pop rbp */
		{"\x48\x89\xe5", 3},     /* mov rbp,rsp */
		{"\x48\x83\xec", 3},     /* sub rsp,imm8 */
		{"\x48\x81\xec", 3},     /* sub rsp,imm32 */
		{"\x48\x83\xc4", 3},     /* add rsp,imm8 */
		{"\x48\x81\xc4", 3},     /* add rsp,imm32 */
		{"\x48\x89\x6c\x24", 4}, /* mov [rsp+disp8],rbp */
		{"\x48\x89\xac\x24", 4}, /* mov [rsp+disp32],rbp */
		{"\x48\x8b\x6c\x24", 4}, /* mov rbp,[rsp+disp8] */
		{"\x48\x8b\xac\x24", 4}, /* mov rbp,[rsp+disp32] */
		{"\x48\x8d\x6c\x24", 4}, /* lea rbp,[rsp+disp8] */
		{"\x48\x8d\xac\x24", 4}, /* lea rbp,[rsp+disp32] */
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (starts_with(at, size, forms[i].bytes, forms[i].size))
			return true;
	}
	return false;
}

/* cmp rsp or r12 with [reg + 16], g.stackguard0, or [reg + 24], g.stackguard1 of what runs on the system stack; reg holds g. */
static bool is_stack_check(const uint8_t *at, uint8_t size)
{
	if (size != 4 || (at[0] & 0xfa) != 0x48 || at[1] != 0x3b || (at[2] & 0xf8) != 0x60)
		return false;
	return (at[3] == 16 || at[3] == 24) && (at[2] & 7) != 4;
}

static uint8_t kind_of(const ZydisDecodedInstruction *instruction)
{
	bool relative = instruction->raw.imm[0].is_relative;

	switch (instruction->mnemonic) {
	case ZYDIS_MNEMONIC_RET:
		return GT__STEP_RET;
	case ZYDIS_MNEMONIC_CALL:
		return GT__STEP_CALL;
	case ZYDIS_MNEMONIC_JMP:
		return relative ? GT__STEP_JUMP : GT__STEP_INDIRECT;
	case ZYDIS_MNEMONIC_SYSCALL:
		return GT__STEP_SYSCALL;
	case ZYDIS_MNEMONIC_INT3:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
		return GT__STEP_TRAP;
	default:
		return relative ? GT__STEP_BRANCH : GT__STEP_PLAIN;
	}
}

static void fill_step(struct gt__code *code, uint32_t offset, const ZydisDecodedInstruction *instruction)
{
	const uint8_t *at = code->bytes + offset;
	struct gt__step *step = &code->steps[code->count++];

	memset(step, 0, sizeof(*step));
	step->offset = offset;
	step->size = instruction->length;
	step->kind = kind_of(instruction);
	step->frame = is_frame(at, step->size);
	step->checks_stack = is_stack_check(at, step->size);
	step->target = -1;
	if (instruction->raw.imm[0].is_relative)
		step->target = (int64_t)offset + step->size + instruction->raw.imm[0].value.s;
}

static bool is_padding(const uint8_t *at, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++) {
		if (at[i] != 0xcc && at[i] != 0)
			return false;
	}
	return true;
}

int gt__code_decode(
	const struct gt_gobin *bin, const struct gt_gofunction *function, struct gt__code *out, struct gt_error *err)
{
	ZydisDecodedInstruction instruction;
	ZydisDecoder decoder;

	memset(out, 0, sizeof(*out));
	if (function->size == 0 || function->size > GT__CODE_BYTES_MAX)
		return gt_fail(err, ENOTSUP, "%s: %llu bytes of code: too many to decode", function->name,
			(unsigned long long)function->size);
	out->bytes = gt_elf_at(&bin->image, function->va, function->size);
	if (!out->bytes)
		return gt_fail(err, ENOTSUP, "%s: its code at 0x%llx is not in the file", function->name,
			(unsigned long long)function->va);
	out->va = function->va;
	out->size = (uint32_t)function->size;
	out->recovery = function->deferreturn;
	out->steps = malloc(out->size * sizeof(*out->steps));
	if (!out->steps)
		return gt_fail(err, ENOMEM, "out of memory");
	gt__decoder_init(&decoder);
	for (uint32_t offset = 0; offset < out->size;) {
		ZyanStatus status = ZydisDecoderDecodeInstruction(
			&decoder, NULL, out->bytes + offset, out->size - offset, &instruction);

		if (ZYAN_FAILED(status)) {
			if (is_padding(out->bytes + offset, out->size - offset))
				break;
			gt__code_free(out);
			return gt_fail(err, ENOTSUP, "%s: no instruction at 0x%llx", function->name,
				(unsigned long long)(function->va + offset));
		}
		fill_step(out, offset, &instruction);
		offset += instruction.length;
	}
	return 0;
}

void gt__code_free(struct gt__code *code)
{
	free(code->steps);
	code->steps = NULL;
	code->count = 0;
}

const struct gt__step *gt__code_step(const struct gt__code *code, uint32_t offset)
{
	uint32_t low = 0, high = code->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (code->steps[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low < code->count && code->steps[low].offset == offset ? &code->steps[low] : NULL;
}
