// install_program.cc - the same in C++, for install.sh: the macros of chan.h are templates there.
#include <gtrace/go.h>
#include <gtrace/io.h>

#include <cstdio>

struct point {
	int x, y;
};

static void worker(void *arg)
{
	auto c = (gt_chan(point))arg;

	for (int i = 0; i < 3; i++)
		gt_send(c, {i, i + 1});
	gt_close(c);
	gt_chan_free(c);
}

static gt_mutex mutex;
static gt_wg wg;
static int locked;

static void locks(void *)
{
	gt_mutex_lock(&mutex);
	locked++;
	gt_mutex_unlock(&mutex);
}

static int run(int, char **)
{
	gt_chan(point) c = gt_chan_make(point, 1);
	gt_chan(long) never = gt_chan_make(long);
	gt_chan(gt_unit) units = gt_chan_make(gt_unit, 1);
	point p;
	bool ok;
	int sum = 0, ticks = 0;

	gt_go(worker, (void *)gt_chan_ref(c));
	while (gt_recv(c, &p))
		sum += p.y;
	for (int i = 0; i < 10; i++)
		gt_wg_go(&wg, locks, nullptr);
	gt_wg_wait(&wg);
	gt_send(units, {});
	gt_timer t = gt_after(GT_MILLISECOND);
	while (!ticks)
		if (gt_select(gt_case_recv(t, nullptr), gt_case_send(never, 7), gt_case_recv(never, nullptr, &ok)) == 0)
			ticks++;
	gt_ctx *ctx = gt_ctx_with_timeout(gt_ctx_background(), 1);
	gt_recv(gt_ctx_done(ctx), nullptr);
	if (gt_ctx_err(ctx) != ETIMEDOUT || gt_select(gt_case_send(never, 5), gt_case_default) != 1)
		return 1;
	gt_ctx_free(ctx);
	if (gt_try_recv(c, &p) != GT_CLOSED || gt_try_send(never, 3) || !gt_recv(units, nullptr) ||
		gt_recv_value(c).x != 0 || locked != 10)
		return 1;
	gt_chan_free(t);
	gt_chan_free(units);
	gt_chan_free(never);
	gt_chan_free(c);
	std::printf("sum %d, after %d tick\n", sum, ticks);
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, run);
}
