/*
 * fuzz_recover.c - a crash file with any of its bytes changed, and cut anywhere.
 *
 * Input: u32 how many bytes are missing at the end (0xffffffff: none, and the rest replaces the file), then patches: u8 where (0: from the
 * file's begin, 1: from its second part's, 2: from its blocks', 3: from its Ms'), u24 offset, u8 count, the bytes.
 */
#include "cli/recover.h"
#include "libtrace/crash.h"
#include "libtrace/shm.h"
#include "tests/libtrace/crash_image.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t get(const uint8_t **data, size_t *size, unsigned int bytes)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < bytes && *size; i++, (*size)--)
		value |= (uint32_t) * (*data)++ << (8 * i);
	return value;
}

static void try(const uint8_t *bytes, size_t size)
{
	struct gt_recovered told;
	struct gt_error err;
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return;
	memcpy(copy, bytes, size);
	err.text[0] = told.text[0] = '\0';
	if (gt_recover(copy, size, "/dev/null", &told, &err) < 0 ? !err.text[0] : !told.text[0])
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *image, *bytes;
	static size_t image_size;
	const struct gt_shm *head;
	uint32_t missing;

	if (!image) {
		image = crash_image(&image_size);
		bytes = malloc(image_size);
	}
	missing = get(&data, &size, 4);
	if (missing == UINT32_MAX) {
		try(data, size);
		return 0;
	}
	memcpy(bytes, image, image_size);
	head = (const struct gt_shm *)(const void *)image;
	while (size > 5) {
		const uint64_t from[4] = {0, head->total_bytes, head->blocks_offset, head->ms_offset};
		uint64_t at = from[get(&data, &size, 1) & 3] + get(&data, &size, 3);
		uint32_t count = get(&data, &size, 1);

		if (count > size)
			count = (uint32_t)size;
		if (at < image_size && count <= image_size - at)
			memcpy(bytes + at, data, count);
		data += count;
		size -= count;
	}
	try(bytes, image_size - (missing < image_size ? missing : image_size));
	return 0;
}
