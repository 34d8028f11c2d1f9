/* gotypes.c - reads type descriptors (internal/abi.Type), the same from Go 1.19 on. */
#include "agent/gotypes.h"

#include <string.h>

#define TYPE_BYTES      48
#define TYPE_FLAGS      20
#define TYPE_NAME       40 /* i32: where its name is, from moduledata.types on */
#define FLAG_EXTRA_STAR 2  /* the name has a star too much in front */
#define NAME_BYTES_MAX  4096

uint64_t gt_gotypes_base(const struct gt_gobin *bin, const struct gt_golayout *layout)
{
	uint64_t base;

	if (layout->moduledata_types < 0 ||
		!gt_elf_pointer(&bin->image, bin->moduledata + (uint64_t)layout->moduledata_types, &base))
		return 0;
	return base;
}

size_t gt_gotype_name(const struct gt_gobin *bin, uint64_t base, uint64_t address, char *out, size_t size)
{
	const uint8_t *type = gt_elf_at(&bin->image, address, TYPE_BYTES), *name;
	uint64_t left, length = 0;
	int32_t offset;
	size_t at = 1; /* behind the flags */

	if (!base || !type)
		return 0;
	memcpy(&offset, type + TYPE_NAME, sizeof(offset));
	name = offset > 0 ? gt_elf_from(&bin->image, base + (uint64_t)offset, &left) : NULL;
	if (!name)
		return 0;
	for (unsigned int shift = 0; shift < 21; shift += 7) {
		if (at >= left)
			return 0;
		length |= (uint64_t)(name[at] & 127) << shift;
		if (!(name[at++] & 128))
			break;
	}
	if (length > NAME_BYTES_MAX || length > left - at)
		return 0;
	if (length && (type[TYPE_FLAGS] & FLAG_EXTRA_STAR)) {
		at++;
		length--;
	}
	if (length > size)
		length = size;
	memcpy(out, name + at, length);
	return length;
}
