/*
 * cmd_record.c - gtrace record: options, and the steps from a path to a trace.
 *
 *   look at the file -> make the shared memory -> open the trace -> start the program with its hooks
 *   -> follow it until it ends (record_loop.c) -> summary -> its own exit status
 */
#include "cli/record.h"

#include "cli/metas.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one queue of blocks and one history can hold. */
#define WINDOW_BYTES_MAX (8ull << 30)

enum { KEY_EVERY = 300, KEY_KEEP, KEY_MAX_DISK, KEY_ALLOC_RATE };
enum {
	KEY_STACKS = 256,
	KEY_FLIGHT,
	KEY_MIN_AGE,
	KEY_MAX_BYTES,
	KEY_BUFFER,
	KEY_NO_URING,
	KEY_LAYOUT,
	KEY_EVENTS,
	KEY_SAMPLE,
	KEY_FAULT
};

static const struct argp_option common_options[] = {
	{"output", 'o', "FILE", 0, "write the trace to FILE (default: PROG.gtrace, PROG without its folder)", 0},
	{"stacks", KEY_STACKS, "N|off", 0, "frames of the stack taken where a goroutine blocks, 1 to 64 (default: 16)",
		0},
	{"events", KEY_EVENTS, "SET,...", 0,
		"what is recorded: names of sets, `default' and `all' among them; -NAME leaves one out. "
		"`--events=help' lists them (default: default)",
		0},
	{"alloc-rate", KEY_ALLOC_RATE, "SIZE", 0,
		"of a Go program's allocations, one in so many bytes is told, 1K to 1G (default: 512K); every one with "
		"the "
		"set `alloc'",
		0},
	{"sample-every", KEY_SAMPLE, "TIME", 0,
		"with --events=samples: a sample of the stack after so much CPU time of a thread (default: 10ms)", 0},
	{"fault-every", KEY_FAULT, "N", 0,
		"with --events=faults: of the page faults of a thread on a CPU each N-th, 1 to 1000000 (default: 1)",
		0},
	{"flight", KEY_FLIGHT, NULL, 0,
		"keep the last moments in memory only; `gtrace snapshot PID', SIGUSR2 to gtrace and the program's end "
		"write "
		"them",
		0},
	{"min-age", KEY_MIN_AGE, "TIME", 0, "with --flight: how far back it should reach (default: 5s)", 0},
	{"max-bytes", KEY_MAX_BYTES, "SIZE", 0, "with --flight: the most memory it may take (default: 16M)", 0},
	{"snapshot-every", KEY_EVERY, "TIME", 0, "with --flight: a snapshot so often (100ms at the least)", 0},
	{"keep", KEY_KEEP, "N", 0, "with --flight: of the snapshots named by time, the newest N; older ones go", 0},
	{"max-disk", KEY_MAX_DISK, "SIZE", 0, "with --flight: the same, of so many bytes; the newest always stays", 0},
	{"buffer", KEY_BUFFER, "SIZE", 0,
		"memory between the program and the file (default: 32M; with every allocation 64M)", 0},
	{"no-uring", KEY_NO_URING, NULL, 0, "write the file with write() instead of io_uring", 0},
	{"quiet", 'q', NULL, 0, "no summary", 0},
	{0},
};

static const struct argp_option options[] = {
	{"go-layout", KEY_LAYOUT, NULL, OPTION_NO_USAGE, "list the Go versions that are known, and how one is added",
		0},
	{0},
};

static void list_layouts(void)
{
	printf("Go versions whose runtime gtrace knows:");
	for (unsigned int minor = 0; minor < 100; minor++)
		if (gt_golayout_of_minor(minor))
			printf(" 1.%u", minor);
	printf("\nA version is added by one file, agent/layouts/go1.NN.def: where the fields that hooks read lie, and "
	       "the numbers of\n"
	       "its wait reasons. tools/golayout-check.py makes it from a toolchain and compares it; "
	       "docs/howto-add-go-version.md\n"
	       "tells each step. Whatever the file says is checked against the program's own code before anything is "
	       "patched.\n");
}

static void list_sets(FILE *out)
{
	for (const struct gt_set_spec *set = gt_set_specs; set->text; set++)
		fprintf(out, "  %-9s %s%s\n", set->text, set->meaning, set->by_default ? " (default)" : "");
	fprintf(out, "  syscall>TIME  of the set syscalls only calls that took longer (syscall>1ms); of Go programs\n");
}

static const struct gt_set_spec *find_set(const char *name, size_t size)
{
	for (const struct gt_set_spec *set = gt_set_specs; set->text; set++)
		if (strlen(set->text) == size && !memcmp(set->text, name, size))
			return set;
	return NULL;
}

