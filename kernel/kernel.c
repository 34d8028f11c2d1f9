/* kernel.c - see kernel.h: records of perf become events; on the recorder's clock, in streams of CPUs, kept in flight. */
#include "kernel/kernel.h"

#include "base/clock.h"
#include "base/hash.h"
#include "kernel/perf.h"
#include "kernel/throttle.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_EVENTS     4096
#define PAIR_TRIES       5
#define SKEW_NS          10000        /* what a converted time may be off, generously */
#define THROTTLE_NS      100000000    /* cpu.stat is read so often */
#define STACK_ID_FIRST   (1ull << 32) /* those of hooks are small numbers */
#define STREAM_WORDS     (1u << 20)   /* of stacks that are known to be in the file */
#define THREADS_MAX      65536
#define RECORD_WORDS     (GT__PERF_FRAMES_MAX + 2)
#define MAPPINGS_MAX     4096
#define FRAMES_KNOWN_MAX 65536
#define PENDING_WORDS    65536
#define NAMING_NS        3000000 /* in a round: a first look into a file's DWARF alone may take longer */
#define NAMES_MAX        16384   /* of other processes' threads */

/* One event, as it is kept in flight and on its way to the writer. */
struct item {
	uint64_t ticks;
	uint64_t number; /* stack's id, address, parent, count, index of a mapping, OTHER: who << name's index + 1 */
	uint32_t tid;
	uint16_t ring;
	uint8_t kind; /* enum gt_event_kind */
	uint8_t runnable;
};

struct thread {
	uint64_t born_ticks;  /* 0: it was there before us */
	uint64_t ended_ticks; /* 0: it lives */
	char name[16];
};

struct mapped {
	uint64_t ticks, start, size, offset;
	char *path;
	char build_id[41];
};

struct name {
	char text[16];
};

struct raw_pair {
	uint64_t ticks;
	uint64_t raw_ns;
};

struct gt_kernel {
	struct gt_kernel_config config;
	struct gt__perf *perf;
	struct raw_pair from, to; /* the line on which records' times lie */
	uint64_t ticks_per_second, skew_ticks;
	uint64_t hold; /* stream: the watermark that was granted */

	/* tid -> index + 1 into threads */
	struct gt_map thread_ids;
	struct thread *threads;
	size_t thread_count;

	/* Stacks: hash -> id. Of a stream, those that are in the file; in flight, in words: count, pcs... */
	struct gt_map stack_ids;
	uint64_t stack_next;
	uint64_t *words;
	size_t word_count, word_max;
	struct gt_map places; /* flight: id -> place in words */
	/* Stream: stacks that the writer does not have yet, as id, count, pcs...: names take time, and rings fill meanwhile. */
	uint64_t *pending;
	size_t pending_at, pending_count;

	struct item *items; /* stream: the batch; flight: a ring of the newest */
	size_t item_max, item_first, item_count;

	struct gt_map frames; /* place -> where its return address stands; GT__PERF_STACK_BYTES: not known */
	struct mapped *mappings;
	size_t mapping_count, mapping_room;

	/* Other processes' threads: hash of a name -> index + 1; the last one of each ring. */
	struct gt_map name_ids;
	struct name *names;
	size_t name_count, name_room;
	struct other {
		bool waits; /* for the record that our thread left the CPU, which comes right behind it */
		struct item item;
	} * others;

	int throttle;
	int64_t throttle_read_ns;
	uint64_t throttled_ns;
	struct gt_kernel_totals totals;
};

/* ---- the clock ---- */

static uint64_t raw_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct raw_pair read_pair(void)
{
	struct raw_pair best = {0};
	uint64_t narrowest = UINT64_MAX;

	for (int i = 0; i < PAIR_TRIES; i++) {
		uint64_t before = gt_ticks(), raw = raw_ns(), after = gt_ticks();

		if (after - before < narrowest) {
			narrowest = after - before;
			best = (struct raw_pair){before + (after - before) / 2, raw};
		}
	}
	return best;
}

/* Between two pairs that enclose the record: no drift adds up. */
static uint64_t to_ticks(const struct gt_kernel *k, uint64_t raw)
{
	uint64_t span_raw = k->to.raw_ns - k->from.raw_ns, span_ticks = k->to.ticks - k->from.ticks;
	__int128 since = (__int128)raw - k->from.raw_ns;

	if (span_raw < 1000)
		return k->from.ticks + (uint64_t)(since * (__int128)k->ticks_per_second / 1000000000);
	return k->from.ticks + (uint64_t)(since * (__int128)span_ticks / (__int128)span_raw);
}

