/*
 * embed.h - what gt_start (embed.c) and the flight recorder (flight.c) share: a process's own memory, its gate, and the thread that
 * collects. One of the two runs at a time.
 *
 * The memory is made once and kept: threads hold pointers into it.
 */
#ifndef GT_LIBTRACE_EMBED_H
#define GT_LIBTRACE_EMBED_H

#include "libtrace/collector.h"
#include "libtrace/connect.h"

#include <gtrace/hooks.h>
#include <pthread.h>
#include <semaphore.h>

enum gt__own_kind { GT__OWN_TRACE = 1, GT__OWN_FLIGHT, GT__OWN_ATTACHED /* by gtrace, from outside */ };

struct gt__own {
	_Atomic pid_t pid; /* the process in which a thread collects; 0: none does */
	enum gt__own_kind kind;
	uint64_t since; /* ticks: the trace's begin */
	uint32_t gate;
	uint64_t slide;
	pthread_t thread;
	sem_t ready;
	_Atomic bool stopping;
	struct gt_collector *collector;
	struct gt_collector_totals before; /* of earlier traces */
};
extern struct gt__own gt__own;

/* The lock over all of it. A goroutine waits here for the disk: its P is for others. Leave returns @ret. */
void gt__own_enter(void);
int gt__own_leave(int ret);
/* The same for a thread that runs no goroutine. */
void gt__own_lock(void);
void gt__own_unlock(void);

/* -EBUSY when something else records; @what and @of make the line. */
int gt__own_free(const char *what, const char *of, struct gt_error *err);
/* Made of @config when there is none yet. */
int gt__own_memory(const struct gt_shm_config *config, struct gt_error *err);
gt_resolve_fn gt__own_resolve;

/* The number of the next trace, of @sets; the gate stays shut. */
void gt__own_turn(uint32_t sets, uint64_t since_ticks);
void gt__own_open(void);
/* Shut, and what was begun is written. */
void gt__own_shut(void);
/* Other sets, while it is open. */
void gt__own_sets(uint32_t sets);
/* Who is there: on the collecting thread, after the gate was opened. @tell gets some at a time, those with an M first; @m of those that
 * have none. */
void gt__own_alive(void (*tell)(const struct gt_hook_alive *list, size_t count, uint32_t m));

/* Who stands where now, of those whom the scheduler can tell; *@list to free(). -ENOSYS: it cannot tell; -E2BIG: more than
 * GT_HOOK_STANDING_MAX; -ENOMEM. */
int gt__own_standing(struct gt_hook_alive **list, size_t *count);

int gt__own_start_thread(void *(*run)(void *), struct gt_error *err);

void gt__own_metas(struct gt_writer *writer, uint32_t sets);
void gt__own_losses(struct gt_writer *writer);

/* For tests: the collector sleeps so long in each round. */
extern _Atomic uint32_t gt__own_nap_us;

#endif
