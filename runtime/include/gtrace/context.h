/*
 * context.h - tells goroutines that work together when to stop: cancelled, or out of time; and carries values of a request.
 *
 *	struct gt_ctx *ctx = gt_ctx_with_timeout(gt_ctx_background(), 2 * GT_SECOND);
 *	gt_go(work, gt_ctx_ref(ctx));                   // and work ends with gt_ctx_unref(ctx)
 *	...
 *	gt_ctx_free(ctx);                               // cancels it: who holds it sees that
 *
 *	gt_select(gt_case_recv(gt_ctx_done(ctx), NULL), ...)
 *
 * A context ends when it is cancelled, its time is over, or its parent ends, and all its children with it; that is for ever.
 * Each call that makes one gives a reference; children keep their parent, and a deadline keeps its context until it
 * passes or the context ends. All calls are for goroutines.
 */
#ifndef GTRACE_CONTEXT_H
#define GTRACE_CONTEXT_H

#include <gtrace/chan.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gt_ctx;

/* Never ends; the root of all others. Needs no ref and unref, which do nothing. */
GT_API struct gt_ctx *gt_ctx_background(void);

/* They never return NULL: without memory the program ends. */
GT_API struct gt_ctx *gt_ctx_with_cancel(struct gt_ctx *parent);
GT_API struct gt_ctx *gt_ctx_with_deadline(struct gt_ctx *parent, int64_t when_ns); /* of gt_now */
GT_API struct gt_ctx *gt_ctx_with_timeout(struct gt_ctx *parent, int64_t ns);
/* @key is compared as an address: a static variable's. Ends with its parent, and only so. */
GT_API struct gt_ctx *gt_ctx_with_value(struct gt_ctx *parent, const void *key, void *value);

/* Ends it and its children, when it has not ended. Of a with_value: the program ends with a message. */
GT_API void gt_ctx_cancel(struct gt_ctx *ctx);
GT_API struct gt_ctx *gt_ctx_ref(struct gt_ctx *ctx);
GT_API void gt_ctx_unref(struct gt_ctx *ctx);
/* Cancel (not of a with_value) and unref: for the one that made it. */
GT_API void gt_ctx_free(struct gt_ctx *ctx);

/* Closed when it ends; NULL of one that never does. Lives as long as the context. */
GT_API gt_chan(struct gt_unit) gt_ctx_done(struct gt_ctx *ctx);
/* 0: has not ended. ECANCELED or ETIMEDOUT: why. Once it is not 0, gt_ctx_done is closed. */
GT_API int gt_ctx_err(struct gt_ctx *ctx);
/* Go's words: "context canceled", "context deadline exceeded"; "" for 0. */
GT_API const char *gt_ctx_err_text(int err);
/* False: has none. */
GT_API bool gt_ctx_deadline(struct gt_ctx *ctx, int64_t *when_ns);
/* Its own or its nearest ancestor's; NULL when there is none. */
GT_API void *gt_ctx_value(struct gt_ctx *ctx, const void *key);

#ifdef __cplusplus
}
#endif

#endif
