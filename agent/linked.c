/* linked.c - asks a running program's libtrace to record. */
#include "agent/linked.h"

#include "agent/attach_internal.h"
#include "agent/gobinary.h"
#include "agent/process.h"
#include "agent/threads.h"
#include "base/clock.h"
#include "format/wire/event.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_NS    10000000000
#define LIST_NS      300000000 /* nobody looks after the window meanwhile */
#define STOPPED_NS   300000000
#define STOP_NS      200000000
#define STAND_TRIES  25
#define LISTENS_NAPS 2000
#define NAP_NS       500000
#define NUDGE_NS     2000000
#define ALIVE_MAX    (16u << 20)

struct gt_linked {
	pid_t pid;
	char exe[64], program[PATH_MAX];
	bool foreign;
	int memory; /* /proc/PID/mem */
	uint64_t area;
	uint32_t number;
	bool mine; /* it is this gtrace that records */
};

static void nap(void)
{
	const struct timespec time = {.tv_nsec = NAP_NS};

	nanosleep(&time, NULL);
}

/* ---- where its struct gt_attend is ---- */

/* The link-time address in the file at @path. False: it has none. */
static bool area_in(const char *path, uint64_t *area, uint64_t *entry, uint64_t *first)
{
	struct gt_elf_image image;
	const uint8_t *note = NULL;
	uint32_t note_size;
	int64_t distance;
	size_t size;
	void *bytes;
	bool found = false;

	if (gt_elf_map(path, &bytes, &size, NULL) < 0)
		return false;
	if (gt_elf_image_init(&image, bytes, size, NULL) >= 0)
		note = gt_elf_note(&image, GT_NOTE_OWNER, GT_ATTEND_NOTE, &note_size);
	if (note && note_size == sizeof(distance)) {
		uint64_t offset = (uint64_t)(note - image.bytes);

		memcpy(&distance, note, sizeof(distance));
		for (uint32_t i = 0; i < image.segment_count && !found; i++) {
			const struct gt_elf_segment *segment = &image.segments[i];

			found = offset - segment->offset < segment->file_size;
			if (found)
				*area = segment->va + (offset - segment->offset) + (uint64_t)distance;
		}
		*entry = image.entry;
		*first = image.va_lo & ~(uint64_t)(GT__PAGE - 1);
	}
	gt_elf_unmap(bytes, size);
	return found;
}

/* The library as a file of its own: what is mapped of the name libgtrace. */
static bool area_in_library(struct gt_linked *linked)
{
	char path[64], line[PATH_MAX + 128], file[PATH_MAX + 32];
	uint64_t area, entry, first;
	bool found = false;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)linked->pid);
	in = fopen(path, "re");
	while (in && !found && fgets(line, sizeof(line), in)) {
		unsigned long long lo, offset;
		const char *name;
		int at = 0;

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%llx-%*x %*s %llx %*s %*s %n", &lo, &offset, &at) < 2 || !at || offset ||
			line[at] != '/')
			continue;
		name = strrchr(line, '/') + 1;
		if (strncmp(name, "libgtrace", 9) != 0)
			continue;
		snprintf(file, sizeof(file), "/proc/%d/root%s", (int)linked->pid, line + at);
		found = area_in(file, &area, &entry, &first);
		if (found)
			linked->area = area + lo - first;
	}
	if (in)
		fclose(in);
	return found;
}

static int find_area(struct gt_linked *linked, struct gt_error *err)
{
	uint64_t area, entry = 0, first, now;

	if (area_in(linked->exe, &area, &entry, &first)) {
		now = gt__entry_of(linked->pid);
		if (!now)
			return gt_fail(err, ESRCH, "cannot attach: process %d is gone", (int)linked->pid);
		linked->area = area + now - entry;
		return 0;
	}
	if (area_in_library(linked))
		return 0;
	return gt_fail(err, ENOTSUP,
		"cannot attach: process %d: its libtrace knows nothing of gtrace attach: link the one of this release",
		(int)linked->pid);
}

static int read_area(const struct gt_linked *linked, struct gt_attend *out, struct gt_error *err)
{
	int ret = gt__memory_read(linked->memory, linked->area, out, sizeof(*out));

	if (ret < 0)
		return gt_fail(err, ESRCH, "cannot attach: process %d is gone", (int)linked->pid);
	out->text[sizeof(out->text) - 1] = 0;
	for (char *at = out->text; *at; at++)
		if (!isprint((unsigned char)*at))
			*at = '?';
	if (memcmp(out->magic, GT_ATTEND_MAGIC, sizeof(out->magic)) != 0 || out->abi != GT_ATTEND_ABI ||
		out->bytes != sizeof(*out))
		return gt_fail(err, EPROTONOSUPPORT,
			"cannot attach: process %d has a libtrace of another release: use the gtrace of that one",
			(int)linked->pid);
	return 0;
}