/* ---- threads ---- */

static struct thread *thread_of(struct gt_kernel *k, uint32_t tid, bool make)
{
	const uint64_t *index = gt_map_find(&k->thread_ids, tid);

	if (index)
		return &k->threads[*index - 1];
	if (!make || k->thread_count == THREADS_MAX)
		return NULL;
	if ((k->thread_count & (k->thread_count - 1)) == 0) {
		size_t room = k->thread_count ? k->thread_count * 2 : 64;
		void *threads = realloc(k->threads, room * sizeof(*k->threads));

		if (!threads)
			return NULL;
		k->threads = threads;
	}
	if (gt_map_put(&k->thread_ids, tid, k->thread_count + 1) < 0)
		return NULL;
	memset(&k->threads[k->thread_count], 0, sizeof(k->threads[0]));
	return &k->threads[k->thread_count++];
}

/* A new thread has its parent's name; the number of one that ended may be used again. */
static void thread_born(struct gt_kernel *k, const struct gt__perf_record *record, uint64_t ticks)
{
	const struct thread *parent = thread_of(k, record->parent, false);
	char name[16] = "";
	struct thread *thread;

	if (parent)
		memcpy(name, parent->name, sizeof(name));
	thread = thread_of(k, record->tid, true);
	if (!thread)
		return;
	thread->born_ticks = ticks;
	thread->ended_ticks = 0;
	memcpy(thread->name, name, sizeof(name));
}

static void read_comm(pid_t pid, pid_t tid, char *out, size_t size)
{
	char path[96];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, (int)tid);
	in = fopen(path, "re");
	out[0] = 0;
	if (in && !fgets(out, (int)size, in))
		out[0] = 0;
	if (in)
		fclose(in);
	out[strcspn(out, "\n")] = 0;
}

static void find_threads(struct gt_kernel *k)
{
	struct dirent *entry;
	char path[64];
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)k->config.pid);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		pid_t tid = atoi(entry->d_name);
		struct thread *thread = tid > 0 ? thread_of(k, (uint32_t)tid, true) : NULL;

		if (thread)
			read_comm(k->config.pid, tid, thread->name, sizeof(thread->name));
	}
	if (folder)
		closedir(folder);
}

/* ---- stacks ---- */

static const struct item *item_at(const struct gt_kernel *k, size_t at)
{
	return &k->items[(k->item_first + at) % k->item_max];
}

/* Flight: only what an item still refers to stays. */
static void sweep_stacks(struct gt_kernel *k)
{
	struct gt_map ids = {0}, places = {0};
	uint64_t *words = malloc(k->word_max * sizeof(*words));
	size_t count = 0;
	bool whole = words != NULL;

	for (size_t i = 0; whole && i < k->item_count; i++) {
		const struct item *item = item_at(k, i);
		const uint64_t *place = item->kind == GT_EV_CPU_SAMPLE ? gt_map_find(&k->places, item->number) : NULL;
		size_t size;

		if (!place || gt_map_find(&places, item->number))
			continue;
		size = 1 + k->words[*place];
		memcpy(words + count, k->words + *place, size * sizeof(*words));
		whole = gt_map_put(&places, item->number, count) >= 0 &&
			gt_map_put(&ids, gt_hash_bytes(words + count, size * sizeof(*words)), item->number) >= 0;
		count += size;
	}
	if (!whole) {
		gt_map_free(&ids);
		gt_map_free(&places);
		free(words);
		return;
	}
	gt_map_free(&k->stack_ids);
	gt_map_free(&k->places);
	free(k->words);
	k->stack_ids = ids;
	k->places = places;
	k->words = words;
	k->word_count = count;
}

/*
 * The caller of the innermost function. The chain follows frame pointers, so it steps over that caller where the function has not made its
 * frame, or makes none: Go's that need no stack, C's that call nobody. There the return address stands where the tables say. 0: the chain
 * has it, or it is not known.
 */
static uint64_t caller_of(struct gt_kernel *k, const struct gt__perf_record *record, uint32_t at, uint64_t ticks)
{
	uint64_t place = gt_modules_place(k->config.modules, record->pcs[at], ticks), bytes, caller;
	const uint64_t *known = gt_map_find(&k->frames, place);

	if (known) {
		bytes = *known;
	} else {
		if (!k->config.frame(k->config.context, place, &bytes) || bytes >= GT__PERF_STACK_BYTES)
			bytes = GT__PERF_STACK_BYTES;
		if (k->frames.count >= FRAMES_KNOWN_MAX)
			gt_map_free(&k->frames);
		gt_map_put(&k->frames, place, bytes);
	}
	if (bytes + 8 > record->stack_bytes)
		return 0;
	caller = record->stack[bytes / 8];
	if (caller < 2 || !gt_modules_known(k->config.modules, caller - 1, ticks))
		return 0;
	return at + 1 < record->pcs_count && record->pcs[at + 1] == caller - 1 ? 0 : caller - 1;
}

