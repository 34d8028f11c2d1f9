/* elf_symbols.c - a C program's functions and lines, by elfutils. */
#include "symbols/elf_symbols.h"

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

struct gt_elf_symbols {
	Dwfl *dwfl;
	Dwfl_Module *module;
	Dwarf_Addr bias; /* elfutils' address - the file's */
	char *debug_path;
	Dwfl_Callbacks callbacks;
};

int gt_elf_symbols_open(const char *path, struct gt_elf_symbols **out, struct gt_error *err)
{
	struct gt_elf_symbols *symbols;
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		ret = -errno;
		return gt_fail(err, -ret, "cannot open: %s: %s", path, strerror(-ret));
	}
	symbols = calloc(1, sizeof(*symbols));
	if (!symbols) {
		close(fd);
		return gt_fail(err, ENOMEM, "out of memory");
	}
	symbols->callbacks.find_elf = dwfl_build_id_find_elf;
	symbols->callbacks.find_debuginfo = dwfl_standard_find_debuginfo;
	symbols->callbacks.section_address = dwfl_offline_section_address;
	symbols->callbacks.debuginfo_path = &symbols->debug_path;
	symbols->dwfl = dwfl_begin(&symbols->callbacks);
	if (symbols->dwfl) {
		/* A file alone is given addresses of elfutils' choice; the bias undoes it. It takes the fd when it
		 * succeeds. */
		symbols->module = dwfl_report_offline(symbols->dwfl, "", path, fd);
		if (symbols->module)
			fd = -1;
		dwfl_report_end(symbols->dwfl, NULL, NULL);
	}
	if (!symbols->module || !dwfl_module_getelf(symbols->module, &symbols->bias)) {
		const char *why = dwfl_errmsg(-1);

		ret = gt_fail(err, ENOEXEC, "cannot read the symbols: %s: %s", path, why ? why : "unknown");
		if (fd >= 0)
			close(fd);
		gt_elf_symbols_close(symbols);
		return ret;
	}
	*out = symbols;
	return 0;
}

void gt_elf_symbols_close(struct gt_elf_symbols *symbols)
{
	if (!symbols)
		return;
	if (symbols->dwfl)
		dwfl_end(symbols->dwfl);
	free(symbols);
}

int gt_elf_vdso(void)
{
	const uint8_t *image = (const uint8_t *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)image;
	size_t size;
	int fd;

	if (!image || memcmp(image, ELFMAG, SELFMAG) != 0)
		return -1;
	/* Its section headers are the last that it has. */
	size = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd >= 0 && (size > 65536 || write(fd, image, size) != (ssize_t)size)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* DW_AT_linkage_name is not wanted: C has none, and C++'s plain name reads better. */
static const char *die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));

	return name ? name : "";
}

static uint32_t die_start_line(Dwarf_Die *die)
{
	int line = 0;

	return dwarf_decl_line(die, &line) == 0 && line > 0 ? (uint32_t)line : 0;
}

/* Where the inlined call @die stands in its caller. */
static void call_site(Dwarf_Die *unit, Dwarf_Die *die, const char **file, uint32_t *line)
{
	Dwarf_Attribute attribute;
	Dwarf_Word number = 0, index = 0;
	Dwarf_Files *files;
	size_t count;
	const char *name = NULL;

	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &number) != 0)
		number = 0;
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &index) == 0 &&
		dwarf_getsrcfiles(unit, &files, &count) == 0 && index < count)
		name = dwarf_filesrc(files, index, NULL, NULL);
	*file = name ? name : "";
	*line = (uint32_t)number;
}

static const char *symbol_name(struct gt_elf_symbols *symbols, Dwarf_Addr address)
{
	GElf_Off offset;
	GElf_Sym symbol;
	const char *name = dwfl_module_addrinfo(symbols->module, address, &offset, &symbol, NULL, NULL, NULL);

	return name ? name : "";
}

