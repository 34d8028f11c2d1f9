/*
 * scenarios_core.c - the scheduler alone: spawning, stealing, yields, park and ready, runnext, ends.
 */
#include "tests/schedsim/world.h"

/* Joins with nothing but park and ready. */
struct join {
	struct gt_lock lock;
	long left;
	struct gt_g *waiter;
};

static void join_done(struct join *join)
{
	struct gt_g *waiter = NULL;

	gt__lock(&join->lock);
	if (--join->left == 0) {
		waiter = join->waiter;
		join->waiter = NULL;
	}
	gt__unlock(&join->lock);
	if (waiter)
		gt__ready(waiter);
}

static void join_wait(struct join *join)
{
	gt__lock(&join->lock);
	if (join->left == 0) {
		gt__unlock(&join->lock);
		return;
	}
	join->waiter = gt__self();
	gt__park_unlock(&join->lock, GT_REASON_SYNC_WAITGROUP_WAIT);
}

/* ---- spawn trees ---- */

static struct join tree_join;
static _Atomic long tree_nodes;

static void tree_node(void *arg)
{
	intptr_t depth = (intptr_t)arg;

	__atomic_fetch_add(&tree_nodes, 1, __ATOMIC_RELAXED);
	if (depth > 0) {
		gt_go(tree_node, (void *)(depth - 1));
		sim_work(sim_below(20));
		gt_go(tree_node, (void *)(depth - 1));
	}
	join_done(&tree_join);
}

static int tree(int argc, char **argv)
{
	tree_join.left = 31;
	gt_go(tree_node, (void *)4);
	join_wait(&tree_join);
	sim_check(tree_nodes == 31);
	return 0;
}

/* Each waits for its own children: the inner ones are parked at once. */
struct member {
	struct join *join;
	int depth;
};

static void member(void *arg)
{
	const struct member *me = arg;
	struct join children = {.left = 2};
	struct member child = {&children, me->depth - 1};
	struct join *join = me->join;

	__atomic_fetch_add(&tree_nodes, 1, __ATOMIC_RELAXED);
	if (me->depth > 0) {
		gt_go(member, &child);
		gt_go(member, &child);
		join_wait(&children);
		/* The last one of them may still be inside the lock. */
		gt__lock(&children.lock);
		gt__unlock(&children.lock);
	}
	join_done(join);
}

static int families(int argc, char **argv)
{
	struct member first = {&tree_join, 3};

	tree_join.left = 2;
	gt_go(member, &first);
	gt_go(member, &first);
	join_wait(&tree_join);
	sim_check(tree_nodes == 30);
	return 0;
}

/* ---- two that hand a token to each other ---- */

static struct {
	struct gt_lock lock;
	struct gt_g *waiter[2];
	bool token[2];
} pair;
static struct join pair_join;

static void pass(int to)
{
	struct gt_g *waiter;

	gt__lock(&pair.lock);
	pair.token[to] = true;
	waiter = pair.waiter[to];
	pair.waiter[to] = NULL;
	gt__unlock(&pair.lock);
	if (waiter)
		gt__ready(waiter);
}

static void await(int me)
{
	gt__lock(&pair.lock);
	while (!pair.token[me]) {
		pair.waiter[me] = gt__self();
		gt__park_unlock(&pair.lock, GT_REASON_CHAN_RECEIVE);
		gt__lock(&pair.lock);
	}
	pair.token[me] = false;
	gt__unlock(&pair.lock);
}

static void player(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (int i = 0; i < 25; i++) {
		await(me);
		pass(1 - me);
	}
	join_done(&pair_join);
}

static int ping_pong(int argc, char **argv)
{
	pair_join.left = 2;
	gt_go(player, (void *)0);
	gt_go(player, (void *)1);
	pass(0);
	join_wait(&pair_join);
	return 0;
}

/* ---- a goroutine that is next on a P whose own one goes on and on ---- */

static _Atomic uint32_t flag;
static struct join flag_join;

static void set_flag(void *arg)
{
	atomic_store_explicit(&flag, 1, memory_order_release);
	join_done(&flag_join);
}

/* With two Ps the other one must steal what is next here. */
static int steal_next(int argc, char **argv)
{
	flag_join.left = 1;
	gt_go(set_flag, NULL);
	for (int i = 0; !atomic_load_explicit(&flag, memory_order_acquire); i++) {
		sim_work(5);
		if (i > 200000)
			sim_fail("what was next was never stolen, though a P is free");
	}
	join_wait(&flag_join);
	return 0;
}

/* The same, where it was readied and not made. */
static void ready_one(void *arg)
{
	await(1);
	set_flag(NULL);
}

