/* standing.c - what of a stack counts: its own words, not what lies behind it. The thread that is looked at is made up, in this process' memory. */
#include "agent/standing.h"

#include "agent/golayout.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#define WORDS 1024 /* of each stack; one lies behind the other */
#define HOOK  0x5500010ull

enum { G0, GSIGNAL, CURG, OTHER, STACKS };

static struct {
	uint64_t stacks[STACKS][WORDS];
	uint8_t g[STACKS][320], m[320];
	uint64_t tls[8];
} memory;

static struct gt_places places;
static struct gt_thread thread;

static void put(void *at, int offset, uint64_t value)
{
	memcpy((uint8_t *)at + offset, &value, 8);
}

static uint64_t address(const void *of)
{
	return (uint64_t)(uintptr_t)of;
}

static void make(const struct gt_golayout *layout)
{
	memset(&memory, 0, sizeof(memory));
	for (int i = 0; i < STACKS; i++) {
		put(memory.g[i], (int)layout->g_stack_lo, address(memory.stacks[i]));
		put(memory.g[i], (int)layout->g_stack_hi, address(memory.stacks[i] + WORDS));
		put(memory.g[i], (int)layout->g_m, address(memory.m));
	}
	put(memory.m, (int)layout->m_g0, address(memory.g[G0]));
	put(memory.m, (int)layout->m_gsignal, address(memory.g[GSIGNAL]));
	put(memory.m, (int)layout->m_curg, address(memory.g[CURG]));
	memory.tls[7] = address(memory.g[G0]);
	places = (struct gt_places){
		.layout = layout, .text_lo = 0x400000, .text_hi = 0x500000, .code = {0x5500000, 0x5510000}};
	thread = (struct gt_thread){.tid = getpid(), .stopped = true};
	thread.regs.rip = 0x401000;
	thread.regs.fs_base = address(memory.tls + 8);
}

/* With the stack pointer @below words under the end of a stack, and a hook's address @at words above it. */
static enum gt_standing stands(int stack, size_t below, size_t at)
{
	uint64_t *sp = memory.stacks[stack] + WORDS - below;
	enum gt_standing found;

	thread.regs.rsp = address(sp);
	sp[at] = HOOK;
	found = gt_standing(&places, getpid(), &thread);
	sp[at] = 0;
	return found;
}

static void each_version(void (*check)(void))
{
	for (unsigned int minor = 19; minor <= 27; minor++) {
		cr_assert_not_null(gt_golayout_of_minor(minor));
		make(gt_golayout_of_minor(minor));
		check();
	}
}

static void on_its_stack(void)
{
	for (int stack = G0; stack <= CURG; stack++) {
		cr_expect_eq(stands(stack, 64, 0), GT_STANDING_BAD);
		cr_expect_eq(stands(stack, 64, 63), GT_STANDING_BAD, "the stack's last word");
		cr_expect_eq(stands(stack, 64, 64), GT_STANDING_WELL, "the word behind it");
		cr_expect_eq(stands(stack, 64, 200), GT_STANDING_WELL);
	}
}

/* Whatever cannot be told is looked at as far as ever. */
static void not_known(void)
{
	cr_expect_eq(stands(OTHER, WORDS, 200), GT_STANDING_BAD, "on a stack of C's");
	thread.regs.fs_base = 0;
	cr_expect_eq(stands(G0, 64, 200), GT_STANDING_BAD, "no thread-local storage");
	thread.regs.fs_base = 16;
	cr_expect_eq(stands(G0, 64, 200), GT_STANDING_BAD, "it cannot be read");
	thread.regs.fs_base = address(memory.tls + 8);
	put(memory.g[G0], (int)places.layout->g_m, address(memory.tls));
	cr_expect_eq(stands(G0, 64, 200), GT_STANDING_BAD, "an M that its g0 does not know");
	put(memory.g[G0], (int)places.layout->g_m, 8);
	cr_expect_eq(stands(G0, 64, 200), GT_STANDING_BAD, "an M that cannot be read");
	memory.tls[7] = 0;
	memory.tls[2] = address(memory.g[CURG]);
	put(memory.g[G0], (int)places.layout->g_m, address(memory.m));
	cr_expect_eq(stands(G0, 64, 200), GT_STANDING_WELL, "g in another slot, and another g");
}

Test(standing, only_the_words_of_the_stack_count)
{
	each_version(on_its_stack);
}

Test(standing, without_a_stack_all_words_count)
{
	each_version(not_known);
}
