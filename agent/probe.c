/* probe.c - builds the code page of a traced program from templates and sites. */
#include "agent/probe.h"

#include "hook_blob.h"

#include <errno.h>
#include <string.h>

#define JUMP_SIZE        5
#define TRAMPOLINE_ALIGN 16
#define PAGE             4096

static const char *const hole_names[] = {
#define GT_HOLE(name) #name,
	GT_HOLES(GT_HOLE)
#undef GT_HOLE
};

struct builder {
	uint8_t *code;
	uint64_t address; /* of code[0] in the process */
	size_t used;
	const struct gt_probe_values *values;
	uint32_t site_value; /* of the copy that is being made */
	struct gt_error *err;
};

static size_t template_size(enum gt_template template)
{
	return (size_t)(gt_blob_templates[template].end - gt_blob_templates[template].start);
}

static size_t align_up(size_t value, size_t to)
{
	return (value + to - 1) / to * to;
}

size_t gt_probe_code_size(const struct gt_probe *probes, size_t count)
{
	size_t size = align_up(GT_BLOB_SHARED_SIZE, TRAMPOLINE_ALIGN);

	for (size_t i = 0; i < count; i++)
		size += align_up(
			template_size(probes[i].template) + GT_SITE_RELOCATED_MAX + JUMP_SIZE, TRAMPOLINE_ALIGN);
	return align_up(size, PAGE);
}

/* e9 rel32 at @at (standing at @from) to @to. */
static int put_jump(uint8_t *at, uint64_t from, uint64_t to, struct gt_error *err)
{
	int64_t distance = (int64_t)(to - (from + JUMP_SIZE));
	int32_t relative = (int32_t)distance;

	if (relative != distance)
		return gt_fail(err, ERANGE, "no jump reaches from 0x%llx to 0x%llx", (unsigned long long)from,
			(unsigned long long)to);
	at[0] = 0xe9;
	memcpy(at + 1, &relative, sizeof(relative));
	return 0;
}

/* Fills one open place of a part of the piece that was copied from @start to code[@copy]. */
static int fill(struct builder *builder, const struct gt_fill *fill, size_t start, size_t copy)
{
	size_t at = copy + fill->offset - start;
	uint64_t value;
	uint32_t low;

	if (fill->kind == GT_FILL_RELATIVE) {
		int32_t relative = (int32_t)((int64_t)fill->target - (int64_t)at);

		memcpy(builder->code + at, &relative, sizeof(relative)); /* the shared parts begin at code[0] */
		return 0;
	}
	value = fill->hole == GT_HOLE_SITE ? builder->site_value : builder->values->holes[fill->hole];
	value += (uint64_t)(int64_t)fill->target;
	if (fill->kind == GT_FILL_U64) {
		memcpy(builder->code + at, &value, sizeof(value));
		return 0;
	}
	/* Also for U32: these are sizes, masks and offsets; 2^31 and more would be a mistake. */
	if (value > INT32_MAX)
		return gt_fail(builder->err, ERANGE, "a hook's constant %s is too big: 0x%llx", hole_names[fill->hole],
			(unsigned long long)value);
	low = (uint32_t)value;
	memcpy(builder->code + at, &low, sizeof(low));
	return 0;
}

/* Copies the piece's bytes [@start, @end) to the end of the code and fills them. */
static int copy_part(struct builder *builder, size_t start, size_t end)
{
	size_t copy = builder->used;
	size_t count = sizeof(gt_blob_fills) / sizeof(gt_blob_fills[0]);

	memcpy(builder->code + copy, gt_blob_bytes + start, end - start);
	builder->used += end - start;
	for (size_t i = 0; i < count; i++) {
		const struct gt_fill *one = &gt_blob_fills[i];
		int ret;

		if (one->offset < start || one->offset >= end)
			continue;
		ret = fill(builder, one, start, copy);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int build_one(struct builder *builder, const struct gt_probe *probe, uint64_t slide, struct gt_patch *patch)
{
	const struct gt_site *site = &probe->site;
	uint64_t site_address = site->va + slide;
	uint64_t entry;
	size_t used;
	int ret;

	builder->used = align_up(builder->used, TRAMPOLINE_ALIGN);
	entry = builder->address + builder->used;
	builder->site_value = probe->value;
	ret = copy_part(builder, gt_blob_templates[probe->template].start, gt_blob_templates[probe->template].end);
	if (ret < 0)
		return ret;
	ret = gt_site_relocate(site, site_address, builder->address + builder->used, builder->code + builder->used,
		GT_SITE_RELOCATED_MAX, &used, builder->err);
	if (ret < 0)
		return ret;
	builder->used += used;
	if (!site->ends) {
		ret = put_jump(builder->code + builder->used, builder->address + builder->used,
			site_address + site->used, builder->err);
		if (ret < 0)
			return ret;
		builder->used += JUMP_SIZE;
	}
	patch->address = site_address;
	patch->original_size = site->used;
	memcpy(patch->original, site->original, sizeof(patch->original));
	return put_jump(patch->bytes, site_address, entry, builder->err);
}

int gt_probe_build(const struct gt_probe *probes, size_t count, const struct gt_probe_values *values, uint64_t slide,
	uint64_t code_address, uint8_t *code, struct gt_patch *patches, struct gt_error *err)
{
	struct builder builder = {.code = code, .address = code_address, .values = values, .err = err};
	int ret;

	/* int3 between the parts: nothing may run there. */
	memset(code, 0xcc, gt_probe_code_size(probes, count));
	ret = copy_part(&builder, 0, GT_BLOB_SHARED_SIZE);
	for (size_t i = 0; ret >= 0 && i < count; i++)
		ret = build_one(&builder, &probes[i], slide, &patches[i]);
	return ret;
}
