/* stream.c - random events of every kind, times that go back now and then, arguments of every length. */
#include "stream.h"

#include <inttypes.h>

static FILE *sink;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	va_list args;

	if (!sink)
		return;
	va_start(args, format);
	vfprintf(sink, format, args);
	va_end(args);
}

static uint64_t roll(uint64_t *dice)
{
	*dice ^= *dice << 13;
	*dice ^= *dice >> 7;
	*dice ^= *dice << 17;
	return *dice;
}

static void write_tables(struct gt_writer *writer)
{
	struct gt_writer_line lines[2];
	uint64_t pcs[2] = {0x401000, UINT64_MAX};

	gt_writer_meta(writer, "program", "first");
	gt_writer_meta(writer, "program", "/bin/pr\303\266g");
	gt_writer_loss(writer, "blocks", 3);
	gt_writer_loss(writer, "blocks", 300);
	say("META program first\nMETA program /bin/pr\303\266g\nLOSS blocks 3\nLOSS blocks 300\n");
	lines[0].function = gt_writer_string(writer, "main.inner", 10);
	lines[0].file = gt_writer_string(writer, "/src/main.go", 12);
	lines[1].function = gt_writer_string(writer, "main.main", 9);
	lines[1].file = gt_writer_string(writer, "/src/main.go", 12);
	lines[0].line = 7;
	lines[1].line = 4000000000;
	say("STRING 1 main.inner\nSTRING 2 /src/main.go\nSTRING 3 main.main\n");
	gt_writer_pc(writer, 0x401000, lines, 2);
	gt_writer_pc(writer, 0x401000, lines, 1);
	gt_writer_pc(writer, UINT64_MAX, NULL, 0);
	gt_writer_stack(writer, 77, pcs, 2);
	gt_writer_stack(writer, 77, pcs, 1);
	say("PC 0x401000 1:2:7 3:2:4000000000\nPC 0xffffffffffffffff\nSTACK 77 0x401000 0xffffffffffffffff\n");
	gt_writer_thread(writer, 0, 4711, "app");
	gt_writer_goroutine(writer, 1, 0, 0x401000, 0);
	gt_writer_since(writer, 0, 900);
	say("THREAD m=0 tid=4711 app\nGOROUTINE 1 0 4198400 0\nSINCE m=0 ticks=900\n");
}

static int write_event(struct gt_writer *writer, uint64_t *dice, uint64_t m, uint64_t *ticks)
{
	const struct gt_event_spec *spec;
	uint64_t args[GT_EVENT_ARGS_MAX];
	unsigned int kind;

	do
		kind = (unsigned int)(roll(dice) % GT_EVENT_KIND_COUNT);
	while (!gt_event_specs[kind].text);
	spec = &gt_event_specs[kind];
	*ticks = roll(dice) % 37 ? *ticks + (roll(dice) >> (roll(dice) % 24 + 40)) : *ticks - roll(dice) % 20;
	say("  m=%" PRIu64 " %" PRIu64 " %s", m, *ticks, spec->text);
	for (unsigned int i = 0; i < spec->arg_count; i++) {
		args[i] = roll(dice) >> (roll(dice) % 64);
		say(" %s=%" PRIu64, spec->args[i].name, args[i]);
	}
	say("\n");
	return gt_writer_event(writer, (enum gt_event_kind)kind, *ticks, args);
}

int stream_write(struct gt_writer *writer, FILE *text, uint32_t seed, size_t events, bool flush_each)
{
	uint64_t dice = seed * 2654435761u + 1;
	uint64_t ticks = 1000;
	size_t done = 0;
	int ret = 0;

	sink = text;
	write_tables(writer);
	while (done < events && !ret) {
		uint64_t m = roll(&dice) % 300;
		size_t batch = flush_each ? 1 : roll(&dice) % 500;

		ret = gt_writer_events_begin(writer, m, roll(&dice) % 8 ? ticks : ticks + 5);
		for (size_t i = 0; i < batch && !ret; i++)
			ret = write_event(writer, &dice, m, &ticks);
		if (!ret)
			ret = gt_writer_events_end(writer);
		else
			gt_writer_events_end(writer);
		done += batch;
		/* Within a batch time goes back by less than 20 a step, so this holds for all that follows. */
		ticks += 20;
		gt_writer_watermark(writer, ticks - 20);
		if (!ret && (flush_each || roll(&dice) % 64 == 0))
			ret = gt_writer_flush(writer, ticks, (int64_t)(ticks * 2));
	}
	return ret;
}
