/* stub.h - what stub.S and inject.c share. */
#ifndef GT_AGENT_STUB_H
#define GT_AGENT_STUB_H

#define GT_STUB_OPEN_RINGS 02000002 /* O_CLOEXEC | O_RDWR */
#define GT_STUB_OPEN_CODE  02000000 /* O_CLOEXEC | O_RDONLY */
#define GT_STUB_MAP_CODE   0x100001 /* MAP_SHARED | MAP_FIXED_NOREPLACE */
#define GT_STUB_POPULATE   23       /* MADV_POPULATE_WRITE */
#define GT_STUB_PATH_BYTES 32       /* "/proc/4194304/fd/1048576" */

#ifndef __ASSEMBLER__
#include <stdint.h>

struct gt__stub_data {
	uint64_t resume;
	uint64_t code_address;
	uint64_t code_size;
	uint64_t rings_size;
	uint64_t populate_offset;
	uint64_t populate_size;
	char rings_path[GT_STUB_PATH_BYTES];
	char code_path[GT_STUB_PATH_BYTES];
};

extern const uint8_t gt__stub[];
extern const uint8_t gt__stub_data[];
extern const uint8_t gt__stub_end[];
#endif

#endif
