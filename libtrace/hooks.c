/*
 * hooks.c - the slow side of hooks.h: a thread's first record, a full block, a thread's end; and the connection to gtrace.
 *
 * `gtrace record` puts GTRACE_SHM=/proc/PID/fd/N into the environment: the memory. A constructor maps it, takes the
 * variable away and turns the hooks on, before main.
 */
#include "libtrace/connect.h"
#include "libtrace/refill.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <gtrace/hooks.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* gtrace knows a program that links this library by the note: owner "gtrace", type 1, the memory's ABI. */
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define NOTE_ABI 3
_Static_assert(GT_SHM_ABI == NOTE_ABI, "the note tells the memory's version");
__asm__(".pushsection .note.gtrace, \"a\", %note\n"
	".balign 4\n"
	".long 7, 4, 1\n"
	".asciz \"gtrace\"\n"
	".balign 4\n"
	".long " TEXT(NOTE_ABI) "\n"
				".popsection\n");

static const _Atomic uint32_t gate_shut;

const _Atomic uint32_t *gt__hook_gate = &gate_shut;
uint8_t *gt__hook_blocks;
__thread struct gt_m *gt__hook_m;
/* The thread's M; gt__hook_m is the same, or NULL while the clock is a slow one. */
static __thread struct gt_m *joined;

/* Where the thread's id + 1 is kept for those who ask. */
static __thread _Atomic uint32_t *id_at;

static struct gt_memory connected;
static bool is_connected, is_outside;
static pid_t outside_pid; /* of the gtrace that it belongs to; 0: not known */
static pthread_key_t exit_key;

/* joining: a signal's hook that comes while its thread joins; gone: after the thread's destructors. */
static __thread enum { THREAD_NEW, THREAD_JOINING, THREAD_JOINED, THREAD_GONE } thread_state;

static uint64_t clock_now(void)
{
	return gt_ticks();
}

void gt__hook_big_g(void)
{
	atomic_fetch_add_explicit(&connected.shm->lost_big_g, 1, memory_order_relaxed);
}

static uint32_t m_id(const struct gt_m *m)
{
	return (uint32_t)(m - gt_shm_m(&connected, 0));
}

/* UINT32_MAX: there is none; the collector may add more. */
static uint32_t new_id(struct gt_shm *shm)
{
	uint64_t id = atomic_load_explicit(&shm->m_next, memory_order_relaxed);

	do {
		if (id >= atomic_load_explicit(&shm->m_limit, memory_order_acquire))
			return UINT32_MAX;
	} while (!atomic_compare_exchange_weak_explicit(
		&shm->m_next, &id, id + 1, memory_order_relaxed, memory_order_relaxed));
	return (uint32_t)id;
}

/* The id that @at holds, or a new one. */
static uint32_t id_of(_Atomic uint32_t *at)
{
	uint32_t known = at ? atomic_load_explicit(at, memory_order_acquire) : 0;
	uint32_t id = known ? known - 1 : new_id(connected.shm);

	/* Who comes second leaves an id unused. */
	if (at && !known && id != UINT32_MAX &&
		!atomic_compare_exchange_strong_explicit(
			at, &known, id + 1, memory_order_acq_rel, memory_order_acquire))
		id = known - 1;
	return id;
}

static struct gt_m *join(void)
{
	struct gt_shm *shm = connected.shm;
	struct gt_m *m;
	uint32_t id;

	if (thread_state != THREAD_NEW)
		goto fail;
	thread_state = THREAD_JOINING;
	GT__SIGNAL_ORDER();
	id = id_of(id_at);
	if (id == UINT32_MAX) {
		thread_state = THREAD_NEW;
		goto fail;
	}
	m = gt_shm_m(&connected, id);
	atomic_store_explicit(&m->tid, (uint32_t)syscall(SYS_gettid), memory_order_relaxed);
	/* The first 32 keys need no memory, and the key is made before main. */
	pthread_setspecific(exit_key, m);
	thread_state = THREAD_JOINED;
	GT__SIGNAL_ORDER();
	joined = m;
	if (gt_clock_init() == GT_CLOCK_CPU)
		gt__hook_m = m;
	return m;

fail:
	atomic_fetch_add_explicit(&shm->lost_no_m, 1, memory_order_relaxed);
	return NULL;
}

struct gt_hook_world gt__world;

void gt_hook_world(const struct gt_hook_world *world)
{
	gt__world = *world;
}

void gt_hook_m_at(_Atomic uint32_t *at)
{
	id_at = at;
	if (joined)
		atomic_store_explicit(at, m_id(joined) + 1, memory_order_release);
}

uint32_t gt_hook_m(_Atomic uint32_t *at, uint32_t tid)
{
	uint32_t id;

	if (atomic_load_explicit(&connected.shm->m_next, memory_order_relaxed) + 1 >= connected.m_limit)
		gt_shm_grow_ms(&connected, connected.m_limit + 256, NULL);
	id = id_of(at);
	if (id == UINT32_MAX)
		return 0;
	if (tid)
		atomic_store_explicit(&gt_shm_m(&connected, id)->tid, tid, memory_order_relaxed);
	return id + 1;
}

