/*
 * stacks.c - the stack of a goroutine of the library's form: a walk along frame pointers, and its id.
 *
 * As hooks of Go do it: the return addresses are hashed on the way, and a stack that was seen before costs one look into the
 * table. Frames are stored as addresses of the program's file; those of shared libraries are walked through and left out.
 */
#include "base/san.h"
#include "libtrace/connect.h"
#include "libtrace/stack_table.h"

#include <gtrace/hooks.h>
#include <link.h>

#define HASH_SEED     0x2545f4914f6cdd1dull
#define HASH_MULTIPLY 0x9e3779b97f4a7c15ull
/* Frames that are looked at for each one asked for, and some: libraries call back. */
#define LOOKS(depth) ((depth)*2 + 16)

/* Of the program's own file, set once: before anybody connects. */
static struct {
	uint64_t slide;
	uint64_t text, text_size;
	uint32_t depth;
	struct gt_shm *shm;
	struct gt_stack_slot *slots;
} own;

static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	uint64_t low = UINT64_MAX, high = 0;

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		if (segment->p_vaddr < low)
			low = segment->p_vaddr;
		if (segment->p_vaddr + segment->p_memsz > high)
			high = segment->p_vaddr + segment->p_memsz;
	}
	own.slide = info->dlpi_addr;
	/* A frame takes 32 bits. */
	if (low < high && high <= UINT32_MAX) {
		own.text = info->dlpi_addr + low;
		own.text_size = high - low;
	}
	return 1; /* the first is the program */
}

void gt__stacks_connect(struct gt_shm *shm)
{
	own.shm = shm;
	own.slots = (struct gt_stack_slot *)(void *)((char *)shm + shm->stacks_offset);
	dl_iterate_phdr(find_text, NULL);
	atomic_store_explicit(&shm->slide, own.slide, memory_order_relaxed);
	if (shm->stack_slot_count && own.text_size)
		own.depth = shm->stack_depth < GT_STACK_FRAMES_MAX ? shm->stack_depth : GT_STACK_FRAMES_MAX;
}

static uint32_t find(uint64_t hash, const uint32_t *frames, uint32_t count)
{
	uint32_t mask = own.shm->stack_slot_count - 1, at = gt_stack_home(hash) & mask;

	for (uint32_t probe = 0; probe < GT_STACK_PROBES_MAX; probe++, at = (at + 1) & mask) {
		uint64_t seen = atomic_load_explicit(&own.slots[at].hash, memory_order_relaxed);

		if (seen == hash)
			return at;
		if (!seen)
			return gt__stack_store(own.shm, hash, frames, count);
	}
	atomic_fetch_add_explicit(&own.shm->stacks_lost, 1, memory_order_relaxed);
	return 0;
}

GT_SAN_NO_ADDRESS GT_SAN_NO_TSAN uint32_t gt_hook_stack(
	const void *pc_, const void *frame_, const void *low_, const void *high_)
{
	uint64_t pc = (uint64_t)(uintptr_t)pc_, frame = (uint64_t)(uintptr_t)frame_;
	const uint64_t low = (uint64_t)(uintptr_t)low_, high = (uint64_t)(uintptr_t)high_;
	uint32_t frames[GT_STACK_FRAMES_MAX];
	uint32_t count = 0, looks = LOOKS(own.depth);
	uint64_t hash = HASH_SEED;

	if (!own.depth || !gt_hooks_on())
		return 0;
	for (;;) {
		uint64_t caller;

		if (pc - own.text < own.text_size) {
			uint32_t here = (uint32_t)(pc - own.slide);

			frames[count++] = here;
			hash = (hash ^ here) * HASH_MULTIPLY;
			hash = hash << 29 | hash >> 35;
		}
		/* Above low, below high - 16: what stands there is read. */
		if (count == own.depth || !--looks || frame < low || frame > high - 16 || frame % 8)
			break;
		pc = ((const uint64_t *)(uintptr_t)frame)[1];
		caller = ((const uint64_t *)(uintptr_t)frame)[0];
		frame = caller > frame ? caller : 0; /* the outermost: its pc is the last */
	}
	if (!count)
		return 0;
	hash ^= hash >> 32;
	return find(hash | 2, frames, count); /* neither 0, free, nor 1, slot 0's */
}
