/* sample.c - small files for the tests. */
#include "sample.h"
#include "format/text/text_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *sample_bytes(const char *text, size_t *size)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct gt_error err;
	char *bytes;
	FILE *out = open_memstream(&bytes, size);
	int ret = gt_text_read(in, out, &err);

	fclose(in);
	fclose(out);
	if (!ret)
		return bytes;
	fprintf(stderr, "%s\n", err.text);
	free(bytes);
	return NULL;
}

/* One trace is open at a time. */
static char *open_bytes;

struct gt_trace *sample_open(const char *text)
{
	struct gt_trace *trace = NULL;
	struct gt_error err;
	size_t size;

	open_bytes = sample_bytes(text, &size);
	if (open_bytes && gt_trace_open_memory(open_bytes, size, &trace, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	return trace;
}

void sample_close(struct gt_trace *trace)
{
	gt_trace_close(trace);
	free(open_bytes);
	open_bytes = NULL;
}

char *sample_large(unsigned int frames, size_t *size)
{
	char *text, *bytes;
	size_t text_size;
	FILE *out = open_memstream(&text, &text_size);

	fputs("gtrace ticks_per_second=1000000000\nMeta key=\"runtime\" value=\"go\"\nString id=1 text=\"main.f\"\n"
	      "Pc pc=0x10 lines=[1:1:5]\nEvents m=0 base=0\n",
		out);
	for (unsigned int g = 1; g <= 3; g++)
		fprintf(out, "GoCreate dt=1 g=%u new=runnable start=0x10\n", g);
	for (unsigned int i = 0; i < frames; i++) {
		uint64_t base = 1000000ull * (i + 1);

		fprintf(out, "Frame ticks=%" PRIu64 " monotonic_ns=%" PRIu64 " watermark=%" PRIu64 "\n", base + 500000,
			base + 500000, base + 500000);
		fprintf(out, "Stack id=%u pcs=[0x10 0x20]\nMeta key=\"frame\" value=\"%u\"\n", i + 1, i);
		for (unsigned int m = 0; m < 3; m++) {
			fprintf(out, "Events m=%u base=%" PRIu64 "\n", m, base + m);
			fprintf(out,
				"GoRun g=%u old=runnable p=%u\nGoSyscall dt=300 g=%u\nGoSysexit dt=10 g=%u "
				"new=running\n",
				m + 1, m, m + 1, m + 1);
			fprintf(out,
				"GoBlock dt=100 g=%u reason=\"sleep\" stack=%u\nGoReady dt=1000 g=%u old=waiting\n",
				m + 1, i + 1, m + 1);
		}
	}
	fputs("Frame ticks=0\nLoss what=\"stacks\" count=1\nIndex ticks=90000000 monotonic_ns=90000000\n", out);
	fclose(out);
	bytes = sample_bytes(text, size);
	free(text);
	return bytes;
}
