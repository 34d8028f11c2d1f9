/*
 * fuzz_text.c - any bytes as the text of a trace. What is accepted must be a file that is read without damage to its frames, and
 * from there on text and file must give each other back exactly.
 */
#include "format/reading/text.h"
#include "format/text/text_read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	char *at;
	size_t size;
};

/* False when the text is refused. */
static bool to_file(const void *text, size_t size, struct bytes *out)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, size, "r");
	FILE *to = open_memstream(&out->at, &out->size);
	struct gt_error err;
	int ret = gt_text_read(in, to, &err);

	fclose(in);
	fclose(to);
	if (ret < 0 && (!err.text[0] || strchr(err.text, '\n')))
		abort();
	return !ret;
}

static bool to_text(const struct bytes *file, struct bytes *out)
{
	struct gt_trace *trace;
	struct gt_error err;
	FILE *to;

	if (gt_trace_open_memory(file->at, file->size, &trace, &err) < 0)
		return false; /* of another version */
	to = open_memstream(&out->at, &out->size);
	if (gt_text_write(trace, to, &err) < 0)
		abort();
	fclose(to);
	gt_trace_close(trace);
	return true;
}

static bool same(const struct bytes *a, const struct bytes *b)
{
	return a->size == b->size && !memcmp(a->at, b->at, a->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes file = {0}, text = {0}, file_again = {0}, text_again = {0};

	if (!size)
		return 0;
	if (to_file(data, size, &file) && to_text(&file, &text)) {
		if (!to_file(text.at, text.size, &file_again) || !same(&file, &file_again))
			abort();
		if (!to_text(&file_again, &text_again) || !same(&text, &text_again))
			abort();
	}
	free(file.at);
	free(text.at);
	free(file_again.at);
	free(text_again.at);
	return 0;
}