/* ---- open ---- */

int gt_linked_open(pid_t pid, bool waits, struct gt_linked **out, struct gt_error *err)
{
	struct gt_linked *linked = calloc(1, sizeof(*linked));
	struct gt_elf_identity identity;
	struct gt_attend area;
	char path[64];
	ssize_t size;
	int ret;

	if (!linked)
		return gt_fail(err, ENOMEM, "out of memory");
	linked->pid = pid;
	linked->memory = -1;
	snprintf(linked->exe, sizeof(linked->exe), "/proc/%d/exe", (int)pid);
	ret = gt__attach_status(pid, &linked->foreign, err);
	if (ret >= 0) {
		size = readlink(linked->exe, linked->program, sizeof(linked->program) - 1);
		ret = size < 0 ? gt__attach_not_allowed(pid, errno, err) : gt_elf_kind(linked->exe, &identity, err);
		if (ret < 0 && size >= 0)
			gt_fail_prefix(err, ret, "cannot attach: process %d", (int)pid);
	}
	if (ret >= 0 && identity.kind != GT_ELF_LIBTRACE) {
		gt_linked_close(linked);
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	if (ret >= 0) {
		linked->memory = open(path, O_RDWR | O_CLOEXEC);
		if (linked->memory < 0)
			ret = gt__attach_not_allowed(pid, errno, err);
	}
	if (ret >= 0)
		ret = find_area(linked, err);
	/* One that has just begun is about to listen. */
	for (int i = 0; ret >= 0 && i <= (waits ? LISTENS_NAPS : 0); i++) {
		ret = read_area(linked, &area, err);
		if (ret < 0 || area.asleep || !waits)
			break;
		nap();
	}
	if (ret >= 0 && !area.asleep)
		ret = gt_fail(err, EAGAIN,
			"cannot attach: process %d links libtrace, but runs no scheduler that listens: start it with "
			"gtrace record, or let it call gt_start",
			(int)pid);
	if (ret < 0) {
		gt_linked_close(linked);
		return ret;
	}
	linked->number = area.request >> 4;
	*out = linked;
	return 1;
}

void gt_linked_close(struct gt_linked *linked)
{
	if (!linked)
		return;
	if (linked->memory >= 0)
		close(linked->memory);
	free(linked);
}

const char *gt_linked_program(const struct gt_linked *linked)
{
	return linked->program;
}

const char *gt_linked_exe(const struct gt_linked *linked)
{
	return linked->exe;
}

bool gt_linked_foreign(const struct gt_linked *linked)
{
	return linked->foreign;
}

/* ---- requests ---- */

static int put(const struct gt_linked *linked, size_t offset, const void *from, size_t size)
{
	return gt__memory_write(linked->memory, 0, linked->area + offset, from, size);
}

#define PUT(linked, area, field) put((linked), offsetof(struct gt_attend, field), &(area)->field, sizeof((area)->field))

/* One thread, or all when its number means nothing here, stands for an instant. Who slept on a word that has changed wakes. */
static int stand(const struct gt_linked *linked, uint32_t tid,
	int (*meanwhile)(const struct gt_linked *linked, void *arg), void *arg, struct gt_error *err)
{
	struct gt_threads threads = {.pid = linked->pid};
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	ret = tid && !linked->foreign ? gt_threads_stop_one(&threads, (pid_t)tid, STOP_NS, err)
				      : gt_threads_stop(&threads, STOP_NS, err);
	if (ret >= 0) {
		ret = meanwhile ? meanwhile(linked, arg) : 0;
		gt_threads_go(&threads);
	}
	gt_threads_free(&threads);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ret;
}

/* While the one that sleeps on it stands: it will look at it anew, whatever becomes of us. A word that is cleared while nobody wakes it means a
 * sleep without end. */
static int clear_word(const struct gt_linked *linked, void *arg)
{
	const struct gt_attend *area = arg;
	const uint32_t awake = 0;

	/* Hostile or not, this is one word of its own memory. */
	return gt__memory_write(linked->memory, 0, area->asleep, &awake, sizeof(awake));
}

/* Whoever is to answer may sleep: the one that looks, or the one that answers. */
static void nudge(const struct gt_linked *linked, struct gt_attend *area)
{
	uint32_t asleep = 0;

	if (area->attendant)
		stand(linked, area->attendant, NULL, NULL, NULL);
	else if (gt__memory_read(linked->memory, area->asleep, &asleep, sizeof(asleep)) >= 0 && asleep)
		stand(linked, area->looker, clear_word, area, NULL);
}

/* What it wants is written already. */
static int ask(struct gt_linked *linked, enum gt_attend_what what, int64_t limit_ns, struct gt_attend *area,
	struct gt_error *err)
{
	int64_t until_ns = gt_monotonic_ns() + limit_ns, nudge_ns = 0, stopped_ns = 0;
	uint32_t request;

	linked->number = (linked->number + 1) & 0xfffffff;
	request = linked->number << 4 | what;
	if (put(linked, offsetof(struct gt_attend, request), &request, sizeof(request)) < 0)
		return gt_fail(err, ESRCH, "cannot attach: process %d is gone", (int)linked->pid);
	for (;;) {
		int ret = read_area(linked, area, err);

		if (ret < 0)
			return ret;
		if (area->answer == request)
			break;
		if (gt_monotonic_ns() > until_ns)
			return gt_fail(err, ETIMEDOUT, "cannot attach: process %d does not answer: try again",
				(int)linked->pid);
		if (stopped_ns == 0 && gt__attach_stopped(linked->pid))
			stopped_ns = gt_monotonic_ns() + STOPPED_NS;
		if (stopped_ns && gt_monotonic_ns() > stopped_ns && gt__attach_stopped(linked->pid))
			return gt_fail(err, EAGAIN,
				"cannot attach: process %d is stopped, and has to answer: kill -CONT %d",
				(int)linked->pid, (int)linked->pid);
		if (gt_monotonic_ns() > nudge_ns) {
			nudge(linked, area);
			nudge_ns = gt_monotonic_ns() + NUDGE_NS;
		}
		nap();
	}
	if (area->result >= 0)
		return 0;
	return gt_fail(err, area->result > -4096 ? -area->result : EIO, "cannot attach: process %d: %s",
		(int)linked->pid, area->text);
}

/* While its listener stands: PTRACE_SEIZE keeps every other gtrace out. */
static int take(const struct gt_linked *linked, void *arg)
{
	struct gt_attend *area = arg;
	uint32_t owner = linked->foreign ? 0 : (uint32_t)getpid();
	int ret = read_area(linked, area, NULL);

	if (ret < 0)
		return ret;
	if (area->owner && area->owner != owner && kill((pid_t)area->owner, 0) < 0 && errno == ESRCH)
		area->owner = 0;
	if (area->owner && area->owner != owner)
		return -EBUSY;
	area->owner = owner;
	return PUT(linked, area, owner);
}

/* A descriptor of the program's own choice: to open a device, as root, may do what nobody asked for. */
static int open_memory(pid_t pid, int32_t number, struct gt_error *err)
{
	char path[64], again[64];
	struct stat file;
	int ret, place;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, number);
	place = open(path, O_PATH | O_CLOEXEC);
	if (place < 0)
		return gt_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
	snprintf(again, sizeof(again), "/proc/self/fd/%d", place);
	if (fstat(place, &file) < 0 || !S_ISREG(file.st_mode))
		ret = gt_fail(err, EBADMSG, "cannot attach: %s is no memory of libtrace's", path);
	else if ((ret = open(again, O_RDWR | O_CLOEXEC)) < 0)
		ret = gt_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
	close(place);
	return ret;
}

