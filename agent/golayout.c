/*
 * golayout.c - the tables of layouts/, and the test of a table against a program's code.
 */
#include "agent/golayout.h"
#include "agent/code.h"
#include "format/wire/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Every table names every field: one left out would read as 0. */
#define GT_LAYOUT_FIELD(name, path) +1
enum { field_count = 0 GT_LAYOUT_FIELDS(GT_LAYOUT_FIELD) };
#undef GT_LAYOUT_FIELD

#define GT_LAYOUT(name, offset) +1
#define GT_WAIT_REASONS(count)
#define GT_WAIT_REASON(number, name)
/* clang-format off */
_Static_assert(field_count == 0
#include "agent/layouts/go1.19.def"
	, "go1.19.def");
_Static_assert(field_count == 0
#include "agent/layouts/go1.20.def"
	, "go1.20.def");
_Static_assert(field_count == 0
#include "agent/layouts/go1.21.def"
	, "go1.21.def");
_Static_assert(field_count == 0
#include "agent/layouts/go1.22.def"
	, "go1.22.def");
_Static_assert(field_count == 0
#include "agent/layouts/go1.23.def"
	, "go1.23.def");
_Static_assert(field_count == 0
#include "agent/layouts/go1.24.def"
	, "go1.24.def");
_Static_assert(field_count == 0
#include "agent/layouts/go1.25.def"
	, "go1.25.def");
_Static_assert(field_count == 0
#include "agent/layouts/go1.26.def"
	, "go1.26.def");
_Static_assert(field_count == 0
#include "agent/layouts/go1.27.def"
	, "go1.27.def");
#undef GT_LAYOUT
#undef GT_WAIT_REASONS
#undef GT_WAIT_REASON

#define GT_LAYOUT(name, offset)       .name = offset,
#define GT_WAIT_REASONS(count)        .reason_count = count,
#define GT_WAIT_REASON(number, name)  .reasons[number] = GT_REASON_##name,
static const struct gt_golayout layouts[] = {
	{
		.minor = 19,
#include "agent/layouts/go1.19.def"
	}, {
		.minor = 20,
#include "agent/layouts/go1.20.def"
	}, {
		.minor = 21,
#include "agent/layouts/go1.21.def"
	}, {
		.minor = 22,
#include "agent/layouts/go1.22.def"
	}, {
		.minor = 23,
#include "agent/layouts/go1.23.def"
	}, {
		.minor = 24,
#include "agent/layouts/go1.24.def"
	}, {
		.minor = 25,
#include "agent/layouts/go1.25.def"
	}, {
		.minor = 26,
#include "agent/layouts/go1.26.def"
	}, {
		.minor = 27,
#include "agent/layouts/go1.27.def"
	},
};
/* clang-format on */
#undef GT_LAYOUT
#undef GT_WAIT_REASONS
#undef GT_WAIT_REASON

_Static_assert(sizeof(layouts) / sizeof(layouts[0]) == GT_GO_MINOR_MAX - GT_GO_MINOR_MIN + 1, "a table a version");

const struct gt_golayout *gt_golayout_of_minor(unsigned int minor)
{
	if (minor < GT_GO_MINOR_MIN || minor > GT_GO_MINOR_MAX)
		return NULL;
	return &layouts[minor - GT_GO_MINOR_MIN];
}

int gt_golayout_find(const struct gt_gobin *bin, const struct gt_golayout **out, struct gt_error *err)
{
	const struct gt_golayout *layout = gt_golayout_of_minor(bin->minor);

	if (!layout)
		return gt_fail(err, EPROTONOSUPPORT,
			"built by %s: layouts are known for Go 1.%d to 1.%d: see docs/howto-add-go-version.md",
			bin->version, GT_GO_MINOR_MIN, GT_GO_MINOR_MAX);
	*out = layout;
	return 0;
}

/* Verifying */

