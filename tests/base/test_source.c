/* test_source.c - the same bytes from a file and from memory; never more than there are, also of a file that became shorter. */
#include "base/source.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 10000 };

static uint8_t bytes[SIZE];

static void same(const struct gt_source *source)
{
	uint8_t got[SIZE + 1] = {0};

	cr_assert_eq(gt_source_read(source, 0, SIZE, got), 0);
	cr_assert_arr_eq(got, bytes, SIZE);
	cr_assert_eq(gt_source_read(source, 4321, 17, got), 0);
	cr_assert_arr_eq(got, bytes + 4321, 17);
	cr_assert_eq(gt_source_read(source, SIZE, 0, got), 0);
	cr_assert_eq(gt_source_read(source, SIZE - 1, 2, got), -ENODATA);
	cr_assert_eq(gt_source_read(source, 0, SIZE + 1, got), -ENODATA);
	cr_assert_eq(gt_source_read(source, UINT64_MAX, 1, got), -ENODATA);
	cr_assert_eq(gt_source_read(source, UINT64_MAX - 1, SIZE, got), -ENODATA);
}

Test(source, file_and_memory)
{
	struct gt_source memory = {.fd = -1, .memory = bytes, .size = SIZE}, file = {.size = SIZE};
	struct gt_source nothing = {.fd = -1};
	FILE *stream = tmpfile();
	uint8_t got[32];

	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256);
	cr_assert_not_null(stream);
	file.fd = fileno(stream);
	cr_assert_eq(write(file.fd, bytes, SIZE), SIZE);
	same(&memory);
	same(&file);
	cr_assert_eq(gt_source_read(&nothing, 0, 0, got), 0);
	cr_assert_eq(gt_source_read(&nothing, 0, 1, got), -ENODATA);

	cr_assert_eq(ftruncate(file.fd, 100), 0);
	cr_assert_eq(gt_source_read(&file, 90, 20, got), -ENODATA);
	cr_assert_eq(gt_source_read(&file, 90, 10, got), 0);
	fclose(stream);

	file.fd = 1 << 20; /* not open */
	cr_assert_eq(gt_source_read(&file, 0, 1, got), -EBADF);
}
