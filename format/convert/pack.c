/* pack.c - gzip by zlib, zstd by libzstd, for pack.h. */
#include "format/convert/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define OUT_BYTES ((size_t)128 << 10)
/* A trace repeats itself: more effort costs much time for a few per cent. */
#define GZIP_LEVEL 3
#define ZSTD_LEVEL 3

struct gt__packer {
	enum gt_sink_packing packing;
	z_stream zlib;
	ZSTD_CCtx *zstd;
	char out[OUT_BYTES];
};

int gt__packer_new(enum gt_sink_packing packing, struct gt__packer **out)
{
	struct gt__packer *packer = calloc(1, sizeof(*packer));
	bool good = false;

	*out = NULL;
	if (!packer)
		return -ENOMEM;
	packer->packing = packing;
	if (packing == GT_SINK_GZIP) {
		/* 15: the greatest window; 16: gzip's header and end. */
		good = deflateInit2(&packer->zlib, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	} else {
		packer->zstd = ZSTD_createCCtx();
		good = packer->zstd &&
		       !ZSTD_isError(ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) &&
		       !ZSTD_isError(ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_checksumFlag, 1));
	}
	if (!good) {
		gt__packer_free(packer);
		return -ENOMEM;
	}
	*out = packer;
	return 0;
}

void gt__packer_free(struct gt__packer *packer)
{
	if (!packer)
		return;
	if (packer->packing == GT_SINK_GZIP)
		deflateEnd(&packer->zlib);
	ZSTD_freeCCtx(packer->zstd);
	free(packer);
}

static int pack_gzip(struct gt__packer *packer, const char *bytes, size_t size, bool last, int fd)
{
	z_stream *stream = &packer->zlib;
	int ret, wrote;

	stream->next_in = (unsigned char *)(uintptr_t)bytes;
	stream->avail_in = (unsigned int)size;
	do {
		stream->next_out = (unsigned char *)packer->out;
		stream->avail_out = OUT_BYTES;
		ret = deflate(stream, last ? Z_FINISH : Z_NO_FLUSH);
		if (ret == Z_STREAM_ERROR)
			return -EIO;
		wrote = gt__write_all(fd, packer->out, OUT_BYTES - stream->avail_out);
		if (wrote < 0)
			return wrote;
	} while (last ? ret != Z_STREAM_END : stream->avail_out == 0);
	return 0;
}

static int pack_zstd(struct gt__packer *packer, const char *bytes, size_t size, bool last, int fd)
{
	ZSTD_inBuffer in = {bytes, size, 0};
	size_t left;

	do {
		ZSTD_outBuffer out = {packer->out, OUT_BYTES, 0};
		int wrote;

		left = ZSTD_compressStream2(packer->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return -EIO;
		wrote = gt__write_all(fd, packer->out, out.pos);
		if (wrote < 0)
			return wrote;
	} while (last ? left != 0 : in.pos < in.size);
	return 0;
}

int gt__pack(struct gt__packer *packer, const char *bytes, size_t size, bool last, int fd)
{
	return packer->packing == GT_SINK_GZIP ? pack_gzip(packer, bytes, size, last, fd)
					       : pack_zstd(packer, bytes, size, last, fd);
}
