/* goread.c - reads allgs. */
#include "agent/goread.h"

#include "agent/code.h"
#include "format/wire/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define BATCH      1000
#define G_BYTES    320 /* of a struct g: up to startpc, the last field that is read */
#define M_BYTES    240
#define TRIES      20
#define TLS_SLOTS  8 /* words below the thread pointer in which g may be */
#define OPERANDS   64
#define GOID_LIMIT (1ull << 40)

/* Go's own numbers. */
enum { IDLE, RUNNABLE, RUNNING, SYSCALL, WAITING, DEAD = 6, COPYSTACK = 8, PREEMPTED, LEAKED, SCAN = 0x1000 };

/* ---- where allgs is ---- */

/* allgs is a slice: the one address whose next two words allgadd uses too. */
int gt_goread_find(const struct gt_gobin *bin, uint64_t *allgs, struct gt_error *err)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction instruction;
	struct gt_gofunction function;
	uint64_t found[OPERANDS];
	size_t count = 0;
	ZydisDecoder decoder;
	const uint8_t *code;

	if (!gt_pclntab_find(bin->pclntab, "runtime.allgadd", &function) || function.size > 4096)
		return gt_fail(err, ENOTSUP, "runtime.allgadd is not in the program");
	code = gt_elf_at(&bin->image, function.va, function.size);
	if (!code)
		return gt_fail(err, ENOTSUP, "the code of runtime.allgadd is not in the file");
	gt__decoder_init(&decoder);
	for (uint64_t at = 0; at < function.size && count < OPERANDS; at += instruction.length) {
		if (ZYAN_FAILED(
			    ZydisDecoderDecodeFull(&decoder, code + at, function.size - at, &instruction, operands)))
			break;
		if (instruction.mnemonic == ZYDIS_MNEMONIC_LEA)
			continue;
		for (unsigned int i = 0; i < instruction.operand_count_visible && count < OPERANDS; i++)
			if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY && operands[i].mem.base == ZYDIS_REGISTER_RIP)
				found[count++] =
					function.va + at + instruction.length + (uint64_t)operands[i].mem.disp.value;
	}
	for (size_t i = 0; i < count; i++) {
		unsigned int next = 0;

		for (size_t j = 0; j < count; j++)
			next |= (found[j] == found[i] + 8) | (found[j] == found[i] + 16) << 1;
		if (next == 3) {
			*allgs = found[i];
			return 0;
		}
	}
	return gt_fail(err, ENOTSUP, "runtime.allgadd of this program does not show where allgs is");
}

/* ---- reading ---- */

static bool read_one(pid_t pid, uint64_t address, void *to, size_t size)
{
	struct iovec local = {to, size}, remote = {(void *)address, size};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* @size bytes from each of @addresses; @good[i] tells which could be read. */
static void read_many(pid_t pid, const uint64_t *addresses, size_t count, size_t size, uint8_t *to, bool *good)
{
	struct iovec remote[BATCH];
	size_t at = 0;

	while (at < count) {
		size_t part = count - at < BATCH ? count - at : BATCH;
		struct iovec local = {to + at * size, part * size};
		ssize_t got;
		size_t whole;

		for (size_t i = 0; i < part; i++)
			remote[i] = (struct iovec){(void *)addresses[at + i], size};
		got = process_vm_readv(pid, &local, 1, remote, part, 0);
		whole = got > 0 ? (size_t)got / size : 0;
		for (size_t i = 0; i < part; i++)
			good[at + i] = i < whole;
		at += whole;
		if (whole < part) {
			good[at] = false; /* this one, and on with the next */
			at++;
		}
	}
}

static uint64_t word(const uint8_t *from, int32_t offset)
{
	uint64_t value = 0;

	if (offset >= 0)
		memcpy(&value, from + offset, sizeof(value));
	return value;
}

static int unreadable(const struct gt_goread *read, int code, struct gt_error *err)
{
	if (code == ESRCH)
		return gt_fail(err, code, "cannot attach: process %d is gone", (int)read->pid);
	return gt_fail(err, code, "cannot read the memory of process %d: %s", (int)read->pid, strerror(code));
}

/* The array of pointers: all of it from one moment at which allgs pointed to it. */
static int read_pointers(const struct gt_goread *read, uint64_t **out, size_t *count, struct gt_error *err)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t slice[3], again[3], *list;

		if (!read_one(read->pid, read->allgs, slice, sizeof(slice)))
			return unreadable(read, errno, err);
		if (!slice[0] || !slice[1] || slice[1] > slice[2] || slice[1] > GT_GOREAD_MAX)
			continue;
		if (read->count_max && slice[1] > read->count_max)
			return gt_fail(err, E2BIG, "process %d has, or had, more than %zu goroutines at once",
				(int)read->pid, read->count_max);
		list = malloc(slice[1] * sizeof(*list));
		if (!list)
			return gt_fail(err, ENOMEM, "out of memory");
		if (read_one(read->pid, slice[0], list, slice[1] * sizeof(*list)) &&
			read_one(read->pid, read->allgs, again, sizeof(again)) && again[0] == slice[0]) {
			*out = list;
			*count = slice[1];
			return 0;
		}
		free(list);
	}
	return gt_fail(
		err, EAGAIN, "the list of goroutines of process %d does not hold still, or is none", (int)read->pid);
}