static size_t lay_out_stack(
	struct gt_kernel *k, const struct gt__perf_record *record, uint64_t ticks, uint64_t words[RECORD_WORDS])
{
	struct gt_modules *modules = k->config.modules;
	bool program = false;
	size_t count = 0;

	for (uint32_t i = 0; i < record->pcs_count; i++) {
		uint64_t caller = 0;

		words[1 + count++] = modules ? gt_modules_place(modules, record->pcs[i], ticks) : record->pcs[i];
		if (modules && !program && !GT__PERF_KERNEL_PC(record->pcs[i])) {
			program = true;
			caller = record->stack_bytes ? caller_of(k, record, i, ticks) : 0;
		}
		if (caller)
			words[1 + count++] = gt_modules_place(modules, caller, ticks);
	}
	words[0] = count;
	return 1 + count;
}

/* The stack's id, 0 when there is no room; *fresh: it is told for the first time. */
static uint64_t stack_id(struct gt_kernel *k, const uint64_t *words, size_t size, bool *fresh)
{
	uint64_t hash = gt_hash_bytes(words, size * sizeof(*words));
	const uint64_t *known = gt_map_find(&k->stack_ids, hash);
	bool flight = k->config.store_bytes != 0;

	*fresh = false;
	if (known)
		return *known;
	if (k->word_count + size > k->word_max && flight)
		sweep_stacks(k);
	if (k->word_count + size > k->word_max && !flight) {
		/* In the file already: what comes again gets another id. */
		gt_map_free(&k->stack_ids);
		k->word_count = 0;
	}
	if (k->word_count + size > k->word_max || gt_map_put(&k->stack_ids, hash, k->stack_next) < 0 ||
		(flight && gt_map_put(&k->places, k->stack_next, k->word_count) < 0)) {
		k->totals.stacks_lost++;
		return 0;
	}
	if (flight)
		memcpy(k->words + k->word_count, words, size * sizeof(*words));
	k->word_count += size;
	*fresh = true;
	return k->stack_next++;
}

/* ---- to the writer ---- */

static void count(struct gt_kernel *k, unsigned int kind)
{
	k->totals.by_kind[kind]++;
	k->totals.events++;
}

static void arguments(const struct gt_kernel *k, const struct item *item, uint64_t args[GT_EVENT_ARGS_MAX])
{
	unsigned int cpu = gt__perf_cpu(k->perf, item->ring);
	const struct mapped *mapped;

	memset(args, 0, GT_EVENT_ARGS_MAX * sizeof(*args));
	args[0] = item->tid;
	args[1] = cpu;
	switch (item->kind) {
	case GT_EV_CPU_OUT:
		args[2] = item->runnable;
		break;
	case GT_EV_CPU_SAMPLE:
		args[0] = 0; /* readers know what the thread's M runs */
		args[1] = item->tid;
		args[2] = cpu;
		args[3] = item->number;
		break;
	case GT_EV_FAULT:
	case GT_EV_THREAD_BEGIN:
		args[1] = item->number;
		break;
	case GT_EV_THROTTLED:
	case GT_EV_LOST:
		args[0] = item->number;
		break;
	case GT_EV_CPU_OTHER:
		args[0] = (uint32_t)item->number;
		args[3] = item->tid;
		break;
	case GT_EV_MAPPED:
		mapped = &k->mappings[item->number];
		args[0] = mapped->start;
		args[1] = mapped->size;
		args[2] = mapped->offset;
		break;
	default:
		break;
	}
}

static uint64_t name_of(struct gt_kernel *k, struct gt_writer *writer, uint32_t tid)
{
	const struct thread *thread = thread_of(k, tid, false);

	return thread && thread->name[0] ? gt_writer_string(writer, thread->name, strlen(thread->name)) : 0;
}

static uint64_t text_of(struct gt_writer *writer, const char *text)
{
	return *text ? gt_writer_string(writer, text, strlen(text)) : 0;
}

