/* test_triggers.c - expressions, and what fires for which events, in whatever order they come. One tick is a nanosecond. */
#include "libtrace/go_text.h"
#include "libtrace/triggers.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MS 1000000ull

static struct gt_trigger parsed(const char *text)
{
	struct gt_trigger trigger;
	struct gt_error err = {""};

	cr_assert_eq(gt_trigger_parse(text, &trigger, &err), 0, "%s: %s", text, err.text);
	return trigger;
}

/* One or two; no limit on how often. */
static struct gt_triggers *made(const char *first, const char *second)
{
	struct gt_trigger list[2];
	struct gt_triggers_config config = {.list = list, .ticks_per_second = 1000000000, .bytes_max = 1 << 24};
	struct gt_triggers *t;

	list[config.count++] = parsed(first);
	if (second)
		list[config.count++] = parsed(second);
	cr_assert_eq(gt_triggers_new(&config, &t), 0);
	return t;
}

static void tell(struct gt_triggers *t, unsigned int kind, uint64_t ticks, uint64_t a, uint64_t b, uint64_t c)
{
	const struct gt_event event = {.kind = (uint8_t)kind, .ticks = ticks, .args = {a, b, c}};

	gt_triggers_event(t, &event);
}

static void create(struct gt_triggers *t, uint64_t ticks, uint64_t g)
{
	tell(t, GT_EV_GO_CREATE, ticks, g, GT_STATE_RUNNABLE, 1);
}
static void run(struct gt_triggers *t, uint64_t ticks, uint64_t g)
{
	tell(t, GT_EV_GO_RUN, ticks, g, GT_STATE_RUNNABLE, 1);
}
static void block(struct gt_triggers *t, uint64_t ticks, uint64_t g, unsigned int reason)
{
	tell(t, GT_EV_GO_BLOCK, ticks, g, reason, 0);
}
static void ready(struct gt_triggers *t, uint64_t ticks, uint64_t g)
{
	tell(t, GT_EV_GO_READY, ticks, g, GT_STATE_WAITING, 0);
}
static void end(struct gt_triggers *t, uint64_t ticks, uint64_t g)
{
	tell(t, GT_EV_GO_END, ticks, g, 0, 0);
}

static void expect_none(struct gt_triggers *t)
{
	struct gt_triggers_fired fired;

	cr_assert_not(gt_triggers_next(t, &fired), "fired for goroutine %llu", (unsigned long long)fired.g);
}

static struct gt_triggers_fired expect_one(struct gt_triggers *t, uint64_t g, uint64_t since)
{
	struct gt_triggers_fired fired;

	cr_assert(gt_triggers_next(t, &fired), "nothing fired for goroutine %llu", (unsigned long long)g);
	cr_assert_eq(fired.g, g, "goroutine %llu instead of %llu", (unsigned long long)fired.g, (unsigned long long)g);
	cr_assert_eq(fired.since_ticks, since);
	return fired;
}

