/*
 * context.c - a tree of contexts, and how an end goes down it.
 *
 * Each one that can end has a lock, a list of its children, and a channel that is closed at its end. The list holds no references: a child
 * leaves it, under the parent's lock, before its memory is given back. An end goes down the tree without recursion: the
 * children are taken off with a reference each, on a list of work.
 *
 * Locks: one at a time.
 */
#include "runtime/chan.h"

#include <gtrace/context.h>
#include <gtrace/go.h>

#include <stdlib.h>

struct gt_ctx {
	_Atomic uint32_t refs;
	struct gt_ctx *parent; /* NULL: background */
	struct gt_ctx *ends;   /* the nearest that can end, itself or an ancestor; NULL: none */
	const void *key;       /* of a with_value */
	void *value;
	/* Of those that can end. */
	struct gt_lock lock;
	_Atomic int err;
	gt_chan(struct gt_unit) done;
	struct gt_ctx *children;
	/* With the lock of parent->ends. */
	struct gt_ctx *next, **link; /* link NULL: not in a list */
	struct gt_ctx *next_work;    /* whoever took it off its parent's list */
	bool has_deadline;
	int64_t when_ns;
	struct gt_timer timer;
};

static struct gt_ctx background;

struct gt_ctx *gt_ctx_background(void)
{
	return &background;
}

/* ---- references ---- */

struct gt_ctx *gt_ctx_ref(struct gt_ctx *ctx)
{
	if (ctx != &background)
		atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
	return ctx;
}

/* False: its last reference is gone, and its memory goes. */
static bool ref_if_alive(struct gt_ctx *ctx)
{
	uint32_t refs = atomic_load_explicit(&ctx->refs, memory_order_relaxed);

	while (refs) {
		if (atomic_compare_exchange_weak_explicit(
			    &ctx->refs, &refs, refs + 1, memory_order_acquire, memory_order_relaxed))
			return true;
	}
	return false;
}

static void unlink_locked(struct gt_ctx *ctx)
{
	if (!ctx->link)
		return;
	*ctx->link = ctx->next;
	if (ctx->next)
		ctx->next->link = ctx->link;
	ctx->link = NULL;
}

static void leave_parent(struct gt_ctx *ctx)
{
	struct gt_ctx *above = ctx->parent->ends;

	if (!above || ctx->ends != ctx)
		return;
	gt__lock(&above->lock);
	unlink_locked(ctx);
	gt__unlock(&above->lock);
}

void gt_ctx_unref(struct gt_ctx *ctx)
{
	while (ctx != &background && atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) == 1) {
		struct gt_ctx *parent = ctx->parent;

		leave_parent(ctx);
		if (ctx->ends == ctx)
			gt_chan_free(ctx->done);
		free(ctx);
		ctx = parent;
	}
}

/* ---- the end ---- */

/* Puts the children on the list of work. False: it had ended. */
static bool mark_ended(struct gt_ctx *ctx, int err, struct gt_ctx **work)
{
	gt__lock(&ctx->lock);
	if (atomic_load_explicit(&ctx->err, memory_order_relaxed)) {
		gt__unlock(&ctx->lock);
		return false;
	}
	atomic_store_explicit(&ctx->err, err, memory_order_release);
	for (struct gt_ctx *child; (child = ctx->children);) {
		unlink_locked(child);
		if (!ref_if_alive(child))
			continue;
		child->next_work = *work;
		*work = child;
	}
	gt__unlock(&ctx->lock);
	return true;
}

/* The caller has a reference. */
static void end_one(struct gt_ctx *ctx, int err, struct gt_ctx **work)
{
	if (!mark_ended(ctx, err, work))
		return;
	gt_close(ctx->done);
	leave_parent(ctx);
	/* Its callback will not come: its reference goes. */
	if (ctx->has_deadline && gt__timer_stop(&ctx->timer))
		gt_ctx_unref(ctx);
}

static void end_tree(struct gt_ctx *ctx, int err)
{
	struct gt_ctx *work = NULL;

	end_one(ctx, err, &work);
	for (struct gt_ctx *next; (next = work);) {
		work = next->next_work;
		end_one(next, err, &work);
		gt_ctx_unref(next);
	}
}

static void deadline_passed(void *arg)
{
	struct gt_ctx *ctx = arg;

	gt__timer_join(&ctx->timer);
	end_tree(ctx, ETIMEDOUT);
	gt_ctx_unref(ctx);
}

/* As in Go the work is a goroutine's: a callback may not free what the heap still looks at, nor give way. */
static void expire(void *arg)
{
	gt_go(deadline_passed, arg);
}

/* ---- making ---- */

static struct gt_ctx *new_below(struct gt_ctx *parent)
{
	struct gt_ctx *ctx;

