/* source.h - bytes that are read at any place: a file's, or memory's. */
#ifndef GT_BASE_SOURCE_H
#define GT_BASE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct gt_source {
	int fd; /* -1: memory */
	const uint8_t *memory;
	uint64_t size; /* when it was opened */
};

/* Exactly @size bytes at @offset into @to: 0, -ENODATA when there are not so many (a file may have become shorter), or another
 * -errno. */
int gt_source_read(const struct gt_source *source, uint64_t offset, size_t size, uint8_t *to);

#endif
