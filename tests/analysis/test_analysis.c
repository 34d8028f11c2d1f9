/* test_analysis.c - what is a finding, what is none, and whom it names: of traces written by hand. */
#include "analysis/analysis.h"
#include "tests/reading/sample.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- a trace that is written line by line; times in ms since its begin ---- */

struct story {
	char *text;
	size_t size;
	FILE *out;
	int64_t now_us;
	struct gt_trace *trace;
	struct gt_analysis *analysis;
};

/* Functions: 0x1000 main.main, 0x1100 main.worker, 0x1200 main.holder, 0x1300 main.server, 0x1400 runtime.gcBgMarkWorker.
 * Stacks: N stands in function 0x1000 + 0x100 * N, below a function of the runtime. */
static void begin(struct story *s)
{
	static const char *const names[] = {
		"runtime.main", "main.worker", "main.holder", "main.server", "runtime.gcBgMarkWorker"};

	memset(s, 0, sizeof(*s));
	s->out = open_memstream(&s->text, &s->size);
	fprintf(s->out,
		"gtrace ticks_per_second=1000000\nMeta key=\"runtime\" value=\"go\"\nMeta key=\"cpus\" value=\"4\"\n"
		"String id=20 text=\"runtime.gopark\"\nString id=21 text=\"proc.go\"\nString id=22 text=\"main.go\"\n"
		"Pc pc=0x900 lines=[20:21:7]\n");
	for (int i = 0; i < 5; i++)
		fprintf(s->out, "String id=%d text=\"%s\"\nPc pc=0x%x lines=[%d:22:%d]\nStack id=%d pcs=[0x900 0x%x]\n",
			i + 1, names[i], 0x1000 + 0x100 * i, i + 1, 10 * (i + 1), i + 1, 0x1000 + 0x100 * i);
}

/* An event on M @m at @ms. */
static void at(struct story *s, double ms, int m, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void at(struct story *s, double ms, int m, const char *format, ...)
{
	va_list args;

	fprintf(s->out, "Events m=%d base=%lld\n", m, (long long)(ms * 1000));
	va_start(args, format);
	vfprintf(s->out, format, args);
	va_end(args);
	fputc('\n', s->out);
}

static void create(struct story *s, double ms, int g, int function)
{
	at(s, ms, 0, "GoCreate g=%d new=runnable parent=%d start=0x%x", g, g > 1, 0x1000 + 0x100 * function);
}

/* It runs on the M and P of its number. */
static void run(struct story *s, double ms, int g)
{
	at(s, ms, g, "GoRun g=%d old=runnable p=%d", g, g);
}

static void end(struct story *s)
{
	struct gt_error err;

	fclose(s->out);
	s->trace = sample_open(s->text);
	cr_assert(s->trace, "the story is no trace:\n%s", s->text);
	cr_assert(gt_analysis_run(s->trace, NULL, &s->analysis, &err) == 0);
}

static void drop(struct story *s)
{
	gt_analysis_free(s->analysis);
	sample_close(s->trace);
	free(s->text);
}

static struct gt_finding_view first(const struct story *s)
{
	struct gt_finding_view view = {.kind = "none", .title = ""};

	gt_analysis_finding(s->analysis, 0, &view);
	return view;
}

static char *report(struct story *s)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(gt_report_text(s->analysis, "a file", out) == 0);
	fclose(out);
	return text;
}

static char *json(struct story *s)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cr_assert(gt_report_json(s->analysis, "a file", out) == 0);
	fclose(out);
	return text;
}

/* The function that the command opens is in quotes when a shell would break it. */
Test(report, names_a_file_as_a_shell_takes_it)
{
	struct story s;
	char *text;

	begin(&s);
	create(&s, 0, 1, 0);
	run(&s, 0, 1);
	at(&s, 10, 1, "GoBlock g=1 reason=\"chan send (nil chan)\" stack=1");
	create(&s, 100, 2, 1);
	end(&s);
	text = report(&s);
	cr_assert(strstr(text, "gtrace view 'a file' --at=0.010000000s"), "%s", text);
	free(text);
	drop(&s);
}

Test(findings, a_trace_without_events_has_none)
{
	struct story s;
	char *text;

	begin(&s);
	end(&s);
	cr_assert_str_eq(first(&s).kind, "none");
	text = report(&s);
	cr_assert(strstr(text, "no events in this trace"));
	free(text);
	drop(&s);
}

