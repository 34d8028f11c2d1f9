/*
 * pack.c - runs at build time: the linked piece (hooks.S and slow.c) -> a header of bytes, templates and fills.
 *
 * Usage: pack PIECE.elf OUT.h. Whatever is not as agent/probe.c expects fails the build here.
 */
#include "agent/blob/holes.h"

#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const hole_names[] = {
#define GT_HOLE(name) "K_" #name,
	GT_HOLES(GT_HOLE)
#undef GT_HOLE
};

static const char *const template_names[] = {
#define GT_TEMPLATE(name) "hook_" #name,
	GT_TEMPLATES(GT_TEMPLATE)
#undef GT_TEMPLATE
};

struct piece {
	unsigned char *file;
	const unsigned char *text;
	size_t text_size;
	unsigned int text_section;
	const Elf64_Sym *symbols;
	size_t symbol_count;
	const char *strings;
	const Elf64_Rela *relocations;
	size_t relocation_count;
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("pack: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void load(struct piece *piece, const char *path)
{
	FILE *in = fopen(path, "rb");
	const Elf64_Ehdr *header;
	const Elf64_Shdr *sections;
	long size;

	if (!in || fseek(in, 0, SEEK_END) || (size = ftell(in)) < (long)sizeof(*header))
		die("cannot read %s", path);
	rewind(in);
	piece->file = malloc((size_t)size);
	if (!piece->file || fread(piece->file, 1, (size_t)size, in) != (size_t)size)
		die("cannot read %s", path);
	fclose(in);
	header = (const void *)piece->file;
	sections = (const void *)(piece->file + header->e_shoff);
	for (unsigned int i = 0; i < header->e_shnum; i++) {
		const Elf64_Shdr *section = &sections[i];

		if (section->sh_type == SHT_PROGBITS && section->sh_flags & SHF_ALLOC) {
			if (piece->text)
				die("more than one section to load");
			if (section->sh_addr)
				die("the section is not at 0");
			piece->text = piece->file + section->sh_offset;
			piece->text_size = section->sh_size;
			piece->text_section = i;
		} else if (section->sh_flags & SHF_ALLOC && section->sh_size) {
			die("a section that is no code was left over");
		} else if (section->sh_type == SHT_SYMTAB) {
			piece->symbols = (const void *)(piece->file + section->sh_offset);
			piece->symbol_count = section->sh_size / sizeof(Elf64_Sym);
			piece->strings = (const char *)piece->file + sections[section->sh_link].sh_offset;
		} else if (section->sh_type == SHT_RELA) {
			piece->relocations = (const void *)(piece->file + section->sh_offset);
			piece->relocation_count = section->sh_size / sizeof(Elf64_Rela);
		}
	}
	if (!piece->text || !piece->symbols || !piece->relocations || piece->text_size > 0xffff)
		die("no code, no symbols, no relocations, or too much of it");
}

static size_t symbol(const struct piece *piece, const char *name)
{
	for (size_t i = 0; i < piece->symbol_count; i++) {
		const Elf64_Sym *sym = &piece->symbols[i];

		if (sym->st_shndx != SHN_UNDEF && !strcmp(piece->strings + sym->st_name, name))
			return sym->st_value;
	}
	die("no symbol %s", name);
}

static void write_fill(const struct piece *piece, const Elf64_Rela *rela, size_t shared, FILE *out)
{
	const Elf64_Sym *sym = &piece->symbols[ELF64_R_SYM(rela->r_info)];
	const char *name = piece->strings + sym->st_name;
	unsigned int type = ELF64_R_TYPE(rela->r_info);
	const char *kind;
	int hole;

	if (type == R_X86_64_PC32 || type == R_X86_64_PLT32) {
		long target = (long)sym->st_value + rela->r_addend;

		if (sym->st_shndx != piece->text_section)
			die("jump to %s, which is not there", name);
		if (rela->r_offset < shared) /* linked: shared parts move together */
			return;
		if (target + 4 < 0 || target + 4 >= (long)shared)
			die("a template jumps out of itself to what is not shared: at 0x%lx", (long)rela->r_offset);
		fprintf(out, "\t{ 0x%x, GT_FILL_RELATIVE, 0, %ld },\n", (unsigned int)rela->r_offset, target);
		return;
	}
	for (hole = 0; hole < GT_HOLE_COUNT && strcmp(hole_names[hole], name); hole++)
		;
	if (hole == GT_HOLE_COUNT)
		die("%s is not in holes.h", name);
	kind = type == R_X86_64_32 ? "U32" : type == R_X86_64_32S ? "S32" : type == R_X86_64_64 ? "U64" : NULL;
	if (!kind)
		die("%s: relocation type %u", name, type);
	fprintf(out, "\t{ 0x%x, GT_FILL_%s, GT_HOLE_%s, %d },\n", (unsigned int)rela->r_offset, kind, name + 2,
		(int)rela->r_addend);
}

int main(int argc, char **argv)
{
	struct piece piece = {0};
	size_t shared;
	FILE *out;

	if (argc != 3)
		die("usage: pack PIECE.elf OUT.h");
	load(&piece, argv[1]);
	shared = symbol(&piece, "gt_blob_shared_end");
	out = fopen(argv[2], "w");
	if (!out)
		die("cannot write %s", argv[2]);
	fprintf(out, "/* Generated from agent/blob: do not edit. */\n#define GT_BLOB_SHARED_SIZE %zu\n\n", shared);
	fputs("static const unsigned char gt_blob_bytes[] = {", out);
	for (size_t i = 0; i < piece.text_size; i++)
		fprintf(out, "%s%u,", i % 24 ? "" : "\n\t", piece.text[i]);
	fputs("\n};\n\nstatic const struct {\n\tunsigned short start, end;\n} gt_blob_templates[] = {\n", out);
	for (int i = 0; i < GT_TEMPLATE_COUNT; i++) {
		char end[64];

		snprintf(end, sizeof(end), "%s_end", template_names[i]);
		fprintf(out, "\t{ 0x%zx, 0x%zx }, /* %s */\n", symbol(&piece, template_names[i]), symbol(&piece, end),
			template_names[i]);
	}
	fputs("};\n\nstatic const struct gt_fill gt_blob_fills[] = {\n", out);
	for (size_t i = 0; i < piece.relocation_count; i++)
		write_fill(&piece, &piece.relocations[i], shared, out);
	fputs("};\n", out);
	if (ferror(out) || fclose(out))
		die("cannot write %s", argv[2]);
	free(piece.file);
	return 0;
}