int gt_linked_memory(struct gt_linked *linked, const struct gt_shm_config *config, struct gt_memory *out, bool *old,
	struct gt_error *err)
{
	struct gt_attend area;
	int ret = read_area(linked, &area, err), fd;

	/* One that gets no CPU for a while stands a little later. */
	for (int tries = 0; ret >= 0 && tries < STAND_TRIES; tries++) {
		int stood = stand(linked, area.looker, take, &area, err);

		if (stood != -EAGAIN || tries == STAND_TRIES - 1) {
			ret = stood;
			break;
		}
	}
	if (ret == -EBUSY && area.owner)
		return gt_fail(err, EBUSY,
			"cannot attach: process %d is recorded by another gtrace (process %u): end that first",
			(int)linked->pid, area.owner);
	if (ret < 0)
		return ret;
	linked->mine = true;
	area.block_count = config->block_count;
	area.max_bytes = config->max_bytes;
	area.mode = config->mode;
	area.m_count = config->m_count;
	area.m_limit = config->m_limit;
	area.stack_slot_count = config->stack_slot_count;
	area.arena_words = config->arena_words;
	area.stack_depth = config->stack_depth;
	area.string_slot_count = config->string_slot_count;
	area.string_bytes = config->string_bytes;
	ret = put(linked, offsetof(struct gt_attend, since), &area.since,
		sizeof(area) - offsetof(struct gt_attend, since));
	if (ret >= 0)
		ret = ask(linked, GT_ATTEND_MEMORY, ANSWER_NS, &area, err);
	if (ret < 0)
		return ret;
	fd = open_memory(linked->pid, area.fd, err);
	if (fd < 0)
		return fd;
	ret = gt_shm_map(fd, out, err);
	close(fd);
	*old = ret >= 0 &&
	       ((config->block_count && out->block_count != config->block_count) || out->m_count != config->m_count ||
		       out->stack_slot_count != config->stack_slot_count);
	return ret;
}