/* Twenty workers wait for work all the time, one for the network, main for its workers: that is what they are for. */
Test(findings, to_wait_for_work_is_none)
{
	struct story s;

	begin(&s);
	create(&s, 0, 1, 0);
	run(&s, 0, 1);
	for (int g = 2; g < 22; g++) {
		create(&s, 1, g, 1);
		run(&s, 1, g);
		at(&s, 2, g, "GoBlock g=%d reason=\"chan receive\" stack=2", g);
	}
	create(&s, 2, 30, 3);
	run(&s, 2, 30);
	at(&s, 3, 30, "GoBlock g=30 reason=\"IO wait\" stack=4");
	at(&s, 3, 1, "GoBlock g=1 reason=\"sync.WaitGroup.Wait\" stack=1");
	create(&s, 1000, 40, 1);
	end(&s);
	cr_assert_str_eq(first(&s).kind, "none", "%s", first(&s).title);
	drop(&s);
}

Test(findings, the_runtimes_own_goroutines_make_none)
{
	struct story s;

	begin(&s);
	create(&s, 0, 1, 0);
	for (int g = 2; g < 12; g++) {
		create(&s, 1, g, 4);
		run(&s, 1, g);
		at(&s, 2, g, "GoBlock g=%d reason=\"chan send\" stack=5", g);
	}
	create(&s, 500, 40, 1);
	end(&s);
	cr_assert_str_neq(first(&s).kind, "stuck", "%s", first(&s).title);
	cr_assert_str_neq(first(&s).kind, "slow-reader", "%s", first(&s).title);
	drop(&s);
}

/* main may sleep for ever in an empty select; another may not. */
Test(findings, an_empty_select_is_one_unless_it_is_mains)
{
	for (int g = 1; g <= 2; g++) {
		struct story s;

		begin(&s);
		create(&s, 0, 1, 0);
		run(&s, 0, 1);
		create(&s, 0, 2, 1);
		run(&s, 0, 2);
		at(&s, 10, g, "GoBlock g=%d reason=\"select (no cases)\" stack=%d", g, g);
		create(&s, 100, 5, 1);
		at(&s, 100, 3 - g, "GoEnd g=%d", 3 - g);
		end(&s);
		cr_assert_str_eq(first(&s).kind, g == 1 ? "none" : "stuck", "%s", first(&s).title);
		drop(&s);
	}
}

static void lock_held(struct story *s, double ms, int g, int object, int holder)
{
	at(s, ms, g,
		"WaitsOn g=%d what=\"mutex\" object=0x%x holder=%d\nGoBlock dt=0 g=%d reason=\"sync.Mutex.Lock\" "
		"stack=%d",
		g, object, holder, g, g % 4 + 1);
}

Test(findings, holders_in_a_circle_are_a_deadlock)
{
	struct story s;
	struct gt_finding_view view;

	begin(&s);
	for (int g = 1; g <= 4; g++) {
		create(&s, 0, g, g == 1 ? 0 : 1);
		run(&s, 0, g);
	}
	lock_held(&s, 10, 1, 0xa0, 2);
	lock_held(&s, 20, 2, 0xb0, 3);
	lock_held(&s, 30, 3, 0xc0, 1);
	lock_held(&s, 40, 4, 0xc0, 1); /* waits behind them */
	create(&s, 100, 9, 1);
	end(&s);
	view = first(&s);
	cr_assert_str_eq(view.kind, "deadlock");
	cr_assert(strstr(view.title, "3 goroutines"), "%s", view.title);
	cr_assert_eq(view.lost_ns, (90 + 80 + 70 + 60) * INT64_C(1000000));
	cr_assert_eq(view.at_ns, 30 * INT64_C(1000000), "the circle closed with the last");
	cr_assert_not(gt_analysis_finding(s.analysis, 1, &view), "told once: %s", view.title);
	drop(&s);
}

Test(findings, one_may_deadlock_with_itself)
{
	struct story s;

	begin(&s);
	create(&s, 0, 1, 0);
	run(&s, 0, 1);
	lock_held(&s, 10, 1, 0xa0, 1);
	create(&s, 100, 9, 1);
	end(&s);
	cr_assert_str_eq(first(&s).kind, "deadlock");
	cr_assert(strstr(first(&s).title, "itself"), "%s", first(&s).title);
	drop(&s);
}

