/*
 * convert.c - how fast a .gtrace file becomes JSON, and Perfetto's protobuf.
 *
 *   convert [-n EVENTS] [-r RUNS] [-g GOROUTINES] [-k FILE.json] [-o ROW] [DIRECTORY | FILE.gtrace]
 *
 * A file is made by the writer (or taken as it is): what a scheduler of 8 Ps does with so many goroutines, a stack at every wait. Rows:
 *   read           gt_trace_next until the end, nothing else
 *   slices         read and convert, rows and slices only, to /dev/null
 *   everything     read and convert, the default: arrows, counters, stacks, colours
 *   p. slices, p. all   the same two as packets of Perfetto
 *   alone          the time of the row above it less that of read: the converter's own share
 * CPU time, the best of RUNS: all is one thread, and a busy machine disturbs it less. A record is a line of JSON, or a packet.
 * -k keeps the JSON of "everything", for other tools to be timed on. -o measures one row only.
 */
#include "format/convert/perfetto.h"
#include "format/reading/trace.h"
#include "format/wire/writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 8, FUNCTIONS = 40, STACKS = 500, DEPTH = 6, PC = 0x400000 };

static uint64_t dice = 0x9e3779b97f4a7c15;

static uint64_t roll(uint64_t sides)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (dice * 0x2545f4914f6cdd1d >> 33) % sides;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "convert: %s\n", what);
	exit(1);
}

/* ---- the file ---- */

struct event {
	uint64_t ticks, args[4];
	uint32_t m;
	enum gt_event_kind kind;
};

struct maker {
	struct gt_writer *writer;
	struct event *events;
	size_t count;
	uint64_t now;
	uint64_t *ready, *waiting; /* goroutines */
	size_t ready_count, waiting_count;
	uint64_t running[SLOTS];
};

static void put(
	struct maker *maker, uint32_t m, enum gt_event_kind kind, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	maker->now += 40 + roll(200);
	maker->events[maker->count++] = (struct event){maker->now, {a, b, c, d}, m, kind};
}

static uint64_t take(uint64_t *list, size_t *count)
{
	size_t at = roll(*count);
	uint64_t g = list[at];

	list[at] = list[--*count];
	return g;
}

static void step(struct maker *maker)
{
	uint32_t m = (uint32_t)roll(SLOTS);
	uint64_t g = maker->running[m];

	if (!g) {
		if (!maker->ready_count)
			return;
		g = take(maker->ready, &maker->ready_count);
		put(maker, m, GT_EV_GO_RUN, g, GT_STATE_RUNNABLE, m + 1, 0);
		maker->running[m] = g;
		return;
	}
	switch (roll(10)) {
	case 0:
		put(maker, m, GT_EV_GO_SYSCALL, g, 1 + roll(STACKS), 0, 0);
		put(maker, m, GT_EV_GO_SYSEXIT, g, GT_STATE_RUNNING, 0, 0);
		break;
	case 1:
		put(maker, m, GT_EV_GO_YIELD, g, GT_REASON_GOSCHED, 0, 0);
		maker->ready[maker->ready_count++] = g;
		maker->running[m] = 0;
		break;
	default:
		if (maker->waiting_count) {
			uint64_t other = take(maker->waiting, &maker->waiting_count);

			put(maker, m, GT_EV_GO_READY, other, GT_STATE_WAITING, g, 0);
			maker->ready[maker->ready_count++] = other;
		}
		put(maker, m, GT_EV_GO_BLOCK, g, GT_REASON_CHAN_RECEIVE, 1 + roll(STACKS), 0);
		maker->waiting[maker->waiting_count++] = g;
		maker->running[m] = 0;
		break;
	}
}

