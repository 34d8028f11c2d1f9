/* probe.c - trampolines as bytes: where jumps lead, what is refused. */
#include "agent/gohooks.h"
#include "agent/probe.h"

#include <Zydis/Zydis.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CODE  0x200000ull
#define SLIDE 0x1000ull

/* push rbp; mov rbp, rsp; sub rsp, 32 */
static const uint8_t prologue[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20};
/* add rsp, 32; pop rbp; ret */
static const uint8_t epilogue[] = {0x48, 0x83, 0xc4, 0x20, 0x5d, 0xc3};

static struct gt_probe probe_at(uint64_t va, enum gt_template template, bool ends)
{
	struct gt_probe probe = {.template = template, .site = {.va = va, .function_va = va, .ends = ends}};

	probe.site.used = ends ? sizeof(epilogue) : sizeof(prologue);
	memcpy(probe.site.original, ends ? epilogue : prologue, probe.site.used);
	return probe;
}

static struct gt_probe_values values_of(unsigned int minor)
{
	struct gt_probe_values values;

	memset(&values, 0, sizeof(values));
	gt_gohooks_values(gt_golayout_of_minor(minor), &values);
	values.holes[GT_HOLE_SHM] = 0x7f0000000000;
	return values;
}

static uint64_t jump_target(const uint8_t *at, uint64_t address)
{
	int32_t relative;

	cr_assert_eq(at[0], 0xe9);
	memcpy(&relative, at + 1, sizeof(relative));
	return address + 5 + (uint64_t)(int64_t)relative;
}

/* Every instruction from @at on decodes, up to a jump back to @back (0: a ret). @rets: it may return in the function's place before. */
static void walk_trampoline(const uint8_t *code, size_t size, uint64_t at, uint64_t back, int rets)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (;;) {
		const uint8_t *here = code + (at - CODE);
		uint64_t target;

		cr_assert_lt(at - CODE, size);
		cr_assert(ZYAN_SUCCESS(
			ZydisDecoderDecodeFull(&decoder, here, size - (at - CODE), &instruction, operands)));
		if (instruction.mnemonic == ZYDIS_MNEMONIC_RET) {
			if (!back && !rets)
				return;
			cr_assert_gt(rets--, 0);
		}
		if (operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operands[0].imm.is_relative) {
			ZydisCalcAbsoluteAddress(&instruction, &operands[0], at, &target);
			if (target == back)
				return;
			cr_assert(target >= CODE && target < CODE + size, "a jump out of the code to 0x%lx", target);
		}
		at += instruction.length;
	}
}

Test(probe, leads_through_and_back)
{
	struct gt_probe_values newer = values_of(26), older = values_of(20);

	for (int template = 0; template <GT_TEMPLATE_COUNT; template ++) {
		struct gt_probe probes[2] = {probe_at(0x401000, template, false), probe_at(0x402000, template, true)};
		struct gt_patch patches[2];
		size_t size = gt_probe_code_size(probes, 2);
		uint8_t *code = malloc(size);
		struct gt_error err;

		/* Some are for what only older versions have. */
		if (gt_probe_build(probes, 2, &newer, SLIDE, CODE, code, patches, &err) < 0)
			cr_assert_eq(
				gt_probe_build(probes, 2, &older, SLIDE, CODE, code, patches, &err), 0, "%s", err.text);
		for (int i = 0; i < 2; i++) {
			uint64_t entry = jump_target(patches[i].bytes, patches[i].address);

			cr_assert_eq(patches[i].address, probes[i].site.va + SLIDE);
			cr_assert_eq(memcmp(patches[i].original, probes[i].site.original, patches[i].original_size), 0);
			walk_trampoline(code, size, entry, i ? 0 : 0x401000 + SLIDE + sizeof(prologue),
				template == GT_TEMPLATE_mark_region);
		}
		free(code);
	}
}

Test(probe, has_a_value_of_each_site)
{
	struct gt_probe probes[2] = {
		probe_at(0x401000, GT_TEMPLATE_stub_enter, false), probe_at(0x402000, GT_TEMPLATE_stub_enter, false)};
	struct gt_probe_values values = values_of(27);
	size_t size = gt_probe_code_size(probes, 2);
	const uint32_t numbers[2] = {0x1234, 0x2345};
	uint8_t *code = malloc(size);
	struct gt_patch patches[2];
	struct gt_error err;

	probes[0].value = numbers[0];
	probes[1].value = numbers[1];
	cr_assert_eq(gt_probe_build(probes, 2, &values, SLIDE, CODE, code, patches, &err), 0, "%s", err.text);
	for (int i = 0; i < 2; i++) {
		uint64_t begin = jump_target(patches[i].bytes, patches[i].address) - CODE;
		uint64_t end = i ? size : jump_target(patches[1].bytes, patches[1].address) - CODE;

		cr_expect_not_null(memmem(code + begin, end - begin, &numbers[i], sizeof(numbers[i])));
		cr_expect_null(memmem(code + begin, end - begin, &numbers[!i], sizeof(numbers[!i])));
	}
	free(code);
}

Test(probe, refuses_what_does_not_reach)
{
	struct gt_probe probe = probe_at(0x401000, GT_TEMPLATE_m_idle, false);
	struct gt_probe_values values = values_of(26);
	size_t size = gt_probe_code_size(&probe, 1);
	uint8_t *code = malloc(size);
	struct gt_patch patch;
	struct gt_error err;

	cr_assert_eq(gt_probe_build(&probe, 1, &values, 0x7f0000000000, CODE, code, &patch, &err), -ERANGE);
	cr_assert(strstr(err.text, "reaches"));
	free(code);
}

/* A field that the version does not have must never become an offset. */
Test(probe, refuses_a_field_that_is_not_there)
{
	struct gt_probe probe = probe_at(0x401000, GT_TEMPLATE_create, true);
	struct gt_probe_values values = values_of(19);
	size_t size = gt_probe_code_size(&probe, 1);
	uint8_t *code = malloc(size);
	struct gt_patch patch;
	struct gt_error err;

	cr_assert_eq(gt_probe_build(&probe, 1, &values, 0, CODE, code, &patch, &err), -ERANGE);
	cr_assert(strstr(err.text, "G_PARENT"));
	free(code);
}
