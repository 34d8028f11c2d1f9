/* source.c - whole reads, whatever the kernel gives at once. */
#include "base/source.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int gt_source_read(const struct gt_source *source, uint64_t offset, size_t size, uint8_t *to)
{
	if (size > source->size || offset > source->size - size)
		return -ENODATA;
	if (source->fd < 0 && size)
		memcpy(to, source->memory + offset, size);
	while (source->fd >= 0 && size) {
		ssize_t got = pread(source->fd, to, size, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ENODATA;
		to += got;
		offset += (uint64_t)got;
		size -= (size_t)got;
	}
	return 0;
}
