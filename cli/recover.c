/* recover.c - see recover.h. */
#include "cli/recover.h"

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/resolver.h"
#include "libtrace/crash.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX (64u << 20)
/* A record may be younger than the collector's last round: by so much, should it have had no CPU. */
#define LATE_SECONDS   3600
#define RATE_MIN       1000000ull
#define RATE_MAX       100000000000ull
#define NOTE_BYTES_MAX 65536

/* ---- is the program's file the one that ran? ---- */

static bool note_has(const uint8_t *at, size_t left, const struct gt_crash *crash)
{
	while (left >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t name, all;

		memcpy(&note, at, sizeof(note));
		if (note.n_namesz > left || note.n_descsz > left)
			return false;
		name = (note.n_namesz + 3u) & ~3u;
		all = sizeof(note) + name + ((note.n_descsz + 3u) & ~3u);
		if (all > left)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz == crash->build_id_bytes &&
			memcmp(at + sizeof(note) + name, crash->build_id, note.n_descsz) == 0)
			return true;
		at += all;
		left -= all;
	}
	return false;
}

static bool same_program(const struct gt_crash *crash)
{
	int fd = crash->build_id_bytes ? open(crash->program, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	uint8_t *notes = malloc(NOTE_BYTES_MAX);
	struct stat status;
	bool same = false;
	Elf64_Ehdr head;

	if (fd >= 0 && notes && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
		pread(fd, &head, sizeof(head), 0) == sizeof(head) && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
		head.e_phentsize == sizeof(Elf64_Phdr))
		for (unsigned int i = 0; i < head.e_phnum && !same; i++) {
			Elf64_Phdr segment;
			ssize_t size;

			if (pread(fd, &segment, sizeof(segment), (off_t)(head.e_phoff + i * sizeof(segment))) !=
				sizeof(segment))
				break;
			if (segment.p_type != PT_NOTE)
				continue;
			size = pread(fd, notes, segment.p_filesz < NOTE_BYTES_MAX ? segment.p_filesz : NOTE_BYTES_MAX,
				(off_t)segment.p_offset);
			same = size > 0 && note_has(notes, (size_t)size, crash);
		}
	if (fd >= 0)
		close(fd);
	free(notes);
	return same;
}

/* ---- the file's second part ---- */

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static int check_crash(const struct gt_memory *memory, uint64_t bytes, struct gt_crash *out, struct gt_error *err)
{
	const uint8_t *at = (const uint8_t *)memory->shm + memory->total_bytes;
	uint64_t left = bytes - memory->total_bytes;

	if (left < GT_CRASH_NAMES_AT)
		return gt_fail(err, EBADMSG, "the file was cut: %" PRIu64 " bytes", bytes);
	memcpy(out, at, sizeof(*out));
	if (out->magic != GT_CRASH_MAGIC)
		return gt_fail(err, EBADMSG, "this is no crash file: its second part has another mark");
	if (out->abi != GT_CRASH_ABI)
		return gt_fail(err, EPROTONOSUPPORT,
			"the crash file has version %u, this gtrace knows %u: use the gtrace of the program's libtrace",
			out->abi, GT_CRASH_ABI);
	if (out->total_bytes != bytes)
		return gt_fail(
			err, EBADMSG, "the file was cut: %" PRIu64 " bytes of %" PRIu64, bytes, out->total_bytes);
	if (out->names_at != GT_CRASH_NAMES_AT || out->names_max > NAMES_MAX ||
		out->names_max * sizeof(struct gt_crash_name) > left - GT_CRASH_NAMES_AT ||
		out->ticks_per_second < RATE_MIN || out->ticks_per_second > RATE_MAX ||
		out->build_id_bytes > sizeof(out->build_id) || out->last_ticks < out->start_ticks ||
		out->last_ticks > UINT64_MAX / 2 || out->last_monotonic_ns < out->start_monotonic_ns ||
		!is_text(out->clock, sizeof(out->clock)) || !is_text(out->machine, sizeof(out->machine)) ||
		!is_text(out->gtrace, sizeof(out->gtrace)) || !is_text(out->program, sizeof(out->program)))
		return gt_fail(err, EBADMSG, "the crash file's second part is damaged: values that cannot be");
	if (out->state == GT_CRASH_NOTHING)
		return gt_fail(
			err, EBADMSG, "the crash file holds nothing yet: its program died before the recorder ran");
	return 0;
}

static void take_names(struct gt_collector *collector, const struct gt_memory *memory, const struct gt_crash *crash)
{
	const struct gt_crash_name *names =
		(const void *)((const uint8_t *)memory->shm + memory->total_bytes + GT_CRASH_NAMES_AT);

	for (uint64_t i = 0; i < crash->names_max; i++)
		if (names[i].g && names[i].g <= GT_G_MASK && names[i].parent <= GT_G_MASK)
			gt_collector_name(collector, names[i].g, names[i].parent, names[i].start_pc, names[i].site_pc);
}

/* ---- the trace ---- */

static void write_metas(struct gt_writer *writer, const struct gt_memory *memory, const struct gt_crash *crash)
{
	char sets[128];

	gt_writer_meta(writer, "program", crash->program);
	gt_writer_meta_number(writer, "pid", crash->pid);
	gt_writer_meta(writer, "runtime", "gtrace");
	gt_writer_meta(writer, "machine", crash->machine);
	gt_writer_meta(writer, "clock", crash->clock);
	gt_writer_meta(writer, "events", gt_sets_text(crash->sets & ((1u << 7) - 1), sets));
	if (memory->stack_depth)
		gt_writer_meta_number(writer, "stacks", memory->stack_depth);
	else
		gt_writer_meta(writer, "stacks", "off");
	gt_writer_meta(writer, "gtrace", crash->gtrace);
	gt_writer_meta(writer, "cause",
		crash->state == GT_CRASH_STOPPED ? "recovered; the recorder had been stopped" : "recovered");
	gt_writer_meta_number(writer, "min_age_ns", crash->min_age_ns);
	gt_writer_meta_number(writer, "max_bytes", crash->max_bytes);
}

static uint64_t to_ns(const struct gt_crash *crash, int64_t ticks)
{
	return ticks > 0 ? (uint64_t)((unsigned __int128)ticks * 1000000000 / crash->ticks_per_second) : 0;
}

static void tell(const struct gt_crash *crash, const struct gt_snapshot_result *result, const struct gt_memory *memory,
	bool same, struct gt_recovered *out)
{
	char age[32], complete[32], ring[32];

	snprintf(out->text, sizeof(out->text),
		"%" PRIu64 " events of process %u, the last %s (complete for %s); kept: the ring of %s; lost: %" PRIu64
		" records under way, %" PRIu64 " blocks in doubt, what was packed or older%s",
		result->events, crash->pid, gt_format_duration(to_ns(crash, result->kept_ticks), age),
		gt_format_duration(to_ns(crash, result->complete_ticks), complete),
		gt_format_size((uint64_t)memory->block_count * GT_BLOCK_BYTES, ring), result->in_flight,
		result->blocks_torn, same ? "" : "; no names of functions: the program's file is another one now");
}

static int write_trace(struct gt_collector *collector, const struct gt_memory *memory, const struct gt_crash *crash,
	const char *output, struct gt_snapshot_result *result, struct gt_error *err)
{
	const struct gt_writer_config config = {
		.path = output,
		.window = true,
		.ticks_per_second = crash->ticks_per_second,
		.start_ticks = crash->start_ticks,
		.start_realtime_ns = crash->start_realtime_ns,
		.start_monotonic_ns = crash->start_monotonic_ns,
	};
	const struct gt_snapshot_cut cut = {.since_ticks = crash->since_ticks};
	struct gt_collector_totals totals;
	struct gt_writer *writer;
	int ret = gt_writer_open(&config, &writer, err);

	if (ret < 0)
		return ret;
	write_metas(writer, memory, crash);
	ret = gt_collector_snapshot_cut(collector, writer, &cut, result);
	if (ret < 0) {
		gt_writer_abandon(writer);
		return gt_fail(err, -ret, "cannot write the trace: %s: %s", output, strerror(-ret));
	}
	/* The recorder was alive for longer. */
	if (result->end_ticks && result->end_ticks < crash->last_ticks) {
		int64_t more = (int64_t)(crash->last_ticks - result->end_ticks);

		result->end_ticks = crash->last_ticks;
		result->kept_ticks += result->kept_ticks ? more : 0;
		result->complete_ticks += result->complete_ticks ? more : 0;
	}
	gt_writer_meta_number(writer, "end_ticks", result->end_ticks);
	gt_writer_meta_number(writer, "kept_bytes", result->kept_bytes);
	gt_writer_meta_number(writer, "kept_ns", to_ns(crash, result->kept_ticks));
	gt_writer_meta_number(writer, "complete_ns", to_ns(crash, result->complete_ticks));
	gt_collector_totals(collector, &totals);
	gt_writer_loss(writer, "in flight at the end", result->in_flight);
	gt_writer_loss(writer, "damaged", totals.records_bad);
	if (result->blocks_torn)
		gt_writer_loss(writer, "blocks in doubt", result->blocks_torn);
	return gt_writer_close(writer, crash->last_ticks, crash->last_monotonic_ns, err);
}

int gt_recover(void *map, uint64_t bytes, const char *output, struct gt_recovered *out, struct gt_error *err)
{
	struct gt_snapshot_result result = {0};
	struct gt_resolver resolver = {0};
	struct gt_collector *collector;
	static struct gt_crash crash; /* pages of text */
	struct gt_memory memory;
	bool same = false;
	int ret = gt_shm_adopt(map, bytes, &memory, err);

	if (ret >= 0)
		ret = check_crash(&memory, bytes, &crash, err);
	if (ret < 0)
		return ret;
	memory.dead_ticks = crash.last_ticks + LATE_SECONDS * crash.ticks_per_second;
	atomic_store(&memory.shm->mode, GT_MODE_FLIGHT);
	if (crash.program[0] && same_program(&crash))
		same = gt_elf_symbols_open(crash.program, &resolver.elf, NULL) >= 0;
	ret = gt_collector_new(&(struct gt_collector_config){.memory = &memory,
				       .names_bytes_max = (size_t)crash.names_max * 256,
				       .resolve = same ? gt_resolver_lines : NULL,
				       .resolve_context = &resolver},
		&collector, err);
	if (ret >= 0) {
		gt_collector_started(collector, 0, crash.slide);
		take_names(collector, &memory, &crash);
		ret = write_trace(collector, &memory, &crash, output, &result, err);
		gt_collector_free(collector);
	}
	if (ret >= 0)
		tell(&crash, &result, &memory, same, out);
	if (same)
		gt_elf_symbols_close(resolver.elf);
	return ret;
}