	gt__checkpoint();
	if (!parent)
		gt__panic("cannot create context from nil parent");
	ctx = calloc(1, sizeof *ctx);
	if (!ctx)
		gt__fatal("out of memory: a context");
	atomic_store_explicit(&ctx->refs, 1, memory_order_relaxed);
	ctx->parent = gt_ctx_ref(parent);
	ctx->ends = parent->ends;
	ctx->has_deadline = false;
	return ctx;
}

/* Returns what the parent ended with, and then the child is not in its list. */
static int join_parent(struct gt_ctx *ctx)
{
	struct gt_ctx *above = ctx->parent->ends;
	int err;

	if (!above)
		return 0;
	gt__lock(&above->lock);
	err = atomic_load_explicit(&above->err, memory_order_relaxed);
	if (!err) {
		ctx->next = above->children;
		if (ctx->next)
			ctx->next->link = &ctx->next;
		ctx->link = &above->children;
		above->children = ctx;
	}
	gt__unlock(&above->lock);
	return err;
}

static struct gt_ctx *new_that_ends(struct gt_ctx *parent)
{
	struct gt_ctx *ctx = new_below(parent);

	ctx->done = gt_chan_make(struct gt_unit);
	((struct gt__chan *)ctx->done)->of = ctx;
	ctx->timer.of = ctx;
	ctx->ends = ctx;
	return ctx;
}

struct gt_ctx *gt_ctx_with_cancel(struct gt_ctx *parent)
{
	struct gt_ctx *ctx = new_that_ends(parent);
	int err = join_parent(ctx);

	if (err)
		end_tree(ctx, err);
	return ctx;
}

/* Unless the parent has ended it meanwhile. */
static void start_timer(struct gt_ctx *ctx)
{
	gt__lock(&ctx->lock);
	if (!atomic_load_explicit(&ctx->err, memory_order_relaxed)) {
		gt_ctx_ref(ctx);
		gt__timer_start(&ctx->timer, ctx->when_ns, expire, ctx);
	}
	gt__unlock(&ctx->lock);
}

struct gt_ctx *gt_ctx_with_deadline(struct gt_ctx *parent, int64_t when_ns)
{
	struct gt_ctx *ctx;
	int64_t earlier;
	int err;

	if (parent && gt_ctx_deadline(parent, &earlier) && earlier <= when_ns)
		return gt_ctx_with_cancel(parent);
	ctx = new_that_ends(parent);
	ctx->has_deadline = true;
	ctx->when_ns = when_ns;
	err = join_parent(ctx);
	if (!err && when_ns <= gt__now())
		err = ETIMEDOUT;
	if (!err)
		start_timer(ctx);
	if (err)
		end_tree(ctx, err);
	return ctx;
}

struct gt_ctx *gt_ctx_with_timeout(struct gt_ctx *parent, int64_t ns)
{
	int64_t when;

	if (__builtin_add_overflow(gt__now(), ns, &when))
		when = ns > 0 ? INT64_MAX : INT64_MIN;
	return gt_ctx_with_deadline(parent, when);
}

struct gt_ctx *gt_ctx_with_value(struct gt_ctx *parent, const void *key, void *value)
{
	struct gt_ctx *ctx;

	if (!key)
		gt__panic("nil key");
	ctx = new_below(parent);
	ctx->key = key;
	ctx->value = value;
	return ctx;
}

void gt_ctx_cancel(struct gt_ctx *ctx)
{
	gt__checkpoint();
	if (ctx->ends != ctx)
		gt__panic("cancel of a context that cannot be cancelled");
	end_tree(ctx, ECANCELED);
}

void gt_ctx_free(struct gt_ctx *ctx)
{
	if (ctx->ends == ctx)
		gt_ctx_cancel(ctx);
	gt_ctx_unref(ctx);
}

/* ---- questions ---- */

gt_chan(struct gt_unit) gt_ctx_done(struct gt_ctx *ctx)
{
	return ctx->ends ? ctx->ends->done : NULL;
}

int gt_ctx_err(struct gt_ctx *ctx)
{
	int err = ctx->ends ? atomic_load_explicit(&ctx->ends->err, memory_order_acquire) : 0;

	/* Another goroutine may be between marking and closing. */
	if (err)
		gt_recv(ctx->ends->done, NULL);
	return err;
}

const char *gt_ctx_err_text(int err)
{
	return err == ECANCELED ? "context canceled" : err == ETIMEDOUT ? "context deadline exceeded" : "";
}

bool gt_ctx_deadline(struct gt_ctx *ctx, int64_t *when_ns)
{
	for (; ctx; ctx = ctx->parent) {
		if (!ctx->has_deadline)
			continue;
		*when_ns = ctx->when_ns;
		return true;
	}
	return false;
}

void *gt_ctx_value(struct gt_ctx *ctx, const void *key)
{
	for (; ctx; ctx = ctx->parent) {
		if (ctx->key == key)
			return ctx->value;
	}
	return NULL;
}
