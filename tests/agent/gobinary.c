/* gobinary.c - hand-made programs: what is refused and how it is said, functions and lines, patch windows, moved code. */
#include "agent/golayout.h"
#include "agent/site.h"
#include "format/wire/event.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_VA 0x400200u /* of the corpus' programs */

static const char *corpus(const char *name)
{
	static char path[PATH_MAX];
	const char *root = getenv("GTRACE_SOURCE_DIR");

	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/gobinary/%s", root ? root : ".", name);
	return path;
}

static struct gt_gobin *open_corpus(const char *name)
{
	struct gt_gobin *bin = NULL;
	struct gt_error err = {""};

	cr_assert_eq(gt_gobin_open(corpus(name), &bin, &err), 0, "%s", err.text);
	return bin;
}

Test(gobinary, a_release_is_told_from_a_development_build)
{
	unsigned int minor = 0, patch = 0;

	cr_assert(gt_go_version_parse("go1.26.5", &minor, &patch) && minor == 26 && patch == 5);
	cr_assert(gt_go_version_parse("go1.19", &minor, &patch) && minor == 19 && patch == 0);
	cr_assert(gt_go_version_parse("go1.27rc1", &minor, &patch) && minor == 27 && patch == 0);
	cr_assert(gt_go_version_parse("go1.25.3 X:nodwarf5", &minor, &patch) && minor == 25 && patch == 3);
	cr_assert(gt_go_version_parse("go1.24.4-vendor", &minor, &patch) && patch == 4);
	cr_assert_not(gt_go_version_parse("devel go1.27-0123456789", &minor, &patch));
	cr_assert_not(gt_go_version_parse("go1.26.5x", &minor, &patch));
	cr_assert_not(gt_go_version_parse("go1.", &minor, &patch));
	cr_assert_not(gt_go_version_parse("go1.26.", &minor, &patch));
	cr_assert_not(gt_go_version_parse("go1.99999.1", &minor, &patch));
	cr_assert_not(gt_go_version_parse("go2.1", &minor, &patch));
	cr_assert_not(gt_go_version_parse("", &minor, &patch));
}

