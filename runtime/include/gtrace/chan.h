/*
 * chan.h - channels and select, as Go has them, with types that the compiler checks.
 *
 *	gt_chan(int) c = gt_chan_make(int, 4);          // 0 or nothing: unbuffered
 *	gt_send(c, 5);                                  // waits for room
 *	bool ok = gt_recv(c, &v);                       // waits for a value; false: closed and drained, v is zero
 *	gt_close(c);
 *	gt_chan_free(c);
 *
 *	switch (gt_select(gt_case_recv(a, &x), gt_case_send(b, 7), gt_case_default)) {
 *	case 0: ...                                     // received from a: the cases count from 0
 *	case 1: ...                                     // sent to b
 *	case 2: ...                                     // nothing was ready
 *	}
 *
 * Rules
 *   - gt_chan(T) is a type like another: for members, arguments and results. T is anything that can be assigned.
 *   - A channel that is NULL blocks for ever in send and receive; in a select its case is never ready.
 *   - Waiting goroutines are served in the order they came. Where several cases of a select are ready, chance decides.
 *   - Send on a closed channel, close of a closed or NULL channel: the program ends with Go's message, exit status 2.
 *   - Everything but gt_chan_make, gt_close, gt_chan_len, gt_chan_cap, gt_chan_ref, gt_chan_free and the try_ forms is for goroutines.
 *   - Memory: a channel has one reference from gt_chan_make. gt_chan_free gives one back; the last frees it. Whoever is
 *     inside an operation on a channel needs a reference.
 *   - C11 with GNU extensions (gcc, clang), or C++11 (chan_cxx.h tells what differs). Arguments are evaluated once.
 */
#ifndef GTRACE_CHAN_H
#define GTRACE_CHAN_H

#include <stdbool.h>
#include <stddef.h>

#ifndef GT_API
#define GT_API __attribute__((visibility("default")))
#endif

/* A value of no size, for channels that only signal. */
struct gt_unit {
};

#ifdef __cplusplus
extern "C" {
#endif

struct gt__chan;

/* Never called: a pointer to a function that returns T * is a type that says T, fits itself wherever it is
 * written again, and fits nothing else. */
#define gt_chan(T) __typeof__(__typeof__(T) *(*)(struct gt__chan *))

#ifdef __cplusplus
#define GT__CHAN(c) ((struct gt__chan *)(c))
#else
#define GT__ELEM(c)                 __typeof__(*(c)((struct gt__chan *)0))
/* What is no channel does not compile. */
#define GT__CHAN(c)                 ((void)sizeof(GT__ELEM(c) *), (struct gt__chan *)(c))
/* Not T * (nor NULL): a compile error. */
#define GT__INTO(c, into)           _Generic((into), GT__ELEM(c) * : (into), void * : (into))

/* gt_chan_make(T) or gt_chan_make(T, cap). NULL is never returned: a size that cannot be ends the program ("makechan: size out of range"). */
#define gt_chan_make(...)           GT__MAKE_PICK(__VA_ARGS__, GT__MAKE2, GT__MAKE1, )(__VA_ARGS__)
#define GT__MAKE_PICK(a, b, c, ...) c
#define GT__MAKE1(T)                GT__MAKE2(T, 0)
#define GT__MAKE2(T, cap)           ((gt_chan(T))gt__chan_make(sizeof(T), cap))

#define gt_send(c, ...)  gt__chan_send(GT__CHAN(c), (const GT__ELEM(c)[1]){__VA_ARGS__})
#define gt_recv(c, into) gt__chan_recv(GT__CHAN(c), GT__INTO(c, into))
/* The value itself; zero when the channel is closed and drained. */
#define gt_recv_value(c) (*(GT__ELEM(c) *)gt__chan_recv_value(GT__CHAN(c), (GT__ELEM(c)[1]){}))
#endif

enum gt_try {
	GT_NOT_READY = 0,
	GT_DONE = 1,
	GT_CLOSED = 2, /* closed and drained: *into is zero */
};

/* They never wait. */
#ifndef __cplusplus
#define gt_try_send(c, ...)  gt__chan_try_send(GT__CHAN(c), (const GT__ELEM(c)[1]){__VA_ARGS__})
#define gt_try_recv(c, into) gt__chan_try_recv(GT__CHAN(c), GT__INTO(c, into))
#endif

#define gt_close(c) gt__chan_close(GT__CHAN(c))
/* Values in the buffer, and how many it can hold; 0 for NULL. */
#define gt_chan_len(c) gt__chan_len(GT__CHAN(c))
#define gt_chan_cap(c) gt__chan_cap(GT__CHAN(c))
/* One more reference; gives c. */
#define gt_chan_ref(c)  ((__typeof__(c))gt__chan_ref(GT__CHAN(c)))
#define gt_chan_free(c) gt__chan_free(GT__CHAN(c))

enum gt__case_kind { GT__CASE_RECV, GT__CASE_SEND, GT__CASE_DEFAULT };

struct gt_case {
	struct gt__chan *chan;
	void *value; /* to send from, to receive into, or NULL */
	bool *ok;    /* NULL, or told what gt_recv returns */
	enum gt__case_kind kind;
};

#ifndef __cplusplus
/* Values to send are made where the case is written, and live as long as the block around it. */
#define gt_case_send(c, ...) \
	((struct gt_case){GT__CHAN(c), (void *)(GT__ELEM(c)[1]){__VA_ARGS__}, (bool *)0, GT__CASE_SEND})
/* gt_case_recv(c, &v) or gt_case_recv(c, &v, &ok) */
#define gt_case_recv(...)              GT__CASE_PICK(__VA_ARGS__, GT__CASE_RECV3, GT__CASE_RECV2, )(__VA_ARGS__)
#define gt_case_default                ((struct gt_case){(struct gt__chan *)0, (void *)0, (bool *)0, GT__CASE_DEFAULT})
#define GT__CASE_PICK(a, b, c, d, ...) d
#define GT__CASE_RECV2(c, into)        GT__CASE_RECV3(c, into, (bool *)0)
#define GT__CASE_RECV3(c, into, is_ok) ((struct gt_case){GT__CHAN(c), (void *)GT__INTO(c, into), is_ok, GT__CASE_RECV})

/* Waits until one of the cases can go, does it, and returns its index. No case at all: waits for ever. */
#define gt_select(...) \
	gt_select_n((struct gt_case[]){__VA_ARGS__}, sizeof((struct gt_case[]){__VA_ARGS__}) / sizeof(struct gt_case))
#endif
/* The same for an array; at most 65536 cases, one default among them. */
GT_API size_t gt_select_n(struct gt_case *cases, size_t count);

GT_API struct gt__chan *gt__chan_make(size_t value_size, size_t cap);
GT_API void gt__chan_send(struct gt__chan *c, const void *value);
GT_API bool gt__chan_recv(struct gt__chan *c, void *into);
GT_API void *gt__chan_recv_value(struct gt__chan *c, void *into);
GT_API bool gt__chan_try_send(struct gt__chan *c, const void *value);
GT_API enum gt_try gt__chan_try_recv(struct gt__chan *c, void *into);
GT_API void gt__chan_close(struct gt__chan *c);
GT_API size_t gt__chan_len(struct gt__chan *c);
GT_API size_t gt__chan_cap(struct gt__chan *c);
GT_API struct gt__chan *gt__chan_ref(struct gt__chan *c);
GT_API void gt__chan_free(struct gt__chan *c);

#ifdef __cplusplus
}
#include <gtrace/chan_cxx.h>
#endif

#endif