static uint8_t state_of(uint32_t status)
{
	switch (status & ~(uint32_t)SCAN) {
	case RUNNABLE:
		return GT_STATE_RUNNABLE;
	case RUNNING:
	case COPYSTACK:
		return GT_STATE_RUNNING;
	case SYSCALL:
		return GT_STATE_SYSCALL;
	case WAITING:
	case PREEMPTED:
	case LEAKED:
		return GT_STATE_WAITING;
	default:
		return GT_STATE_NONE;
	}
}

/* False: it does not live, or is no goroutine. */
static bool fill(const struct gt_golayout *layout, const uint8_t *from, struct gt_goroutine *out)
{
	uint32_t status = (uint32_t)word(from, layout->g_atomicstatus);
	uint64_t lo = word(from, layout->g_stack_lo), hi = word(from, layout->g_stack_hi);

	memset(out, 0, sizeof(*out));
	out->g = word(from, layout->g_goid);
	out->state = state_of(status);
	if (!out->g || out->g >= GOID_LIMIT || out->state == GT_STATE_NONE || !lo || lo >= hi)
		return false;
	out->parent = word(from, layout->g_parent_goid);
	if (out->parent >= GOID_LIMIT)
		out->parent = 0;
	out->start_pc = word(from, layout->g_startpc);
	out->site_pc = word(from, layout->g_gopc);
	out->m = GT_GOREAD_NO_M;
	if (out->state == GT_STATE_WAITING)
		out->reason = (status & ~(uint32_t)SCAN) == PREEMPTED
				      ? GT_REASON_PREEMPTED
				      : gt_golayout_reason(layout, from[layout->g_waitreason]);
	out->fresh = out->state == GT_STATE_RUNNABLE && word(from, layout->g_sched_pc) == out->start_pc;
	return true;
}

/* What M each of those is on that are on one, and that M's P. @ms: the addresses, 0 none. */
static void fill_ms(const struct gt_goread *read, const uint64_t *ms, struct gt_goroutine *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t m[M_BYTES];
		uint32_t p_id;

		if (!ms[i] || !read_one(read->pid, ms[i], m, sizeof(m)))
			continue;
		list[i].m = word(m, read->layout->m_id);
		if (word(m, read->layout->m_p) &&
			read_one(read->pid, word(m, read->layout->m_p) + (uint64_t)read->layout->p_id, &p_id,
				sizeof(p_id)) &&
			p_id < 1u << 20)
			list[i].p = p_id + 1;
	}
}

static size_t fill_all(const struct gt_goread *read, const uint64_t *pointers, size_t count, const uint8_t *bytes,
	const bool *good, struct gt_goroutine *list, uint64_t *ms)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (!good[i] || !fill(read->layout, bytes + i * G_BYTES, &list[kept]))
			continue;
		list[kept].address = pointers[i];
		/* One that waits has one too when it is the runtime that waits for it: it goes on there. */
		ms[kept] = list[kept].state == GT_STATE_RUNNABLE ? 0 : word(bytes + i * G_BYTES, read->layout->g_m);
		kept++;
	}
	fill_ms(read, ms, list, kept);
	return kept;
}

int gt_goread_all(const struct gt_goread *read, struct gt_goroutine **out, size_t *count, struct gt_error *err)
{
	struct gt_goroutine *list;
	uint64_t *pointers = NULL, ms[BATCH];
	uint8_t *bytes;
	bool good[BATCH];
	size_t all = 0;
	int ret = read_pointers(read, &pointers, &all, err);

	if (ret < 0)
		return ret;
	*count = 0;
	list = malloc((all + 1) * sizeof(*list));
	bytes = malloc((size_t)BATCH * G_BYTES);
	if (!list || !bytes) {
		ret = gt_fail(err, ENOMEM, "out of memory");
		free(list);
	} else {
		for (size_t at = 0; at < all; at += BATCH) {
			size_t part = all - at < BATCH ? all - at : BATCH;

			read_many(read->pid, pointers + at, part, G_BYTES, bytes, good);
			*count += fill_all(read, pointers + at, part, bytes, good, list + *count, ms);
			if (read->meanwhile)
				read->meanwhile(read->context);
		}
		*out = list;
	}
	free(bytes);
	free(pointers);
	return ret;
}

