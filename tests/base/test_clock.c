/* test_clock.c - pairs, rate and conversion. Nothing is asserted about how long something takes. */
#include "base/clock.h"

#include <criterion/criterion.h>

Test(clock, ticks_never_go_back_on_one_thread)
{
	uint64_t before = gt_ticks();

	for (int i = 0; i < 100000; i++) {
		uint64_t now = gt_ticks();

		cr_assert_geq(now, before);
		before = now;
	}
}

Test(clock, a_pair_lies_between_readings_around_it)
{
	int64_t ns = gt_monotonic_ns();
	uint64_t ticks = gt_ticks();
	struct gt_clock_pair pair = gt_clock_pair();

	cr_expect_geq(pair.ticks, ticks);
	cr_expect_leq(pair.ticks, gt_ticks());
	cr_expect_geq(pair.monotonic_ns, ns);
	cr_expect_leq(pair.monotonic_ns, gt_monotonic_ns());
}

Test(clock, the_rate_is_told_and_stays)
{
	uint64_t rate = gt_clock_rate();

	cr_expect_gt(rate, 1000000);
	cr_expect_eq(gt_clock_rate(), rate);
	cr_expect_neq(gt_clock_text()[0], '\0');
}

Test(clock, ticks_become_ns_on_both_sides_of_the_start)
{
	struct gt_clock_pair start = {.ticks = 1000, .monotonic_ns = 5000000};

	cr_expect_eq(gt_ticks_to_ns(&start, 2000000000, 1000), 5000000);
	cr_expect_eq(gt_ticks_to_ns(&start, 2000000000, 3000), 5001000);
	cr_expect_eq(gt_ticks_to_ns(&start, 2000000000, 0), 4999500);
	/* ten years at 5 GHz */
	cr_expect_eq(gt_ticks_to_ns(&start, 5000000000, 1000 + 1576800000000000000ull), 5000000 + 315360000000000000);
}

Test(clock, pairs_that_are_too_near_tell_no_rate)
{
	struct gt_clock_pair from = {.ticks = 1000, .monotonic_ns = 1000};
	struct gt_clock_pair near = {.ticks = 2000, .monotonic_ns = 2000};
	struct gt_clock_pair far = {.ticks = 1000 + 30000000, .monotonic_ns = 1000 + 10000000};

	cr_expect_eq(gt_clock_rate_between(&from, &near), 0);
	cr_expect_eq(gt_clock_rate_between(&far, &from), 0);
	cr_expect_eq(gt_clock_rate_between(&from, &far), 3000000000);
}
