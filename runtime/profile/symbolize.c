/*
 * symbolize.c - this process's modules, and what stands at an address in them.
 *
 * The loader's own list is what is mapped now; a module that was closed before has an address and no name. Files are opened
 * when an address in them is asked for.
 */
#include "runtime/profile/profile.h"
#include "symbols/elf_symbols.h"

#include "base/hash.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE       4096u
#define VDSO_NAMES 64

/* What is left out of a stack at its ends. */
#define END_KNOWN 1u
#define END_INNER 2u
#define END_OUTER 4u

struct gt_symbolizer {
	struct gt_symbols_module *modules;
	size_t count, room;
	char *exe;          /* the program's path */
	struct gt_map ends; /* by address: END_* */
	/* Its functions, as they are shown. */
	struct vdso_name {
		const char *function;
		char *shown;
	} vdso[VDSO_NAMES];
};

/* ---- modules ---- */

static size_t padded(size_t bytes)
{
	return (bytes + 3) & ~(size_t)3;
}

/* In hex, or NULL. */
static char *build_id(const struct dl_phdr_info *info)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		const char *at = (const char *)(info->dlpi_addr + segment->p_vaddr);
		size_t left = segment->p_filesz;

		if (segment->p_type != PT_NOTE)
			continue;
		while (left >= sizeof(ElfW(Nhdr))) {
			const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)(const void *)at;
			size_t bytes = sizeof(*note) + padded(note->n_namesz) + padded(note->n_descsz);
			const unsigned char *id = (const unsigned char *)at + sizeof(*note) + padded(note->n_namesz);
			char *text;

			if (bytes > left)
				break;
			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
				memcmp(at + sizeof(*note), "GNU", 4) == 0 && note->n_descsz <= 64) {
				text = malloc(2 * (size_t)note->n_descsz + 1);
				for (size_t k = 0; text && k < note->n_descsz; k++)
					sprintf(text + 2 * k, "%02x", id[k]);
				return text;
			}
			at += bytes;
			left -= bytes;
		}
	}
	return NULL;
}

static int add_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct gt_symbolizer *s = arg;
	bool program = s->count == 0 && (!info->dlpi_name || !info->dlpi_name[0]);

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = (info->dlpi_addr + segment->p_vaddr) & ~(uintptr_t)(PAGE - 1);
		struct gt_symbols_module *module;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		if (s->count == s->room) {
			size_t room = s->room ? 2 * s->room : 16;
			struct gt_symbols_module *grown = realloc(s->modules, room * sizeof(*grown));

			if (!grown)
				return 1;
			s->modules = grown;
			s->room = room;
		}
		module = &s->modules[s->count++];
		*module = (struct gt_symbols_module){
			.start = start,
			.limit = (info->dlpi_addr + segment->p_vaddr + segment->p_memsz + PAGE - 1) &
				 ~(uintptr_t)(PAGE - 1),
			.offset = segment->p_offset & ~(uint64_t)(PAGE - 1),
			.bias = info->dlpi_addr,
			.path = strdup(program           ? (s->exe ? s->exe : "")
				       : info->dlpi_name ? info->dlpi_name
							 : ""),
			.build_id = build_id(info),
		};
	}
	return 0;
}

struct gt_symbolizer *gt__symbolizer_new(void)
{
	struct gt_symbolizer *s = calloc(1, sizeof(*s));
	char path[4096];
	ssize_t length;

	if (!s)
		return NULL;
	length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (length > 0) {
		path[length] = '\0';
		s->exe = strdup(path);
	}
	dl_iterate_phdr(add_module, s);
	return s;
}

void gt__symbolizer_free(struct gt_symbolizer *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++) {
		gt_elf_symbols_close(s->modules[i].symbols);
		free((char *)s->modules[i].path);
		free((char *)s->modules[i].build_id);
	}
	for (size_t i = 0; i < VDSO_NAMES; i++)
		free(s->vdso[i].shown);
	gt_map_free(&s->ends);
	free(s->modules);
	free(s->exe);
	free(s);
}

size_t gt__symbolizer_modules(struct gt_symbolizer *s, struct gt_symbols_module **modules)
{
	*modules = s->modules;
	return s->count;
}

int gt__symbolizer_module(struct gt_symbolizer *s, uintptr_t pc)
{
	for (size_t i = 0; i < s->count; i++)
		if (pc >= s->modules[i].start && pc < s->modules[i].limit)
			return (int)i;
	return -1;
}

static bool is_vdso(const struct gt_symbols_module *module)
{
	return module->path && strncmp(module->path, "linux-vdso", 10) == 0;
}

static void open_vdso(struct gt_symbols_module *module)
{
	char path[40];
	int fd = gt_elf_vdso();

	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (gt_elf_symbols_open(path, &module->symbols, NULL) < 0)
		module->symbols = NULL;
	close(fd);
}