/* The texts of an event: known to the writer afterwards. */
static void put_texts(struct gt_kernel *k, struct gt_writer *writer, const struct item *item, uint64_t *args)
{
	switch (item->kind) {
	case GT_EV_THREAD_BEGIN:
		args[2] = name_of(k, writer, item->tid);
		break;
	case GT_EV_MAPPED:
		args[3] = text_of(writer, k->mappings[item->number].path);
		args[4] = text_of(writer, k->mappings[item->number].build_id);
		break;
	case GT_EV_CPU_OTHER:
		args[2] = item->number >> 32 ? text_of(writer, k->names[(item->number >> 32) - 1].text) : 0;
		break;
	default:
		break;
	}
}

/* A run of items of one ring: names first, as nothing may come between events. */
static int write_items(struct gt_kernel *k, struct gt_writer *writer, const struct item *items, size_t item_count)
{
	uint64_t args[GT_EVENT_ARGS_MAX];
	int ret;

	if (!item_count)
		return 0;
	for (size_t i = 0; i < item_count; i++)
		put_texts(k, writer, &items[i], args);
	ret = gt_writer_events_begin(writer, GT_M_KERNEL + gt__perf_cpu(k->perf, items[0].ring), items[0].ticks);
	for (size_t i = 0; i < item_count && ret >= 0; i++) {
		arguments(k, &items[i], args);
		put_texts(k, writer, &items[i], args);
		ret = gt_writer_event(writer, items[i].kind, items[i].ticks, args);
	}
	return ret < 0 ? ret : gt_writer_events_end(writer);
}

static int flush(struct gt_kernel *k, struct gt_writer *writer)
{
	int ret = write_items(k, writer, k->items, k->item_count);

	k->item_count = 0;
	return ret;
}

/* ---- a record ---- */

static int put(struct gt_kernel *k, struct gt_writer *writer, const struct item *item)
{
	int ret = 0;

	count(k, item->kind);
	if (k->config.store_bytes) {
		if (k->item_count == k->item_max)
			k->item_first = (k->item_first + 1) % k->item_max;
		else
			k->item_count++;
		k->items[(k->item_first + k->item_count - 1) % k->item_max] = *item;
		return 0;
	}
	if (k->item_count == k->item_max)
		ret = flush(k, writer);
	k->items[k->item_count++] = *item;
	return ret;
}

/* ---- what is mapped ---- */

static int add_mapping(struct gt_kernel *k, const struct gt__perf_record *record, uint64_t ticks)
{
	struct mapped *mapped;

	if (k->mapping_count == MAPPINGS_MAX)
		return -ENOSPC;
	if (k->mapping_count == k->mapping_room) {
		size_t room = k->mapping_room ? k->mapping_room * 2 : 32;

		mapped = realloc(k->mappings, room * sizeof(*mapped));
		if (!mapped)
			return -ENOMEM;
		k->mappings = mapped;
		k->mapping_room = room;
	}
	mapped = &k->mappings[k->mapping_count];
	*mapped = (struct mapped){ticks, record->number, record->size, record->offset, strdup(record->path), ""};
	if (!mapped->path)
		return -ENOMEM;
	for (size_t i = 0; i < record->build_id_bytes; i++)
		snprintf(mapped->build_id + 2 * i, 3, "%02x", record->build_id[i]);
	k->mapping_count++;
	return 0;
}

static void tell_module(struct gt_kernel *k, const struct gt__perf_record *record, uint64_t ticks)
{
	const struct gt_mapping mapping = {
		.start = record->number,
		.size = record->size,
		.offset = record->offset,
		.since = ticks,
		.path = record->path,
		.build_id = record->build_id,
		.build_id_bytes = record->build_id_bytes,
	};

	if (k->config.modules)
		gt_modules_add(k->config.modules, &mapping);
}

/* Before the records of this round are taken: what their samples may lie in, and who is ours. */
static void look_ahead(struct gt_kernel *k, struct gt__perf_record *record)
{
	for (size_t i = 0; i < gt__perf_cpus(k->perf); i++)
		while (gt__perf_ahead(k->perf, i, record)) {
			if (record->kind == GT__PERF_BORN)
				thread_of(k, record->tid, true);
			else if (record->kind == GT__PERF_MAPPED)
				tell_module(k, record, to_ticks(k, record->raw_ns));
			else if (k->config.modules)
				gt_modules_exec(k->config.modules, to_ticks(k, record->raw_ns));
		}
}

/* Of a process that runs. */
static void find_mappings(struct gt_kernel *k)
{
	static struct gt__perf_record record;
	unsigned long long start, end, offset;
	char path[64], line[4096 + 128];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)k->config.pid);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in)) {
		int at = 0;
		char execute;

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%llx-%llx %*c%*c%c%*c %llx %*s %*u %n", &start, &end, &execute, &offset, &at) < 4 ||
			execute != 'x' || !at)
			continue;
		record = (struct gt__perf_record){.kind = GT__PERF_MAPPED,
			.number = start,
			.size = end - start,
			.offset = offset,
			.path = line[at] ? line + at : "//anon"};
		add_mapping(k, &record, k->from.ticks);
		tell_module(k, &record, k->from.ticks);
	}
	if (in)
		fclose(in);
}