/* "syscall>1ms": the set syscalls, but only what took longer. */
static bool parse_long_calls(const char *text, size_t size, struct gt_record_options *o)
{
	char time[32];

	if (size < 9 || size - 8 >= sizeof(time) || memcmp(text, "syscall>", 8) != 0)
		return false;
	memcpy(time, text + 8, size - 8);
	time[size - 8] = '\0';
	if (!gt_parse_duration(time, &o->call_ns_min) || !o->call_ns_min)
		return false;
	o->sets |= GT_SET_SYSCALLS;
	o->sets_named |= GT_SET_SYSCALLS;
	return true;
}

/* sched is always on. The first word decides what the others are added to: nothing, unless it takes away. */
static bool parse_sets(const char *text, struct gt_record_options *o, const char **wrong, size_t *wrong_size)
{
	uint32_t every = 0;

	for (const struct gt_set_spec *set = gt_set_specs; set->text; set++)
		every |= set->bit;
	o->sets = *text == '-' ? gt_sets_default() : GT_SET_SCHED;
	o->sets_named = 0;
	o->call_ns_min = 0;
	for (;;) {
		size_t size = strcspn(text, ",");
		bool less = *text == '-';
		const struct gt_set_spec *set = find_set(text + less, size - less);

		if (set && less) {
			o->sets &= ~set->bit;
			o->sets_named &= ~set->bit;
		} else if (set) {
			o->sets |= set->bit;
			o->sets_named |= set->bit;
		} else if (size == 7 && !memcmp(text, "default", 7)) {
			o->sets |= gt_sets_default();
		} else if (size == 3 && !memcmp(text, "all", 3)) {
			o->sets |= every;
		} else if (!parse_long_calls(text, size, o)) {
			*wrong = text;
			*wrong_size = size;
			return false;
		}
		if (!text[size])
			break;
		text += size + 1;
	}
	o->sets |= GT_SET_SCHED;
	return true;
}