/* G2 waits for the lock that G3 has, G3 for a message of G4, and G4 is in a system call: that is the root. */
Test(findings, a_chain_is_followed_to_its_root)
{
	struct story s;
	struct gt_finding_view view;
	char *text;

	begin(&s);
	create(&s, 0, 1, 0);
	run(&s, 0, 1);
	create(&s, 0, 2, 1);
	create(&s, 0, 3, 2);
	create(&s, 0, 4, 3);
	run(&s, 0, 2);
	run(&s, 0, 3);
	run(&s, 0, 4);
	at(&s, 10, 4, "GoSyscall g=4 stack=4");
	at(&s, 10, 3, "GoBlock g=3 reason=\"chan receive\" stack=3");
	lock_held(&s, 11, 2, 0xa0, 3);
	at(&s, 90, 4, "GoSysexit g=4 new=running");
	at(&s, 90, 4, "GoReady g=3 old=waiting by=4");
	at(&s, 91, 3, "GoRun g=3 old=runnable p=3");
	at(&s, 92, 3, "GoReady g=2 old=waiting by=3");
	at(&s, 92, 2, "GoRun g=2 old=runnable p=2");
	create(&s, 100, 9, 1);
	end(&s);
	view = first(&s);
	cr_assert_str_eq(view.kind, "lock-held");
	cr_assert(strstr(view.title, "in system call in main.server"), "%s", view.title);
	cr_assert_eq(view.lost_ns, 81 * INT64_C(1000000));
	text = report(&s);
	cr_assert(strstr(text, "because G3 (main.holder) waited 79.0 ms: chan receive"), "%s", text);
	cr_assert(strstr(text, "because G4 (main.server) was in system call for 79.0 ms"), "%s", text);
	free(text);
	drop(&s);
}

/* G2 to G5 each hold the lock for 10 ms: G6's 40 ms are not all due to the last of them. */
Test(findings, the_last_holder_is_not_blamed_for_those_before)
{
	struct story s;
	struct gt_finding_view view;
	char *text;

	begin(&s);
	for (int g = 1; g <= 6; g++) {
		create(&s, 0, g, g == 1 ? 0 : g == 4 ? 2 : 1);
		run(&s, 0, g);
	}
	lock_held(&s, 10, 3, 0xa0, 2);
	lock_held(&s, 10, 4, 0xa0, 2);
	lock_held(&s, 10, 5, 0xa0, 2);
	lock_held(&s, 10, 6, 0xa0, 2);
	for (int g = 3; g <= 6; g++) {
		at(&s, 10 * (g - 1), g - 1, "GoReady g=%d old=waiting by=%d", g, g - 1);
		at(&s, 10 * (g - 1), g, "GoRun g=%d old=runnable p=%d", g, g);
	}
	create(&s, 60, 9, 1);
	end(&s);
	view = first(&s);
	cr_assert_str_eq(view.kind, "lock-convoy", "%s: %s", view.kind, view.title);
	cr_assert_eq(view.lost_ns, (10 + 20 + 30 + 40) * INT64_C(1000000));
	text = report(&s);
	cr_assert(strstr(text, "handed on every 10.0 ms"), "%s", text);
	free(text);
	drop(&s);
}

/* The same number waits at the end; when they were made over time they leak, when at once they are a pool. */
Test(findings, a_leak_grows_and_a_pool_does_not)
{
	for (int leak = 0; leak < 2; leak++) {
		struct story s;

		begin(&s);
		create(&s, 0, 1, 0);
		run(&s, 0, 1);
		for (int g = 2; g < 22; g++) {
			double ms = leak ? g * 20 : 1;

			create(&s, ms, g, 1);
			run(&s, ms, g);
			at(&s, ms + 1, g, "GoBlock g=%d reason=\"chan receive\" stack=2", g);
		}
		at(&s, 600, 1, "GoEnd g=1");
		end(&s);
		cr_assert_str_eq(first(&s).kind, leak ? "leak" : "none", "%s", first(&s).title);
		drop(&s);
	}
}