/* Those that there were before. */
static int tell_mappings(struct gt_kernel *k, struct gt_writer *writer, uint64_t ticks)
{
	int ret = 0;

	for (size_t i = 0; i < k->mapping_count && ret >= 0; i++) {
		const struct item item = {.ticks = ticks, .number = i, .kind = GT_EV_MAPPED};

		if (k->mappings[i].ticks > ticks)
			continue;
		ret = write_items(k, writer, &item, 1);
		count(k, GT_EV_MAPPED);
	}
	return ret;
}

/* ---- who else ---- */

static uint64_t name_id(struct gt_kernel *k, const char *text)
{
	uint64_t hash = gt_hash_bytes(text, strlen(text));
	const uint64_t *known = gt_map_find(&k->name_ids, hash);

	if (known)
		return *known;
	if (k->name_count == NAMES_MAX)
		return 0;
	if (k->name_count == k->name_room) {
		size_t room = k->name_room ? k->name_room * 2 : 32;
		struct name *names = realloc(k->names, room * sizeof(*names));

		if (!names)
			return 0;
		k->names = names;
		k->name_room = room;
	}
	if (gt_map_put(&k->name_ids, hash, k->name_count + 1) < 0)
		return 0;
	snprintf(k->names[k->name_count].text, sizeof(k->names[0].text), "%s", text);
	return ++k->name_count;
}

static bool is_ours(struct gt_kernel *k, uint32_t tid, uint64_t ticks)
{
	const struct thread *thread = thread_of(k, tid, false);

	/* One that ended has a last way to go on the CPU; much later its number is another's. */
	return thread && (!thread->ended_ticks || ticks < thread->ended_ticks + k->ticks_per_second);
}

/* What comes late is told at a later time than @ticks, of which it is. */
static int sampled(struct gt_kernel *k, struct gt_writer *writer, const struct gt__perf_record *record, uint64_t ticks,
	struct item *item)
{
	uint64_t words[RECORD_WORDS];
	size_t size = lay_out_stack(k, record, ticks, words);
	bool fresh;

	item->number = stack_id(k, words, size, &fresh);
	if (!fresh || !writer)
		return 0;
	if (k->pending_count + 1 + size <= PENDING_WORDS) {
		k->pending[k->pending_count] = item->number;
		memcpy(k->pending + k->pending_count + 1, words, size * sizeof(*words));
		k->pending_count += 1 + size;
		return 0;
	}
	return k->config.write_stack(k->config.context, writer, item->number, words + 1, size - 1);
}

static int take_one(struct gt_kernel *k, struct gt_writer *writer, size_t ring, const struct gt__perf_record *record)
{
	static const uint8_t kinds[] = {
		[GT__PERF_IN] = GT_EV_CPU_IN,
		[GT__PERF_OUT] = GT_EV_CPU_OUT,
		[GT__PERF_BORN] = GT_EV_THREAD_BEGIN,
		[GT__PERF_NAMED] = GT_EV_THREAD_BEGIN,
		[GT__PERF_GONE] = GT_EV_THREAD_END,
		[GT__PERF_SAMPLE] = GT_EV_CPU_SAMPLE,
		[GT__PERF_FAULT] = GT_EV_FAULT,
		[GT__PERF_LOST] = GT_EV_LOST,
		[GT__PERF_MAPPED] = GT_EV_MAPPED,
		[GT__PERF_EXEC] = GT_EV_THREAD_BEGIN,
		[GT__PERF_OTHER] = GT_EV_CPU_OTHER,
	};
	struct item item = {
		.ticks = record->raw_ns ? to_ticks(k, record->raw_ns) : k->from.ticks,
		.tid = record->tid,
		.ring = (uint16_t)ring,
		.kind = kinds[record->kind],
	};
	const uint64_t ticks = item.ticks;
	struct thread *thread;
	struct other *other;
	int ret = 0;

	if (item.ticks < k->hold) {
		k->totals.late += record->kind != GT__PERF_LOST;
		item.ticks = k->hold;
	}
	switch (record->kind) {
	case GT__PERF_OUT:
		item.runnable = record->runnable;
		break;
	case GT__PERF_OTHER:
		other = &k->others[ring];
		other->waits = !is_ours(k, (uint32_t)record->number, item.ticks);
		item.number = name_id(k, record->name) << 32 | (uint32_t)record->number;
		other->item = item;
		return 0;
	case GT__PERF_MAPPED:
		item.number = k->mapping_count;
		ret = add_mapping(k, record, item.ticks);
		if (ret < 0)
			return ret == -ENOSPC ? 0 : ret;
		break;
	case GT__PERF_BORN:
		thread_born(k, record, item.ticks);
		item.number = record->parent;
		break;
	case GT__PERF_EXEC:
	case GT__PERF_NAMED:
		/* What is on its way has the name that was. */
		if (writer)
			ret = flush(k, writer);
		thread = thread_of(k, record->tid, true);
		if (thread)
			memcpy(thread->name, record->name, sizeof(thread->name));
		break;
	case GT__PERF_GONE:
		thread = thread_of(k, record->tid, false);
		if (thread)
			thread->ended_ticks = item.ticks;
		break;
	case GT__PERF_SAMPLE:
		/* Nothing may come between events of a run. */
		ret = sampled(k, writer, record, ticks, &item);
		break;
	case GT__PERF_FAULT:
		item.number = record->number & ((1ull << 48) - 1);
		break;
	case GT__PERF_LOST:
		item.number = record->number;
		k->totals.lost += record->number;
		break;
	default:
		break;
	}
	return ret < 0 ? ret : put(k, writer, &item);
}