/* One function's instructions with their operands, one after the other. */
struct walk {
	struct gt_gofunction function;
	const uint8_t *code;
	uint64_t offset;
	ZydisDecoder decoder;
	ZydisDecodedInstruction instruction;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool walk_start(struct walk *walk, struct gt_gobin *bin, const char *name)
{
	memset(walk, 0, sizeof(*walk));
	if (!gt_pclntab_find(bin->pclntab, name, &walk->function) || walk->function.size > GT__CODE_BYTES_MAX)
		return false;
	walk->code = gt_elf_at(&bin->image, walk->function.va, walk->function.size);
	gt__decoder_init(&walk->decoder);
	return walk->code != NULL;
}

static bool walk_next(struct walk *walk)
{
	uint64_t left = walk->function.size - walk->offset;

	if (left == 0 || ZYAN_FAILED(ZydisDecoderDecodeFull(
				 &walk->decoder, walk->code + walk->offset, left, &walk->instruction, walk->operands)))
		return false;
	walk->offset += walk->instruction.length;
	return true;
}

static bool is_memory(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
	       operand->mem.segment != ZYDIS_REGISTER_FS && operand->mem.index == ZYDIS_REGISTER_NONE;
}

/* Memory that a runtime struct may be in: not the stack, not the program's own data. */
static bool is_struct(const ZydisDecodedOperand *operand)
{
	return is_memory(operand) && operand->mem.base != ZYDIS_REGISTER_RSP &&
	       operand->mem.base != ZYDIS_REGISTER_RBP && operand->mem.base != ZYDIS_REGISTER_RIP &&
	       operand->mem.base != ZYDIS_REGISTER_NONE;
}

static int64_t displacement(const ZydisDecodedOperand *operand)
{
	return operand->mem.disp.has_displacement ? operand->mem.disp.value : 0;
}

static bool is_register(const ZydisDecodedOperand *operand, ZydisRegister which)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER && (!which || operand->reg.value == which);
}

static int contradiction(struct gt_error *err, const char *field, int64_t expected, int64_t found, const char *where)
{
	if (found < 0)
		return gt_fail(err, EBADMSG,
			"the program's runtime is not as its version says: %s: expected at %lld, not found in %s",
			field, (long long)expected, where);
	return gt_fail(err, EBADMSG,
		"the program's runtime is not as its version says: %s: expected at %lld, found at %lld in %s", field,
		(long long)expected, (long long)found, where);
}

/* lea reg,[base + @offset] or add reg,@offset: how code that inlines nothing (built with -gcflags=all=-l) hands a field to
 * the function that works on it. */
static bool takes_address(const struct walk *walk, int64_t offset)
{
	const ZydisDecodedOperand *to = &walk->operands[0], *from = &walk->operands[1];

	if (!is_register(to, 0))
		return false;
	if (walk->instruction.mnemonic == ZYDIS_MNEMONIC_LEA)
		return from->mem.base != ZYDIS_REGISTER_RIP && from->mem.base != ZYDIS_REGISTER_RSP &&
		       from->mem.index == ZYDIS_REGISTER_NONE && displacement(from) == offset;
	return walk->instruction.mnemonic == ZYDIS_MNEMONIC_ADD && to->reg.value != ZYDIS_REGISTER_RSP &&
	       from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && from->imm.value.s == offset;
}

/* casgstatus tries `lock cmpxchg [gp + g.atomicstatus], new`, itself or by a call. */
static int verify_status(struct gt_gobin *bin, const struct gt_golayout *layout, struct gt_error *err)
{
	struct walk walk;
	bool taken = false;
	int64_t found = -1;

	if (!walk_start(&walk, bin, "runtime.casgstatus"))
		return gt_fail(err, EBADMSG, "the program has no runtime.casgstatus: it cannot be traced");
	while (found < 0 && walk_next(&walk)) {
		if (walk.instruction.mnemonic == ZYDIS_MNEMONIC_CMPXCHG && is_struct(&walk.operands[0]) &&
			walk.operands[0].size == 32)
			found = displacement(&walk.operands[0]);
		taken |= takes_address(&walk, layout->g_atomicstatus);
	}
	if (found != layout->g_atomicstatus && !(found < 0 && taken))
		return contradiction(err, "g.atomicstatus", layout->g_atomicstatus, found, "runtime.casgstatus");
	return 0;
}