/* G2 is woken by G3 again and again; then G3 waits somewhere else, and G2 in vain. */
Test(findings, who_no_longer_serves_is_stuck)
{
	struct story s;
	struct gt_finding_view view;

	begin(&s);
	create(&s, 0, 1, 0);
	create(&s, 0, 2, 1);
	create(&s, 0, 3, 3);
	run(&s, 0, 2);
	run(&s, 0, 3);
	for (int i = 1; i <= 5; i++) {
		at(&s, 10 * i, 3, "GoBlock g=3 reason=\"chan receive\" stack=4");
		at(&s, 10 * i + 1, 2, "GoReady g=3 old=waiting by=2");
		at(&s, 10 * i + 1, 2, "GoBlock g=2 reason=\"chan receive\" stack=2");
		at(&s, 10 * i + 2, 3, "GoRun g=3 old=runnable p=3");
		if (i == 5)
			break;
		at(&s, 10 * i + 3, 3, "GoReady g=2 old=waiting by=3");
		at(&s, 10 * i + 3, 2, "GoRun g=2 old=runnable p=2");
	}
	at(&s, 55, 3, "GoBlock g=3 reason=\"select\" stack=5");
	create(&s, 400, 9, 1);
	end(&s);
	view = first(&s);
	cr_assert_str_eq(view.kind, "stuck", "%s", view.title);
	cr_assert_eq(view.g, 3);
	cr_assert(strstr(view.title, "others wait for it"), "%s", view.title);
	drop(&s);
}

/* Four runnable goroutines for one P. */
Test(findings, too_few_ps_are_one)
{
	struct story s;
	struct gt_finding_view view;

	begin(&s);
	create(&s, 0, 1, 0);
	at(&s, 0, 1, "GoRun g=1 old=runnable p=0");
	for (int g = 2; g <= 5; g++)
		create(&s, 0, g, 1);
	for (int i = 0; i < 40; i++) {
		at(&s, 10 * (i + 1), 1, "GoYield g=%d reason=\"preempt\" stack=0", i % 5 + 1);
		at(&s, 10 * (i + 1), 1, "GoRun g=%d old=runnable p=0", (i + 1) % 5 + 1);
	}
	end(&s);
	view = first(&s);
	cr_assert_str_eq(view.kind, "starved", "%s", view.title);
	cr_assert(strstr(view.title, "the only P was taken (100 %"), "%s", view.title);
	cr_assert(strstr(view.title, "GOMAXPROCS is below"), "%s", view.title);
	cr_assert_eq(view.lost_ns, 4 * 400 * INT64_C(1000000));
	drop(&s);
}

/* What a loss left open is cut, counted and told; nothing is made up. */
Test(report, tells_of_losses)
{
	struct story s;
	char *text;

	begin(&s);
	create(&s, 0, 1, 0);
	run(&s, 0, 1);
	create(&s, 0, 2, 1);
	run(&s, 0, 2);
	at(&s, 50, 2, "Lost count=17");
	at(&s, 60, 1, "GoBlock g=1 reason=\"sleep\" stack=1");
	create(&s, 100, 9, 1);
	end(&s);
	text = report(&s);
	cr_assert(strstr(text, "17 events"), "%s", text);
	cr_assert(strstr(text, "are cut there"), "%s", text);
	free(text);
	drop(&s);
}

/* What a trace does not hold is said. */
Test(report, says_what_is_missing)
{
	struct story s;
	char *text;

	begin(&s);
	create(&s, 0, 1, 0);
	run(&s, 0, 1);
	end(&s);
	text = report(&s);
	cr_assert(strstr(text, "no objects in this trace"));
	cr_assert(strstr(text, "no names of calls in this trace"));
	cr_assert(strstr(text, "no events of the collector in this trace"));
	free(text);
	drop(&s);
}

Test(report, counts_calls_stops_and_assists)
{
	struct story s;
	char *text;

	begin(&s);
	fprintf(s.out, "Meta key=\"machine\" value=\"x86_64\"\nString id=30 text=\"mark termination\"\n");
	create(&s, 0, 1, 0);
	run(&s, 0, 1);
	at(&s, 1, 1, "SyscallInfo g=1 number=74 arg0=3 arg2=0");
	at(&s, 5, 1, "SyscallResult g=1 number=74 result=0 error=5");
	at(&s, 6, 1, "GcBegin g=1 cycle=1 stack=0");
	at(&s, 7, 1, "AssistBegin g=1 stack=1");
	at(&s, 9, 1, "AssistEnd g=1");
	at(&s, 10, 1, "StwBegin g=1 kind=30 stack=0");
	at(&s, 11, 1, "StwEnd g=1");
	at(&s, 12, 1, "GcEnd cycle=1");
	create(&s, 100, 9, 1);
	end(&s);
	text = report(&s);
	cr_assert(strstr(text, "fsync                   4.0 ms in 1 call, at most 4.0 ms (G1), 1 error"), "%s", text);
	cr_assert(strstr(text, "1 cycle, marking for 6.0 ms"), "%s", text);
	cr_assert(strstr(text, "assists: 1, 2.0 ms, at most 2.0 ms"), "%s", text);
	cr_assert(strstr(text, "mark termination: 1, 1.0 ms, at most 1.0 ms"), "%s", text);
	free(text);
	drop(&s);
}

