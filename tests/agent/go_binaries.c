/*
 * go_binaries.c - what symbols/ and agent/ say of real Go binaries, against the binaries themselves.
 *
 * Argument: the folder that tests/symbols/samples.sh filled. For every file: version, layout, hooks. For one with symbols also: every
 * function of the symbol table; and the lines that the program's own runtime.CallersFrames gives for thousands of
 * pcs.
 */
#include "agent/golayout.h"
#include "agent/site.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned int failures;
static const char *file_name;

#define FAIL(...) \
	do { \
		printf("%s: ", file_name); \
		printf(__VA_ARGS__); \
		printf("\n"); \
		failures++; \
	} while (0)

/* The functions that gtrace hooks at their entry, and the versions that have them. */
static const struct {
	const char *name;
	unsigned int first, last;
} entries[] = {
	{"casgstatus", 19, 99},
	{"newproc1", 19, 99},
	{"reentersyscall", 19, 99},
	{"entersyscallblock", 19, 99},
	{"exitsyscall", 19, 99},
	{"exitsyscallNoP", 26, 99},
	{"goschedImpl", 19, 99},
	{"gopreempt_m", 19, 25},
	{"goyield_m", 19, 99},
	{"preemptPark", 19, 99},
	{"coroswitch_m", 23, 99}, /* only where iter.Pull is used, and the sample uses it from 1.23 on */
	{"wirep", 19, 99},
	{"releasep", 19, 99},
	{"releasepNoTrace", 22, 99},
	{"pidleput", 19, 99},
	{"mstart1", 19, 99},
	{"mexit", 19, 99},
	{"stopm", 19, 99},
	{"stoplockedm", 19, 99},
	{"minit", 19, 99},
	{"stopTheWorldWithSema", 19, 99},
	{"startTheWorldWithSema", 19, 99},
	{"gcMarkTermination", 19, 99},
	{"gcSweep", 19, 99},
	{"(*gcControllerState).startCycle", 19, 99},
	{"(*gcControllerState).update", 19, 99},
	{"park_m", 19, 99},
	{"gopark", 19, 99},
	{"ready", 19, 99},
	{"goexit0", 19, 99},
	{"execute", 19, 99},
	{"handoffp", 19, 99},
};

static const char *const returns[] = {
	"newproc1", "minit", "stopTheWorldWithSema", "startTheWorldWithSema", "gcSweep", "exitsyscall", "pidleget"};

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static bool find_runtime(struct gt_gobin *bin, const char *name, struct gt_gofunction *out)
{
	char full[128];

	snprintf(full, sizeof(full), "runtime.%s", name);
	return gt_pclntab_find(bin->pclntab, full, out);
}

/* The window is whole, and is what the file holds; moved as far as trampolines are, it still fits. */
static void check_site(const struct gt_gobin *bin, const struct gt_site *site, const char *name)
{
	const uint8_t *code = gt_elf_at(&bin->image, site->va, site->used);
	uint8_t moved[GT_SITE_RELOCATED_MAX];
	struct gt_error err;
	size_t used;

	if (site->used < GT_SITE_JUMP_SIZE || !code || memcmp(code, site->original, site->used) != 0)
		FAIL("%s: a window of %u bytes that is not the file's", name, site->used);
	if (gt_site_relocate(site, site->va, 0x200000, moved, sizeof(moved), &used, &err) < 0)
		FAIL("%s: %s", name, err.text);
}

static void check_entries(struct gt_gobin *bin)
{
	struct gt_gofunction function;
	struct gt_error err;
	struct gt_site site;

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		bool wanted = bin->minor >= entries[i].first && bin->minor <= entries[i].last;

		if (!find_runtime(bin, entries[i].name, &function)) {
			if (wanted)
				FAIL("runtime.%s is not there", entries[i].name);
			continue;
		}
		if (!wanted && entries[i].first != 23 && !strstr(file_name, "-noinline"))
			FAIL("runtime.%s is there: the table of versions is wrong", entries[i].name);
		if (function.wrapper)
			FAIL("runtime.%s: the wrapper was chosen", entries[i].name);
		if (gt_site_entry(bin, &function, 0, &site, &err) < 0)
			FAIL("%s", err.text);
		else
			check_site(bin, &site, entries[i].name);
	}
}

