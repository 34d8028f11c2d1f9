/*
 * run.c - every scenario under many seeds.
 *
 *   sim-sched [SEEDS [SCENARIO [FIRST-SEED]]]      the number of seeds also by GTRACE_SIM_SEEDS
 *   sim-mutants [SEEDS [WHAT [SCENARIO]]]          each planted bug (WHAT: a part of its text) is found within so many seeds
 */
#include "tests/schedsim/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const char *const sim_mutants[] __attribute__((weak));
extern const char *const sim_mutant_shown_by[] __attribute__((weak));
extern int gt__mutant __attribute__((weak));

#define SHOWN_SEEDS 100000
#if defined(__SANITIZE_ADDRESS__)
#define DEFAULT_SEEDS 60
#else
#define DEFAULT_SEEDS 500
#endif

static const struct sim_scenario *const all[] = {sim_scenarios_core, sim_scenarios_objects, sim_scenarios_world};
/* What is run now: for a crash. */
static const struct sim_scenario *now_scenario SIM_KEPT = NULL;
static uint64_t now_seed SIM_KEPT = 0;

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void print_step(const struct sim_step *step)
{
	printf("%8llu %12.3f us  M%-3u", (unsigned long long)step->point, (double)(step->now - GT_SECOND) / 1e3,
		step->fiber + 1);
	if (step->p)
		printf(" P%-2u", step->p - 1);
	else
		printf("    ");
	if (step->g)
		printf(" g%-4llu", (unsigned long long)step->g);
	else
		printf("      ");
	if (!step->is_event) {
		printf(" %-12s %s\n", step->what, name_of(step->site));
		return;
	}
	printf(" * %s", gt_event_specs[step->event.kind].text);
	for (unsigned int i = 0; i < gt_event_specs[step->event.kind].arg_count; i++) {
		const struct gt_arg_spec *arg = &gt_event_specs[step->event.kind].args[i];
		uint64_t value = step->event.args[i];

		if (arg->type == GT_ARG_PC || arg->type == GT_ARG_STACK)
			continue;
		if (arg->type == GT_ARG_STATE)
			printf(" %s=%s", arg->name, gt_state_text((unsigned int)value));
		else if (arg->type == GT_ARG_REASON)
			printf(" %s=%s", arg->name, gt_reason_text((unsigned int)value));
		else
			printf(" %s=%llu", arg->name,
				(unsigned long long)(arg->type == GT_ARG_P && value ? value - 1 : value));
	}
	printf("\n");
}

void sim_report(const struct sim_scenario *scenario, uint64_t steps)
{
	static const char *const strategies[] = {"walk", "priorities", "starve one"};
	const struct sim_config *c = &sim.config;
	uint64_t first = sim.logged > steps ? sim.logged - steps : 0;

	if (sim.logged - first > SIM_LOG)
		first = sim.logged - SIM_LOG;
	for (uint64_t i = first; i < sim.logged; i++)
		print_step(&sim.log[i % SIM_LOG]);
	sim.in_world = true;
	sim_print_state();
	printf("FAIL %s, seed %llu (%s", scenario->name, (unsigned long long)c->seed, strategies[c->strategy]);
	if (c->strategy == SIM_PCT)
		printf(", %u changes in %llu points", c->changes, (unsigned long long)c->length);
	else
		printf(", a switch in %u points", c->one_in);
	printf(", %u ns a point%s%s, %d CPUs, GOMAXPROCS %s): %s\n", c->tick_ns, c->buffered ? ", stores buffered" : "",
		c->stall_one_in ? ", stalls" : "", c->cpus, c->procs > 0 ? sim.procs_text : "by the machine",
		sim.result.text[0] ? sim.result.text : "it exited with another status");
}

static bool ended_well(const struct sim_scenario *scenario, const struct sim_result *result)
{
	if (scenario->last_words)
		return result->end == SIM_DIED && strcmp(result->text, scenario->last_words) == 0;
	return result->end == SIM_EXITED && result->code == 0;
}

static uint64_t steps_wanted(void)
{
	const char *text = getenv("GTRACE_SIM_STEPS");

	return text ? strtoull(text, NULL, 0) : 80;
}

static void again(const char *program)
{
	printf("again: GTRACE_SIM_STEPS=%llu %s 1 %s %llu\n", (unsigned long long)steps_wanted(), program,
		now_scenario->name, (unsigned long long)now_seed);
}

static const char *program_name SIM_KEPT = "sim-sched";

/* A crash ends the run like any other failure. */
static void on_crash(int signal)
{
	if (sim.current)
		sim_fail("signal %d", signal);
	printf("FAIL %s, seed %llu: signal %d\n", now_scenario ? now_scenario->name : "?", (unsigned long long)now_seed,
		signal);
	if (now_scenario)
		again(program_name);
	fflush(stdout);
	_exit(1);
}