/* Who took the CPU comes behind who left it. */
static int take(struct gt_kernel *k, struct gt_writer *writer, size_t ring, const struct gt__perf_record *record)
{
	struct other *other = &k->others[ring];
	bool waited = other->waits;
	int ret = 0;

	other->waits = false;
	if (waited && record->kind != GT__PERF_OUT)
		ret = put(k, writer, &other->item);
	if (ret >= 0)
		ret = take_one(k, writer, ring, record);
	if (ret < 0 || !waited || record->kind != GT__PERF_OUT)
		return ret;
	other->item.ticks = to_ticks(k, record->raw_ns);
	if (other->item.ticks < k->hold)
		other->item.ticks = k->hold;
	return put(k, writer, &other->item);
}

/* ---- rounds ---- */

static int look_at_quota(struct gt_kernel *k, struct gt_writer *writer)
{
	int64_t now = gt_monotonic_ns();
	struct item item = {.kind = GT_EV_THROTTLED};
	uint64_t total;

	if (k->throttle < 0 || now - k->throttle_read_ns < THROTTLE_NS)
		return 0;
	k->throttle_read_ns = now;
	total = gt__throttle_read(k->throttle);
	if (total <= k->throttled_ns)
		return 0;
	item.ticks = k->to.ticks > k->hold ? k->to.ticks : k->hold;
	item.number = total - k->throttled_ns;
	k->throttled_ns = total;
	return put(k, writer, &item);
}

/* The threads that there were before. */
static int tell_threads(struct gt_kernel *k, struct gt_writer *writer, uint64_t ticks)
{
	size_t at = 0;
	uint64_t tid, index;
	int ret = 0;

	while (ret >= 0 && gt_map_next(&k->thread_ids, &at, &tid, &index)) {
		const struct thread *thread = &k->threads[index - 1];
		struct item item = {.ticks = ticks, .tid = (uint32_t)tid, .kind = GT_EV_THREAD_BEGIN};

		if (thread->ended_ticks || thread->born_ticks > ticks)
			continue;
		ret = write_items(k, writer, &item, 1);
		count(k, GT_EV_THREAD_BEGIN);
	}
	return ret;
}

/* Those that come behind @until_ns wait for the next round. */
static int write_pending(struct gt_kernel *k, struct gt_writer *writer, int64_t until_ns)
{
	int ret = 0;

	while (ret >= 0 && k->pending_at < k->pending_count && gt_monotonic_ns() < until_ns) {
		const uint64_t *stack = k->pending + k->pending_at;

		ret = k->config.write_stack(k->config.context, writer, stack[0], stack + 2, stack[1]);
		k->pending_at += 2 + stack[1];
	}
	if (k->pending_at == k->pending_count)
		k->pending_at = k->pending_count = 0;
	return ret;
}