/* mcall, in assembly, saves into R14's g: pc, sp, bp; then takes g.m and of it m.g0. */
static int verify_switch(struct gt_gobin *bin, const struct gt_golayout *layout, struct gt_error *err)
{
	static const char *const fields[] = {"g.sched.pc", "g.sched.sp", "g.sched.bp", "g.m", "m.g0"};
	const int32_t expected[] = {
		layout->g_sched_pc, layout->g_sched_sp, layout->g_sched_bp, layout->g_m, layout->m_g0};
	int64_t found[] = {-1, -1, -1, -1, -1};
	ZydisRegister m = ZYDIS_REGISTER_NONE;
	unsigned int next = 0;
	struct walk walk;

	if (!walk_start(&walk, bin, "runtime.mcall"))
		return gt_fail(err, EBADMSG, "the program has no runtime.mcall: it cannot be traced");
	while (next < 5 && walk_next(&walk)) {
		const ZydisDecodedOperand *to = &walk.operands[0], *from = &walk.operands[1];

		if (walk.instruction.mnemonic != ZYDIS_MNEMONIC_MOV)
			continue;
		if (next < 3 && is_memory(to) && to->mem.base == ZYDIS_REGISTER_R14 && is_register(from, 0)) {
			found[next++] = displacement(to);
		} else if (next == 3 && is_memory(from) && from->mem.base == ZYDIS_REGISTER_R14) {
			found[next++] = displacement(from);
			m = to->reg.value;
		} else if (next == 4 && is_memory(from) && from->mem.base == m) {
			found[next++] = displacement(from);
		}
	}
	for (unsigned int i = 0; i < 5; i++) {
		if (found[i] != expected[i])
			return contradiction(err, fields[i], expected[i], found[i], "runtime.mcall");
	}
	return 0;
}

enum access {
	ACCESS_COMPARE, /* cmp qword [m + X], imm */
	ACCESS_STORE,   /* mov [m + X], reg, 64 bits */
};

