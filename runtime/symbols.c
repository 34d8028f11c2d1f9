/*
 * symbols.c - the symbol table of the module that holds a pc: read from its file, since what is loaded has exported names only.
 */
#include "runtime/symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULES_MAX 64u

struct module {
	uintptr_t bias, low, high;
	const uint8_t *bytes; /* of the file; NULL: cannot be read */
	size_t size;
	const ElfW(Sym) * symbols;
	size_t count;
	const char *strings;
	size_t string_bytes;
	char path[256];
};

static struct module modules[MODULES_MAX];
static _Atomic uint32_t module_count;
static atomic_flag adding = ATOMIC_FLAG_INIT;

static const void *piece(const struct module *m, uint64_t at, uint64_t bytes)
{
	return at <= m->size && bytes <= m->size - at ? m->bytes + at : NULL;
}

/* The table of all symbols; in a stripped file the one of exported ones. */
static void find_symbols(struct module *m)
{
	const ElfW(Ehdr) *head = piece(m, 0, sizeof(*head));
	const ElfW(Shdr) * sections;
	unsigned int best = 0;

	if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_shentsize != sizeof(*sections) ||
		head->e_shoff % _Alignof(ElfW(Shdr)) != 0)
		return;
	sections = piece(m, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*sections));
	for (unsigned int i = 0; sections && i < head->e_shnum; i++) {
		const ElfW(Shdr) *s = &sections[i], *names;

		if ((s->sh_type != SHT_SYMTAB && s->sh_type != SHT_DYNSYM) || s->sh_link >= head->e_shnum ||
			s->sh_offset % _Alignof(ElfW(Sym)) != 0 || best == SHT_SYMTAB)
			continue;
		names = &sections[s->sh_link];
		m->symbols = piece(m, s->sh_offset, s->sh_size);
		m->strings = piece(m, names->sh_offset, names->sh_size);
		m->count = m->symbols && m->strings ? s->sh_size / sizeof(*m->symbols) : 0;
		m->string_bytes = names->sh_size;
		best = m->count ? s->sh_type : best;
	}
}

static void open_module(struct module *m)
{
	int fd = open(m->path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *bytes;

	if (fd < 0)
		return;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
		bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (bytes != MAP_FAILED) {
			m->bytes = bytes;
			m->size = (size_t)status.st_size;
			find_symbols(m);
		}
	}
	close(fd);
}

struct wanted {
	uintptr_t pc;
	struct module *found;
	bool first; /* the first one is the program */
};

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct wanted *wanted = arg;
	bool program = wanted->first;

	wanted->first = false;
	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t low = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD || wanted->pc < low || wanted->pc - low >= p->p_memsz)
			continue;
		*wanted->found = (struct module){.bias = info->dlpi_addr, .low = low, .high = low + p->p_memsz};
		if (program)
			strcpy(wanted->found->path, "/proc/self/exe");
		else
			strncpy(wanted->found->path, info->dlpi_name, sizeof(wanted->found->path) - 1);
		return 1;
	}
	return 0;
}

static struct module *known(uintptr_t pc)
{
	uint32_t count = atomic_load_explicit(&module_count, memory_order_acquire);

	for (uint32_t i = 0; i < count; i++)
		if (pc >= modules[i].low && pc < modules[i].high)
			return &modules[i];
	return NULL;
}

static struct module *module_of(uintptr_t pc)
{
	struct module *m = known(pc);
	uint32_t at = atomic_load_explicit(&module_count, memory_order_relaxed);
	struct wanted wanted = {pc, &modules[at], true};

	/* Who comes while another one adds goes without names. */
	if (m || at == MODULES_MAX || atomic_flag_test_and_set(&adding))
		return m;
	wanted.found = &modules[atomic_load_explicit(&module_count, memory_order_relaxed)];
	if (dl_iterate_phdr(look_at, &wanted)) {
		m = wanted.found;
		open_module(m);
		if (strcmp(m->path, "/proc/self/exe") == 0) {
			ssize_t got = readlink("/proc/self/exe", m->path, sizeof(m->path) - 1);

			if (got > 0)
				m->path[got] = '\0';
		}
		atomic_fetch_add_explicit(&module_count, 1, memory_order_release);
	}
	atomic_flag_clear(&adding);
	return m;
}

void gt__symbol_of(uintptr_t pc, struct gt_symbol *out)
{
	const struct module *m = module_of(pc);
	const ElfW(Sym) *best = NULL;
	uintptr_t at;

	*out = (struct gt_symbol){.module = "", .offset = pc};
	if (!m)
		return;
	at = pc - m->bias;
	out->module = m->path;
	out->offset = at;
	for (size_t i = 0; i < m->count; i++) {
		const ElfW(Sym) *s = &m->symbols[i];

		if (ELF64_ST_TYPE(s->st_info) == STT_FUNC && s->st_shndx != SHN_UNDEF && s->st_value <= at &&
			(at - s->st_value < s->st_size || (!s->st_size && at == s->st_value)) &&
			s->st_name < m->string_bytes &&
			memchr(m->strings + s->st_name, '\0', m->string_bytes - s->st_name)) {
			best = s;
			break;
		}
	}
	if (best) {
		out->name = m->strings + best->st_name;
		out->offset = at - best->st_value;
	}
}
