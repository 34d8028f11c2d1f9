/* fuzz_gobinary.c - a program's file: what it is, its functions and lines, its layout, its patch windows. */
#include "agent/golayout.h"
#include "agent/site.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTIONS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Strings that come back must end. */
static void use_lines(const struct gt_pcline *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(lines[i].function) + strlen(lines[i].file) > 1u << 20)
			abort();
	}
}

static void use_function(struct gt_gobin *bin, const struct gt_gofunction *function)
{
	struct gt_pcline lines[GT_PCLNTAB_INLINE_MAX];
	struct gt_site sites[8];
	uint8_t moved[GT_SITE_RELOCATED_MAX];
	size_t count, used;
	uint64_t va;

	if (strlen(function->name) > 1u << 20)
		abort();
	for (uint64_t offset = 0; offset < function->size && offset < 64; offset += 7)
		use_lines(lines, gt_pclntab_lookup(bin->pclntab, function->va + offset, lines, GT_PCLNTAB_INLINE_MAX));
	if (gt_site_entry(bin, function, GT_SITE_ASM_KNOWN, &sites[0], NULL) == 0) {
		if (sites[0].used < GT_SITE_JUMP_SIZE || sites[0].used > GT_SITE_WINDOW_MAX)
			abort();
		gt_site_relocate(&sites[0], sites[0].va, 0x200000, moved, sizeof(moved), &used, NULL);
	}
	gt_site_returns(bin, function, 0, sites, 8, &count, NULL);
	if (gt_site_syscall_end(bin, function, &va, NULL) == 0)
		gt_site_inside(bin, function, va, GT_SITE_ASM_KNOWN, &sites[0], NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gt_elf_identity identity;
	const struct gt_golayout *layout;
	struct gt_gofunction function;
	struct gt_gobin *bin;
	struct gt_error err;

	if (gt_elf_kind_bytes(data, size, "input", &identity, &err) == 0 &&
		strlen(identity.interpreter) >= sizeof(identity.interpreter))
		abort();
	if (gt_gobin_open_bytes(data, size, "input", &bin, &err) < 0)
		return 0;
	for (size_t i = 0; i < gt_pclntab_count(bin->pclntab) && i < FUNCTIONS_MAX; i++) {
		if (gt_pclntab_function(bin->pclntab, i, &function))
			use_function(bin, &function);
	}
	if (gt_pclntab_find(bin->pclntab, "main.main", &function) && strcmp(function.name, "main.main") != 0)
		abort();
	if (gt_golayout_find(bin, &layout, &err) == 0)
		gt_golayout_verify(bin, layout, &err);
	gt_gobin_close(bin);
	return 0;
}