static uint64_t *reserve(uint64_t at, uint64_t bytes)
{
	struct gt_m *m = joined;

	if (at != GT__NOT_RESERVED && !gt__unreserve(m, at, bytes))
		return (uint64_t *)(void *)(gt__hook_blocks + at);
	if (!m)
		m = join();
	if (!m)
		return NULL;
	/* Thrice: the clock is slow and there is room; or a signal's records fill the block that was just opened. */
	for (int tries = 0; tries < 3; tries++) {
		if (tries && gt__refill(connected.shm, m, m_id(m), (uint32_t)bytes, 0, clock_now) != GT_REFILL_READY)
			return NULL;
		at = gt__xadd(&m->pos, bytes);
		if (at + bytes <= atomic_load_explicit(&m->end, memory_order_relaxed) || !gt__unreserve(m, at, bytes))
			return (uint64_t *)(void *)(gt__hook_blocks + at);
	}
	gt__count_lost(m);
	return NULL;
}

static bool record(uint64_t at, uint64_t kind, const uint64_t *words, unsigned int cells)
{
	uint64_t *to = reserve(at, cells * GT_CELL_BYTES);

	if (!to)
		return false;
	if (cells > 1)
		gt__hook_store(to, 0, cells << 1);
	for (unsigned int i = 1; i < cells * 2; i++)
		gt__hook_store(to, i, words[i - 1]);
	gt__hook_commit(joined, to, GT_WORD0(gt_ticks(), gt__hook_kind(kind), cells), cells * GT_CELL_BYTES);
	return true;
}

bool gt__hook_record1_slow(uint64_t at, uint64_t kind, uint64_t word1)
{
	return record(at, kind, &word1, 1);
}

bool gt__hook_record2_slow(uint64_t at, uint64_t kind, uint64_t word1, uint64_t word2, uint64_t word3)
{
	return record(at, kind, (const uint64_t[3]){word1, word2, word3}, 2);
}

bool gt__hook_record3_slow(uint64_t at, uint64_t kind, const uint64_t words[5])
{
	return record(at, kind, words, 3);
}

void gt__hook_thread(enum gt_thread_op op)
{
	struct gt_m *m = joined;
	uint64_t tid = 0;

	if (op == GT_THREAD_START) {
		if (!m)
			m = join();
		if (!m)
			return;
		tid = atomic_load_explicit(&m->tid, memory_order_relaxed);
	}
	gt__hook_record1(GT_REC_THREAD, (uint64_t)op | tid << 8);
}

/* ---- life of a thread, of the process, of the connection ---- */

static void thread_ends(void *arg)
{
	struct gt_m *m = arg;

	gt__hook_m = joined = NULL;
	thread_state = THREAD_GONE;
	GT__SIGNAL_ORDER();
	gt__retire(connected.shm, m);
}

/* The child shares the memory and has the same Ms: a second writer. Its hooks go off for good. */
static void in_child(void)
{
	gt__hook_gate = &gate_shut;
	gt__hook_m = joined = NULL;
	thread_state = THREAD_GONE;
	pthread_setspecific(exit_key, NULL); /* its end must not seal the parent's block */
}

struct gt_memory *gt__connected(void)
{
	return is_connected ? &connected : NULL;
}

bool gt__connected_outside(bool *gone)
{
	if (gone)
		*gone = outside_pid > 0 && kill(outside_pid, 0) < 0 && errno == ESRCH;
	return is_outside;
}

int gt__connect(const struct gt_memory *memory)
{
	if (is_connected)
		return -EBUSY;
	if (pthread_key_create(&exit_key, thread_ends) != 0)
		return -EAGAIN;
	pthread_atfork(NULL, NULL, in_child);
	/* So that a thief (gt_steal_barrier) waits for our threads too; without it idle threads keep their blocks. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0)
		atomic_store_explicit(&memory->shm->barrier, 1, memory_order_relaxed);
	connected = *memory;
	is_connected = true;
	gt__hook_blocks = (uint8_t *)memory->shm + memory->blocks_offset;
	gt__stacks_connect(memory->shm);
	__atomic_store_n(&gt__hook_gate, &memory->shm->enabled, __ATOMIC_RELEASE);
	return 0;
}

__attribute__((constructor(102))) static void connect_by_environment(void)
{
	const char *path = secure_getenv("GTRACE_SHM");
	struct gt_memory memory;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (sscanf(path, "/proc/%d/", &outside_pid) != 1)
		outside_pid = 0;
	unsetenv("GTRACE_SHM");
	if (fd < 0)
		return;
	/* The program runs as if nothing had been asked when this is no memory of ours; gtrace tells of it. */
	if (gt_shm_map(fd, &memory, NULL) == 0) {
		gt_shm_touch(&memory);
		close(memory.fd);
		memory.fd = -1;
		is_outside = gt__connect(&memory) == 0;
	}
	close(fd);
}