static void names(struct gt_writer *writer)
{
	uint64_t pcs[DEPTH];
	char text[80];

	for (unsigned int i = 0; i < FUNCTIONS; i++) {
		struct gt_writer_line line = {.line = 10 + i};
		int size = snprintf(text, sizeof(text), "example.org/service/part%u.(*Server).handle%u", i % 7, i);

		line.function = gt_writer_string(writer, text, (size_t)size);
		size = snprintf(text, sizeof(text), "/src/example.org/service/part%u/server.go", i % 7);
		line.file = gt_writer_string(writer, text, (size_t)size);
		gt_writer_pc(writer, PC + i, &line, 1);
	}
	for (unsigned int i = 1; i <= STACKS; i++) {
		for (unsigned int d = 0; d < DEPTH; d++)
			pcs[d] = PC + roll(FUNCTIONS);
		gt_writer_stack(writer, i, pcs, DEPTH);
	}
	gt_writer_meta(writer, "pid", "4242");
	gt_writer_meta(writer, "program", "/bin/service");
}

/* In blocks of one M, as a collector hands them over. */
static void write_events(struct maker *maker)
{
	enum { BATCH = 4000 };

	for (size_t from = 0; from < maker->count; from += BATCH) {
		size_t to = from + BATCH < maker->count ? from + BATCH : maker->count;

		for (uint32_t m = 0; m < SLOTS; m++) {
			gt_writer_events_begin(maker->writer, m, maker->events[from].ticks);
			for (size_t i = from; i < to; i++)
				if (maker->events[i].m == m)
					gt_writer_event(maker->writer, maker->events[i].kind, maker->events[i].ticks,
						maker->events[i].args);
			gt_writer_events_end(maker->writer);
		}
		gt_writer_watermark(maker->writer, maker->events[to - 1].ticks);
	}
}

static void make_file(const char *path, size_t events, size_t goroutines)
{
	struct gt_writer_config config = {.path = path, .ticks_per_second = 1000000000};
	struct maker maker = {.now = 1000};
	struct gt_error err;

	maker.events = malloc((events + goroutines + SLOTS * 2 + 8) * sizeof(*maker.events));
	maker.ready = malloc(goroutines * sizeof(*maker.ready));
	maker.waiting = malloc(goroutines * sizeof(*maker.waiting));
	if (!maker.events || !maker.ready || !maker.waiting)
		die("out of memory");
	if (gt_writer_open(&config, &maker.writer, &err) < 0)
		die(err.text);
	names(maker.writer);
	for (uint32_t m = 0; m < SLOTS; m++) {
		put(&maker, m, GT_EV_M_START, 4242 + m, 0, 0, 0);
		put(&maker, m, GT_EV_P_START, m + 1, 0, 0, 0);
	}
	for (size_t g = 1; g <= goroutines; g++) {
		put(&maker, 0, GT_EV_GO_CREATE, g, GT_STATE_RUNNABLE, 0, PC + roll(FUNCTIONS));
		maker.ready[maker.ready_count++] = g;
	}
	while (maker.count < events)
		step(&maker);
	write_events(&maker);
	if (gt_writer_close(maker.writer, maker.now, (int64_t)maker.now, &err) < 0)
		die(err.text);
	free(maker.events);
	free(maker.ready);
	free(maker.waiting);
}

/* ---- the rows ---- */

static struct gt_trace *open_trace(const char *path)
{
	struct gt_trace *trace;
	struct gt_error err;

	if (gt_trace_open(path, &trace, &err) < 0)
		die(err.text);
	return trace;
}

static double time_read(const char *path, uint64_t *events)
{
	struct gt_trace *trace = open_trace(path);
	double begin = seconds();
	struct gt_event event;

	*events = 0;
	while (gt_trace_next(trace, &event) > 0)
		++*events;
	begin = seconds() - begin;
	gt_trace_close(trace);
	return begin;
}

typedef int converter(
	struct gt_trace *trace, struct gt_sink *sink, const struct gt_convert_options *options, struct gt_error *err);