/* The scopes from the innermost outwards: each inlined call is a frame, the function that holds them the last. */
static size_t dwarf_frames(
	Dwarf_Die *unit, Dwarf_Addr pc, const char *file, uint32_t line, struct gt_pcline *lines, size_t max)
{
	Dwarf_Die *found = NULL, *scopes = NULL;
	int found_count = dwarf_getscopes(unit, pc, &found);
	int scope_count = found_count > 0 ? dwarf_getscopes_die(&found[0], &scopes) : 0;
	size_t count = 0;

	free(found);
	for (int i = 0; i < scope_count && count < max; i++) {
		int tag = dwarf_tag(&scopes[i]);

		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
			continue;
		lines[count++] = (struct gt_pcline){
			die_name(&scopes[i]), file, line, die_start_line(&scopes[i]), tag == DW_TAG_inlined_subroutine};
		if (tag == DW_TAG_subprogram)
			break;
		call_site(unit, &scopes[i], &file, &line);
	}
	if (scope_count > 0)
		free(scopes);
	/* Cut by @max inside a chain, the last one has no frame that follows. */
	return count;
}

size_t gt_elf_symbols_lookup(struct gt_elf_symbols *symbols, uint64_t pc, struct gt_pcline *lines, size_t max)
{
	Dwarf_Addr address = pc + symbols->bias, bias = 0;
	Dwarf_Die *unit = dwfl_module_addrdie(symbols->module, address, &bias);
	Dwfl_Line *at = dwfl_module_getsrc(symbols->module, address);
	const char *file = NULL;
	int line = 0;
	size_t count;

	if (max == 0)
		return 0;
	if (at)
		file = dwfl_lineinfo(at, NULL, &line, NULL, NULL, NULL);
	if (!file || line < 0) {
		file = "";
		line = 0;
	}
	count = unit ? dwarf_frames(unit, address - bias, file, (uint32_t)line, lines, max) : 0;
	if (count > 0)
		return count;
	lines[0] = (struct gt_pcline){symbol_name(symbols, address), file, (uint32_t)line, 0, false};
	return 1;
}

bool gt_elf_symbols_address(struct gt_elf_symbols *symbols, uint64_t offset, uint64_t *address)
{
	Elf *elf = dwfl_module_getelf(symbols->module, &(Dwarf_Addr){0});
	size_t count = 0;
	GElf_Phdr segment;

	if (!elf || elf_getphdrnum(elf, &count) < 0)
		return false;
	for (size_t i = 0; i < count && i < 65536; i++)
		if (gelf_getphdr(elf, (int)i, &segment) && segment.p_type == PT_LOAD && offset >= segment.p_offset &&
			offset - segment.p_offset < segment.p_filesz) {
			*address = segment.p_vaddr + (offset - segment.p_offset);
			return true;
		}
	return false;
}

size_t gt_elf_symbols_build_id(struct gt_elf_symbols *symbols, uint8_t *out, size_t size)
{
	const unsigned char *bits;
	GElf_Addr address;
	int count = dwfl_module_build_id(symbols->module, &bits, &address);

	if (count <= 0)
		return 0;
	size = (size_t)count < size ? (size_t)count : size;
	memcpy(out, bits, size);
	return size;
}

/* x86-64's numbers of registers in call frame information. */
#define DWARF_RSP 7

bool gt_elf_symbols_frame(struct gt_elf_symbols *symbols, uint64_t pc, uint64_t *bytes)
{
	Dwarf_Addr address = pc + symbols->bias, bias = 0;
	Dwarf_CFI *cfi = dwfl_module_eh_cfi(symbols->module, &bias);
	Dwarf_Frame *frame = NULL;
	Dwarf_Op *ops;
	size_t count;
	bool known;

	if (!cfi || dwarf_cfi_addrframe(cfi, address - bias, &frame) != 0)
		return false;
	/* The frame begins so far above the stack pointer; the return address is its last word. */
	known = dwarf_frame_cfa(frame, &ops, &count) == 0 && count == 1 &&
		((ops[0].atom == DW_OP_bregx && ops[0].number == DWARF_RSP && ops[0].number2 >= 8) ||
			(ops[0].atom == DW_OP_breg0 + DWARF_RSP && ops[0].number >= 8));
	if (known)
		*bytes = (ops[0].atom == DW_OP_bregx ? ops[0].number2 : ops[0].number) - 8;
	free(frame);
	return known;
}