static int steal_readied(int argc, char **argv)
{
	flag_join.left = 1;
	gt_go(ready_one, NULL);
	gt_yield();
	pass(1);
	for (int i = 0; !atomic_load_explicit(&flag, memory_order_acquire); i++) {
		sim_work(5);
		if (i > 200000)
			sim_fail("what was readied was never stolen, though a P is free");
	}
	join_wait(&flag_join);
	return 0;
}

/* ---- yields ---- */

static struct join yield_join;
static long turns[4];

static void yielder(void *arg)
{
	intptr_t me = (intptr_t)arg;

	for (int i = 0; i < 12; i++) {
		turns[me]++;
		gt_yield();
	}
	join_done(&yield_join);
}

static int yields(int argc, char **argv)
{
	yield_join.left = 4;
	for (intptr_t i = 0; i < 4; i++)
		gt_go(yielder, (void *)i);
	join_wait(&yield_join);
	for (int i = 0; i < 4; i++)
		sim_check(turns[i] == 12);
	return 0;
}

/* ---- more than a ring holds ---- */

static struct join many_join;

static void one_of_many(void *arg)
{
	join_done(&many_join);
}

static int overflow(int argc, char **argv)
{
	many_join.left = 600;
	for (int i = 0; i < 600; i++)
		gt_go(one_of_many, NULL);
	join_wait(&many_join);
	while (gt_num_goroutine() > 1)
		gt_sleep(GT_MICROSECOND);
	return 0;
}

/* ---- waves with quiet between: everything goes to sleep and must wake ---- */

static struct join wave_join;

static void wave_one(void *arg)
{
	if (sim_one_in(3))
		gt_yield();
	if (sim_one_in(4))
		sim_work(sim_below(50));
	join_done(&wave_join);
}

static int waves(int argc, char **argv)
{
	for (int wave = 0; wave < 6; wave++) {
		wave_join.left = 5;
		for (int i = 0; i < 5; i++)
			gt_go(wave_one, NULL);
		join_wait(&wave_join);
		gt_sleep((int64_t)sim_below(3) * 20 * GT_MICROSECOND);
	}
	return 0;
}

/* ---- stacks are used again ---- */

static void ends_at_once(void *arg)
{
	if (sim_one_in(2))
		gt_exit();
}

static int many_ends(int argc, char **argv)
{
	for (int i = 0; i < 150; i++) {
		gt_go(ends_at_once, NULL);
		if (i % 8 == 0)
			gt_yield();
	}
	while (gt_num_goroutine() > 1)
		gt_sleep(10 * GT_MICROSECOND);
	sim_check(gt__stack_count() <= 151);
	return 0;
}

/* ---- the main goroutine's end ---- */

static struct join exit_join;

static void goes_on(void *arg)
{
	gt_sleep(5 * GT_MICROSECOND);
	join_done(&exit_join);
}

static void ends_program(void *arg)
{
	exit_join.left = 3;
	for (int i = 0; i < 3; i++)
		gt_go(goes_on, NULL);
	join_wait(&exit_join);
	gt__end(0);
}

static int main_leaves(int argc, char **argv)
{
	gt_go(ends_program, NULL);
	gt_exit();
}

static void short_one(void *arg)
{
	gt_yield();
}

static int main_leaves_alone(int argc, char **argv)
{
	gt_go(short_one, NULL);
	gt_go(short_one, NULL);
	gt_exit();
}

/* Main returns while others run, sleep, wait and are in system calls: that is the end. */
static void never_ends(void *arg)
{
	for (;;)
		switch ((intptr_t)arg) {
		case 0:
			gt_yield();
			break;
		case 1:
			gt_sleep(GT_MICROSECOND);
			break;
		case 2:
			gt_syscall_enter();
			sim_block(3 * GT_MICROSECOND);
			gt_syscall_exit();
			break;
		default:
			sim_work(10);
			gt_checkpoint();
		}
}

static int main_returns(int argc, char **argv)
{
	for (intptr_t i = 0; i < 4; i++)
		gt_go(never_ends, (void *)i);
	gt_sleep(30 * GT_MICROSECOND);
	return 0;
}

const struct sim_scenario sim_scenarios_core[] = {
	{.name = "tree", .main_fn = tree},
	{.name = "families", .main_fn = families},
	{.name = "ping-pong", .main_fn = ping_pong},
	{.name = "steal-next", .main_fn = steal_next, .procs = 2},
	{.name = "steal-readied", .main_fn = steal_readied, .procs = 3},
	{.name = "yields", .main_fn = yields},
	{.name = "overflow", .main_fn = overflow, .share = 8},
	{.name = "waves", .main_fn = waves},
	{.name = "many-ends", .main_fn = many_ends, .share = 2},
	{.name = "main-leaves", .main_fn = main_leaves},
	{.name = "main-leaves-alone",
		.main_fn = main_leaves_alone,
		.last_words = "fatal error: no goroutines (main called gt_exit) - deadlock!"},
	{.name = "main-returns", .main_fn = main_returns},
	{.name = NULL},
};