Test(profiles, are_stacks_with_their_times)
{
	struct story s;
	char *text;
	size_t size;
	FILE *out;

	begin(&s);
	create(&s, 0, 1, 0);
	run(&s, 0, 1);
	at(&s, 10, 1, "GoBlock g=1 reason=\"chan receive\" stack=2");
	at(&s, 40, 0, "GoReady g=1 old=waiting");
	run(&s, 41, 1);
	end(&s);
	out = open_memstream(&text, &size);
	cr_assert(gt_profile_folded(s.analysis, GT_PROFILE_SYNC_BLOCK, out) == 0);
	fclose(out);
	cr_assert_str_eq(text, "main.worker;runtime.gopark 30000000\n");
	free(text);
	out = open_memstream(&text, &size);
	cr_assert(gt_profile_folded(s.analysis, GT_PROFILE_SCHED_LATENCY, out) == 0);
	fclose(out);
	cr_assert_str_eq(text, "runtime.main 0\nmain.worker;runtime.gopark 1000000\n");
	free(text);
	drop(&s);
}

/* Of one wrapper, two for main.worker and one for main.holder; of a fourth no stack reaches the wrapper. */
Test(groups, of_a_wrapper_are_those_of_what_it_calls)
{
	static const char *const lines[] = {
		"  main.worker ", "  main.holder ", "  sync.(*WaitGroup).Go.func1 waitgroup.go:239 "};
	struct story s;
	char *text;
	size_t size;
	struct gt_error err;
	FILE *out;

	begin(&s);
	fprintf(s.out, "String id=30 text=\"sync.(*WaitGroup).Go.func1\"\nString id=31 text=\"sync/waitgroup.go\"\n"
		       "Pc pc=0x2000 lines=[30:31:239]\nStack id=7 pcs=[0x900 0x1100 0x2000]\n"
		       "Stack id=8 pcs=[0x900 0x1200 0x2000]\nStack id=9 pcs=[0x900]\n");
	for (int g = 2; g <= 5; g++)
		create(&s, 0, g, 16);
	for (int g = 2; g <= 5; g++) {
		run(&s, g, g);
		/* The first one's first stack is cut off. */
		if (g == 2) {
			at(&s, g + 0.1, g, "GoYield g=2 reason=\"preempted\" stack=9");
			run(&s, g + 0.2, g);
		}
		at(&s, g + 0.5, g, "GoBlock g=%d reason=\"chan receive\" stack=%d", g, g == 5 ? 9 : g == 3 ? 8 : 7);
	}
	at(&s, 40, 0, "GoReady g=2 old=waiting");
	run(&s, 41, 2);
	end(&s);
	text = report(&s);
	for (size_t i = 0; i < 3; i++)
		cr_assert(strstr(text, lines[i]), "no \"%s\" in:\n%s", lines[i], text);
	free(text);
	text = json(&s);
	cr_assert(strstr(text, "\"start\":\"main.worker\""), "%s", text);
	free(text);
	cr_assert(gt_trace_rewind(s.trace) == 0);
	out = open_memstream(&text, &size);
	cr_assert(gt_goroutines_csv(s.trace, out, &err) == 0);
	fclose(out);
	cr_assert(strstr(text, "2,1,\"main.worker\",0,") && strstr(text, "3,1,\"main.holder\",0,"), "%s", text);
	free(text);
	drop(&s);
}

/* ---- what the kernel tells ---- */

