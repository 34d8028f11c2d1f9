/* test_error.c - the one line of an error, whatever a user or a file puts into it. */
#include "base/error.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(error, is_one_line)
{
	struct gt_error err;

	cr_assert_eq(gt_fail(&err, ENOENT, "cannot open: %s: %s", "a\nb\033[1mc\t\177", "none"), -ENOENT);
	cr_assert_str_eq(err.text, "cannot open: a?b?[1mc??: none");
	cr_assert_eq(gt_fail_prefix(&err, -EIO, "%s", "x\ny"), -EIO);
	cr_assert_str_eq(err.text, "x?y: cannot open: a?b?[1mc??: none");
}

Test(error, is_cut_at_its_size)
{
	char text[2 * sizeof(((struct gt_error *)0)->text)];
	struct gt_error err;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	gt_fail(&err, EINVAL, "%s", text);
	cr_assert_eq(strlen(err.text), sizeof(err.text) - 1);
	gt_fail_prefix(&err, -EINVAL, "%s", text);
	cr_assert_eq(strlen(err.text), sizeof(err.text) - 1);
	cr_assert_eq(gt_fail(NULL, EINVAL, "%s", text), -EINVAL);
}
