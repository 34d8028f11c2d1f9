/*
 * encode.c - buckets as pprof's profile.proto.
 */
#include "runtime/profile/profile.h"

#include "base/hash.h"
#include "format/pprof/pprof.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct encoder {
	const struct gt_profile_kind *kind;
	struct gt_symbolizer *symbolizer;
	struct gt_pprof *out;
	struct gt_map locations; /* by address */
	size_t types;
};

static void put_mappings(struct encoder *e)
{
	struct gt_symbols_module *modules;
	size_t count = gt__symbolizer_modules(e->symbolizer, &modules);

	for (size_t i = 0; i < count; i++)
		gt_pprof_mapping(e->out,
			&(struct gt_pprof_mapping){
				.start = modules[i].start,
				.limit = modules[i].limit,
				.offset = modules[i].offset,
				.file = modules[i].path,
				.build_id = modules[i].build_id,
				/* All that can be known is in here; another look into the files would find no more. */
				.has_functions = true,
				.has_files = true,
				.has_lines = true,
				.has_inlines = true,
			});
}

static uint64_t location(struct encoder *e, uintptr_t pc)
{
	struct gt_symbols_line found[GT_PROFILE_LINES];
	struct gt_pprof_line lines[GT_PROFILE_LINES];
	const uint64_t *known = gt_map_find(&e->locations, pc);
	size_t count;
	uint64_t id;

	if (known)
		return *known;
	count = gt__symbolizer_lines(e->symbolizer, pc, found, GT_PROFILE_LINES);
	for (size_t i = 0; i < count; i++)
		lines[i] = (struct gt_pprof_line){
			gt_pprof_function(e->out, found[i].function, found[i].file, found[i].start_line),
			found[i].line};
	id = gt_pprof_location(e->out, (uint64_t)(gt__symbolizer_module(e->symbolizer, pc) + 1), pc, lines, count);
	gt_map_put(&e->locations, pc, id); /* without memory it is put twice */
	return id;
}

static void put_sample(struct encoder *e, const struct gt_bucket *bucket)
{
	uint64_t locations[256];
	struct gt_pprof_label labels[2];
	size_t depth = bucket->depth, label_count = 0;
	char name[25] = "";
	bool any = false;

	for (size_t i = 0; i < e->types; i++)
		any |= bucket->values[i] != 0;
	if (!any)
		return;
	if (depth > 256)
		depth = 256;
	for (size_t i = 0; i < depth; i++)
		locations[i] = location(e, bucket->pcs[i]);
	if (e->kind->number && bucket->tags[0])
		labels[label_count++] = (struct gt_pprof_label){
			.key = e->kind->number, .number = (int64_t)bucket->tags[0], .unit = e->kind->number_unit};
	memcpy(name, &bucket->tags[1], 24);
	if (name[0])
		labels[label_count++] = (struct gt_pprof_label){.key = "name", .text = name};
	gt_pprof_sample(e->out, locations, depth, bucket->values, labels, label_count);
}

int gt__profile_encode(const struct gt_profile_input *in, struct gt_symbolizer *symbolizer, void **bytes, size_t *size)
{
	const struct gt_profile_kind *kind = in->kind;
	const struct gt_profile_data *data = in->data;
	struct encoder e = {kind, symbolizer, gt_pprof_new(), {0}, 0};
	int ret = -ENOMEM;
	char text[96];

	if (e.out) {
		for (; e.types < 4 && kind->types[e.types][0]; e.types++)
			gt_pprof_sample_type(e.out, kind->types[e.types][0], kind->types[e.types][1]);
		gt_pprof_period(e.out, kind->period_type[0], kind->period_type[1], data->period);
		if (kind->default_type)
			gt_pprof_default_type(e.out, kind->default_type);
		gt_pprof_time(e.out, in->time_ns, in->duration_ns);
		if (data->lost) {
			snprintf(text, sizeof(text), "%llu samples were lost: no room", (unsigned long long)data->lost);
			gt_pprof_comment(e.out, text);
		}
		put_mappings(&e);
		for (const struct gt_bucket *bucket = data->buckets.first; bucket; bucket = bucket->next)
			put_sample(&e, bucket);
		ret = gt_pprof_finish(e.out, bytes, size);
	}
	gt_map_free(&e.locations);
	gt_pprof_free(e.out);
	return ret;
}