int gt_goread_again(const struct gt_goread *read, struct gt_goroutine *list, size_t *count, struct gt_error *err)
{
	uint64_t slice[3];
	size_t kept = 0;

	for (size_t i = 0; i < *count; i++) {
		uint64_t g;

		/* Only before its first run may a goroutine's struct still have the id of the one before it. */
		if (list[i].fresh &&
			(!read_one(read->pid, list[i].address + (uint64_t)read->layout->g_goid, &g, sizeof(g)) ||
				g != list[i].g))
			continue;
		list[kept++] = list[i];
	}
	*count = kept;
	/* Memory that is gone never comes back: what could not be read up to here was not there. */
	return read_one(read->pid, read->allgs, slice, sizeof(slice)) ? 0 : unreadable(read, errno, err);
}

/* ---- stacks ---- */

#define STACK_BYTES 2048 /* of each stack, read at once; what lies beyond, frame by frame */
#define STACK_BATCH 250
#define DEPTH_MAX   64

/* What of a goroutine tells that it stood still, and where. */
struct place {
	uint64_t g, state, lo, hi, sp, pc, bp, m;
};

static struct place place_of(const struct gt_golayout *layout, const uint8_t *from)
{
	return (struct place){
		.g = word(from, layout->g_goid),
		.state = (uint32_t)word(from, layout->g_atomicstatus) & ~(uint32_t)SCAN,
		.lo = word(from, layout->g_stack_lo),
		.hi = word(from, layout->g_stack_hi),
		.sp = word(from, layout->g_sched_sp),
		.pc = word(from, layout->g_sched_pc),
		.bp = word(from, layout->g_sched_bp),
		.m = word(from, layout->g_m),
	};
}

/* It is on no M, so g.sched is where it stands; in a system call it is where that is made, with a frame pointer since 1.23. */
static bool stands(const struct gt_goread *read, const struct gt_goroutine *goroutine, const struct place *place)
{
	if (place->g != goroutine->g || goroutine->fresh || place->lo >= place->hi || place->sp < place->lo ||
		place->sp >= place->hi || place->sp % 8 || state_of((uint32_t)place->state) != goroutine->state)
		return false;
	if (place->state == SYSCALL)
		return read->layout->minor >= 23;
	return (place->state == RUNNABLE || place->state == WAITING || place->state == PREEMPTED) && !place->m;
}

static bool read_frame(const struct gt_goread *read, const struct place *place, const uint8_t *stack, size_t size,
	uint64_t at, uint64_t frame[2])
{
	if (at < place->sp || at > place->hi - 16 || at % 8)
		return false;
	if (at - place->sp + 16 <= size) {
		memcpy(frame, stack + (at - place->sp), 16);
		return true;
	}
	return read_one(read->pid, at, frame, 16);
}

static size_t walk(const struct gt_goread *read, const struct place *place, const uint8_t *stack, size_t size,
	size_t depth, uint64_t *pcs)
{
	uint64_t at = place->bp, frame[2];
	size_t count = 0;

	pcs[count++] = place->pc;
	while (count < depth && read_frame(read, place, stack, size, at, frame)) {
		pcs[count++] = frame[1];
		if (frame[0] <= at)
			break; /* the outermost: its pc is the last */
		at = frame[0];
	}
	return count;
}

struct stack_batch {
	uint64_t addresses[STACK_BATCH];
	uint8_t before[STACK_BATCH * G_BYTES], after[STACK_BATCH * G_BYTES];
	bool good[STACK_BATCH], good_after[STACK_BATCH];
	uint8_t stacks[STACK_BATCH][STACK_BYTES];
	uint16_t sizes[STACK_BATCH];
	uint64_t pcs[STACK_BATCH][DEPTH_MAX];
	uint8_t counts[STACK_BATCH];
};

