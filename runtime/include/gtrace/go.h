/*
 * go.h - goroutines for C: an M:N scheduler as Go's, traced by gtrace without a change of the program.
 *
 *	static void hello(void *arg) { puts(arg); }
 *	static int go_main(int argc, char **argv) { gt_go(hello, "hello"); gt_sleep(GT_MILLISECOND); return 0; }
 *	int main(int argc, char **argv) { return gt_main(argc, argv, go_main); }
 *
 * A goroutine may go on on another kernel thread after any gt_ call. Do not keep across one: the address of a
 * thread-local variable, pthread_self(), a held pthread mutex. Compilers keep the address of errno across
 * calls, so this header re-defines errno; include it after <errno.h>, or include nothing else for it.
 */
#ifndef GTRACE_GO_H
#define GTRACE_GO_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GT_API
#define GT_API __attribute__((visibility("default")))
#endif

/* errno of the thread that runs this now: never the address of the thread that ran it before. */
GT_API int *gt_errno_location(void) __attribute__((noinline));
#ifndef GT_KEEP_ERRNO
#undef errno
#define errno (*gt_errno_location())
#endif

#define GT_MICROSECOND INT64_C(1000)
#define GT_MILLISECOND INT64_C(1000000)
#define GT_SECOND      INT64_C(1000000000)

/* ---- the program ---- */

/* Starts the scheduler and runs @main_fn as goroutine 1. When it returns the process exits with its value (by exit(3)),
 * whatever other goroutines do. Once a process; does not return but with a value to return from main. */
GT_API int gt_main(int argc, char **argv, int (*main_fn)(int argc, char **argv));

/* ---- goroutines ---- */

/* Starts @fn(@arg). Ends the program when there is no memory for a stack. Returns the id. */
GT_API uint64_t gt_go(void (*fn)(void *arg), void *arg);
/* With a name (23 bytes are kept) for messages. */
GT_API uint64_t gt_go_named(const char *name, void (*fn)(void *arg), void *arg);
GT_API void gt_yield(void);
/* Ends the calling goroutine. From the main goroutine: the program goes on without it. */
GT_API void gt_exit(void) __attribute__((noreturn));
GT_API uint64_t gt_id(void);     /* 0 outside goroutines */
GT_API uint64_t gt_parent(void); /* of the calling one */
GT_API void gt_sleep(int64_t ns);
/* In a long loop without a gt_ call: gives way when the slice (10 ms) is over. */
GT_API void gt_checkpoint(void);

/* ---- around calls that block the kernel thread ---- */

/* Between the two the goroutine holds no P: others run. No other gt_ call, marks apart, in between. */
GT_API void gt_syscall_enter(void);
GT_API void gt_syscall_exit(void);

/* ---- the scheduler ---- */

/* Ps; sets them when @n > 0 (and then the default is not followed any more). Returns the former number. */
GT_API int gt_gomaxprocs(int n);
/* Back to the default: min(CPUs in the affinity mask, max(2, ceil(cgroup quota))). */
GT_API void gt_gomaxprocs_default(void);
GT_API int gt_num_cpu(void);
GT_API int gt_num_goroutine(void);

/* Kernel threads for goroutines, at most; the one beyond ends the program ("program exceeds N-thread limit"). 10000 at the start.
 * @n <= 0 changes nothing. Returns the former. */
GT_API int gt_set_max_threads(int n);

/* Of a goroutine's stack, a power of two from 16 KiB on; before gt_main. Default: GT_STACK_BYTES of the environment, or
 * 65536. Only the pages that were touched take memory. */
GT_API void gt_set_stack_bytes(size_t bytes);
/* "guard" (MADV_GUARD_INSTALL), "mprotect" (to some 30,000 goroutines; canaries beyond) or "canary". */
GT_API const char *gt_stack_guard(void);

#ifdef __cplusplus
}
#endif

#include <gtrace/chan.h>
#include <gtrace/context.h>
#include <gtrace/sync.h>
#include <gtrace/timer.h>

#endif
