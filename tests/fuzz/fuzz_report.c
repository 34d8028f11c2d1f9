/* fuzz_report.c - any bytes as a .gtrace file: its report in every form, twice the same. */
#include "analysis/analysis.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct gt_analysis *analysis, char **text, size_t *size)
{
	FILE *out = open_memstream(text, size);
	void *bytes;
	size_t count;

	if (!out)
		abort();
	gt_report_text(analysis, "x", out);
	gt_report_json(analysis, "x", out);
	gt_report_compare(analysis, "x", analysis, "y", out);
	gt_report_compare_json(analysis, "x", analysis, "y", out);
	for (enum gt_profile profile = 0; gt_profile_name(profile); profile++) {
		gt_profile_folded(analysis, profile, out);
		if (gt_profile_pprof(analysis, profile, &bytes, &count) == 0)
			free(bytes);
	}
	fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text[2] = {NULL, NULL};
	size_t sizes[2] = {0, 0};
	struct gt_analysis *analysis;
	struct gt_trace *trace;
	struct gt_error err;

	for (int i = 0; i < 2; i++) {
		if (gt_trace_open_memory(data, size, &trace, &err) < 0)
			return 0;
		if (gt_analysis_run(trace, NULL, &analysis, &err) < 0)
			abort();
		put(analysis, &text[i], &sizes[i]);
		gt_analysis_free(analysis);
		gt_trace_close(trace);
	}
	if (sizes[0] != sizes[1] || memcmp(text[0], text[1], sizes[0]) != 0)
		abort();
	free(text[0]);
	free(text[1]);
	return 0;
}
