/*
 * triggers.c - what --trigger and --trigger-command do in a recording.
 *
 * The collector judges (libtrace/triggers.h); here a verdict becomes a text and a request for a snapshot --after so long.
 */
#include "cli/triggers.h"

#include "cli/record.h"
#include "libtrace/go_text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct gt_watch {
	struct gt_triggers *triggers;
	pid_t command; /* 0: none, or it has ended */
};

/* ---- options ---- */

enum { KEY_TRIGGER = 768, KEY_AFTER, KEY_INTERVAL, KEY_ONCE, KEY_COMMAND };

static const struct argp_option options[] = {
	{"trigger", KEY_TRIGGER, "EXPR", 0,
		"with --flight: write a snapshot when EXPR comes true: `runnable > 50ms', `blocked > 1s', "
		"`blocked(sync.Mutex.Lock) > 1s', `syscall > 200ms', `goroutines > 10000', `region NAME > 100ms', `stw "
		"> 10ms', "
		"`exit', "
		"`exit != 0', `signal'; up to 16 of them",
		0},
	{"after", KEY_AFTER, "TIME", 0, "with --trigger: go on recording so long before the snapshot (default: 200ms)",
		0},
	{"trigger-interval", KEY_INTERVAL, "TIME", 0,
		"with --trigger: each fires at most once in so long; 0: as often as it comes true (default: 1s)", 0},
	{"trigger-once", KEY_ONCE, NULL, 0, "with --trigger: each fires at most once", 0},
	{"trigger-command", KEY_COMMAND, "CMD", 0,
		"with --flight: run CMD (by sh -c) beside the program; a snapshot follows its end", 0},
	{0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct gt_record_options *record = state->input;
	struct gt_trigger_options *o = &record->triggers;
	struct gt_error err;

	switch (key) {
	case KEY_TRIGGER:
		record->window_option = "--trigger";
		if (o->count == GT_TRIGGERS_MAX)
			argp_error(state, "up to %d triggers", GT_TRIGGERS_MAX);
		if (gt_trigger_parse(arg, &o->list[o->count++], &err) == 0)
			return 0;
		gt_die(0, &err);
		exit(GT_EXIT_USAGE);
	case KEY_AFTER:
		if (!gt_parse_duration(arg, &o->after_ns) || o->after_ns > 3600000000000)
			argp_error(state, "--after takes a time with its unit, up to 1h (250ms, 5s): %s", arg);
		o->option = "--after";
		return 0;
	case KEY_INTERVAL:
		if (!gt_parse_duration(arg, &o->interval_ns))
			argp_error(state, "--trigger-interval takes a time with its unit (250ms, 5s): %s", arg);
		o->option = "--trigger-interval";
		return 0;
	case KEY_ONCE:
		o->once = true;
		o->option = "--trigger-once";
		return 0;
	case KEY_COMMAND:
		if (!*arg)
			argp_error(state, "--trigger-command takes a command");
		record->window_option = "--trigger-command";
		o->command = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->option && !o->count && !o->command)
			argp_error(state, "%s goes with --trigger or --trigger-command", o->option);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp gt_trigger_argp = {.options = options, .parser = parse_option};

/* ---- texts ---- */

static int64_t ns_of(uint64_t ticks)
{
	return (int64_t)((__int128)ticks * 1000000000 / (__int128)gt_clock_rate());
}

static void describe(const struct gt_triggers_fired *fired, char *text, size_t size)
{
	uint64_t ns = (uint64_t)ns_of(fired->at_ticks - fired->since_ticks);
	const char *verb = fired->ended ? "was" : "is";
	char time[32];

	gt_format_duration(ns, time);
	switch (fired->trigger->kind) {
	case GT_TRIGGER_RUNNABLE:
		snprintf(text, size, "goroutine %" PRIu64 " %s runnable for %s", fired->g, verb, time);
		return;
	case GT_TRIGGER_BLOCKED:
		snprintf(text, size, "goroutine %" PRIu64 " %s blocked (%s) for %s", fired->g, verb,
			gt_reason_text(fired->reason), time);
		return;
	case GT_TRIGGER_SYSCALL:
		snprintf(text, size, "goroutine %" PRIu64 " %s in a system call for %s", fired->g, verb, time);
		return;
	case GT_TRIGGER_REGION:
		snprintf(text, size, "goroutine %" PRIu64 " %s in it for %s", fired->g, verb, time);
		return;
	case GT_TRIGGER_STW:
		snprintf(text, size, "the world %s stopped (%s) by goroutine %" PRIu64 " for %s", verb,
			gt_go_text(GT_GO_TEXT_BASE + GT_GO_TEXT_STW + fired->reason), fired->g, time);
		return;
	case GT_TRIGGER_GOROUTINES:
		snprintf(text, size, "%" PRIu64 " goroutines, goroutine %" PRIu64 " the last", fired->count, fired->g);
		return;
	case GT_TRIGGER_EXIT:
		snprintf(text, size, "the program ended with status %" PRIu64, fired->count);
		return;
	case GT_TRIGGER_SIGNAL:
		snprintf(text, size, "the program died by signal %" PRIu64 " (%s)", fired->count,
			strsignal((int)fired->count));
		return;
	}
}

/* ---- snapshots ---- */

static void add_number(struct gt_trigger_metas *metas, const char *key, int64_t value)
{
	char *number = metas->numbers[metas->count];

	snprintf(number, sizeof(metas->numbers[0]), "%" PRId64, value);
	metas->list[metas->count++] = (struct gt_flight_meta){key, number};
}

/* Times are from the trace's begin, as its events are told. */
static void fill_metas(const struct gt_recording *r, const struct gt_triggers_fired *fired, const char *expression,
	struct gt_trigger_metas *metas)
{
	metas->count = 0;
	metas->list[metas->count++] = (struct gt_flight_meta){"trigger", expression};
	if (fired->g)
		add_number(metas, "trigger_goroutine", (int64_t)fired->g);
	if (fired->trigger && fired->trigger->kind == GT_TRIGGER_BLOCKED)
		metas->list[metas->count++] = (struct gt_flight_meta){"trigger_reason", gt_reason_text(fired->reason)};
	add_number(metas, "trigger_since_ns", ns_of(fired->since_ticks) - ns_of(r->start.ticks));
	add_number(metas, "trigger_at_ns", ns_of(fired->at_ticks) - ns_of(r->start.ticks));
	add_number(metas, "trigger_lasted_ns", ns_of(fired->at_ticks - fired->since_ticks));
}

/* @text: what came true. */
static void ask(struct gt_recording *r, const struct gt_triggers_fired *fired, const char *expression, const char *text)
{
	struct gt_trigger_metas metas;
	char cause[GT_FLIGHT_CAUSE_MAX];

	if (!r->flight)
		return;
	fill_metas(r, fired, expression, &metas);
	if ((size_t)snprintf(cause, sizeof(cause), "trigger %s: %s", expression, text) >= sizeof(cause))
		memcpy(cause + sizeof(cause) - 4, "...", 4);
	gt_flight_request(r->flight, cause, (int64_t)r->options.triggers.after_ns, metas.list, metas.count);
}

/* ---- the command beside ---- */

static pid_t start_command(const char *command, const sigset_t *mask)
{
	pid_t gtrace = getpid(), pid = fork();
	int null;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0); /* what the terminal sends is for the program */
	if (getppid() != gtrace)
		_exit(127);
	null = open("/dev/null", O_RDONLY);
	if (null >= 0)
		dup2(null, 0);
	signal(SIGXFSZ, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static void look_at_command(struct gt_recording *r)
{
	struct gt_watch *w = r->watch;
	const uint64_t now = gt_ticks();
	const struct gt_triggers_fired fired = {.since_ticks = now, .at_ticks = now};
	char text[64];
	int status;

	if (!w->command || waitpid(w->command, &status, WNOHANG) != w->command)
		return;
	w->command = 0;
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "it died by signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "it ended with status %d", WEXITSTATUS(status));
	ask(r, &fired, r->options.triggers.command, text);
}

/* ---- a recording ---- */

int gt_watch_new(struct gt_recording *r, size_t bytes_max)
{
	const struct gt_trigger_options *o = &r->options.triggers;
	struct gt_triggers_config config = {
		.list = o->list,
		.count = o->count,
		.ticks_per_second = gt_clock_rate(),
		.interval_ns = o->interval_ns,
		.once = o->once,
		.bytes_max = bytes_max,
	};

	if (!o->count && !o->command)
		return 0;
	for (size_t i = 0; i < o->count; i++) {
		if (o->list[i].kind == GT_TRIGGER_REGION && !(r->options.sets & GT_SET_MARKS))
			return gt_die_text(
				GT_EXIT_USAGE, "%s: regions are not recorded: add marks to --events", o->list[i].text);
		if (o->list[i].kind == GT_TRIGGER_STW && !r->layout)
			return gt_die_text(GT_EXIT_USAGE, "%s: only Go programs stop the world", o->list[i].text);
		if (o->list[i].kind == GT_TRIGGER_STW && !(r->options.sets & GT_SET_GC))
			return gt_die_text(GT_EXIT_USAGE, "%s: stops of the world are not recorded: add gc to --events",
				o->list[i].text);
	}
	r->watch = calloc(1, sizeof(*r->watch));
	if (!r->watch || gt_triggers_new(&config, &r->watch->triggers) < 0)
		return gt_die_text(GT_EXIT_RECORD, "out of memory: triggers");
	return 0;
}

struct gt_triggers *gt_watch_triggers(const struct gt_recording *r)
{
	return r->watch ? r->watch->triggers : NULL;
}

void gt_watch_start(struct gt_recording *r)
{
	sigset_t none;

	if (!r->watch || !r->options.triggers.command)
		return;
	sigemptyset(&none);
	r->watch->command = start_command(r->options.triggers.command, &none);
	if (r->watch->command < 0) {
		gt_die_text(0, "cannot start the command of --trigger-command: %s", strerror(errno));
		r->watch->command = 0;
	}
}

void gt_watch_step(struct gt_recording *r)
{
	struct gt_watch *w = r->watch;
	struct gt_triggers_fired fired;

	if (!w)
		return;
	while (gt_triggers_next(w->triggers, &fired)) {
		char text[192];

		describe(&fired, text, sizeof(text));
		ask(r, &fired, fired.trigger->text, text);
	}
	look_at_command(r);
}

void gt_watch_end(struct gt_recording *r, int status, char *cause, size_t size, struct gt_trigger_metas *metas)
{
	struct gt_triggers_fired fired;
	struct gt_watch *w = r->watch;

	metas->count = 0;
	if (!w)
		return;
	gt_watch_step(r);
	if (status != -1 && gt_triggers_ended(w->triggers, status, gt_ticks(), &fired)) {
		char text[192];

		describe(&fired, text, sizeof(text));
		fill_metas(r, &fired, fired.trigger->text, metas);
		snprintf(cause, size, "trigger %s: %s", fired.trigger->text, text);
	}
	if (w->command) {
		kill(-w->command, SIGTERM);
		kill(w->command, SIGTERM);
	}
}

static void tell_totals(const struct gt_triggers_totals *totals)
{
	if (!totals->fired && !totals->suppressed && !totals->untracked && !totals->forgotten)
		return;
	fprintf(stderr, "gtrace: triggers: fired %" PRIu64 " times", totals->fired);
	if (totals->suppressed)
		fprintf(stderr, ", %" PRIu64 " more held back by --trigger-interval or --trigger-once",
			totals->suppressed);
	if (totals->untracked)
		fprintf(stderr, ", goroutines found no room in the table: a larger --max-bytes helps");
	if (totals->forgotten)
		fprintf(stderr, ", waits forgotten %" PRIu64 " times (a loss, or too many events at once)",
			totals->forgotten);
	fprintf(stderr, "\n");
}

void gt_watch_free(struct gt_recording *r)
{
	struct gt_triggers_totals totals;

	if (!r->watch)
		return;
	if (r->watch->triggers) {
		gt_triggers_totals(r->watch->triggers, &totals);
		if (!r->options.quiet)
			tell_totals(&totals);
	}
	gt_triggers_free(r->watch->triggers);
	free(r->watch);
	r->watch = NULL;
}