static void check_returns(struct gt_gobin *bin)
{
	struct gt_gofunction function;
	struct gt_site sites[16];
	struct gt_error err;
	size_t count;

	for (size_t i = 0; i < ARRAY_SIZE(returns); i++) {
		if (!find_runtime(bin, returns[i], &function)) {
			FAIL("runtime.%s is not there", returns[i]);
			continue;
		}
		if (gt_site_returns(bin, &function, 0, sites, ARRAY_SIZE(sites), &count, &err) < 0)
			FAIL("%s", err.text);
		for (size_t j = 0; j < count; j++) {
			check_site(bin, &sites[j], returns[i]);
			if (!sites[j].ends || sites[j].original[sites[j].used - 1] != 0xc3)
				FAIL("runtime.%s: a window that does not end with its return", returns[i]);
		}
	}
}

/* Syscall6 is assembly: known ones only. */
static void check_syscall(struct gt_gobin *bin)
{
	static const char *const names[] = {"runtime/internal/syscall.Syscall6", "internal/runtime/syscall.Syscall6",
		"internal/runtime/syscall/linux.Syscall6"};
	struct gt_gofunction function;
	struct gt_error err;
	struct gt_site site;
	uint64_t va;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!gt_pclntab_find(bin->pclntab, names[i], &function))
			continue;
		if (gt_site_entry(bin, &function, 0, &site, &err) != -ENOTSUP)
			FAIL("%s is assembly and was not refused", names[i]);
		if (gt_site_entry(bin, &function, GT_SITE_ASM_KNOWN, &site, &err) < 0)
			FAIL("%s", err.text);
		if (gt_site_syscall_end(bin, &function, &va, &err) < 0 ||
			gt_site_inside(bin, &function, va, GT_SITE_ASM_KNOWN, &site, &err) < 0)
			FAIL("%s", err.text);
		return;
	}
	FAIL("no Syscall6");
}

/* The runtime's own system calls: each with its number, a window in front and one behind. Others are refused. */
static void check_stubs(struct gt_gobin *bin)
{
	static const struct {
		const char *name;
		uint32_t number;
	} stubs[] = {{"runtime.futex", 202}, {"runtime.usleep", 35}, {"runtime.sysMmap", 9}, {"runtime.sysMunmap", 11},
		{"runtime.madvise", 28}, {"runtime.write1", 1}, {"runtime.read", 0}, {"runtime.rtsigprocmask", 14},
		{"runtime.rt_sigaction", 13}, {"runtime.sigaltstack", 131}};
	static const char *const refused[] = {
		"runtime.clone", "runtime.raise", "runtime.asmcgocall", "syscall.rawVforkSyscall"};
	struct gt_gofunction function;
	struct gt_error err;
	struct gt_site site;
	uint32_t number;
	uint64_t va;

	for (size_t i = 0; i < ARRAY_SIZE(stubs); i++) {
		if (!gt_pclntab_find(bin->pclntab, stubs[i].name, &function))
			FAIL("no %s", stubs[i].name);
		else if (gt_site_syscall_begin(bin, &function, &va, &number, &err) < 0 ||
			 gt_site_inside(bin, &function, va, GT_SITE_ASM_KNOWN, &site, &err) < 0 ||
			 gt_site_syscall_end(bin, &function, &va, &err) < 0 ||
			 gt_site_inside(bin, &function, va, GT_SITE_ASM_KNOWN, &site, &err) < 0)
			FAIL("%s", err.text);
		else if (number != stubs[i].number)
			FAIL("%s makes call %u", stubs[i].name, number);
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (gt_pclntab_find(bin->pclntab, refused[i], &function) &&
			gt_site_syscall_begin(bin, &function, &va, &number, &err) >= 0)
			FAIL("%s was not refused", refused[i]);
}

/* A table with one wrong number must be refused, by that field's name. */
static void check_refusals(struct gt_gobin *bin, const struct gt_golayout *good)
{
	const struct {
		int32_t offset;
		const char *field;
	} fields[] = {
		{offsetof(struct gt_golayout, g_m), "g.m"},
		{offsetof(struct gt_golayout, g_atomicstatus), "g.atomicstatus"},
		{offsetof(struct gt_golayout, g_goid), "g.goid"},
		{offsetof(struct gt_golayout, g_sched_pc), "g.sched.pc"},
		{offsetof(struct gt_golayout, g_sched_bp), "g.sched.bp"},
		{offsetof(struct gt_golayout, m_p), "m.p"},
		{offsetof(struct gt_golayout, m_id), "m.id"},
		{offsetof(struct gt_golayout, m_curg), "m.curg"},
		{offsetof(struct gt_golayout, m_procid), "m.procid"},
	};
	struct gt_error err;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		struct gt_golayout wrong = *good;

		*(int32_t *)((char *)&wrong + fields[i].offset) += 800;
		if (gt_golayout_verify(bin, &wrong, &err) != -EBADMSG || !strstr(err.text, fields[i].field))
			FAIL("a wrong %s was not refused by name", fields[i].field);
	}
}