static double time_convert(converter *convert, const char *path, const char *out, unsigned int parts,
	struct gt_convert_totals *totals, uint64_t *bytes)
{
	struct gt_convert_options options = {.parts = parts, .totals = totals};
	struct gt_trace *trace = open_trace(path);
	double begin = seconds();
	struct gt_sink sink;
	struct gt_error err;
	int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || gt_sink_open_fd(&sink, fd, out) < 0)
		die("cannot open the output");
	if (convert(trace, &sink, &options, &err) < 0)
		die(err.text);
	*bytes = gt_sink_total(&sink);
	if (gt_sink_close(&sink, NULL, NULL, &err) < 0)
		die(err.text);
	close(fd);
	begin = seconds() - begin;
	gt_trace_close(trace);
	return begin;
}

static void row(const char *name, double time, uint64_t events, uint64_t records, uint64_t slices, uint64_t bytes)
{
	printf("%-12s %8.1f ms  %6.2f M events/s", name, time * 1e3, (double)events / time / 1e6);
	if (records)
		printf("  %6.2f M records/s  %6.2f M slices/s  %7.1f MB/s  %5.1f B/record",
			(double)records / time / 1e6, (double)slices / time / 1e6, (double)bytes / time / 1e6,
			(double)bytes / (double)records);
	printf("\n");
}

static void rows(converter *convert, const char *path, int runs, double read, uint64_t events, const char *name,
	unsigned int parts)
{
	struct gt_convert_totals totals;
	double best = 1e9, time;
	uint64_t bytes = 0;

	for (int i = 0; i < runs; i++) {
		time = time_convert(convert, path, "/dev/null", parts, &totals, &bytes);
		best = time < best ? time : best;
	}
	row(name, best, events, totals.records, totals.slices, bytes);
	row("  alone", best - read, events, totals.records, totals.slices, bytes);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		converter *convert;
		unsigned int parts;
	} table[] = {
		{"slices", gt_convert_chrome, GT_CONVERT_SLICES},
		{"everything", gt_convert_chrome, GT_CONVERT_ALL},
		{"p. slices", gt_convert_perfetto, GT_CONVERT_SLICES},
		{"p. all", gt_convert_perfetto, GT_CONVERT_ALL},
	};
	size_t events = 2000000, goroutines = 2000;
	const char *place, *keep = NULL, *only = NULL;
	struct gt_convert_totals totals;
	double read = 1e9, time;
	uint64_t count = 0, bytes;
	char path[4096];
	struct stat st;
	int runs = 5, option;
	bool made;

	while ((option = getopt(argc, argv, "n:r:g:k:o:")) != -1) {
		if (option == 'n')
			events = strtoull(optarg, NULL, 10);
		else if (option == 'r')
			runs = atoi(optarg);
		else if (option == 'g')
			goroutines = strtoull(optarg, NULL, 10);
		else if (option == 'k')
			keep = optarg;
		else if (option == 'o')
			only = optarg;
		else
			return 2;
	}
	place = optind < argc ? argv[optind] : "/tmp";
	made = stat(place, &st) < 0 || S_ISDIR(st.st_mode);
	snprintf(path, sizeof(path), "%s", place);
	if (made) {
		snprintf(path, sizeof(path), "%s/bench-convert-%d.gtrace", place, (int)getpid());
		make_file(path, events, goroutines);
	}
	if (stat(path, &st) < 0)
		die("no file");
	for (int i = 0; i < runs; i++) {
		time = time_read(path, &count);
		read = time < read ? time : read;
	}
	printf("%llu events, %lld bytes of .gtrace, best of %d\n", (unsigned long long)count, (long long)st.st_size,
		runs);
	row("read", read, count, 0, 0, 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!only || !strcmp(only, table[i].name))
			rows(table[i].convert, path, runs, read, count, table[i].name, table[i].parts);
	if (keep)
		time_convert(gt_convert_chrome, path, keep, GT_CONVERT_ALL, &totals, &bytes);
	if (made)
		unlink(path);
	return 0;
}
