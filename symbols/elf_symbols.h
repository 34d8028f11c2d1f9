/*
 * elf_symbols.h - functions and lines of a C program, by elfutils.
 *
 * DWARF when the file has it (inlined calls expanded), else the symbol table, else nothing. The file belongs to
 * whoever ran it and is read by elfutils, which checks it. Addresses are link-time.
 */
#ifndef GT_SYMBOLS_ELF_SYMBOLS_H
#define GT_SYMBOLS_ELF_SYMBOLS_H

#include "base/error.h"
#include "symbols/pclntab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gt_elf_symbols;

/* Opens the file at @path. -errno, or -ENOEXEC when elfutils does not take it. */
int gt_elf_symbols_open(const char *path, struct gt_elf_symbols **out, struct gt_error *err);
void gt_elf_symbols_close(struct gt_elf_symbols *symbols);
/* A file of the vdso, which every process has the same; its addresses are offsets in it. A descriptor, or -1. */
int gt_elf_vdso(void);

/* The frames at @pc, innermost first, as gt_pclntab_lookup. Strings live until close. Always fills one frame when @max
 * allows; its function is "" when nothing is known. */
size_t gt_elf_symbols_lookup(struct gt_elf_symbols *symbols, uint64_t pc, struct gt_pcline *lines, size_t max);

/* The link-time address of what stands at @offset of the file; false when nothing of that is loaded. */
bool gt_elf_symbols_address(struct gt_elf_symbols *symbols, uint64_t offset, uint64_t *address);
/* How many bytes above the stack pointer the return address stands at the instruction at @pc (link-time); false: not known, or told by the
 * frame pointer. */
bool gt_elf_symbols_frame(struct gt_elf_symbols *symbols, uint64_t pc, uint64_t *bytes);
/* Into @out, cut at @size; its length, 0: it has none. */
size_t gt_elf_symbols_build_id(struct gt_elf_symbols *symbols, uint8_t *out, size_t size);

#endif