/* Those that are what they should be. */
static int read_list(const struct gt_linked *linked, const struct gt_attend *area, const struct gt_memory *memory,
	struct gt_attend_alive **list, size_t *count, struct gt_error *err)
{
	size_t told = area->alive_count, kept = 0;
	struct gt_attend now;

	if (told > ALIVE_MAX)
		return gt_fail(err, EBADMSG, "cannot attach: process %d tells what cannot be", (int)linked->pid);
	*list = calloc(told + 1, sizeof(**list));
	if (!*list)
		return gt_fail(err, ENOMEM, "out of memory");
	if (gt__memory_read(linked->memory, area->alive, *list, told * sizeof(**list)) < 0 ||
		read_area(linked, &now, NULL) < 0) {
		told = 0;
	} else if (now.alive != area->alive || now.request != area->request) {
		/* Another gtrace has asked for something meanwhile: what was read may be no list any more. */
		free(*list);
		*list = NULL;
		return gt_fail(err, EAGAIN, "cannot attach: process %d is asked by another gtrace: try again",
			(int)linked->pid);
	}
	for (size_t i = 0; i < told; i++) {
		const struct gt_attend_alive *who = &(*list)[i];

		if (who->g && who->m <= memory->m_count && who->p <= 1u << 20 && gt_state_known(who->state) &&
			who->state != GT_STATE_DEAD)
			(*list)[kept++] = *who;
	}
	*count = kept;
	return 0;
}

int gt_linked_begin(struct gt_linked *linked, const struct gt_memory *memory, uint64_t since_ticks, uint32_t sets,
	struct gt_attend_alive **list, size_t *count, uint32_t *none_m, struct gt_error *err)
{
	struct gt_attend area = {.since = since_ticks, .sets = sets};
	int ret = PUT(linked, &area, since);

	*list = NULL;
	*count = 0;
	if (ret >= 0)
		ret = PUT(linked, &area, sets);
	if (ret < 0)
		return gt_fail(err, ESRCH, "cannot attach: process %d is gone", (int)linked->pid);
	ret = ask(linked, GT_ATTEND_OPEN, ANSWER_NS, &area, err);
	if (ret < 0)
		return ret;
	if (area.none_m >= memory->m_count)
		return gt_fail(err, EBADMSG, "cannot attach: process %d tells what cannot be", (int)linked->pid);
	*none_m = area.none_m;
	return read_list(linked, &area, memory, list, count, err);
}

int gt_linked_list(struct gt_linked *linked, const struct gt_memory *memory, struct gt_attend_alive **list,
	size_t *count, struct gt_error *err)
{
	struct gt_attend area;
	int ret = read_area(linked, &area, err);

	if (ret < 0)
		return ret;
	/* Another gtrace, of an attach that ended, may have asked since. */
	linked->number = area.request >> 4;
	ret = ask(linked, GT_ATTEND_LIST, LIST_NS, &area, err);
	return ret < 0 ? ret : read_list(linked, &area, memory, list, count, err);
}

int gt_linked_end(struct gt_linked *linked, struct gt_error *err)
{
	struct gt_attend area;
	int ret;

	if (!linked->mine)
		return 0;
	ret = ask(linked, GT_ATTEND_CLOSE, ANSWER_NS, &area, err);
	area.owner = 0;
	if (ret >= 0)
		PUT(linked, &area, owner);
	return ret;
}
