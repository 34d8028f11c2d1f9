/*
 * pclntab.h - Go's own table of functions and lines; it is there in stripped binaries too.
 *
 * Go 1.18 to 1.27. The table reads the image it was opened on and owns only itself. All addresses are
 * link-time. The bytes are hostile: a lookup in a broken table gives less, or nothing, and always ends.
 *
 *   moduledata -> pcHeader -> functab [entry offset, _func offset]... -> _func -> name, pc-value tables
 *              -> text (what entry offsets count from)                        -> inline tree (from gofunc)
 */
#ifndef GT_SYMBOLS_PCLNTAB_H
#define GT_SYMBOLS_PCLNTAB_H

#include "base/error.h"
#include "symbols/elf_image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* _func.flag */
#define GT_GOFUNC_TOP_FRAME 1
#define GT_GOFUNC_SP_WRITE  2
#define GT_GOFUNC_ASM       4

#define GT_PCLNTAB_INLINE_MAX 64 /* frames of one pc; a deeper tree is cut */

struct gt_pclntab;

struct gt_gofunction {
	const char *name; /* in the image, NUL-terminated: valid as long as the image's bytes */
	uint64_t va;      /* entry */
	uint64_t size;    /* to the next entry: includes padding */
	int32_t args;
	uint8_t funcid;       /* numbers differ by Go version */
	uint8_t flags;        /* GT_GOFUNC_* */
	bool wrapper;         /* an ABI0 <-> ABIInternal wrapper of the same name */
	uint32_t deferreturn; /* where a recovered panic goes on, from the entry; 0: nowhere */
	uint32_t start_line;  /* 0 when unknown (before Go 1.20) */
	uint64_t record;      /* where its _func is, from the functab's start: for this module only */
};

struct gt_pcline {
	const char *function; /* in the image; "" when unknown */
	const char *file;
	uint32_t line;       /* 0 when unknown */
	uint32_t start_line; /* of the function; 0 when unknown */
	bool inlined;        /* into the frame that follows it */
};

/* Finds the table (by section, else by its magic number) and the moduledata that names it.
 * -ENOENT: no Go table here; -EPROTONOSUPPORT: one of a format that is not known; -EBADMSG: broken. */
int gt_pclntab_open(const struct gt_elf_image *image, struct gt_pclntab **out, struct gt_error *err);
void gt_pclntab_close(struct gt_pclntab *tab);

uint64_t gt_pclntab_text(const struct gt_pclntab *tab); /* runtime.text */
uint64_t gt_pclntab_etext(const struct gt_pclntab *tab);
uint64_t gt_pclntab_moduledata(const struct gt_pclntab *tab); /* of runtime.firstmoduledata */
size_t gt_pclntab_count(const struct gt_pclntab *tab);

/* Tells which Go minor version made the table, which fixes where moduledata.gofunc is and what an inline tree looks
 * like. Until then (0) the version is guessed from the table, and inlining may be unknown. */
void gt_pclntab_set_minor(struct gt_pclntab *tab, unsigned int go_minor);

/* The function number @index, in order of address; false when the index or the entry is bad. */
bool gt_pclntab_function(const struct gt_pclntab *tab, size_t index, struct gt_gofunction *out);

/* By full name ("runtime.casgstatus"); of several the one that is no wrapper, and of those the biggest.
 * O(log functions) after the first call, which builds an index (-ENOMEM then reads as not found). */
bool gt_pclntab_find(struct gt_pclntab *tab, const char *name, struct gt_gofunction *out);

/* The function whose code holds @pc. */
bool gt_pclntab_at(const struct gt_pclntab *tab, uint64_t pc, struct gt_gofunction *out);

/* The frames at @pc, innermost first: every inlined call, then the function itself. @pc is that of an instruction: pass
 * a return address minus one. Returns how many of @max were filled; 0 when no function holds @pc. */
size_t gt_pclntab_lookup(const struct gt_pclntab *tab, uint64_t pc, struct gt_pcline *lines, size_t max);

/* How many bytes above the stack pointer the return address stands at the instruction at @pc. False: not known, or the function moves to
 * another stack. */
bool gt_pclntab_frame(const struct gt_pclntab *tab, uint64_t pc, uint64_t *bytes);

/* The name as Go prints it: "sync/atomic.(*Pointer[...]).Load", type arguments left out. Cut at @size; returns @out. */
char *gt_go_name_short(const char *name, char *out, size_t size);

#endif