/* Functions by the symbol table */

static size_t check_symbol(struct gt_gobin *bin, const char *name, uint64_t va)
{
	struct gt_gofunction function;
	size_t length = strlen(name);
	char plain[512];

	if (!gt_pclntab_at(bin->pclntab, va, &function) || function.va != va) {
		FAIL("%s at 0x%llx: no function starts there", name, (unsigned long long)va);
		return 1;
	}
	/* The symbol table tells the two calling conventions apart, Go's own table does not; it has type arguments,
	 * and names the functions of types in its own way. */
	snprintf(plain, sizeof(plain), "%s", name);
	if (length > 5 && length < sizeof(plain) && strcmp(plain + length - 5, ".abi0") == 0)
		plain[length - 5] = '\0';
	if (strchr(plain, '[') || strncmp(plain, "type:", 5) == 0)
		return 1;
	if (strcmp(function.name, plain) != 0)
		FAIL("%s at 0x%llx is called %s", name, (unsigned long long)va, function.name);
	if (!gt_pclntab_find(bin->pclntab, plain, &function))
		FAIL("%s is not found by name", plain);
	return 1;
}

static size_t check_symbols(struct gt_gobin *bin)
{
	struct gt_elf_section table, strings;
	size_t count = 0;

	if (!gt_elf_section_named(&bin->image, ".symtab", &table) ||
		!gt_elf_section_named(&bin->image, ".strtab", &strings))
		return 0;
	for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.size; at += sizeof(Elf64_Sym)) {
		Elf64_Sym symbol;
		const char *name;

		memcpy(&symbol, gt_elf_bytes(&bin->image, table.offset + at, sizeof(symbol)), sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_value < bin->text ||
			symbol.st_value >= bin->etext || symbol.st_size == 0)
			continue;
		name = (const char *)gt_elf_bytes(&bin->image, strings.offset + symbol.st_name, 1);
		count += check_symbol(bin, name, symbol.st_value);
	}
	return count;
}

/* Lines by the program itself */

struct answer {
	uint64_t pc;
	char function[4096], file[4096];
	unsigned int line;
};

/* "PC\tFUNCTION\tFILE\tLINE"; function and file may be empty. */
static bool read_answer(FILE *from, struct answer *out)
{
	char line[4096], *fields[4] = {line};

	if (!fgets(line, sizeof(line), from))
		return false;
	for (unsigned int i = 1; i < 4; i++) {
		fields[i] = strchr(fields[i - 1], '\t');
		if (!fields[i])
			return false;
		*fields[i]++ = '\0';
	}
	out->pc = strtoull(fields[0], NULL, 16);
	snprintf(out->function, sizeof(out->function), "%s", fields[1]);
	snprintf(out->file, sizeof(out->file), "%s", fields[2]);
	out->line = (unsigned int)strtoul(fields[3], NULL, 10);
	return true;
}

/* Go takes pcs as return addresses, so it looks for the function of the byte behind; it prints ? for no file, and
 * no name for the one function whose name is the first of the table. */