Test(triggers, expressions)
{
	static const struct {
		const char *text;
		enum gt_trigger_kind kind;
		uint64_t limit;
	} good[] = {
		{"runnable > 50ms", GT_TRIGGER_RUNNABLE, 50 * MS},
		{"  runnable>50ms\t", GT_TRIGGER_RUNNABLE, 50 * MS},
		{"blocked > 1.5s", GT_TRIGGER_BLOCKED, 1500 * MS},
		{"syscall > 200us", GT_TRIGGER_SYSCALL, 200000},
		{"goroutines > 10000", GT_TRIGGER_GOROUTINES, 10000},
		{"region load > page > 2m", GT_TRIGGER_REGION, 120000 * MS},
		{"stw > 10ms", GT_TRIGGER_STW, 10 * MS},
		{"exit", GT_TRIGGER_EXIT, 0},
		{"exit != 0", GT_TRIGGER_EXIT, 0},
		{"exit = 3", GT_TRIGGER_EXIT, 3},
		{"exit==255", GT_TRIGGER_EXIT, 255},
		{"signal", GT_TRIGGER_SIGNAL, 0},
	};
	static const char *const bad[] = {"", " ", "runnable", "runnable > ", "runnable > 50", "runnable > 0ms",
		"runnable < 5ms", "runnable > -5ms", "runnable > 99999999999999999999h", "runnable > 9999999999999h",
		"runnable > 1.ms", "runnable > 1.0000000001s", "runnable > 5ms x", "runnable x > 5ms", "blocked( > 1s",
		"blocked() > 1s", "blocked(nothing) > 1s", "blocked(sleep > 1s", "blockedsleep > 1s",
		"goroutines > 5ms", "goroutines > 1.5", "goroutines > 99999999999999999999", "region > 5ms",
		"region  > 5ms", "regionx > 5ms", "exit > 5", "exit != ", "exit != 256", "exit ! 3", "exitx",
		"signal 9", "> 5ms", "x", "stw", "blocked > 1s\n"};
	struct gt_trigger trigger;
	struct gt_error err;
	char text[400];

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		trigger = parsed(good[i].text);
		cr_expect(trigger.kind == good[i].kind && trigger.limit == good[i].limit, "%s: %d %llu", good[i].text,
			trigger.kind, (unsigned long long)trigger.limit);
	}
	cr_expect_str_eq(parsed("region load > page > 2m").name, "load > page");
	cr_expect_str_eq(parsed("  runnable>50ms\t").text, "runnable>50ms");
	cr_expect_eq(parsed("exit != 0").compare, '!');
	cr_expect_eq(parsed("blocked > 1s").reason, GT_TRIGGER_REASON_OTHERS);
	cr_expect_eq(parsed("blocked(any) > 1s").reason, GT_TRIGGER_REASON_ANY);
	cr_expect_eq(parsed("blocked( sync.Mutex.Lock ) > 1s").reason, GT_REASON_SYNC_MUTEX_LOCK);
	cr_expect_eq(parsed("blocked (chan receive (nil chan)) > 1s").reason, GT_REASON_CHAN_RECEIVE_NIL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		err.text[0] = 0;
		cr_expect_eq(gt_trigger_parse(bad[i], &trigger, &err), -22, "taken: %s", bad[i]);
		cr_expect(err.text[0] && !strchr(err.text, '\n'), "%s: \"%s\"", bad[i], err.text);
	}
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	cr_expect_eq(gt_trigger_parse(text, &trigger, &err), -22);
	memcpy(text, "region ", 7);
	strcpy(text + 100, " > 5ms");
	cr_expect_eq(gt_trigger_parse(text, &trigger, &err), -22);
}

Test(triggers, while_it_goes_on_and_once)
{
	struct gt_triggers *t = made("blocked(sync.Mutex.Lock) > 100ms", "runnable > 50ms");
	struct gt_triggers_fired fired;

	create(t, 1 * MS, 7);
	run(t, 2 * MS, 7);
	block(t, 3 * MS, 7, GT_REASON_SYNC_MUTEX_LOCK);
	gt_triggers_round(t, 103 * MS);
	expect_none(t); /* just as long is not longer */
	gt_triggers_round(t, 104 * MS);
	fired = expect_one(t, 7, 3 * MS);
	cr_expect(fired.at_ticks == 104 * MS && !fired.ended && fired.reason == GT_REASON_SYNC_MUTEX_LOCK);
	cr_expect_str_eq(fired.trigger->text, "blocked(sync.Mutex.Lock) > 100ms");
	gt_triggers_round(t, 1000 * MS);
	expect_none(t); /* once for this wait */
	ready(t, 1001 * MS, 7);
	gt_triggers_round(t, 1040 * MS);
	expect_none(t);
	gt_triggers_round(t, 1052 * MS);
	expect_one(t, 7, 1001 * MS); /* the other trigger */
	run(t, 1060 * MS, 7);
	block(t, 1061 * MS, 7, GT_REASON_SYNC_MUTEX_LOCK);
	gt_triggers_round(t, 1200 * MS);
	expect_one(t, 7, 1061 * MS); /* its next wait */
	expect_none(t);
	gt_triggers_free(t);
}