/* The first access of a kind to what was loaded from [R14 + g.m]: where m.p and m.procid are. */
static int64_t first_of_m(struct walk *walk, const struct gt_golayout *layout, enum access access)
{
	ZydisRegister m = ZYDIS_REGISTER_NONE;

	while (walk_next(walk)) {
		const ZydisDecodedOperand *to = &walk->operands[0], *from = &walk->operands[1];

		if (m && is_memory(to) && to->mem.base == m && to->size == 64) {
			if (access == ACCESS_COMPARE && walk->instruction.mnemonic == ZYDIS_MNEMONIC_CMP)
				return displacement(to);
			if (access == ACCESS_STORE && walk->instruction.mnemonic == ZYDIS_MNEMONIC_MOV &&
				is_register(from, 0))
				return displacement(to);
		}
		if (walk->instruction.mnemonic == ZYDIS_MNEMONIC_MOV && is_register(to, 0) && is_memory(from) &&
			from->mem.base == ZYDIS_REGISTER_R14 && displacement(from) == layout->g_m)
			m = to->reg.value;
		else if (m && is_register(to, m) && (to->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			m = ZYDIS_REGISTER_NONE;
	}
	return -1;
}

/* The first 64-bit register stored into a struct; R11 is the write barrier's buffer, R14 is g. */
static int64_t first_store(struct walk *walk)
{
	while (walk_next(walk)) {
		const ZydisDecodedOperand *to = &walk->operands[0], *from = &walk->operands[1];

		if (walk->instruction.mnemonic == ZYDIS_MNEMONIC_MOV && is_struct(to) && to->size == 64 &&
			is_register(from, 0) && to->mem.base != ZYDIS_REGISTER_R11 &&
			to->mem.base != ZYDIS_REGISTER_R14)
			return displacement(to);
	}
	return -1;
}

static int verify_m(struct gt_gobin *bin, const struct gt_golayout *layout, struct gt_error *err)
{
	struct walk walk;
	int64_t found;

	if (walk_start(&walk, bin, "runtime.wirep")) {
		found = first_of_m(&walk, layout, ACCESS_COMPARE);
		if (found != layout->m_p)
			return contradiction(err, "m.p", layout->m_p, found, "runtime.wirep");
	}
	if (walk_start(&walk, bin, "runtime.minit")) {
		found = first_of_m(&walk, layout, ACCESS_STORE);
		if (found != layout->m_procid)
			return contradiction(err, "m.procid", layout->m_procid, found, "runtime.minit");
	}
	if (walk_start(&walk, bin, "runtime.execute")) {
		found = first_store(&walk);
		if (found != layout->m_curg)
			return contradiction(err, "m.curg", layout->m_curg, found, "runtime.execute");
	}
	if (walk_start(&walk, bin, "runtime.mcommoninit")) {
		found = first_store(&walk);
		if (found != layout->m_id)
			return contradiction(err, "m.id", layout->m_id, found, "runtime.mcommoninit");
	}
	return 0;
}

/* Where the order of accesses is the compiler's, the field must at least be accessed. */
static int verify_accessed(struct gt_gobin *bin, const char *name, const char *field, int64_t offset, unsigned int bits,
	struct gt_error *err)
{
	struct walk walk;

	if (offset < 0 || !walk_start(&walk, bin, name))
		return 0;
	while (walk_next(&walk)) {
		if (takes_address(&walk, offset))
			return 0;
		for (unsigned int i = 0; i < walk.instruction.operand_count_visible; i++) {
			const ZydisDecodedOperand *operand = &walk.operands[i];

			if (is_struct(operand) && displacement(operand) == offset && operand->size == bits)
				return 0;
		}
	}
	return contradiction(err, field, offset, -1, name);
}

int gt_golayout_verify(struct gt_gobin *bin, const struct gt_golayout *layout, struct gt_error *err)
{
	const struct {
		const char *function, *field;
		int64_t offset;
		unsigned int bits;
	} accesses[] = {
		{"runtime.newproc1", "g.goid", layout->g_goid, 64},
		{"runtime.newproc1", "g.parentGoid", layout->g_parent_goid, 64},
		{"runtime.newproc1", "g.gopc", layout->g_gopc, 64},
		{"runtime.newproc1", "g.startpc", layout->g_startpc, 64},
		{"runtime.gopark", "g.waitreason", layout->g_waitreason, 8},
		{"runtime.chanrecv", "g.waiting", layout->g_waiting, 64},
		{"runtime.chanrecv", "sudog.c", layout->sudog_c_value >= 0 ? layout->sudog_c_value : layout->sudog_c,
			64},
		{"runtime.selectgo", "sudog.waitlink", layout->sudog_waitlink, 64},
		{"internal/poll.runtime_pollOpen", "pollDesc.fd", layout->polldesc_fd, 64},
		{"runtime.runOneTimer", "timer.when", layout->timer_when, 64},
		{"runtime.(*timer).unlockAndRun", "timer.when", layout->timer_when, 64},
	};
	int ret = verify_status(bin, layout, err);

	if (ret == 0)
		ret = verify_switch(bin, layout, err);
	if (ret == 0)
		ret = verify_m(bin, layout, err);
	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]) && ret == 0; i++)
		ret = verify_accessed(
			bin, accesses[i].function, accesses[i].field, accesses[i].offset, accesses[i].bits, err);
	return ret;
}
