/*
 * make.c - what libgtrace_profile gives the runtime: buckets in, bytes out.
 */
#include "runtime/profile/profile.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Stacks that differ only inside the runtime are one. */
static int trim(const struct gt_profile_kind *kind, struct gt_symbolizer *symbolizer, struct gt_profile_data *data)
{
	struct gt_buckets trimmed = {.bytes_max = SIZE_MAX};

	for (const struct gt_bucket *from = data->buckets.first; from; from = from->next) {
		const uintptr_t *pcs = from->pcs;
		size_t depth = from->depth;
		struct gt_bucket *to;

		gt__symbolizer_trim(symbolizer, kind->trim, &pcs, &depth);
		to = gt_buckets_get(&trimmed, from->tags, pcs, depth);
		if (!to) {
			gt_buckets_free(&trimmed);
			return -ENOMEM;
		}
		for (unsigned int i = 0; i < GT_BUCKET_VALUES; i++)
			to->values[i] += from->values[i];
	}
	gt_buckets_free(&data->buckets);
	data->buckets = trimmed;
	return 0;
}

/* An object of one size is taken with a chance of 1 - exp(-size / rate): so many were there for each that was. */
static void scale(struct gt_profile_data *data)
{
	for (struct gt_bucket *bucket = data->buckets.first; bucket; bucket = bucket->next) {
		int64_t *v = bucket->values;
		int of = v[0] ? 0 : 2;
		double size = v[of] ? (double)v[of + 1] / (double)v[of] : 0;
		double by = size > 0 ? -1 / expm1(-size / (double)data->period) : 1;

		for (int i = 0; i < 4; i++)
			v[i] = (int64_t)llround((double)v[i] * by);
	}
}

static int make(const struct gt_profile_input *in, void **bytes, size_t *size)
{
	struct gt_symbolizer *symbolizer = gt__symbolizer_new();
	int ret = symbolizer ? trim(in->kind, symbolizer, in->data) : -ENOMEM;

	/* The text says the rate, and who reads it scales. */
	if (ret == 0 && !in->debug && in->data->period > 1 && strcmp(in->kind->types[0][0], "alloc_objects") == 0)
		scale(in->data);
	if (ret == 0)
		ret = in->debug ? gt__profile_text(in, symbolizer, bytes, size)
				: gt__profile_encode(in, symbolizer, bytes, size);
	gt__symbolizer_free(symbolizer);
	return ret;
}

extern const struct gt_profile_encoder GT_PROFILE_ENCODER;
GT_API const struct gt_profile_encoder GT_PROFILE_ENCODER = {GT_PROFILE_ENCODER_VERSION, make};
