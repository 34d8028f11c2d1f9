/*
 * sync.h - mutex, rwmutex, cond, once, wait group and semaphore for goroutines, as Go's sync has them.
 *
 * All are valid when zeroed (a condition needs its mutex, a semaphore its size), are never copied after first use, and own no memory:
 * nothing has to be destroyed. Their memory may be given back when nobody is inside a call on them.
 *
 * They stop goroutines, not kernel threads; they are not held by anybody, so one goroutine may lock and another unlock. All calls
 * are for goroutines. Misuse ends the program with Go's message, exit status 2.
 */
#ifndef GTRACE_SYNC_H
#define GTRACE_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef GT_API
#define GT_API __attribute__((visibility("default")))
#endif

/* In C++ the same bytes, which only the library touches. */
#ifdef __cplusplus
#define GT__ATOMIC(T) T
extern "C" {
#else
#define GT__ATOMIC(T) _Atomic T
#endif

struct gt_ctx;
struct gt__waiter;
struct gt__waitq {
	struct gt__waiter *first;
	struct gt__waiter *last;
};
struct gt__sema {
	uint32_t lock;
	uint32_t value;
	struct gt__waitq waiters;
};

/* ---- mutex ---- */

/*
 * Normal: who comes first when it is free gets it, a woken waiter too must compete. When a waiter has waited for more than 1 ms the mutex
 * is starving: it goes from hand to hand in order, until the last waiter, or one that waited less, has it.
 */
struct gt_mutex {
	GT__ATOMIC(uint32_t) state;
	GT__ATOMIC(uint64_t) holder; /* goroutine that locked it last, for the trace; 0: nobody, or not known */
	struct gt__sema sema;
};

GT_API void gt_mutex_lock(struct gt_mutex *mutex);
GT_API bool gt_mutex_trylock(struct gt_mutex *mutex);
GT_API void gt_mutex_unlock(struct gt_mutex *mutex);

/* ---- many readers or one writer ---- */

/* A writer that waits keeps new readers out: a reader must not lock again while it has it. */
struct gt_rwmutex {
	struct gt_mutex writers;
	struct gt__sema writer_sema;
	struct gt__sema reader_sema;
	GT__ATOMIC(int32_t) readers;      /* less 2^30 while a writer is there */
	GT__ATOMIC(int32_t) readers_left; /* whom the writer waits for */
};

GT_API void gt_rwmutex_rlock(struct gt_rwmutex *rw);
GT_API bool gt_rwmutex_tryrlock(struct gt_rwmutex *rw);
GT_API void gt_rwmutex_runlock(struct gt_rwmutex *rw);
GT_API void gt_rwmutex_lock(struct gt_rwmutex *rw);
GT_API bool gt_rwmutex_trylock(struct gt_rwmutex *rw);
GT_API void gt_rwmutex_unlock(struct gt_rwmutex *rw);

/* ---- condition ---- */

struct gt_cond {
	struct gt_mutex *mutex;     /* set before first use: struct gt_cond c = {.mutex = &mutex}; */
	GT__ATOMIC(uintptr_t) self; /* to find copies */
	GT__ATOMIC(uint32_t) next_ticket;
	GT__ATOMIC(uint32_t) notified; /* tickets below it are served */
	uint32_t lock;
	struct gt__waitq waiters;
};

/* Gives the mutex back, waits for signal or broadcast, takes the mutex. Not woken for nothing, but what it waits for
 * may be gone again: call it in a loop. */
GT_API void gt_cond_wait(struct gt_cond *cond);
/* Wakes the one that waits longest, or all; the mutex may be held or not. */
GT_API void gt_cond_signal(struct gt_cond *cond);
GT_API void gt_cond_broadcast(struct gt_cond *cond);

/* ---- once ---- */

struct gt_once {
	GT__ATOMIC(uint32_t) done;
	struct gt_mutex mutex;
};

/* The first call runs @fn(@arg); every call returns after it is through. @fn must not call it again on @once (that
 * waits for itself), nor end the goroutine. */
#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* a function and a struct of one name are two things, in C++ too */
#endif
GT_API void gt_once(struct gt_once *once, void (*fn)(void *arg), void *arg);
#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

/* ---- wait group ---- */

struct gt_wg {
	GT__ATOMIC(uint64_t) state; /* counter << 32 | waiters */
	struct gt__sema sema;
};

/* Calls that go up from 0 come before gt_wg_wait. */
GT_API void gt_wg_add(struct gt_wg *wg, int delta);
GT_API void gt_wg_done(struct gt_wg *wg);
GT_API void gt_wg_wait(struct gt_wg *wg);
/* Adds 1, starts a goroutine that runs @fn(@arg), and is done when that ends, by return or by gt_exit. */
GT_API void gt_wg_go(struct gt_wg *wg, void (*fn)(void *arg), void *arg);

/* ---- weighted semaphore ---- */

/* First come, first served: a large request at the head keeps small ones waiting. */
struct gt_sem {
	uint64_t size; /* struct gt_sem s = {.size = 10}; */
	uint64_t used;
	uint32_t lock;
	struct gt__waitq waiters;
};

/* More than the size waits for ever. */
GT_API void gt_sem_acquire(struct gt_sem *sem, uint64_t weight);
/* Waits no longer than until the context ends. 0: the weight is held; -ECANCELED or -ETIMEDOUT: it is not, and the context has
 * ended. One that had ended before gives nothing; of both at once the first counts. */
GT_API int gt_sem_acquire_ctx(struct gt_sem *sem, uint64_t weight, struct gt_ctx *ctx);
GT_API bool gt_sem_tryacquire(struct gt_sem *sem, uint64_t weight);
GT_API void gt_sem_release(struct gt_sem *sem, uint64_t weight);

#ifdef __cplusplus
}
#endif

#endif
