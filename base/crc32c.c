/* crc32c.c - CRC-32C, by SSE4.2's instruction or by a table of 16 entries. */
#include "base/crc32c.h"

#include <string.h>

/* One entry for each half of a byte: headers are tens of bytes, so a small table beats a quick one. */
static const uint32_t nibbles[16] = {
	0x00000000,
	0x105ec76f,
	0x20bd8ede,
	0x30e349b1,
	0x417b1dbc,
	0x5125dad3,
	0x61c69362,
	0x7198540d,
	0x82f63b78,
	0x92a8fc17,
	0xa24bb5a6,
	0xb21572c9,
	0xc38d26c4,
	0xd3d3e1ab,
	0xe330a81a,
	0xf36e6f75,
};

uint32_t gt__crc32c_table(uint32_t crc, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	crc = ~crc;
	while (size--) {
		crc ^= *at++;
		crc = (crc >> 4) ^ nibbles[crc & 15];
		crc = (crc >> 4) ^ nibbles[crc & 15];
	}
	return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t wide = (uint32_t)~crc;
	uint32_t rest;

	for (; size >= 8; size -= 8, at += 8) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}
	rest = (uint32_t)wide;
	while (size--)
		rest = __builtin_ia32_crc32qi(rest, *at++);
	return ~rest;
}
#endif

uint32_t gt_crc32c(uint32_t crc, const void *bytes, size_t size)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, bytes, size);
#endif
	return gt__crc32c_table(crc, bytes, size);
}