Test(triggers, began_and_ended_between_two_rounds)
{
	struct gt_triggers *t = made("runnable > 5ms", NULL);

	create(t, 1 * MS, 7);
	run(t, 9 * MS, 7);
	create(t, 10 * MS, 8);
	run(t, 12 * MS, 8);
	gt_triggers_round(t, 20 * MS);
	cr_expect(expect_one(t, 7, 1 * MS).ended);
	expect_none(t);
	gt_triggers_free(t);
}

Test(triggers, reasons)
{
	static const unsigned int own[] = {GT_REASON_SLEEP, GT_REASON_IO_WAIT, GT_REASON_GC_WORKER_IDLE,
		GT_REASON_FINALIZER_WAIT, GT_REASON_FORCE_GC_IDLE, GT_REASON_UNKNOWN};
	struct gt_triggers *t = made("blocked > 5ms", NULL), *any = made("blocked(any) > 5ms", "blocked(sleep) > 50ms");

	for (unsigned int i = 0; i < sizeof(own) / sizeof(*own); i++) {
		create(t, 1, i + 1);
		run(t, 2, i + 1);
		block(t, 3, i + 1, own[i]);
	}
	gt_triggers_round(t, 100 * MS);
	expect_none(t);
	create(t, 101 * MS, 70);
	run(t, 102 * MS, 70);
	block(t, 103 * MS, 70, GT_REASON_CHAN_RECEIVE);
	gt_triggers_round(t, 200 * MS);
	expect_one(t, 70, 103 * MS);
	gt_triggers_free(t);

	create(any, 1, 1);
	run(any, 2, 1);
	block(any, 3, 1, GT_REASON_IO_WAIT);
	create(any, 4, 2);
	run(any, 5, 2);
	block(any, 6, 2, GT_REASON_SLEEP);
	gt_triggers_round(any, 10 * MS);
	expect_one(any, 1, 3);
	expect_one(any, 2, 6);
	gt_triggers_round(any, 100 * MS);
	expect_one(any, 2, 6); /* by the second */
	expect_none(any);
	gt_triggers_free(any);
}

/* Seven stations a goroutine passes, each said by another M; rounds cut anywhere; the Ms come in any order. Nothing is long. */
Test(triggers, late_ms)
{
	uint64_t seed = 12345;

	for (unsigned int attempt = 0; attempt < 2000; attempt++) {
		struct gt_triggers *t = made("blocked > 50ms", "runnable > 50ms");
		uint64_t told[4] = {0}; /* each M's events up to here */

		for (uint64_t round = 0; round < 6; round++) {
			uint64_t watermark = UINT64_MAX;

			for (unsigned int i = 0; i < 4; i++) {
				unsigned int m = (i + attempt) % 4;
				uint64_t until;

				seed = seed * 6364136223846793005u + 1442695040888963407u;
				until = (round + 1) * 100 + (seed >> 33) % 60;
				/* Event number n, at n * 10 ms, is said by M n * 7 % 4 ^ n % 3 & 3. */
				for (uint64_t n = told[m]; n < until; n++) {
					if (((n * 7) ^ (n % 3)) % 4 != m)
						continue;
					if (n == 0)
						create(t, 1, 7);
					else if (n % 3 == 1)
						run(t, n * 10 * MS, 7);
					else if (n % 3 == 2)
						block(t, n * 10 * MS, 7, GT_REASON_SELECT);
					else
						ready(t, n * 10 * MS, 7);
				}
				told[m] = until;
				if (until < watermark)
					watermark = until;
			}
			gt_triggers_round(t, (watermark - 1) * 10 * MS);
			expect_none(t);
		}
		/* And what is true in the end is seen: nothing more happens to it. */
		gt_triggers_round(t, 1000000 * MS);
		for (struct gt_triggers_fired fired; gt_triggers_next(t, &fired);)
			cr_assert_eq(fired.g, 7);
		gt_triggers_free(t);
	}
}

