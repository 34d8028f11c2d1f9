/* pack.h - a sink's bytes as one stream of gzip or zstd. Between sink.c and pack.c. */
#ifndef GT_FORMAT_PACK_H
#define GT_FORMAT_PACK_H

#include "format/convert/sink.h"

/* 0 or -ENOMEM. */
int gt__packer_new(enum gt_sink_packing packing, struct gt__packer **out);
/* NULL is none. */
void gt__packer_free(struct gt__packer *packer);
/* What comes out goes to @fd; with @last all of it, and the stream's end. 0 or -errno. */
int gt__pack(struct gt__packer *packer, const char *bytes, size_t size, bool last, int fd);

int gt__write_all(int fd, const char *bytes, size_t size);

#endif
