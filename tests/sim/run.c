/*
 * run.c - every scenario under many seeds. run [SEEDS [SCENARIO [FIRST-SEED]]]; the number of seeds also by GTRACE_SIM_SEEDS.
 */
#include "tests/sim/scenarios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct scenario *const all[] = {chan_scenarios, select_scenarios, sync_scenarios, time_scenarios};

static bool ended_well(const struct scenario *s, const struct sim_result *r)
{
	if (r->end != s->end)
		return false;
	if (s->text && strcmp(r->text, s->text) != 0)
		return false;
	if (s->end == SIM_RETURNED && r->allocated && !s->leaks)
		return false;
	return s->end != SIM_DEADLOCK || r->main_reason == s->reason;
}

/* Returns how many seeds failed: at most one. */
static int run(const struct scenario *s, uint64_t first, uint64_t count, uint64_t *steps)
{
	for (uint64_t seed = first; seed < first + count; seed++) {
		struct sim_result r = sim_run(seed, s->main_fn, NULL);

		*steps += r.steps;
		if (!ended_well(s, &r)) {
			printf("FAIL %s, seed %llu: end %d, reason %d, %llu pieces not freed, %s\n", s->name,
				(unsigned long long)seed, r.end, (int)r.main_reason, (unsigned long long)r.allocated,
				r.text);
			return 1;
		}
		if (seed % 64 == 0 && sim_run(seed, s->main_fn, NULL).hash != r.hash) {
			printf("FAIL %s, seed %llu: runs differently the second time\n", s->name,
				(unsigned long long)seed);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *env = getenv("GTRACE_SIM_SEEDS");
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : env ? strtoull(env, NULL, 0) : 1000;
	const char *only = argc > 2 ? argv[2] : NULL;
	uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	uint64_t steps = 0;
	int failed = 0, ran = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		for (const struct scenario *s = all[i]; s->name; s++) {
			if (only && strcmp(only, s->name) != 0)
				continue;
			failed += run(s, first, count, &steps);
			ran++;
		}
	}
	printf("%d scenarios, %llu seeds each, %llu steps, %d failed\n", ran, (unsigned long long)count,
		(unsigned long long)steps, failed);
	return failed || !ran;
}