/* Clocks of two CPUs: the wake is told at a time after the run that it caused. */
Test(triggers, clocks_that_differ)
{
	struct gt_triggers *t = made("blocked > 50ms", "runnable > 50ms");

	create(t, 1 * MS, 7);
	run(t, 2 * MS, 7);
	block(t, 3 * MS, 7, GT_REASON_SELECT);
	ready(t, 20 * MS + 300, 7);
	run(t, 20 * MS, 7);
	gt_triggers_round(t, 30 * MS);
	gt_triggers_round(t, 5000 * MS);
	expect_none(t); /* it runs */
	block(t, 5001 * MS, 7, GT_REASON_SELECT);
	gt_triggers_round(t, 5100 * MS);
	expect_one(t, 7, 5001 * MS); /* and is judged again */
	gt_triggers_free(t);
}

Test(triggers, events_that_do_not_follow_each_other)
{
	struct gt_triggers *t = made("blocked > 50ms", "runnable > 50ms");

	run(t, 2 * MS, 7); /* nobody knows what was before */
	block(t, 3 * MS, 7, GT_REASON_SELECT);
	run(t, 10 * MS, 7); /* its wake is missing */
	gt_triggers_round(t, 11 * MS);
	ready(t, 500 * MS, 7); /* its block is */
	gt_triggers_round(t, 5000 * MS);
	expect_none(t);
	run(t, 5001 * MS, 7);
	gt_triggers_round(t, 5002 * MS);
	expect_none(t);
	block(t, 5003 * MS, 7, GT_REASON_SELECT);
	gt_triggers_round(t, 5100 * MS);
	expect_one(t, 7, 5003 * MS);
	gt_triggers_free(t);
}

Test(triggers, losses)
{
	struct gt_triggers *t = made("blocked > 50ms", "goroutines > 5");
	struct gt_triggers_totals totals;

	create(t, 1 * MS, 7);
	run(t, 2 * MS, 7);
	block(t, 3 * MS, 7, GT_REASON_SELECT);
	gt_triggers_round(t, 10 * MS);
	run(t, 12 * MS, 8);
	gt_triggers_lost(t, 2, 20 * MS);
	/* Read after the loss, but from before: a wake may be among what is missing. */
	block(t, 19 * MS, 8, GT_REASON_SELECT);
	gt_triggers_round(t, 5000 * MS);
	expect_none(t);
	/* The count knows at least: two may have ended unseen. */
	for (uint64_t g = 10; g < 16; g++)
		create(t, 5001 * MS, g);
	gt_triggers_round(t, 5002 * MS);
	expect_none(t); /* 7 and these six, less two */
	create(t, 5003 * MS, 16);
	gt_triggers_round(t, 5004 * MS);
	cr_expect_eq(expect_one(t, 16, 5003 * MS).count, 6);
	run(t, 5005 * MS, 16);
	block(t, 5006 * MS, 16, GT_REASON_SELECT);
	gt_triggers_round(t, 5100 * MS);
	expect_one(t, 16, 5006 * MS);
	gt_triggers_totals(t, &totals);
	cr_expect_eq(totals.forgotten, 1);
	gt_triggers_free(t);
}

/* More between two rounds than it holds: it forgets, and goes on. */
Test(triggers, too_many_at_once)
{
	struct gt_triggers *t = made("runnable > 50ms", "goroutines > 100");
	struct gt_triggers_totals totals;

	create(t, 1, 7);
	for (uint64_t i = 0; i < 3 * GT_TRIGGER_EVENTS_MAX; i++)
		if (i % 2)
			tell(t, GT_EV_GO_YIELD, 10 + i, 7, GT_REASON_GOSCHED, 0);
		else
			run(t, 10 + i, 7);
	gt_triggers_round(t, 1 * MS);
	gt_triggers_round(t, 2 * MS);
	gt_triggers_totals(t, &totals);
	cr_expect_geq(totals.forgotten, 2);
	for (uint64_t g = 10; g < 110; g++)
		create(t, 3 * MS, g);
	gt_triggers_round(t, 4 * MS);
	cr_expect_eq(expect_one(t, 109, 3 * MS).count, 101);
	gt_triggers_free(t);
}

