/*
 * port.h - everything that a run of the scheduler depends on and that is not its own: clock, chance, kernel threads, CPUs.
 *
 * One implementation is linked: port_linux.c, or a simulation's, where one seed decides all of it.
 */
#ifndef GT_RUNTIME_PORT_H
#define GT_RUNTIME_PORT_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Monotonic, ns. */
int64_t gt__port_now(void);
/* A seed for one generator; different each time. */
uint64_t gt__port_seed(void);

/* A detached kernel thread with all signals as its maker's. 0 or -errno. */
int gt__port_thread(void (*main_fn)(void *arg), void *arg);

/* Sleeps while *@word is @value, until woken or @deadline_ns (-1: none). May return for no reason. False: the time is over. */
bool gt__port_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline_ns);
/* The calling thread's waits with a deadline end as near to it as can be; or as is usual (what children inherit). */
void gt__port_exact(bool exact);
void gt__port_wake(_Atomic uint32_t *word, int count);

/* A full barrier on every thread of the process. False: there is none; then a waiter must look again now and then. */
bool gt__port_barrier(void);

/* For the body of a spin; and for one that has gone on too long. */
void gt__port_pause(void);
void gt__port_give_cpu(void);
void gt__port_sleep(int64_t ns);

/* The kernel's id of the calling thread, and a signal to one: async-signal-safe. */
int gt__port_thread_id(void);
void gt__port_signal(int thread_id, int signal);

/*
 * Descriptors: told of once, at each edge from not ready to ready. @tag comes back. 0 or -errno; -EPERM: one that is always
 * ready. One set a process, made by the first add.
 */
#define GT_PORT_READ  1u
#define GT_PORT_WRITE 2u
int gt__port_poll_open(void);
int gt__port_poll_add(int fd, uint64_t tag);
void gt__port_poll_remove(int fd);
/* What became ready until @deadline_ns (-1: none; 0: does not wait). Number of @tags and @what; returns early after wake, which
 * one that does not wait leaves for one that does. */
int gt__port_poll(uint64_t *tags, uint32_t *what, int room, int64_t deadline_ns);
void gt__port_poll_wake(void);

/* The calling thread's own stack; only asked for under ASan. */
void gt__port_stack(void **low, size_t *bytes);

/*
 * Zeroed memory that is kept: @old (@old_bytes; NULL, 0: none) is part of it, perhaps elsewhere. NULL: there is none. Not from
 * malloc: a goroutine that is stopped in the middle of that keeps its lock, and the scheduler must not wait for it.
 */
void *gt__port_memory(void *old, size_t old_bytes, size_t bytes);

/* The last words: "WHAT: TEXT" for the user. It returns; the list of goroutines and gt__port_exit come after it. */
void gt__port_say(const char *what, const char *format, va_list args);
/* Ends the process: @at_once without exit handlers. */
_Noreturn void gt__port_exit(int code, bool at_once);

/* CPUs of the affinity mask, now; at least 1. */
int gt__port_cpus(void);
/* The cgroup's limit in CPUs, 0 when there is none. */
double gt__port_cpu_limit(void);

#endif
