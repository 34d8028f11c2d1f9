/* resolver.c - see resolver.h. */
#include "cli/resolver.h"

#include "agent/gotypes.h"

size_t gt_resolver_lines(void *context, uint64_t pc, struct gt_resolved *lines, size_t lines_max)
{
	const struct gt_resolver *resolver = context;
	struct gt_pcline found[GT_PCLNTAB_INLINE_MAX];
	size_t max = lines_max < GT_PCLNTAB_INLINE_MAX ? lines_max : GT_PCLNTAB_INLINE_MAX;
	size_t count = 0;

	if (pc & (GT_PLACE_KERNEL | GT_PLACE_OTHER))
		count = resolver->modules ? gt_modules_lookup(resolver->modules, pc, found, max) : 0;
	else if (resolver->go)
		count = gt_pclntab_lookup(resolver->go->pclntab, pc, found, max);
	else if (resolver->elf)
		count = gt_elf_symbols_lookup(resolver->elf, pc, found, max);
	/* C code in a Go program. */
	if (!count && resolver->go && resolver->modules && !(pc & (GT_PLACE_KERNEL | GT_PLACE_OTHER)))
		count = gt_modules_lookup(resolver->modules, pc + resolver->slide, found, max);
	for (size_t i = 0; i < count; i++) {
		lines[i].function = found[i].function;
		lines[i].file = found[i].file;
		lines[i].line = found[i].line;
	}
	return count;
}

bool gt_resolver_frame(struct gt_resolver *resolver, uint64_t place, uint64_t *bytes)
{
	if (resolver->go && !(place & (GT_PLACE_KERNEL | GT_PLACE_OTHER)) &&
		gt_pclntab_frame(resolver->go->pclntab, place - resolver->slide, bytes))
		return true;
	return resolver->modules && gt_modules_frame(resolver->modules, place, bytes);
}

size_t gt_resolver_type(void *context, uint64_t address, char *out, size_t size)
{
	const struct gt_resolver *resolver = context;

	return resolver->go ? gt_gotype_name(resolver->go, resolver->types, address, out, size) : 0;
}