/* An event of CPU @cpu. */
static void on_cpu(struct story *s, double ms, int cpu, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void on_cpu(struct story *s, double ms, int cpu, const char *format, ...)
{
	va_list args;

	fprintf(s->out, "Events m=%lld base=%lld\n", (1ll << 32) + cpu, (long long)(ms * 1000));
	va_start(args, format);
	vfprintf(s->out, format, args);
	va_end(args);
	fputc('\n', s->out);
}

/* Of 200 ms of running: 30 for the program's own thread, 50 for another process, 1 for a page, 2 blocked. At the edges, where an M
 * tells events while the kernel's clock has it off, it is on. */
Test(cpu, splits_running_by_what_the_kernel_tells)
{
	static const char *const told[] = {
		"\"cpu\":{\"on_ns\":117000000,\n\"off_ns\":83000000,\n\"unknown_ns\":0,\n\"preempted\":{\"count\":1,"
		"\n\"total_ns\":"
		"50000000,\n\"max_ns\":50000000,\n\"max_at_ns\":60000000,\n\"max_goroutine\":1}",
		"\"preempted_by_own\":{\"count\":1,\n\"total_ns\":30000000,",
		"\"page_fault\":{\"count\":1,\n\"total_ns\":1000000,",
		"\"blocked\":{\"count\":1,\n\"total_ns\":2000000,"};
	struct story s;
	char *text;

	begin(&s);
	on_cpu(&s, 0, 0, "CpuIn tid=101 cpu=0");
	at(&s, 0, 1, "MStart tid=101");
	create(&s, 0, 1, 1);
	run(&s, 0, 1);
	on_cpu(&s, 20, 0, "CpuOut tid=101 cpu=0 runnable=1");
	on_cpu(&s, 21, 0, "CpuIn tid=102 cpu=0");
	on_cpu(&s, 49, 0, "CpuOut tid=102 cpu=0 runnable=0");
	on_cpu(&s, 50, 0, "CpuIn tid=101 cpu=0");
	on_cpu(&s, 60, 0, "CpuOut tid=101 cpu=0 runnable=1");
	on_cpu(&s, 110, 1, "CpuIn tid=101 cpu=1");
	on_cpu(&s, 119.99, 1, "Fault tid=101 address=0x4000");
	on_cpu(&s, 120, 1, "CpuOut tid=101 cpu=1 runnable=0");
	on_cpu(&s, 121, 1, "CpuIn tid=101 cpu=1");
	on_cpu(&s, 130, 1, "CpuOut tid=101 cpu=1 runnable=0");
	on_cpu(&s, 132, 1, "CpuIn tid=101 cpu=1");
	on_cpu(&s, 199.998, 1, "CpuOut tid=101 cpu=1 runnable=0");
	at(&s, 200, 1, "GoBlock g=1 reason=\"chan receive\" stack=1");
	end(&s);
	text = json(&s);
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		cr_assert(strstr(text, told[i]), "not told: %s\nin %s", told[i], text);
	cr_assert(!strstr(text, "\"kernel\""), "it is not missing");
	free(text);
	cr_assert_str_eq(first(&s).kind, "off-cpu");
	cr_assert_eq(first(&s).lost_ns, 83000000);
	cr_assert(strstr(first(&s).title, "preempted by another process"), "%s", first(&s).title);
	text = report(&s);
	cr_assert(strstr(text, "goroutines ran for 200.0 ms: 117.0 ms on a CPU, 83.0 ms off CPU\n"), "%s", text);
	cr_assert(strstr(text, "on CPU   off CPU  runnable"), "%s", text);
	free(text);
	drop(&s);
}

/* What was lost, and a thread of which nothing was told, is not known: neither on nor off. */
Test(cpu, does_not_guess)
{
	struct story s;
	char *text;

	begin(&s);
	at(&s, 0, 1, "MStart tid=101");
	at(&s, 0, 2, "MStart tid=102");
	create(&s, 0, 1, 1);
	create(&s, 0, 2, 2);
	run(&s, 0, 1);
	run(&s, 0, 2);
	on_cpu(&s, 0, 0, "CpuIn tid=101 cpu=0");
	on_cpu(&s, 40, 0, "Lost count=7");
	on_cpu(&s, 60, 0, "CpuOut tid=101 cpu=0 runnable=1");
	on_cpu(&s, 70, 0, "CpuIn tid=101 cpu=0");
	at(&s, 100, 1, "GoEnd g=1");
	at(&s, 100, 2, "GoEnd g=2");
	end(&s);
	text = json(&s);
	/* Until it went off, it was on. */
	cr_assert(strstr(text, "\"on_ns\":70000000,\n\"off_ns\":10000000,\n\"unknown_ns\":20000000,"), "%s", text);
	cr_assert(strstr(text, "\"on_ns\":0,\n\"off_ns\":0,\n\"unknown_ns\":100000000,"), "%s", text);
	cr_assert(strstr(text, "\"on_ns\":70000000,\n\"off_ns\":10000000,\n\"unknown_ns\":120000000,"), "%s", text);
	free(text);
	drop(&s);
}

/* G2 has the lock that G3 waits for; in these 50 ms it is taken from its CPU five times, and no piece of that is as long as it runs in all. */
Test(cpu, a_chain_counts_all_pieces_without_a_cpu)
{
	struct story s;
	char *text;

	begin(&s);
	on_cpu(&s, 0, 0, "CpuIn tid=102 cpu=0");
	on_cpu(&s, 0, 1, "CpuIn tid=103 cpu=1");
	at(&s, 0, 2, "MStart tid=102");
	at(&s, 0, 3, "MStart tid=103");
	create(&s, 0, 1, 0);
	run(&s, 0, 1);
	create(&s, 0, 2, 2);
	create(&s, 0, 3, 1);
	run(&s, 0, 2);
	run(&s, 0, 3);
	lock_held(&s, 10, 3, 0xa0, 2);
	on_cpu(&s, 10, 1, "CpuOut tid=103 cpu=1 runnable=0");
	for (int i = 0; i < 5; i++) {
		on_cpu(&s, 13 + 10 * i, 0, "CpuOut tid=102 cpu=0 runnable=1");
		on_cpu(&s, 20 + 10 * i, 0, "CpuIn tid=102 cpu=0");
	}
	at(&s, 60, 2, "GoReady g=3 old=waiting by=2");
	at(&s, 61, 3, "GoRun g=3 old=runnable p=3");
	create(&s, 70, 9, 1);
	end(&s);
	cr_assert(strstr(first(&s).title, "was off CPU (main.holder): preempted by another process"), "%s",
		first(&s).title);
	text = report(&s);
	cr_assert(strstr(text, "because G2 (main.holder) ran, but was off CPU for 35.0 ms"), "%s", text);
	free(text);
	text = json(&s);
	cr_assert(strstr(text, "\"root\":\"off CPU\""), "%s", text);
	free(text);
	drop(&s);
}

/* The quota holds threads as another process does. */
Test(cpu, tells_a_quota_by_its_count)
{
	struct story s;

	begin(&s);
	at(&s, 0, 1, "MStart tid=101");
	create(&s, 0, 1, 1);
	run(&s, 0, 1);
	on_cpu(&s, 10, 0, "CpuOut tid=101 cpu=0 runnable=1");
	on_cpu(&s, 90, 0, "CpuIn tid=101 cpu=0");
	on_cpu(&s, 95, 0, "Throttled duration=79000000");
	at(&s, 100, 1, "GoEnd g=1");
	end(&s);
	cr_assert_str_eq(first(&s).kind, "off-cpu");
	cr_assert(strstr(first(&s).title, "held back by the cgroup's CPU quota"), "%s", first(&s).title);
	drop(&s);
}

/* A profile of samples: each is counted once, with its goroutine or without. */
Test(profile, cpu_counts_each_sample)
{
	uint64_t count = 0;
	struct story s;
	char *text;
	size_t size;
	FILE *out;

	begin(&s);
	fputs("Meta key=\"sample_period_ns\" value=\"500000\"\n", s.out);
	create(&s, 0, 1, 1);
	create(&s, 0, 2, 1);
	run(&s, 0, 1);
	run(&s, 0, 2);
	for (int i = 0; i < 30; i++)
		on_cpu(&s, 1 + i, 0, "CpuSample g=%d tid=101 cpu=0 stack=%d", i % 3, i % 3 ? 2 : 3);
	end(&s);
	cr_assert_eq(gt_profile_total(s.analysis, GT_PROFILE_CPU, &count), 30 * 500000);
	cr_assert_eq(count, 30);
	out = open_memstream(&text, &size);
	cr_assert(gt_profile_folded(s.analysis, GT_PROFILE_CPU, out) == 0);
	fclose(out);
	cr_assert_str_eq(text, "main.worker;runtime.gopark 10000000\nmain.holder;runtime.gopark 5000000\n", "%s", text);
	free(text);
	drop(&s);
}
