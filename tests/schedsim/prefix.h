/*
 * prefix.h - read before every file of the runtime that is built for the simulation (-include): each atomic operation is a point at
 * which another thread may go on, and the C library that the runtime calls is the simulation's.
 *
 * Stores that are not sequentially consistent go through the thread's store buffer, as x86 has one: a missing fence
 * shows. Plain accesses are not delayed.
 */
#ifndef GT_TESTS_SCHEDSIM_PREFIX_H
#define GT_TESTS_SCHEDSIM_PREFIX_H

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define __lsan_register_root_region(at, bytes) ((void)(at), (void)(bytes))
#endif

/* ---- atomics ---- */

/* One operation inside another's argument. */
#pragma GCC diagnostic ignored "-Wshadow"

#define SIM_TEXT_(x) #x
#define SIM_TEXT(x)  SIM_TEXT_(x)
#define SIM_SITE     __FILE__ ":" SIM_TEXT(__LINE__)

void sim_atomic_load(const volatile void *at, void *value, size_t bytes, const char *site);
void sim_atomic_store(volatile void *at, const void *value, size_t bytes, int order, const char *site);
/* Before a read-modify-write, or a fence: the buffer is emptied. */
void sim_atomic_change(const char *what, const char *site);
void sim_atomic_fence(int order, const char *site);

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_exchange
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and
#undef atomic_fetch_and_explicit
#undef atomic_thread_fence

#define atomic_load_explicit(from, order) \
	__extension__({ \
		__auto_type sim_at = (from); \
		__typeof__((void)0, *sim_at) sim_value; \
		sim_atomic_load(sim_at, (void *)&sim_value, sizeof(sim_value), SIM_SITE); \
		sim_value; \
	})
#define atomic_store_explicit(to, from, order) \
	__extension__({ \
		__auto_type sim_at = (to); \
		__typeof__((void)0, *sim_at) sim_value = (from); \
		sim_atomic_store(sim_at, (void *)&sim_value, sizeof(sim_value), (int)(order), SIM_SITE); \
	})
#define SIM_CHANGE(what, operation) \
	__extension__({ \
		sim_atomic_change(what, SIM_SITE); \
		operation; \
	})
#define atomic_exchange_explicit(at, value, order) \
	SIM_CHANGE("exchange", __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST))
#define atomic_compare_exchange_strong_explicit(at, old, new_, order, failed) \
	SIM_CHANGE("cas", __atomic_compare_exchange_n(at, old, new_, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#define atomic_compare_exchange_weak_explicit(at, old, new_, order, failed) \
	atomic_compare_exchange_strong_explicit(at, old, new_, order, failed)
#define atomic_fetch_add_explicit(at, by, order) SIM_CHANGE("add", __atomic_fetch_add(at, by, __ATOMIC_SEQ_CST))
#define atomic_fetch_sub_explicit(at, by, order) SIM_CHANGE("sub", __atomic_fetch_sub(at, by, __ATOMIC_SEQ_CST))
#define atomic_fetch_or_explicit(at, by, order)  SIM_CHANGE("or", __atomic_fetch_or(at, by, __ATOMIC_SEQ_CST))
#define atomic_fetch_and_explicit(at, by, order) SIM_CHANGE("and", __atomic_fetch_and(at, by, __ATOMIC_SEQ_CST))
#define atomic_load(from)                        atomic_load_explicit(from, memory_order_seq_cst)
#define atomic_store(to, from)                   atomic_store_explicit(to, from, memory_order_seq_cst)
#define atomic_exchange(at, value)               atomic_exchange_explicit(at, value, memory_order_seq_cst)
#define atomic_compare_exchange_strong(at, old, new_) \
	atomic_compare_exchange_strong_explicit(at, old, new_, memory_order_seq_cst, memory_order_seq_cst)
#define atomic_compare_exchange_weak(at, old, new_) atomic_compare_exchange_strong(at, old, new_)
#define atomic_fetch_add(at, by)                    atomic_fetch_add_explicit(at, by, memory_order_seq_cst)
#define atomic_fetch_sub(at, by)                    atomic_fetch_sub_explicit(at, by, memory_order_seq_cst)
#define atomic_fetch_or(at, by)                     atomic_fetch_or_explicit(at, by, memory_order_seq_cst)
#define atomic_fetch_and(at, by)                    atomic_fetch_and_explicit(at, by, memory_order_seq_cst)
#define atomic_thread_fence(order)                  sim_atomic_fence((int)(order), SIM_SITE)

/* ---- the C library ---- */

void *sim_malloc(size_t bytes);
void *sim_calloc(size_t count, size_t bytes);
void *sim_realloc(void *at, size_t bytes);
void *sim_aligned_alloc(size_t align, size_t bytes);
void sim_free(void *at);
char *sim_getenv(const char *name);
void *sim_mmap(size_t bytes, int protection, int flags);
int sim_sigaction(int signal, const struct sigaction *action, struct sigaction *before);
ssize_t sim_read(int fd, void *buffer, size_t bytes);
ssize_t sim_write(int fd, const void *buffer, size_t bytes);
int sim_close(int fd);
int sim_fcntl(int fd, int what);

#define malloc(bytes)                                     sim_malloc(bytes)
#define calloc(count, bytes)                              sim_calloc(count, bytes)
#define realloc(at, bytes)                                sim_realloc(at, bytes)
#define aligned_alloc(align, bytes)                       sim_aligned_alloc(align, bytes)
#define free(at)                                          sim_free(at)
#define getenv(name)                                      sim_getenv(name)
#define mmap(where, bytes, protection, flags, fd, offset) sim_mmap(bytes, protection, flags)
#define sigaction(signal, action, before)                 sim_sigaction(signal, action, before)
#define sigaltstack(stack, before)                        ((void)(stack))
#define read(fd, buffer, bytes)                           sim_read(fd, buffer, bytes)
#define write(fd, buffer, bytes)                          sim_write(fd, buffer, bytes)
#define send(fd, buffer, bytes, flags)                    sim_write(fd, buffer, bytes)
#define close(fd)                                         sim_close(fd)
#define fcntl(fd, ...)                                    sim_fcntl(fd, 0)

#endif