Test(gobinary, what_cannot_be_traced_is_refused_with_one_line_that_says_why)
{
	static const struct {
		const char *file, *says;
		int code;
	} cases[] = {
		{"empty", "an empty file", ENOEXEC},
		{"elf32", "32-bit", ENOEXEC},
		{"big-endian", "big-endian", ENOEXEC},
		{"arm64", "another machine", ENOEXEC},
		{"relocatable", "type 1", ENOEXEC},
		{"elf-half-header", "cut off", ENOEXEC},
		{"elf-header-only", "cut off", ENOEXEC},
		{"cut-in-text", "cut off", ENOEXEC},
		{"cut-in-table", "cut off", ENOEXEC},
		{"segment-wraps", "no possible size", ENOEXEC},
		{"segment-cut-off", "cut off", ENOEXEC},
		{"many-programs", "program headers", ENOEXEC},
		{"script", "not an ELF program", ENOEXEC},
		{"go1.17-table", "Go 1.16 or 1.17", EPROTONOSUPPORT},
		{"no-functions", "broken", EBADMSG},
		{"endless-functions", "broken", EBADMSG},
		{"names-behind-end", "broken", EBADMSG},
		{"functab-behind-end", "broken", EBADMSG},
		{"development", "devel go1.27-0123456789", EPROTONOSUPPORT},
		{"no such file", "cannot open", ENOENT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gt_gobin *bin = NULL;
		struct gt_error err = {""};
		int ret = gt_gobin_open(corpus(cases[i].file), &bin, &err);

		cr_assert_eq(ret, -cases[i].code, "%s: %d %s", cases[i].file, ret, err.text);
		cr_assert(strstr(err.text, cases[i].says), "%s: %s", cases[i].file, err.text);
		cr_assert(strstr(err.text, cases[i].file), "the line does not name the file: %s", err.text);
		cr_assert_null(strchr(err.text, '\n'));
	}
}

Test(gobinary, a_go_version_without_a_layout_is_refused_and_the_way_to_add_it_named)
{
	struct gt_gobin *bin = open_corpus("unknown-go1.99");
	const struct gt_golayout *layout;
	struct gt_error err;

	cr_assert_eq(gt_golayout_find(bin, &layout, &err), -EPROTONOSUPPORT);
	cr_assert(strstr(err.text, "go1.99.1") && strstr(err.text, "1.19 to 1.27") &&
		  strstr(err.text, "docs/howto-add-go-version.md"));
	gt_gobin_close(bin);
}

Test(gobinary, the_version_is_found_without_build_information_and_sections)
{
	struct gt_gobin *bin = open_corpus("sound-go1.27-stripped");

	cr_assert_str_eq(bin->version, "go1.27.1");
	cr_assert(bin->minor == 27 && bin->patch == 1 && bin->text == TEXT_VA);
	gt_gobin_close(bin);
}

static struct gt_elf_identity kind_of(const char *bytes, size_t size)
{
	struct gt_elf_identity identity;

	cr_assert_eq(gt_elf_kind_bytes(bytes, size, "it", &identity, NULL), 0);
	return identity;
}

Test(gobinary, a_script_names_the_program_that_would_run)
{
#define SCRIPT(text) kind_of(text, sizeof(text) - 1)
	cr_assert_eq(SCRIPT("#!/bin/sh\n").kind, GT_ELF_SCRIPT);
	cr_assert_str_eq(SCRIPT("#!/bin/sh\necho").interpreter, "/bin/sh");
	cr_assert_str_eq(SCRIPT("#! /usr/bin/python3 -u\n").interpreter, "/usr/bin/python3");
	cr_assert_str_eq(SCRIPT("#!/usr/bin/env node\n").interpreter, "node");
	cr_assert_str_eq(SCRIPT("#!/usr/bin/env -S A=1 node --flag\n").interpreter, "node");
	cr_assert_str_eq(SCRIPT("#!").interpreter, "");
#undef SCRIPT
}

Test(gobinary, programs_of_go_of_libtrace_and_of_neither_are_told_apart)
{
	struct gt_elf_identity identity;
	struct gt_error err;

	cr_assert_eq(gt_elf_kind("/bin/true", &identity, &err), 0);
	cr_assert_eq(identity.kind, GT_ELF_OTHER);
	cr_assert_eq(gt_elf_kind(LINKED_PROGRAM, &identity, &err), 0);
	cr_assert_eq(identity.kind, GT_ELF_LIBTRACE);
	cr_assert_eq(gt_elf_kind(corpus("sound-go1.26"), &identity, &err), 0);
	cr_assert_eq(identity.kind, GT_ELF_GO);
}

Test(pclntab, of_two_functions_of_one_name_the_wrapper_is_not_chosen)
{
	struct gt_gobin *bin = open_corpus("sound-go1.26");
	struct gt_gofunction function;

	cr_assert(gt_pclntab_find(bin->pclntab, "main.main", &function));
	cr_assert(function.size == 48 && !function.wrapper && function.start_line == 9);
	cr_assert_not(gt_pclntab_find(bin->pclntab, "main.mai", &function));
	cr_assert(gt_pclntab_find(bin->pclntab, "runtime.mcall", &function) && (function.flags & GT_GOFUNC_ASM));
	gt_gobin_close(bin);
}

/* The same code in the two forms of inline trees: 20 bytes a call until Go 1.19, 16 since. */
Test(pclntab, an_inlined_call_is_a_frame_of_its_own)
{
	static const char *const files[] = {"sound-go1.19", "sound-go1.26", "sound-go1.27-stripped"};

	for (size_t i = 0; i < 3; i++) {
		struct gt_gobin *bin = open_corpus(files[i]);
		struct gt_gofunction function;
		struct gt_pcline lines[4];

		cr_assert(gt_pclntab_find(bin->pclntab, "main.main", &function));
		cr_assert_eq(gt_pclntab_lookup(bin->pclntab, function.va + 20, lines, 4), 2);
		cr_assert_str_eq(lines[0].function, "main.inlined");
		cr_assert(lines[0].inlined && lines[0].line == 77);
		cr_assert_str_eq(lines[0].file, "other.go");
		cr_assert_str_eq(lines[1].function, "main.main");
		cr_assert(!lines[1].inlined && lines[1].line == 30);
		cr_assert_str_eq(lines[1].file, "main.go");
		cr_assert_eq(gt_pclntab_lookup(bin->pclntab, function.va + 24, lines, 4), 1);
		cr_assert_eq(lines[0].line, 32);
		cr_assert_eq(gt_pclntab_lookup(bin->pclntab, function.va + 20, lines, 1), 1, "cut to what has room");
		gt_gobin_close(bin);
	}
}

Test(pclntab, a_pc_outside_of_the_code_is_nobodys)
{
	struct gt_gobin *bin = open_corpus("sound-go1.26");
	struct gt_gofunction function;
	struct gt_pcline line;

	cr_assert_eq(gt_pclntab_lookup(bin->pclntab, bin->text - 1, &line, 1), 0);
	cr_assert_eq(gt_pclntab_lookup(bin->pclntab, bin->etext, &line, 1), 0);
	cr_assert_eq(gt_pclntab_lookup(bin->pclntab, UINT64_MAX, &line, 1), 0);
	cr_assert_not(gt_pclntab_at(bin->pclntab, 0, &function));
	gt_gobin_close(bin);
}

Test(pclntab, a_name_is_shortened_as_go_does)
{
	char out[64];

	cr_assert_str_eq(gt_go_name_short("a.(*P[go.shape.int]).Load", out, sizeof(out)), "a.(*P[...]).Load");
	cr_assert_str_eq(gt_go_name_short("a.F[b.G[int]]", out, sizeof(out)), "a.F[...]");
	cr_assert_str_eq(gt_go_name_short("main.main", out, sizeof(out)), "main.main");
	cr_assert_str_eq(gt_go_name_short("a]b[", out, sizeof(out)), "a]b[");
}

Test(golayout, a_program_whose_code_says_otherwise_is_refused_by_the_fields_name)
{
	struct gt_gobin *bin = open_corpus("sound-go1.19"); /* its mcall is that of Go 1.26 */
	const struct gt_golayout *layout;
	struct gt_error err;

	cr_assert_eq(gt_golayout_find(bin, &layout, &err), 0);
	cr_assert_eq(gt_golayout_verify(bin, layout, &err), -EBADMSG);
	cr_assert(strstr(err.text, "g.sched.bp: expected at 104, found at 96"), "%s", err.text);
	gt_gobin_close(bin);
}

Test(golayout, each_version_numbers_its_wait_reasons_in_its_own_way)
{
	const struct gt_golayout *old = gt_golayout_of_minor(22), *new = gt_golayout_of_minor(26);

	cr_assert_eq(gt_golayout_reason(old, 9), GT_REASON_SELECT);
	cr_assert_eq(gt_golayout_reason(new, 18), GT_REASON_SELECT);
	cr_assert_eq(gt_golayout_reason(old, 0), GT_REASON_UNKNOWN);
	cr_assert_eq(gt_golayout_reason(new, 4000), GT_REASON_UNKNOWN);
	cr_assert_null(gt_golayout_of_minor(18));
	cr_assert_null(gt_golayout_of_minor(28));
}

/* One function of these bytes at 0x401000, in a program of nothing else. */
struct code {
	struct gt_gobin bin;
	struct gt_gofunction function;
};

static void make_code(struct code *code, const void *bytes, size_t size)
{
	memset(code, 0, sizeof(*code));
	code->bin.image.bytes = bytes;
	code->bin.image.size = size;
	code->bin.image.segment_count = 1;
	code->bin.image.segments[0] = (struct gt_elf_segment){0x401000, size, 0, size, PF_R | PF_X};
	code->function.name = "main.f";
	code->function.va = 0x401000;
	code->function.size = size;
}

static int entry_of(const char *bytes, size_t size, struct gt_site *site, struct gt_error *err)
{
	struct code code;

	make_code(&code, bytes, size);
	return gt_site_entry(&code.bin, &code.function, 0, site, err);
}

#define ENTRY(bytes, site, err) entry_of(bytes, sizeof(bytes) - 1, site, err)

#define LEAVE "\x48\x83\xc4\x20\x5d\xc3"         /* add rsp,32; pop rbp; ret */
#define FRAME "\x55\x48\x89\xe5\x48\x83\xec\x20" /* push rbp; mov rbp,rsp; sub rsp,32 */

Test(site, the_window_stands_behind_the_stack_check)
{
	struct gt_error err = {""};
	struct gt_site site;

	/* cmp rsp,[r14+16]; jbe */
	cr_assert_eq(ENTRY("\x49\x3b\x66\x10\x76\x0e" FRAME LEAVE "\xe8\x00\x00\x00\x00\xeb\xe5", &site, &err), 0, "%s",
		err.text);
	cr_assert(site.va == 0x401006 && site.used == 8 && site.instructions == 3 && site.has_stack_check);
	cr_assert_arr_eq(site.original, FRAME, 8);
	/* lea r12,[rsp-128]; cmp r12,[r14+24]; jbe rel32: the system stack's guard */
	cr_assert_eq(ENTRY("\x4c\x8d\x64\x24\x80\x4d\x3b\x66\x18\x0f\x86\x0e\x00\x00\x00" FRAME LEAVE, &site, &err), 0);
	cr_assert(site.va == 0x40100f && site.has_stack_check);
	/* none */
	cr_assert_eq(ENTRY(FRAME LEAVE, &site, &err), 0);
	cr_assert(site.va == 0x401000 && !site.has_stack_check && !site.ends);
}

Test(site, a_window_that_something_could_jump_into_is_refused)
{
	struct gt_error err;
	struct gt_site site;

	/* xor eax,eax; inc eax; cmp eax,10; jl to the inc */
	cr_assert_eq(ENTRY("\x31\xc0\xff\xc0\x83\xf8\x0a\x7c\xf9\xc3", &site, &err), -ENOTSUP);
	cr_assert(strstr(err.text, "a branch leads into") && strstr(err.text, "main.f"), "%s", err.text);
	/* nop (5 bytes); dec eax; jnz to the start */
	cr_assert_eq(ENTRY("\x0f\x1f\x44\x00\x00\xff\xc8\x75\xf7\xc3", &site, &err), -ENOTSUP);
	cr_assert(strstr(err.text, "a loop"), "%s", err.text);
	/* xor eax,eax; test rdi,rdi; jmp [rax*8 + table] */
	cr_assert_eq(ENTRY("\x31\xc0\x48\x85\xff\xff\x24\xc5\x00\x10\x40\x00\xc3", &site, &err), -ENOTSUP);
	cr_assert(strstr(err.text, "jump table"), "%s", err.text);
	/* a frame cannot be split, with a jump table or not */
	cr_assert_eq(ENTRY(FRAME "\xff\x24\xc5\x00\x10\x40\x00" LEAVE, &site, &err), 0);
}

Test(site, a_recovered_panic_must_not_go_on_inside_a_window)
{
	struct gt_error err;
	struct gt_site site;
	struct code code;

	make_code(&code, FRAME LEAVE, 14);
	code.function.deferreturn = 4;
	cr_assert_eq(gt_site_entry(&code.bin, &code.function, 0, &site, &err), -ENOTSUP);
	cr_assert(strstr(err.text, "recovered panic"), "%s", err.text);
	code.function.deferreturn = 8;
	cr_assert_eq(gt_site_entry(&code.bin, &code.function, 0, &site, &err), 0);
}

Test(site, calls_system_calls_traps_and_short_functions_are_refused)
{
	struct gt_error err;
	struct gt_site site;

	cr_assert_eq(ENTRY("\xe8\x00\x00\x00\x00\xc3", &site, &err), -ENOTSUP);
	cr_assert(strstr(err.text, "a call"));
	cr_assert_eq(ENTRY("\x89\xd8\x0f\x05\x90\x90\x90\xc3", &site, &err), -ENOTSUP);
	cr_assert(strstr(err.text, "system call"));
	cr_assert_eq(ENTRY("\x31\xc0\xc3\xcc\xcc\xcc\xcc\xcc", &site, &err), -ENOTSUP);
	cr_assert_eq(ENTRY("\xc3", &site, &err), -ENOTSUP);
	cr_assert_eq(ENTRY("\x06\x06\x06\x06\x06\x06", &site, &err), -ENOTSUP);
	cr_assert(strstr(err.text, "no instruction"));
}

Test(site, assembly_is_refused_unless_known)
{
	struct gt_error err;
	struct gt_site site;
	struct code code;

	make_code(&code, FRAME LEAVE, 14);
	code.function.flags = GT_GOFUNC_ASM;
	cr_assert_eq(gt_site_entry(&code.bin, &code.function, 0, &site, &err), -ENOTSUP);
	cr_assert_eq(gt_site_entry(&code.bin, &code.function, GT_SITE_ASM_KNOWN, &site, &err), 0);
}

Test(site, every_return_gets_a_window_or_the_function_is_refused)
{
	struct gt_site sites[4];
	struct gt_error err = {""};
	struct code code;
	size_t count;

	/* two returns; test eax,eax; jz to the second */
	make_code(&code, FRAME "\x85\xc0\x74\x06" LEAVE LEAVE "\xcc\xcc", 26);
	cr_assert_eq(gt_site_returns(&code.bin, &code.function, 0, sites, 4, &count, &err), 0, "%s", err.text);
	cr_assert_eq(count, 2);
	cr_assert(sites[0].va == 0x40100c && sites[0].used == 6 && sites[0].ends && sites[1].va == 0x401012);
	cr_assert_eq(gt_site_returns(&code.bin, &code.function, 0, sites, 1, &count, &err), -ENOSPC);
	/* jz into the epilogue */
	make_code(&code, FRAME "\x85\xc0\x74\x04" LEAVE, 18);
	cr_assert_eq(gt_site_returns(&code.bin, &code.function, 0, sites, 4, &count, &err), -ENOTSUP);
	/* no return at all */
	make_code(&code, FRAME "\xeb\xfe", 10);
	cr_assert_eq(gt_site_returns(&code.bin, &code.function, 0, sites, 4, &count, &err), -ENOTSUP);
	cr_assert_eq(count, 0);
}

static size_t move(const char *bytes, uint8_t size, uint64_t to, uint8_t *out, int expected)
{
	struct gt_site site = {.va = 0x401000, .used = size};
	size_t used = 0;
	int ret;

	memcpy(site.original, bytes, size);
	ret = gt_site_relocate(&site, 0x401000, to, out, GT_SITE_RELOCATED_MAX, &used, NULL);
	cr_assert_eq(ret, expected, "%d", ret);
	return used;
}

Test(site, moved_instructions_mean_the_same)
{
	uint8_t out[GT_SITE_RELOCATED_MAX];

	cr_assert_eq(move(FRAME, 8, 0x200000, out, 0), 8);
	cr_assert_arr_eq(out, FRAME, 8);
	/* cmp dword [rip+0x100],0 at 0x401000 -> at 0x200000: 0x201000 farther */
	cr_assert_eq(move("\x83\x3d\x00\x01\x00\x00\x00", 7, 0x200000, out, 0), 7);
	cr_assert_arr_eq(out, "\x83\x3d\x00\x11\x20\x00\x00", 7);
	/* jz +16 (2 bytes) becomes 0f 84 rel32: 0x401012 - 0x200006 */
	cr_assert_eq(move("\x74\x10\x48\x89\xe5", 5, 0x200000, out, 0), 9);
	cr_assert_arr_eq(out, "\x0f\x84\x0c\x10\x20\x00\x48\x89\xe5", 9);
	/* jmp rel8, jmp rel32, call rel32, jnz rel32 */
	cr_assert_eq(move("\xeb\x20\x90\x90\x90", 5, 0x200000, out, 0), 8);
	cr_assert_arr_eq(out, "\xe9\x1d\x10\x20\x00", 5);
	cr_assert_eq(move("\xe9\x00\x01\x00\x00", 5, 0x200000, out, 0), 5);
	cr_assert_arr_eq(out, "\xe9\x00\x11\x20\x00", 5);
	cr_assert_eq(move("\xe8\x00\x01\x00\x00", 5, 0x200000, out, 0), 5);
	cr_assert_arr_eq(out, "\xe8\x00\x11\x20\x00", 5);
	cr_assert_eq(move("\x0f\x85\x00\x01\x00\x00", 6, 0x200000, out, 0), 6);
	cr_assert_arr_eq(out, "\x0f\x85\x00\x11\x20\x00", 6);
}

Test(site, what_does_not_reach_or_has_no_long_form_is_refused)
{
	uint8_t out[GT_SITE_RELOCATED_MAX];

	move("\x83\x3d\x00\x01\x00\x00\x00", 7, 0x7f0000000000, out, -ERANGE);
	move("\xe9\x00\x01\x00\x00", 5, 0x7f0000000000, out, -ERANGE);
	move("\xe3\x10\x90\x90\x90", 5, 0x200000, out, -ENOTSUP); /* jrcxz */
	move("\x90\x74\xfe\x90\x90", 5, 0x200000, out, -ENOTSUP); /* jz into the window */
	move("\x06\x06\x06\x06\x06", 5, 0x200000, out, -ENOTSUP);
}

Test(site, the_only_system_call_is_found)
{
	struct gt_error err;
	struct code code;
	uint64_t va = 0;

	make_code(&code, "\x49\x89\xf2\x0f\x05\x48\x3d\x01\xf0\xff\xff\xc3", 12);
	cr_assert_eq(gt_site_syscall_end(&code.bin, &code.function, &va, &err), 0);
	cr_assert_eq(va, 0x401005);
	make_code(&code, "\x0f\x05\x0f\x05\xc3", 5);
	cr_assert_eq(gt_site_syscall_end(&code.bin, &code.function, &va, &err), -ENOTSUP);
	make_code(&code, "\xc3", 1);
	cr_assert_eq(gt_site_syscall_end(&code.bin, &code.function, &va, &err), -ENOENT);
}
