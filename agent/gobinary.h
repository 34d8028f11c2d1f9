/*
 * gobinary.h - what gtrace must know of a program's file before it puts a hook into it.
 *
 * Everything here comes from the file alone: no process is looked at. Addresses are link-time; in a process add
 * the load slide, AT_ENTRY - entry.
 */
#ifndef GT_AGENT_GOBINARY_H
#define GT_AGENT_GOBINARY_H

#include "base/error.h"
#include "symbols/elf_image.h"
#include "symbols/pclntab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GT_BUILD_ID_BYTES_MAX 64

enum gt_elf_kind {
	GT_ELF_GO,       /* has Go's runtime */
	GT_ELF_LIBTRACE, /* links libtrace: its own hooks, nothing to inject */
	GT_ELF_SCRIPT,   /* "#!": the interpreter is what would run */
	GT_ELF_OTHER,    /* an ELF program with no scheduler that gtrace knows */
};

/* An ELF note in a section of this name says "this program links libtrace". */
#define GT_NOTE_SECTION ".note.gtrace"
#define GT_NOTE_OWNER   "gtrace"
#define GT_NOTE_TYPE    1

struct gt_elf_identity {
	enum gt_elf_kind kind;
	char interpreter[256]; /* of a script; "" else. Of `#!/usr/bin/env NAME`: NAME */
};

/* What kind of program @path is. Needs no Go table: cheap. -ENOENT, -EACCES, -ENOEXEC (32-bit, another machine,
 * cut off, not a program) with a line. */
int gt_elf_kind(const char *path, struct gt_elf_identity *out, struct gt_error *err);
int gt_elf_kind_bytes(
	const void *bytes, size_t size, const char *path, struct gt_elf_identity *out, struct gt_error *err);

struct gt_gobin {
	struct gt_elf_image image; /* entry, dynamic (PIE), segments, va_lo, va_hi */
	struct gt_pclntab *pclntab;
	void *bytes;
	size_t size;
	bool mapped; /* by gt_gobin_open: unmapped at close */

	char version[48];   /* "go1.26.5" */
	unsigned int minor; /* 26 */
	unsigned int patch; /* 5 */

	uint64_t text; /* [text, etext): Go's code */
	uint64_t etext;
	uint64_t moduledata; /* runtime.firstmoduledata */

	char go_build_id[128]; /* "" when the file has none */
	uint8_t gnu_build_id[GT_BUILD_ID_BYTES_MAX];
	uint32_t gnu_build_id_size; /* 0 when the file has none */
};

/* Opens a Go program. Refuses, with one line each: what is no ELF64 x86-64 program, what is no Go program (see
 * gt_elf_kind), a Go version that cannot be told (development builds). Does not ask for a known layout:
 * gt_golayout_find does. The struct is large; it is allocated. */
int gt_gobin_open(const char *path, struct gt_gobin **out, struct gt_error *err);

/* The same on bytes that the caller keeps. @path is only for messages. */
int gt_gobin_open_bytes(const void *bytes, size_t size, const char *path, struct gt_gobin **out, struct gt_error *err);
void gt_gobin_close(struct gt_gobin *bin); /* NULL is fine */

/* "go1.26.5", "go1.27rc1", "go1.25.3 X:nodwarf5", ... -> minor and patch; false for "devel ..." and the like. */
bool gt_go_version_parse(const char *text, unsigned int *minor, unsigned int *patch);

#endif