Test(triggers, count_and_hysteresis)
{
	struct gt_triggers *t = made("goroutines > 10", NULL);
	uint64_t at = 0;

	for (uint64_t g = 1; g <= 10; g++)
		create(t, ++at, g);
	gt_triggers_round(t, at);
	expect_none(t);
	for (uint64_t g = 11; g < 20; g++) { /* to and fro around the limit: once */
		create(t, ++at, g);
		end(t, ++at, g);
	}
	gt_triggers_round(t, at);
	cr_expect_eq(expect_one(t, 11, 11).count, 11);
	expect_none(t);
	end(t, ++at, 1);
	create(t, ++at, 20);
	create(t, ++at, 21);
	gt_triggers_round(t, at);
	expect_one(t, 21, at); /* it was a tenth below */
	gt_triggers_free(t);
}

Test(triggers, interval_and_once)
{
	struct gt_trigger list[2] = {parsed("runnable > 5ms"), parsed("blocked > 5ms")};
	struct gt_triggers_config config = {.list = list,
		.count = 2,
		.ticks_per_second = 1000000000,
		.interval_ns = 1000 * MS,
		.bytes_max = 1 << 20};
	struct gt_triggers_totals totals;
	struct gt_triggers *t;

	cr_assert_eq(gt_triggers_new(&config, &t), 0);
	create(t, 1, 1);
	create(t, 2, 2);
	gt_triggers_round(t, 10 * MS);
	expect_one(t, 1, 1);
	expect_none(t); /* the other is in the same snapshot */
	run(t, 11 * MS, 1);
	block(t, 12 * MS, 1, GT_REASON_SELECT);
	gt_triggers_round(t, 20 * MS);
	expect_one(t, 1, 12 * MS); /* another trigger has an interval of its own */
	create(t, 900 * MS, 3);
	gt_triggers_round(t, 950 * MS);
	expect_none(t);
	create(t, 1020 * MS, 4);
	gt_triggers_round(t, 1100 * MS);
	expect_one(t, 4, 1020 * MS);
	gt_triggers_totals(t, &totals);
	cr_expect(totals.fired == 3 && totals.suppressed == 2);
	gt_triggers_free(t);

	config.interval_ns = 0;
	config.once = true;
	cr_assert_eq(gt_triggers_new(&config, &t), 0);
	create(t, 1, 1);
	gt_triggers_round(t, 10 * MS);
	expect_one(t, 1, 1);
	run(t, 11 * MS, 1);
	block(t, 12 * MS, 1, GT_REASON_SELECT);
	create(t, 13 * MS, 2);
	gt_triggers_round(t, 30 * MS);
	expect_one(t, 1, 12 * MS); /* each its own once */
	expect_none(t);
	gt_triggers_free(t);
}

static size_t names(void *context, uint64_t id, char *out, size_t size)
{
	static const char *const texts[] = {"", "load", "store"};

	(void)context;
	if (id < 1 || id > 2)
		return 0;
	snprintf(out, size, "%s", texts[id]);
	return strlen(texts[id]);
}

Test(triggers, regions)
{
	struct gt_triggers *t = made("region load > 5ms", "region other > 1ms");

	gt_triggers_strings(t, names, NULL);
	tell(t, GT_EV_REGION_BEGIN, 1 * MS, 7, 0, 2); /* store: nobody asks */
	tell(t, GT_EV_REGION_BEGIN, 2 * MS, 7, 0, 1);
	tell(t, GT_EV_REGION_BEGIN, 3 * MS, 7, 0, 1); /* in itself */
	tell(t, GT_EV_REGION_END, 4 * MS, 7, 0, 1);
	tell(t, GT_EV_REGION_BEGIN, 4 * MS, 8, 0, 1);
	tell(t, GT_EV_REGION_END, 5 * MS, 8, 0, 1);
	tell(t, GT_EV_REGION_END, 5 * MS, 9, 0, 1); /* never began */
	gt_triggers_round(t, 6 * MS);
	expect_none(t);
	gt_triggers_round(t, 8 * MS);
	expect_one(t, 7, 2 * MS);
	tell(t, GT_EV_REGION_END, 9 * MS, 7, 0, 1);
	/* A goroutine that ends in its region. */
	create(t, 10 * MS, 8);
	run(t, 10 * MS, 8);
	tell(t, GT_EV_REGION_BEGIN, 11 * MS, 8, 0, 1);
	end(t, 12 * MS, 8);
	gt_triggers_round(t, 100 * MS);
	expect_none(t);
	gt_triggers_free(t);
}

