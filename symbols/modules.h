/*
 * modules.h - files that are mapped into a process to be executed, and what stands at an address in them: the program, shared
 * libraries, the vdso, the kernel.
 *
 * Whoever follows the process tells what is mapped and when; a file is opened then, so that it can be read when the process, or the
 * file's name, is gone. A place (gt_modules_place) is an address that never means two things: bit 62 is set when it is not the
 * program's, bits 48 to 61 then count the files that had stood there before; the kernel's addresses have bit 63.
 */
#ifndef GT_SYMBOLS_MODULES_H
#define GT_SYMBOLS_MODULES_H

#include "symbols/pclntab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GT_PLACE_KERNEL (1ull << 63)
#define GT_PLACE_OTHER  (1ull << 62)

struct gt_modules;

struct gt_mapping {
	uint64_t start, size;
	uint64_t offset;  /* in the file */
	uint64_t since;   /* a time, of the caller's clock */
	const char *path; /* as the kernel tells it: a file, "[vdso]", "//anon" */
	const uint8_t *build_id;
	size_t build_id_bytes; /* 0: not known */
};

/* @program: the file that is run; its addresses stay as they are. NULL: out of memory. */
struct gt_modules *gt_modules_new(pid_t pid, const char *program);
void gt_modules_free(struct gt_modules *modules);

/* Mappings come in any order: each says since when it is there. 0 or -ENOMEM, -ENOSPC. */
int gt_modules_add(struct gt_modules *modules, const struct gt_mapping *mapping);
/* Another program is run since then: nothing is mapped. */
void gt_modules_exec(struct gt_modules *modules, uint64_t since);

/* Reads the kernel's names, which takes a while: else the first lookup of one does. */
void gt_modules_kernel(struct gt_modules *modules);

uint64_t gt_modules_place(const struct gt_modules *modules, uint64_t pc, uint64_t time);

/* Is it code of something that was mapped then? */
bool gt_modules_known(const struct gt_modules *modules, uint64_t pc, uint64_t time);
/* As gt_elf_symbols_frame, of a place. */
bool gt_modules_frame(struct gt_modules *modules, uint64_t place, uint64_t *bytes);

/* As gt_pclntab_lookup, of a place; 0: nothing is known. One that is not the program's has a name at least: that of its file, in brackets.
 * Texts live until the next call. */
size_t gt_modules_lookup(struct gt_modules *modules, uint64_t place, struct gt_pcline *lines, size_t max);

#endif
