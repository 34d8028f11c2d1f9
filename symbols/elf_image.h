/*
 * elf_image.h - an ELF file as bytes that nobody trusts.
 *
 * The image is a view: it owns neither the bytes nor a copy of them. Every accessor tests its bounds
 * against the bytes that are really there, so a hostile file gives "not there" and never a fault.
 * Addresses are link-time: what the file says, before any load slide.
 */
#ifndef GT_SYMBOLS_ELF_IMAGE_H
#define GT_SYMBOLS_ELF_IMAGE_H

#include "base/error.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GT_ELF_SEGMENTS_MAX 64 /* more PT_LOADs than that are refused */

struct gt_elf_segment {
	uint64_t va;
	uint64_t size;      /* in memory */
	uint64_t offset;    /* in the file */
	uint64_t file_size; /* <= size, and inside the file */
	uint32_t flags;     /* PF_R | PF_W | PF_X */
};

struct gt_elf_image {
	const uint8_t *bytes;
	uint64_t size;
	uint64_t entry;
	bool dynamic; /* ET_DYN: the loader chooses a slide */
	uint32_t segment_count;
	struct gt_elf_segment segments[GT_ELF_SEGMENTS_MAX]; /* PT_LOAD, as the file orders them */
	uint64_t va_lo;                                      /* the span of all PT_LOADs: [va_lo, va_hi) */
	uint64_t va_hi;
	uint64_t section_offset; /* section headers; count 0 when there are none */
	uint32_t section_count;
	uint32_t section_names; /* the index of their string table */
	uint64_t program_offset;
	uint32_t program_count;
};

struct gt_elf_section {
	const char *name; /* in the image, NUL-terminated */
	uint32_t type;
	uint64_t va;
	uint64_t offset;
	uint64_t size; /* inside the file, but for SHT_NOBITS */
};

/* Checks that @bytes is an ELF64 x86-64 little-endian EXEC or DYN file. -ENOEXEC and one line that says what it
 * is instead. The bytes must outlive the image. */
int gt_elf_image_init(struct gt_elf_image *image, const void *bytes, size_t size, struct gt_error *err);

/* The file's bytes at [@offset, @offset + @size), or NULL. */
const uint8_t *gt_elf_bytes(const struct gt_elf_image *image, uint64_t offset, uint64_t size);

/* The file's bytes that are loaded at [@va, @va + @size), or NULL (also for .bss). */
const uint8_t *gt_elf_at(const struct gt_elf_image *image, uint64_t va, uint64_t size);

/* The same, with all that follow in the segment: @left gets how many. */
const uint8_t *gt_elf_from(const struct gt_elf_image *image, uint64_t va, uint64_t *left);

/* NULL, or a string at @va that ends inside its segment. */
const char *gt_elf_string(const struct gt_elf_image *image, uint64_t va);

bool gt_elf_section(const struct gt_elf_image *image, uint32_t index, struct gt_elf_section *out);
bool gt_elf_section_named(const struct gt_elf_image *image, const char *name, struct gt_elf_section *out);

/* The pointer stored at @va as it is after loading without slide: the addend of the R_X86_64_RELATIVE
 * relocation there when there is one, else the file's 8 bytes. False when there is neither. O(relocations). */
bool gt_elf_pointer(const struct gt_elf_image *image, uint64_t va, uint64_t *out);

/* Calls @visit for each R_X86_64_RELATIVE relocation until it returns true; true when it did. */
bool gt_elf_each_relative(
	const struct gt_elf_image *image, bool (*visit)(void *arg, uint64_t va, uint64_t addend), void *arg);

/* The entry number @index of the dynamic section, while there are any before DT_NULL. */
bool gt_elf_dynamic(const struct gt_elf_image *image, uint32_t index, Elf64_Dyn *out);

/* The first note named @owner with @type: its descriptor, or NULL. */
const uint8_t *gt_elf_note(const struct gt_elf_image *image, const char *owner, uint32_t type, uint32_t *size);

/* Maps the whole file read-only. */
int gt_elf_map(const char *path, void **bytes, size_t *size, struct gt_error *err);
void gt_elf_unmap(void *bytes, size_t size);

#endif