/* Ends of a Go program's regions may have no name: they end the innermost one. */
Test(triggers, an_end_without_a_name_ends_the_innermost_region)
{
	struct gt_triggers *t = made("region load > 5ms", "region store > 5ms");

	gt_triggers_strings(t, names, NULL);
	tell(t, GT_EV_REGION_BEGIN, 1 * MS, 7, 0, 1);
	tell(t, GT_EV_REGION_BEGIN, 2 * MS, 7, 0, 2);
	tell(t, GT_EV_REGION_BEGIN, 2 * MS, 7, 0, 0);
	tell(t, GT_EV_REGION_END, 3 * MS, 7, 0, 0);
	tell(t, GT_EV_REGION_END, 3 * MS, 7, 0, 0);
	gt_triggers_round(t, 4 * MS);
	expect_none(t);
	gt_triggers_round(t, 8 * MS);
	expect_one(t, 7, 1 * MS);
	expect_none(t);
	tell(t, GT_EV_REGION_BEGIN, 9 * MS, 7, 0, 2);
	tell(t, GT_EV_REGION_END, 10 * MS, 7, 0, 0);
	tell(t, GT_EV_REGION_END, 11 * MS, 7, 0, 0);
	gt_triggers_round(t, 100 * MS);
	expect_none(t);
	gt_triggers_free(t);
}

Test(triggers, stops_of_the_world)
{
	struct gt_triggers *t = made("stw > 5ms", NULL);
	struct gt_triggers_fired fired;

	cr_expect(gt_triggers_want_events(t));
	tell(t, GT_EV_STW_BEGIN, 1 * MS, 7, GT_GO_TEXT_BASE + 1, 0);
	tell(t, GT_EV_STW_END, 2 * MS, 7, 0, 0);
	gt_triggers_round(t, 10 * MS);
	expect_none(t);
	/* Found while it goes on, once. */
	tell(t, GT_EV_STW_BEGIN, 11 * MS, 8, GT_GO_TEXT_BASE + 2, 0);
	gt_triggers_round(t, 15 * MS);
	expect_none(t);
	gt_triggers_round(t, 17 * MS);
	fired = expect_one(t, 8, 11 * MS);
	cr_expect(fired.reason == 2 && !fired.ended);
	tell(t, GT_EV_STW_END, 30 * MS, 8, 0, 0);
	gt_triggers_round(t, 40 * MS);
	expect_none(t);
	/* Between two rounds. */
	tell(t, GT_EV_STW_BEGIN, 41 * MS, 9, GT_GO_TEXT_BASE + 7, 0);
	tell(t, GT_EV_STW_END, 47 * MS, 9, 0, 0);
	gt_triggers_round(t, 50 * MS);
	fired = expect_one(t, 9, 41 * MS);
	cr_expect(fired.reason == 7 && fired.ended && fired.at_ticks == 47 * MS);
	/* An end without a begin. */
	tell(t, GT_EV_STW_END, 60 * MS, 9, 0, 0);
	gt_triggers_round(t, 100 * MS);
	expect_none(t);
	gt_triggers_free(t);
}

Test(triggers, ends)
{
	struct gt_triggers *t = made("exit != 0", "signal");
	struct gt_triggers_fired fired;

	cr_expect_not(gt_triggers_want_events(t));
	cr_expect_not(gt_triggers_ended(t, 0, 5, &fired));
	cr_expect(gt_triggers_ended(t, 3 << 8, 5, &fired) && fired.count == 3);
	cr_expect(gt_triggers_ended(t, SIGSEGV, 5, &fired) && fired.count == 128 + SIGSEGV);
	gt_triggers_free(t);
	t = made("signal", NULL);
	cr_expect_not(gt_triggers_ended(t, 3 << 8, 5, &fired));
	cr_expect(gt_triggers_ended(t, SIGSEGV, 5, &fired) && fired.count == SIGSEGV);
	gt_triggers_free(t);
	t = made("exit = 3", "exit");
	cr_expect(gt_triggers_ended(t, 0, 5, &fired) && !strcmp(fired.trigger->text, "exit"));
	cr_expect(gt_triggers_ended(t, 3 << 8, 5, &fired) && !strcmp(fired.trigger->text, "exit = 3"));
	gt_triggers_free(t);
}

