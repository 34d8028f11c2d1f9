/*
 * resolver.h - addresses to functions, files and lines, for the collector: Go's own table, or elfutils.
 */
#ifndef GT_CLI_RESOLVER_H
#define GT_CLI_RESOLVER_H

#include "agent/gobinary.h"
#include "libtrace/collector.h"
#include "symbols/elf_symbols.h"
#include "symbols/modules.h"

struct gt_resolver {
	struct gt_gobin *go; /* one of the two; both may be NULL: nothing is known */
	struct gt_elf_symbols *elf;
	uint64_t types;             /* of Go's: gt_gotypes_base */
	struct gt_modules *modules; /* for samples: what else is mapped; may be NULL */
	uint64_t slide;             /* of the program */
};

/* A gt_resolve_fn; @context is a struct gt_resolver. */
size_t gt_resolver_lines(void *context, uint64_t pc, struct gt_resolved *lines, size_t lines_max);

/* gt_kernel_config's frame, of a place (symbols/modules.h). */
bool gt_resolver_frame(struct gt_resolver *resolver, uint64_t place, uint64_t *bytes);

/* gt_collector_config's type_name. */
size_t gt_resolver_type(void *context, uint64_t address, char *out, size_t size);

#endif