int gt_kernel_round(struct gt_kernel *k, struct gt_writer *writer)
{
	static struct gt__perf_record record;
	uint64_t begin = gt_ticks();
	int ret = 0;

	if (writer && !k->hold && k->config.store_bytes == 0) {
		k->hold = k->from.ticks;
		ret = tell_threads(k, writer, k->from.ticks);
		if (ret >= 0)
			ret = tell_mappings(k, writer, k->from.ticks);
	}
	k->to = read_pair();
	for (size_t i = 0; i < gt__perf_cpus(k->perf); i++)
		gt__perf_look(k->perf, i);
	look_ahead(k, &record);
	for (size_t i = 0; i < gt__perf_cpus(k->perf); i++) {
		while (gt__perf_next(k->perf, i, &record)) {
			int taken = ret < 0 ? 0 : take(k, writer, i, &record);

			if (taken < 0)
				ret = taken;
		}
		gt__perf_done(k->perf, i);
		if (writer && ret >= 0)
			ret = flush(k, writer);
	}
	if (ret >= 0)
		ret = look_at_quota(k, writer);
	if (writer && ret >= 0)
		ret = flush(k, writer);
	k->from = k->to;
	if (writer && ret >= 0 && k->pending_count) {
		gt__perf_leave(k->perf);
		ret = write_pending(k, writer, gt_monotonic_ns() + NAMING_NS);
		gt__perf_back(k->perf);
	}
	if (writer) {
		k->hold = begin - k->skew_ticks > k->hold ? begin - k->skew_ticks : k->hold;
		gt_writer_hold(writer, k->hold);
	}
	return ret;
}

static int write_stacks(struct gt_kernel *k, struct gt_writer *writer, uint64_t since_ticks)
{
	for (size_t i = 0; i < k->item_count; i++) {
		const struct item *item = item_at(k, i);
		const uint64_t *place = item->kind == GT_EV_CPU_SAMPLE && item->ticks >= since_ticks
						? gt_map_find(&k->places, item->number)
						: NULL;
		int ret;

		if (!place || gt_writer_has_stack(writer, item->number))
			continue;
		ret = k->config.write_stack(
			k->config.context, writer, item->number, k->words + *place + 1, k->words[*place]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int gt_kernel_write(struct gt_kernel *k, struct gt_writer *writer, uint64_t since_ticks)
{
	struct item *batch = malloc(BATCH_EVENTS * sizeof(*batch));
	int ret = batch ? tell_threads(k, writer, since_ticks) : -ENOMEM;

	if (ret >= 0)
		ret = tell_mappings(k, writer, since_ticks);
	if (ret >= 0)
		ret = write_stacks(k, writer, since_ticks);
	for (size_t ring = 0; ring < gt__perf_cpus(k->perf) && ret >= 0; ring++) {
		size_t filled = 0;

		for (size_t i = 0; i < k->item_count && ret >= 0; i++) {
			const struct item *item = item_at(k, i);

			if (item->ring != ring || item->ticks < since_ticks)
				continue;
			batch[filled++] = *item;
			if (filled < BATCH_EVENTS)
				continue;
			ret = write_items(k, writer, batch, filled);
			filled = 0;
		}
		if (ret >= 0)
			ret = write_items(k, writer, batch, filled);
	}
	free(batch);
	return ret;
}

/* How many events there are does not tell how many faults there were. */
static void write_faults(struct gt_kernel *k, struct gt_writer *writer, uint64_t every)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, every);
	gt_writer_meta(writer, "fault_every", text);
	if (k->config.store_bytes)
		return;
	snprintf(text, sizeof(text), "%" PRIu64, gt__perf_faults(k->perf));
	gt_writer_meta(writer, "page_faults", text);
}

void gt_kernel_write_end(struct gt_kernel *k, struct gt_writer *writer)
{
	const struct gt__perf_wants *has = gt__perf_has(k->perf);
	const char *missing = gt__perf_missing(k->perf);
	char text[640];
	size_t used;

	k->throttle_read_ns = 0;
	if (!k->config.store_bytes && look_at_quota(k, writer) >= 0 && flush(k, writer) >= 0)
		write_pending(k, writer, INT64_MAX);

	gt_writer_loss(writer, "kernel events", k->totals.lost);
	gt_writer_loss(writer, "stacks of samples", k->totals.stacks_lost);
	used = (size_t)snprintf(text, sizeof(text), "perf events on %zu CPUs", gt__perf_cpus(k->perf));
	if (has->sample_period_ns)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ", a sample each %" PRIu64 " us%s",
			has->sample_period_ns / 1000,
			gt__perf_kernel_frames(k->perf) ? " with the kernel's frames" : "");
	if (has->others)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ", who else takes a CPU");
	used += (size_t)snprintf(text + used, sizeof(text) - used, ", %" PRIu64 " told late", k->totals.late);
	if (*missing)
		snprintf(text + used, sizeof(text) - used, "; missing: %s", missing);
	gt_writer_meta(writer, "kernel_layer", text);
	if (has->sample_period_ns) {
		snprintf(text, sizeof(text), "%" PRIu64, has->sample_period_ns);
		gt_writer_meta(writer, "sample_period_ns", text);
	}
	if (has->fault_every)
		write_faults(k, writer, has->fault_every);
}