/* 100,000 that wait and were judged cost a round nothing: it is called so often that anything else would not end. */
Test(triggers, idle_goroutines, .timeout = 60)
{
	struct gt_triggers *t = made("blocked > 1s", "runnable > 50ms");
	struct gt_triggers_totals totals;
	uint64_t fired = 0;

	for (uint64_t g = 1; g <= 100000; g++) {
		create(t, g * 10, g);
		run(t, g * 10 + 1, g);
		block(t, g * 10 + 2, g, GT_REASON_SELECT);
		if (g % 10000 == 0)
			gt_triggers_round(t, g * 10 + 5);
	}
	for (uint64_t round = 0; round < 1000000; round++) {
		gt_triggers_round(t, 2000 * MS + round);
		for (struct gt_triggers_fired one; gt_triggers_next(t, &one);)
			fired++;
	}
	gt_triggers_totals(t, &totals);
	cr_expect_eq(totals.untracked, 0);
	cr_expect_eq(totals.fired + totals.suppressed, 100000);
	cr_expect_gt(fired, 0);
	gt_triggers_free(t);
}

/* A table that is too small: those that found room are judged, the others counted; places are used again. */
Test(triggers, little_room)
{
	struct gt_trigger list[1] = {parsed("blocked > 5ms")};
	struct gt_triggers_config config = {.list = list, .count = 1, .ticks_per_second = 1000000000};
	struct gt_triggers_totals totals;
	struct gt_triggers *t;

	cr_assert_eq(gt_triggers_new(&config, &t), 0);
	for (unsigned int turn = 0; turn < 50; turn++) {
		uint64_t at = turn * 1000, first = turn * 64 + 1;

		for (uint64_t g = first; g < first + 64; g++)
			create(t, at++, g);
		for (uint64_t g = first; g < first + 64; g++)
			run(t, at++, g);
		for (uint64_t g = first; g < first + 64; g++)
			end(t, at++, g);
		gt_triggers_round(t, at);
	}
	gt_triggers_totals(t, &totals);
	cr_expect_eq(totals.untracked, 0);
	for (uint64_t g = 1; g <= 100; g++) {
		create(t, 1 * MS, g + 10000);
		run(t, 2 * MS, g + 10000);
		block(t, 3 * MS, g + 10000, GT_REASON_SELECT);
	}
	gt_triggers_round(t, 100 * MS);
	gt_triggers_totals(t, &totals);
	cr_expect_gt(totals.untracked, 0);
	cr_expect_eq(totals.fired + totals.suppressed, 64);
	gt_triggers_free(t);
}

/* Events that no program tells, in no order: nothing breaks (a sanitizer looks on). */
Test(triggers, anything)
{
	struct gt_triggers *t = made("blocked(any) > 1us", "region load > 1us");
	uint64_t seed = 1;

	gt_triggers_strings(t, names, NULL);
	for (unsigned int i = 0; i < 500000; i++) {
		struct gt_event event = {0};

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		event.kind = (uint8_t)(seed >> 59);
		event.ticks = i % 50 == 0 ? seed : (uint64_t)i * 10 + (seed >> 40) % 100;
		event.args[0] = seed >> 30 & 15;
		event.args[1] = seed >> 35 & 15;
		event.args[2] = seed >> 40 & 7;
		event.args[3] = seed >> 45;
		gt_triggers_event(t, &event);
		if (i % 1000 == 0)
			gt_triggers_round(t, i * 10);
		if (i % 70001 == 0)
			gt_triggers_lost(t, seed & 3, i * 10);
		for (struct gt_triggers_fired fired; gt_triggers_next(t, &fired);)
			cr_assert_leq(fired.since_ticks, fired.at_ticks);
	}
	gt_triggers_round(t, UINT64_MAX);
	gt_triggers_free(t);
}