/* "[vdso] clock_gettime" */
static const char *vdso_name(struct gt_symbolizer *s, const char *function)
{
	for (size_t i = 0; i < VDSO_NAMES && function[0]; i++) {
		struct vdso_name *name = &s->vdso[i];

		if (name->shown && name->function != function)
			continue;
		name->function = function;
		if (!name->shown && asprintf(&name->shown, "[vdso] %s", function) < 0)
			name->shown = NULL;
		return name->shown ? name->shown : "[vdso]";
	}
	return "[vdso]";
}

/* The program's file may have been replaced or removed since: the link in /proc leads to the one that runs. */
static struct gt_elf_symbols *symbols_of(struct gt_symbolizer *s, struct gt_symbols_module *module)
{
	if (!module->tried && module->path) {
		bool program = s->exe && strcmp(module->path, s->exe) == 0;

		module->tried = true;
		if (is_vdso(module))
			open_vdso(module);
		else if (module->path[0] == '/' &&
			 gt_elf_symbols_open(program ? "/proc/self/exe" : module->path, &module->symbols, NULL) < 0)
			module->symbols = NULL;
	}
	return module->symbols;
}

size_t gt__symbolizer_lines(struct gt_symbolizer *s, uintptr_t pc, struct gt_symbols_line *lines, size_t max)
{
	int index = gt__symbolizer_module(s, pc);
	struct gt_pcline found[GT_PROFILE_LINES];
	struct gt_elf_symbols *symbols;
	size_t count;

	if (index < 0 || max == 0)
		return 0;
	symbols = symbols_of(s, &s->modules[index]);
	if (is_vdso(&s->modules[index])) {
		count = symbols ? gt_elf_symbols_lookup(symbols, pc - s->modules[index].bias, found, 1) : 0;
		lines[0] = (struct gt_symbols_line){vdso_name(s, count ? found[0].function : ""), "", 0, 0};
		return 1;
	}
	if (!symbols)
		return 0;
	count = gt_elf_symbols_lookup(
		symbols, pc - s->modules[index].bias, found, max < GT_PROFILE_LINES ? max : GT_PROFILE_LINES);
	for (size_t i = 0; i < count; i++)
		lines[i] =
			(struct gt_symbols_line){found[i].function, found[i].file, found[i].line, found[i].start_line};
	return count == 1 && !lines[0].function[0] ? 0 : count;
}

/* ---- the runtime's own frames ---- */

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++) {
		size_t length = strlen(*names);

		/* Compilers put .part.0, .constprop.0 and the like after a name. */
		if (strncmp(name, *names, length) == 0 && (name[length] == '\0' || name[length] == '.'))
			return true;
	}
	return false;
}

/* Those that the public macros name; the others with two underscores are inside. */
static bool is_inside(const char *name)
{
	static const char *const called[] = {"gt__chan_send", "gt__chan_recv", "gt__chan_recv_value",
		"gt__chan_try_send", "gt__chan_try_recv", "gt__chan_close", "gt__chan_make", NULL};
	static const char *const statics[] = {"switch_to", "wait_in", "lock_slow", "unlock_slow", "sleep_and_leave",
		"select_many", "select_one", "take_over", "yield", "start_thread", "syscall_exit_slow", NULL};

	if (strncmp(name, "gt__", 4) == 0)
		return !is_one_of(name, called);
	return is_one_of(name, statics);
}

/* By the function itself, not what is inlined into it. */
static uint64_t ends_of(struct gt_symbolizer *s, uintptr_t pc)
{
	static const char *const outer[] = {"gt__entry", "gt__g_main", NULL};
	const uint64_t *known = gt_map_find(&s->ends, pc);
	struct gt_symbols_line lines[GT_PROFILE_LINES];
	uint64_t ends = END_KNOWN;
	size_t count;

	if (known)
		return *known;
	count = gt__symbolizer_lines(s, pc, lines, GT_PROFILE_LINES);
	if (count && is_inside(lines[count - 1].function))
		ends |= END_INNER;
	if (count && is_one_of(lines[count - 1].function, outer))
		ends |= END_OUTER;
	gt_map_put(&s->ends, pc, ends);
	return ends;
}

void gt__symbolizer_trim(struct gt_symbolizer *s, bool inner, const uintptr_t **pcs, size_t *depth)
{
	size_t from = 0;

	while (inner && from + 1 < *depth && from < 8 && ends_of(s, (*pcs)[from]) & END_INNER)
		from++;
	*pcs += from;
	*depth -= from;
	for (int i = 0; i < 2 && *depth > 1 && ends_of(s, (*pcs)[*depth - 1]) & END_OUTER; i++)
		(*depth)--;
}
