/* test_crc32c.c - the published vectors, by the instruction and by the table. */
#include "base/crc32c.h"

#include <criterion/criterion.h>
#include <string.h>

/* Vectors of RFC 3720 B.4 and the usual check value. */
static void check_vectors(uint32_t (*crc)(uint32_t, const void *, size_t))
{
	uint8_t bytes[32];

	cr_assert_eq(crc(0, "123456789", 9), 0xe3069283);
	cr_assert_eq(crc(0, "", 0), 0);
	memset(bytes, 0, sizeof(bytes));
	cr_assert_eq(crc(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	cr_assert_eq(crc(0, bytes, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	cr_assert_eq(crc(0, bytes, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	cr_assert_eq(crc(0, bytes, 32), 0x113fdb5c);
}

Test(crc32c, gives_the_published_vectors)
{
	check_vectors(gt_crc32c);
}

Test(crc32c, gives_the_published_vectors_by_its_table)
{
	check_vectors(gt__crc32c_table);
}

/* Every cut of a text, at every alignment, gives what the whole gives. */
Test(crc32c, may_be_fed_in_pieces)
{
	char text[80];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 37 + 11);
	for (size_t from = 0; from < 9; from++) {
		uint32_t whole = gt__crc32c_table(0, text + from, 64);

		for (size_t cut = 0; cut <= 64; cut++)
			cr_assert_eq(gt_crc32c(gt_crc32c(0, text + from, cut), text + from + cut, 64 - cut), whole);
	}
}
