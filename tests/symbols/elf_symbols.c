/* elf_symbols.c - the functions and lines of this very test. */
#include "symbols/elf_symbols.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

extern const char __executable_start;

static volatile int sink;

/* Its code lies in its caller: __builtin_return_address there is no help, a label's address is. */
static inline __attribute__((always_inline)) uintptr_t inlined_callee(void)
{
	uintptr_t pc;

	__asm__ volatile("lea 0(%%rip), %0" : "=r"(pc));
	sink++;
	return pc;
}

static __attribute__((noinline)) uintptr_t real_caller(void)
{
	uintptr_t pc = inlined_callee();

	sink++;
	return pc;
}

static struct gt_elf_symbols *open_self(void)
{
	struct gt_elf_symbols *symbols = NULL;
	struct gt_error err = {""};

	cr_assert_eq(gt_elf_symbols_open("/proc/self/exe", &symbols, &err), 0, "%s", err.text);
	return symbols;
}

/* A PIE is linked at 0. */
static uint64_t link_time(uintptr_t pc)
{
	return pc - (uintptr_t)&__executable_start;
}

Test(elf_symbols, a_pc_gives_its_function_and_line_and_the_inlined_call)
{
	struct gt_elf_symbols *symbols = open_self();
	uint64_t pc = link_time(real_caller()) - 1;
	struct gt_pcline lines[4];
	size_t count = gt_elf_symbols_lookup(symbols, pc, lines, 4);

	cr_assert_eq(count, 2, "%zu frames", count);
	cr_assert_str_eq(lines[0].function, "inlined_callee");
	cr_assert_str_eq(lines[1].function, "real_caller");
	cr_assert(lines[0].inlined && !lines[1].inlined);
	cr_assert(strstr(lines[0].file, "elf_symbols.c") && strstr(lines[1].file, "elf_symbols.c"));
	cr_assert(lines[0].line > lines[0].start_line && lines[0].line < lines[1].start_line);
	cr_assert_eq(lines[1].line, lines[1].start_line + 2);
	cr_assert_eq(gt_elf_symbols_lookup(symbols, pc, lines, 1), 1);
	cr_assert_eq(gt_elf_symbols_lookup(symbols, pc, lines, 0), 0);
	gt_elf_symbols_close(symbols);
}

Test(elf_symbols, a_pc_of_nothing_gives_an_empty_name)
{
	struct gt_elf_symbols *symbols = open_self();
	struct gt_pcline line;

	cr_assert_eq(gt_elf_symbols_lookup(symbols, 0x7fff00000000, &line, 1), 1);
	cr_assert_str_eq(line.function, "");
	cr_assert_str_eq(line.file, "");
	cr_assert_eq(line.line, 0);
	gt_elf_symbols_close(symbols);
}

Test(elf_symbols, what_is_no_program_is_refused)
{
	struct gt_elf_symbols *symbols = NULL;
	struct gt_error err;

	cr_assert_eq(gt_elf_symbols_open("/nonexistent/program", &symbols, &err), -ENOENT);
	cr_assert_eq(gt_elf_symbols_open("/etc/passwd", &symbols, &err), -ENOEXEC);
	cr_assert(strstr(err.text, "/etc/passwd"));
	cr_assert_null(symbols);
}