static struct sim_result run_one(const struct sim_scenario *scenario, uint64_t seed)
{
	now_scenario = scenario;
	now_seed = seed;
	return sim_run(scenario, seed);
}

struct totals {
	uint64_t points, switches, events, seeds;
	int scenarios, failed;
};

static void run_scenario(const struct sim_scenario *scenario, uint64_t first, uint64_t count, struct totals *totals)
{
	if (count > 1 && scenario->share > 1)
		count = count / scenario->share + 1;
	totals->scenarios++;
	for (uint64_t seed = first; seed < first + count; seed++) {
		struct sim_result result = run_one(scenario, seed);

		totals->points += result.points;
		totals->switches += result.switches;
		totals->events += result.events;
		totals->seeds++;
		if (!ended_well(scenario, &result)) {
			sim_report(scenario, steps_wanted());
			again(program_name);
			totals->failed++;
			return;
		}
		if (seed % 64 == 0 && run_one(scenario, seed).hash != result.hash) {
			printf("FAIL %s, seed %llu: it ran differently the second time\n", scenario->name,
				(unsigned long long)seed);
			again(program_name);
			totals->failed++;
			return;
		}
	}
}

static int run_all(uint64_t count, const char *only, uint64_t first)
{
	struct totals totals = {0};
	bool tell = getenv("GTRACE_SIM_TELL") != NULL;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (const struct sim_scenario *scenario = all[i]; scenario->name; scenario++) {
			uint64_t points = totals.points, seeds = totals.seeds, switches = totals.switches,
				 events = totals.events;

			if (only && strcmp(only, scenario->name) != 0)
				continue;
			run_scenario(scenario, first, count, &totals);
			if (tell && totals.seeds > seeds)
				printf("%-24s %6llu seeds, each: %8llu points, %6llu switches, %6llu events\n",
					scenario->name, (unsigned long long)(totals.seeds - seeds),
					(unsigned long long)((totals.points - points) / (totals.seeds - seeds)),
					(unsigned long long)((totals.switches - switches) / (totals.seeds - seeds)),
					(unsigned long long)((totals.events - events) / (totals.seeds - seeds)));
		}
	printf("%d scenarios, %llu runs, %llu points, %llu switches, %llu events judged, %d failed\n", totals.scenarios,
		(unsigned long long)totals.seeds, (unsigned long long)totals.points,
		(unsigned long long)totals.switches, (unsigned long long)totals.events, totals.failed);
	return totals.failed || !totals.scenarios;
}

/* ---- planted bugs ---- */

/* Seeds in the outer loop: a bug is found by whatever scenario shows it first. */
static bool find_mutant(uint64_t count, const char *only, struct totals *totals)
{
	for (uint64_t seed = 1; seed <= count; seed++)
		for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
			for (const struct sim_scenario *scenario = all[i]; scenario->name; scenario++) {
				struct sim_result result;

				if (only ? strcmp(only, scenario->name) != 0
					 : scenario->share > 1 && seed % scenario->share)
					continue;
				result = run_one(scenario, seed);
				totals->seeds++;
				if (!ended_well(scenario, &result)) {
					printf("  found by %s, seed %llu, run %llu: %s\n", scenario->name,
						(unsigned long long)seed, (unsigned long long)totals->seeds,
						result.text[0] ? result.text : "it exited with another status");
					return true;
				}
			}
	return false;
}

static int run_mutants(uint64_t count, const char *only, const char *scenario)
{
	int missed = 0, ran = 0;

	for (int i = 0; sim_mutants[i]; i++) {
		struct totals totals = {0};

		if (only && !strstr(sim_mutants[i], only))
			continue;
		ran++;
		printf("%d %s\n", i + 1, sim_mutants[i]);
		gt__mutant = i + 1;
		/* What one scenario shows in few of its seeds is looked for there, in many. */
		if (!scenario && sim_mutant_shown_by[i] ? !find_mutant(SHOWN_SEEDS, sim_mutant_shown_by[i], &totals)
							: !find_mutant(count, scenario, &totals)) {
			printf("  MISSED in %llu runs\n", (unsigned long long)totals.seeds);
			missed++;
		}
	}
	printf("%d planted bugs, %d missed\n", ran, missed);
	return missed || !ran;
}

__attribute__((visibility("default"))) int sim_main(int argc, char **argv)
{
	static char alternate[65536];
	const char *env = getenv("GTRACE_SIM_SEEDS");
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : env ? strtoull(env, NULL, 0) : 0;
	const char *only = argc > 2 ? argv[2] : NULL;
	uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER};

	setvbuf(stdout, NULL, _IOLBF, 0);
	program_name = argv[0];
#if !defined(__SANITIZE_ADDRESS__)
	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGABRT, &action, NULL);
#endif
	(void)stack;
	(void)action;
	if (sim_mutants && &gt__mutant)
		return run_mutants(count ? count : 1000, only, argc > 3 ? argv[3] : NULL);
	return run_all(count ? count : DEFAULT_SEEDS, only, first);
}