/* The stacks' tops of those that stand, one call for all; one that cannot be read leaves those behind it to be read in parts. */
static void read_stacks(const struct gt_goread *read, struct stack_batch *b, size_t count)
{
	struct iovec local[STACK_BATCH], remote[STACK_BATCH];
	size_t parts = 0, bytes = 0;
	ssize_t got;

	for (size_t i = 0; i < count; i++) {
		const struct place place = place_of(read->layout, b->before + i * G_BYTES);

		if (!b->good[i])
			continue;
		b->sizes[i] = place.hi - place.sp < STACK_BYTES ? (uint16_t)(place.hi - place.sp) : STACK_BYTES;
		local[parts] = (struct iovec){b->stacks[i], b->sizes[i]};
		remote[parts++] = (struct iovec){(void *)place.sp, b->sizes[i]};
	}
	got = parts ? process_vm_readv(read->pid, local, parts, remote, parts, 0) : 0;
	for (size_t i = 0; i < count; i++) {
		if (!b->good[i])
			continue;
		bytes += b->sizes[i];
		if (got < 0 || bytes > (size_t)got)
			b->sizes[i] = 0;
	}
}

void gt_goread_stacks(const struct gt_goread *read, struct gt_goroutine *list, size_t count, size_t depth,
	gt_goread_take_fn *take, void *context)
{
	struct stack_batch *b = calloc(1, sizeof(*b));

	if (depth > DEPTH_MAX)
		depth = DEPTH_MAX;
	for (size_t at = 0, part; b && depth && at < count; at += part) {
		part = count - at < STACK_BATCH ? count - at : STACK_BATCH;
		for (size_t i = 0; i < part; i++)
			b->addresses[i] = list[at + i].address;
		read_many(read->pid, b->addresses, part, G_BYTES, b->before, b->good);
		for (size_t i = 0; i < part; i++) {
			const struct place place = place_of(read->layout, b->before + i * G_BYTES);

			b->good[i] = b->good[i] && stands(read, &list[at + i], &place);
		}
		read_stacks(read, b, part);
		for (size_t i = 0; i < part; i++) {
			const struct place place = place_of(read->layout, b->before + i * G_BYTES);

			if (b->good[i])
				b->counts[i] = (uint8_t)walk(read, &place, b->stacks[i], b->sizes[i], depth, b->pcs[i]);
		}
		read_many(read->pid, b->addresses, part, G_BYTES, b->after, b->good_after);
		for (size_t i = 0; i < part; i++) {
			const struct place before = place_of(read->layout, b->before + i * G_BYTES),
					   after = place_of(read->layout, b->after + i * G_BYTES);

			if (b->good[i] && b->good_after[i] && memcmp(&before, &after, sizeof(before)) == 0)
				list[at + i].stack = take(context, b->pcs[i], b->counts[i]);
		}
		if (read->meanwhile)
			read->meanwhile(read->context);
	}
	free(b);
}

uint64_t gt_goread_m_of_thread(const struct gt_goread *read, pid_t tid, uint64_t fs_base)
{
	uint64_t slots[TLS_SLOTS];

	if (!fs_base || !read_one(read->pid, fs_base - sizeof(slots), slots, sizeof(slots)))
		return GT_GOREAD_NO_M;
	for (int i = TLS_SLOTS - 1; i >= 0; i--) {
		uint8_t m[M_BYTES];
		uint64_t address;

		if (slots[i] && read_one(read->pid, slots[i] + (uint64_t)read->layout->g_m, &address, 8) &&
			read_one(read->pid, address, m, sizeof(m)) && word(m, read->layout->m_procid) == (uint64_t)tid)
			return word(m, read->layout->m_id);
	}
	return GT_GOREAD_NO_M;
}

static bool stack_around(pid_t pid, const struct gt_golayout *layout, uint64_t g, uint64_t sp, uint64_t *end)
{
	uint64_t lo;

	return g && read_one(pid, g + (uint64_t)layout->g_stack_lo, &lo, 8) &&
	       read_one(pid, g + (uint64_t)layout->g_stack_hi, end, 8) && sp >= lo && sp < *end;
}

uint64_t gt_goread_stack_end(pid_t pid, const struct gt_golayout *layout, uint64_t fs_base, uint64_t sp)
{
	uint64_t slots[TLS_SLOTS];

	if (!fs_base || !read_one(pid, fs_base - sizeof(slots), slots, sizeof(slots)))
		return 0;
	for (int i = TLS_SLOTS - 1; i >= 0; i--) {
		uint64_t address, g0, back, end;
		uint8_t m[M_BYTES];

		if (!slots[i] || !read_one(pid, slots[i] + (uint64_t)layout->g_m, &address, 8) ||
			!read_one(pid, address, m, sizeof(m)))
			continue;
		g0 = word(m, layout->m_g0);
		if (!g0 || !read_one(pid, g0 + (uint64_t)layout->g_m, &back, 8) || back != address)
			continue;
		if (stack_around(pid, layout, g0, sp, &end) ||
			stack_around(pid, layout, word(m, layout->m_gsignal), sp, &end) ||
			stack_around(pid, layout, word(m, layout->m_curg), sp, &end))
			return end;
	}
	return 0;
}
