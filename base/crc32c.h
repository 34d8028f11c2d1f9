/*
 * crc32c.h - CRC-32C (Castagnoli), as in iSCSI and ext4: reflected polynomial 0x82f63b78.
 */
#ifndef GT_BASE_CRC32C_H
#define GT_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of what @crc stands for followed by @bytes; 0 starts. By the processor's instruction where it has one. */
uint32_t gt_crc32c(uint32_t crc, const void *bytes, size_t size);

/* The same by a table: what gt_crc32c uses elsewhere. Here for its test. */
uint32_t gt__crc32c_table(uint32_t crc, const void *bytes, size_t size);

#endif