static bool same_line(const struct gt_pcline *line, const struct answer *answer)
{
	const char *file = strcmp(answer->file, "?") == 0 ? "" : answer->file;
	char name[4096];

	gt_go_name_short(line->function, name, sizeof(name));
	return (answer->function[0] == '\0' || strcmp(name, answer->function) == 0) && strcmp(line->file, file) == 0 &&
	       line->line == answer->line;
}

static bool last_byte(struct gt_gobin *bin, uint64_t pc)
{
	struct gt_gofunction function;

	return !gt_pclntab_at(bin->pclntab, pc, &function) || pc + 1 == function.va + function.size;
}

static size_t check_lines(struct gt_gobin *bin, const char *path)
{
	struct gt_pcline lines[GT_PCLNTAB_INLINE_MAX];
	size_t count = 0, frames = 0, at = 0, deep = 0;
	struct answer answer;
	uint64_t pc = 0;
	char command[PATH_MAX + 64];
	FILE *from;

	snprintf(command, sizeof(command), "'%s' %llx %llx 3b", path, (unsigned long long)bin->text + 16,
		(unsigned long long)bin->etext);
	from = popen(command, "r");
	while (from && read_answer(from, &answer)) {
		if (answer.pc != pc) {
			pc = answer.pc;
			frames = gt_pclntab_lookup(bin->pclntab, pc, lines, GT_PCLNTAB_INLINE_MAX);
			at = 0;
			deep += frames > 1;
		}
		if (last_byte(bin, pc))
			continue;
		count++;
		if (at >= frames || !same_line(&lines[at], &answer)) {
			FAIL("0x%llx frame %zu of %zu: %s %s:%u, but Go says %s %s:%u", (unsigned long long)pc, at,
				frames, at < frames ? lines[at].function : "-", at < frames ? lines[at].file : "-",
				at < frames ? lines[at].line : 0, answer.function, answer.file, answer.line);
			if (failures > 20)
				break;
		}
		at++;
	}
	if (from)
		pclose(from);
	if (count < 1000 || deep < 100)
		FAIL("only %zu lines, %zu pcs in inlined code", count, deep);
	return count;
}

static void check_binary(const char *path, const char *name)
{
	const struct gt_golayout *layout;
	struct gt_elf_identity identity;
	size_t symbols = 0, lines = 0;
	struct gt_gobin *bin;
	struct gt_error err;
	char version[32];

	file_name = name;
	if (gt_elf_kind(path, &identity, &err) < 0 || identity.kind != GT_ELF_GO)
		FAIL("not known as a Go program");
	if (gt_gobin_open(path, &bin, &err) < 0) {
		FAIL("%s", err.text);
		return;
	}
	snprintf(version, sizeof(version), "go%.*s", (int)strcspn(name, "-"), name);
	if (strcmp(bin->version, version) != 0)
		FAIL("its version is said to be %s", bin->version);
	if (bin->image.dynamic != (strstr(name, "-pie") != NULL) || bin->go_build_id[0] == '\0')
		FAIL("kind or build id is wrong");
	if (gt_golayout_find(bin, &layout, &err) < 0 || gt_golayout_verify(bin, layout, &err) < 0)
		FAIL("%s", err.text);
	else
		check_refusals(bin, layout);
	check_entries(bin);
	check_returns(bin);
	check_syscall(bin);
	check_stubs(bin);
	if (!strchr(name, '-')) {
		symbols = check_symbols(bin);
		lines = check_lines(bin, path);
		if (symbols < 1000)
			FAIL("only %zu symbols", symbols);
	}
	printf("%-18s %zu functions, %zu symbols and %zu lines compared\n", name, gt_pclntab_count(bin->pclntab),
		symbols, lines);
	gt_gobin_close(bin);
}

int main(int argc, char **argv)
{
	struct dirent **names;
	int count = argc == 2 ? scandir(argv[1], &names, NULL, alphasort) : -1, checked = 0;

	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
		if (names[i]->d_name[0] == '1' && !strstr(names[i]->d_name, ".new")) {
			check_binary(path, names[i]->d_name);
			checked++;
		}
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	if (checked == 0) {
		printf("no samples: tests/symbols/samples.sh found no Go toolchain: skipped\n");
		return 77;
	}
	return failures ? 1 : 0;
}