static void take_sets(const char *text, struct gt_record_options *o)
{
	const char *wrong;
	size_t size;

	if (strcmp(text, "help") == 0) {
		list_sets(stdout);
		exit(0);
	}
	if (parse_sets(text, o, &wrong, &size))
		return;
	gt_die_text(0, "no such set of events: %.*s: these are:", (int)size, wrong);
	list_sets(stderr);
	exit(GT_EXIT_USAGE);
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct gt_record_options *o = state->input;
	unsigned long depth;
	uint64_t size;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = o;
		return 0;
	case 'o':
		if (!*arg || strlen(arg) >= PATH_MAX)
			argp_error(state, "-o takes the name of a file");
		if (strcmp(arg, "-") == 0)
			argp_error(state, "-o takes the name of a file, not -: standard output is the program's (a "
					  "file of that name: ./-)");
		o->output = arg;
		return 0;
	case 'q':
		o->quiet = true;
		return 0;
	case KEY_STACKS:
		if (strcmp(arg, "off") == 0) {
			o->stack_depth = 0;
			return 0;
		}
		depth = strtoul(arg, &end, 10);
		if (*end || end == arg || depth < 1 || depth > GT_STACK_FRAMES_MAX)
			argp_error(
				state, "--stacks takes `off' or a number from 1 to %u: %s", GT_STACK_FRAMES_MAX, arg);
		o->stack_depth = (unsigned int)depth;
		return 0;
	case KEY_EVENTS:
		take_sets(arg, o);
		return 0;
	case KEY_ALLOC_RATE:
		if (!gt_parse_size(arg, &size) || size < 1024 || size > 1 << 30)
			argp_error(state, "--alloc-rate takes a size from 1K to 1G (64K, 1M): %s", arg);
		o->alloc_rate = (uint32_t)size;
		return 0;
	case KEY_SAMPLE:
		if (!gt_parse_duration(arg, &o->sample_period_ns) || o->sample_period_ns < 10000 ||
			o->sample_period_ns > 1000000000)
			argp_error(state, "--sample-every takes a time from 10us to 1s, with its unit: %s", arg);
		o->sampled = true;
		return 0;
	case KEY_FAULT:
		depth = strtoul(arg, &end, 10);
		if (*end || end == arg || *arg == '-' || depth < 1 || depth > 1000000)
			argp_error(state, "--fault-every takes a number from 1 to 1000000: %s", arg);
		o->fault_every = depth;
		o->faults_counted = true;
		return 0;
	case KEY_FLIGHT:
		o->flight = true;
		return 0;
	case KEY_MIN_AGE:
		if (!gt_parse_duration(arg, &o->min_age_ns))
			argp_error(state, "--min-age takes a time with its unit (250ms, 5s): %s", arg);
		o->window_option = "--min-age";
		return 0;
	case KEY_MAX_BYTES:
		if (!gt_parse_size(arg, &o->window_bytes_max) || o->window_bytes_max > WINDOW_BYTES_MAX)
			argp_error(state, "--max-bytes takes a size up to 8G (64K, 16M): %s", arg);
		o->window_option = "--max-bytes";
		return 0;
	case KEY_EVERY:
		if (!gt_parse_duration(arg, &o->every_ns) || o->every_ns < 100000000)
			argp_error(state, "--snapshot-every takes a time from 100ms on, with its unit: %s", arg);
		o->every_text = arg;
		o->window_option = "--snapshot-every";
		return 0;
	case KEY_KEEP:
		depth = strtoul(arg, &end, 10);
		if (*end || end == arg || *arg == '-' || depth < 1 || depth > 1000000)
			argp_error(state, "--keep takes a number from 1 to 1000000: %s", arg);
		o->keep = (unsigned int)depth;
		o->window_option = "--keep";
		return 0;
	case KEY_MAX_DISK:
		if (!gt_parse_size(arg, &o->disk_bytes_max) || !o->disk_bytes_max)
			argp_error(state, "--max-disk takes a size (64M, 1G): %s", arg);
		o->window_option = "--max-disk";
		return 0;
	case KEY_BUFFER:
		if (!gt_parse_size(arg, &o->buffer_bytes) || o->buffer_bytes < 256 * 1024 ||
			o->buffer_bytes > (uint64_t)GT_BLOCKS_MAX * GT_BLOCK_BYTES / 2)
			argp_error(state, "--buffer takes a size from 256K to 1953M: %s", arg);
		return 0;
	case KEY_NO_URING:
		o->no_uring = true;
		return 0;
	case ARGP_KEY_END:
		if (o->sampled)
			o->sets |= GT_SET_SAMPLES;
		if (o->faults_counted)
			o->sets |= GT_SET_FAULTS;
		if (o->window_option && !o->flight)
			argp_error(state, "%s goes with --flight", o->window_option);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child common_children[] = {{&gt_trigger_argp, 0, NULL, 0}, {0}};
const struct argp gt_record_common = {.options = common_options, .parser = parse_common, .children = common_children};

void gt_record_defaults(struct gt_record_options *o)
{
	*o = (struct gt_record_options){
		.stack_depth = 16,
		.min_age_ns = 5000000000,
		.window_bytes_max = 16 << 20,
		.sets = gt_sets_default(),
		.alloc_rate = 512 << 10,
		.sample_period_ns = 10000000,
		.fault_every = 1,
		.triggers = {.after_ns = 200000000, .interval_ns = 1000000000},
	};
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct gt_record_options *o = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = o;
		return 0;
	case KEY_LAYOUT:
		list_layouts();
		exit(0);
	case ARGP_KEY_ARGS:
		o->argv = state->argv + state->next;
		return 0;
	case ARGP_KEY_END:
		if (!o->argv)
			argp_error(state, "PROG is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* As execvp finds it. Returns 0 and a path to free, else the exit status after the error was told. */
static int find_program(const char *name, char **out)
{
	const char *path = getenv("PATH");
	bool denied = false;
	struct stat st;

	if (strchr(name, '/')) {
		*out = strdup(name);
		if (stat(name, &st) < 0) {
			int code = errno;

			return gt_die_text(
				code == ENOENT || code == ENOTDIR ? GT_EXIT_NOT_FOUND : GT_EXIT_NOT_EXECUTABLE,
				"cannot run: %s: %s", name, strerror(code));
		}
		if (S_ISDIR(st.st_mode))
			return gt_die_text(GT_EXIT_NOT_EXECUTABLE, "cannot run: %s: is a directory", name);
		if (access(name, X_OK) < 0)
			return gt_die_text(
				GT_EXIT_NOT_EXECUTABLE, "cannot run: %s: %s: chmod +x it", name, strerror(errno));
		return 0;
	}
	if (!path)
		path = "/usr/local/bin:/bin:/usr/bin";
	while (*path) {
		size_t length = strcspn(path, ":");

		if (asprintf(out, "%.*s%s%s", (int)length, path, length ? "/" : "./", name) < 0)
			return gt_die_text(GT_EXIT_RECORD, "out of memory");
		if (stat(*out, &st) == 0 && S_ISREG(st.st_mode)) {
			if (access(*out, X_OK) == 0)
				return 0;
			denied = true;
		}
		free(*out);
		*out = NULL;
		path += length + (path[length] == ':');
	}
	if (denied)
		return gt_die_text(GT_EXIT_NOT_EXECUTABLE, "cannot run: %s: found in PATH, but not executable", name);
	return gt_die_text(GT_EXIT_NOT_FOUND, "cannot run: %s: not found in PATH: give its path (./%s)", name, name);
}

/* The hooks of Go programs tell what GO_SETS says; of a set that was asked for by name the user must hear that it will not be there. */
#define GO_SETS \
	(GT_SET_SCHED | GT_SET_OBJECTS | GT_SET_TIMERS | GT_SET_SYSCALLS | GT_SET_MARKS | GT_SET_HEAP | GT_SET_ALLOC | \
		GT_SET_GC | GT_KERNEL_SETS)
int gt_record_check_go_sets(struct gt_recording *r)
{
	char names[128];

	if (r->options.sets_named & ~(uint32_t)GO_SETS)
		return gt_die_text(GT_EXIT_RECORD,
			"cannot record these events of a Go program: %s: leave them out of --events",
			gt_sets_text(r->options.sets_named & ~(uint32_t)GO_SETS, names));
	r->options.sets &= GO_SETS;
	return 0;
}

/* What kind of program, and whether it can be recorded. */
static int look_at(struct gt_recording *r)
{
	struct gt_elf_identity identity;
	struct gt_error err;
	int ret = gt_elf_kind(r->path, &identity, &err);

	if (ret < 0)
		return gt_die(ret == -ENOENT                      ? GT_EXIT_NOT_FOUND
			      : ret == -EACCES || ret == -ENOEXEC ? GT_EXIT_NOT_EXECUTABLE
								  : GT_EXIT_RECORD,
			&err);
	switch (identity.kind) {
	case GT_ELF_SCRIPT:
		return gt_die_text(GT_EXIT_RECORD,
			"cannot record a script: %s: record the program that it starts, in place of `%s %s'", r->path,
			identity.interpreter, r->path);
	case GT_ELF_OTHER:
		return gt_die_text(GT_EXIT_RECORD,
			"cannot record: %s: neither a Go program nor one that links libtrace: gtrace records Go "
			"programs "
			"(1.%d to 1.%d, x86-64) and C programs that link libtrace",
			r->path, GT_GO_MINOR_MIN, GT_GO_MINOR_MAX);
	case GT_ELF_LIBTRACE:
		/* Names are a help, not a need. */
		if (gt_elf_symbols_open(r->path, &r->resolver.elf, &err) < 0)
			r->resolver.elf = NULL;
		if (r->options.call_ns_min)
			return gt_die_text(GT_EXIT_RECORD,
				"syscall>TIME is for Go programs: %s links libtrace: take `syscalls'", r->path);
		return 0;
	case GT_ELF_GO:
		break;
	}
	if (gt_gobin_open(r->path, &r->resolver.go, &err) < 0 ||
		gt_golayout_find(r->resolver.go, &r->layout, &err) < 0 ||
		gt_golayout_verify(r->resolver.go, r->layout, &err) < 0)
		return gt_die(GT_EXIT_RECORD, &err);
	for (unsigned int i = 0; i < 256; i++)
		r->wait_reasons[i] = gt_golayout_reason(r->layout, i);
	return gt_record_check_go_sets(r);
}

static void default_output(struct gt_recording *r)
{
	const char *name = strrchr(r->path, '/');

	snprintf(r->output, sizeof(r->output), "%s.gtrace", name ? name + 1 : r->path);
}

int gt_cmd_record(int argc, char **argv)
{
	static const struct argp_child children[] = {{&gt_record_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = options,
		.children = children,
		.parser = parse_option,
		.args_doc = "[--] PROG [ARG...]",
		.doc = "Runs PROG and records what its scheduler does: every goroutine's states, who woke whom, Ms and "
		       "Ps. "
		       "PROG is a Go program (nothing has to be prepared; stripped ones too) or a C program that links "
		       "libtrace."
		       "\vThe exit status is PROG's own (128+N when signal N ended it); 125 when recording failed, 126 "
		       "when PROG "
		       "cannot be executed, 127 when it is not found.\n\nExamples:\n  gtrace record ./app -v file\n"
		       "  gtrace record --flight --min-age 5s --max-bytes 16M ./server",
	};
	static struct gt_recording r;
	int status;

	gt_record_defaults(&r.options);
	argp_err_exit_status = GT_EXIT_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &r.options);

	status = find_program(r.options.argv[0], &r.path);
	if (!status)
		status = look_at(&r);
	if (!status) {
		if (r.options.output)
			snprintf(r.output, sizeof(r.output), "%s", r.options.output);
		else
			default_output(&r);
		status = gt_record_run(&r);
	}
	gt_gobin_close(r.resolver.go);
	if (r.resolver.elf)
		gt_elf_symbols_close(r.resolver.elf);
	free(r.path);
	return status;
}