/* ---- life ---- */

static int make_room(struct gt_kernel *k)
{
	if (k->config.store_bytes) {
		/* A quarter is for stacks, when there are any. */
		size_t stacks = k->config.sets & GT_SET_SAMPLES ? k->config.store_bytes / 4 : 0;

		k->word_max = stacks / sizeof(*k->words);
		k->item_max = (k->config.store_bytes - stacks) / sizeof(*k->items);
		k->words = k->word_max ? malloc(k->word_max * sizeof(*k->words)) : NULL;
		if (k->word_max && !k->words)
			return -ENOMEM;
	} else {
		k->word_max = STREAM_WORDS;
		k->item_max = BATCH_EVENTS;
		k->pending = malloc(PENDING_WORDS * sizeof(*k->pending));
		if (!k->pending)
			return -ENOMEM;
	}
	k->items = malloc(k->item_max * sizeof(*k->items));
	return k->items ? 0 : -ENOMEM;
}

int gt_kernel_open(const struct gt_kernel_config *config, struct gt_kernel **out, struct gt_error *err)
{
	const struct gt__perf_wants wants = {
		.switches = config->sets & GT_SET_KERNEL,
		.others = config->sets & GT_SET_KERNEL,
		.fault_every = config->sets & GT_SET_FAULTS ? config->fault_every : 0,
		.sample_period_ns = config->sets & GT_SET_SAMPLES ? config->sample_period_ns : 0,
	};
	struct gt_kernel *k = calloc(1, sizeof(*k));
	int ret;

	if (!k)
		return gt_fail(err, ENOMEM, "out of memory: kernel events");
	k->config = *config;
	k->throttle = -1;
	k->stack_next = STACK_ID_FIRST;
	k->ticks_per_second = gt_clock_rate();
	k->skew_ticks = (uint64_t)((unsigned __int128)k->ticks_per_second * SKEW_NS / 1000000000);
	if (make_room(k) < 0) {
		gt_kernel_close(k);
		return gt_fail(err, ENOMEM, "out of memory: kernel events");
	}
	k->from = read_pair();
	ret = gt__perf_open(config->pid, &wants, &k->perf, err);
	if (ret < 0) {
		gt_kernel_close(k);
		return ret;
	}
	k->others = calloc(gt__perf_cpus(k->perf), sizeof(*k->others));
	if (!k->others) {
		gt_kernel_close(k);
		return gt_fail(err, ENOMEM, "out of memory: kernel events");
	}
	find_threads(k);
	/* Not when there are records to be taken. */
	if (config->modules && gt__perf_kernel_frames(k->perf))
		gt_modules_kernel(config->modules);
	if (config->running && wants.sample_period_ns)
		find_mappings(k);
	if (config->sets & GT_SET_KERNEL)
		k->throttle = gt__throttle_open(config->pid);
	k->throttled_ns = gt__throttle_read(k->throttle);
	*out = k;
	return 0;
}

void gt_kernel_close(struct gt_kernel *k)
{
	if (!k)
		return;
	if (k->perf)
		gt__perf_close(k->perf);
	if (k->throttle >= 0)
		close(k->throttle);
	for (size_t i = 0; i < k->mapping_count; i++)
		free(k->mappings[i].path);
	free(k->mappings);
	gt_map_free(&k->name_ids);
	gt_map_free(&k->frames);
	free(k->names);
	free(k->others);
	gt_map_free(&k->thread_ids);
	gt_map_free(&k->stack_ids);
	gt_map_free(&k->places);
	free(k->threads);
	free(k->words);
	free(k->pending);
	free(k->items);
	free(k);
}

uint32_t gt_kernel_sets(const struct gt_kernel *k)
{
	const struct gt__perf_wants *has = gt__perf_has(k->perf);

	return k->config.sets & ~((has->sample_period_ns ? 0 : (uint32_t)GT_SET_SAMPLES) |
					(has->fault_every ? 0 : (uint32_t)GT_SET_FAULTS));
}

const char *gt_kernel_missing(const struct gt_kernel *k)
{
	return gt__perf_missing(k->perf);
}

void gt_kernel_totals(const struct gt_kernel *k, struct gt_kernel_totals *out)
{
	*out = k->totals;
}
