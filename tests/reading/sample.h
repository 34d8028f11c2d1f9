/* sample.h - small files for the tests, and a text of what a reader makes of a file. */
#ifndef TESTS_SAMPLE_H
#define TESTS_SAMPLE_H

#include "format/reading/trace.h"

#include <stddef.h>
#include <stdint.h>

/* Text (docs/text.md) to bytes; the caller frees. NULL and a line on stderr when the text is wrong. */
char *sample_bytes(const char *text, size_t *size);
/* The same, opened. Close with sample_close. */
struct gt_trace *sample_open(const char *text);
void sample_close(struct gt_trace *trace);

/* A file of @frames frames with names, three Ms and everything else that a file may hold. */
char *sample_large(unsigned int frames, size_t *size);

#endif
