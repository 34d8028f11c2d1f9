/*
 * install_program.c - for install.sh: some of everything in the runtime's headers, with the installed copy. Prints "sum 6, after 1 tick".
 */
#include <gtrace/go.h>
#include <gtrace/io.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct point {
	int x, y;
};

static void worker(void *arg)
{
	gt_chan(struct point) c = (gt_chan(struct point))arg;

	for (int i = 0; i < 3; i++)
		gt_send(c, (struct point){i, i + 1});
	gt_close(c);
	gt_chan_free(c);
}

static struct gt_mutex mutex;
static struct gt_wg wg;
static int locked;

static void locks(void *arg)
{
	gt_mutex_lock(&mutex);
	locked++;
	gt_mutex_unlock(&mutex);
}

static int through_a_pipe(void)
{
	struct gt_fd *from, *to;
	char text[8] = "";
	int ends[2];

	if (pipe(ends) < 0 || gt_fd_new(ends[0], &from) < 0 || gt_fd_new(ends[1], &to) < 0)
		return -1;
	if (gt_fd_write(to, "pipe", 4) != 4 || gt_fd_read(from, text, sizeof(text)) != 4)
		return -1;
	gt_fd_close(to);
	gt_fd_close(from);
	return strcmp(text, "pipe");
}

static int run(int argc, char **argv)
{
	gt_chan(struct point) c = gt_chan_make(struct point, 1);
	gt_timer t;
	struct point p;
	int sum = 0, ticks = 0;

	gt_go(worker, (void *)gt_chan_ref(c));
	while (gt_recv(c, &p))
		sum += p.y;
	gt_chan_free(c);
	for (int i = 0; i < 10; i++)
		gt_wg_go(&wg, locks, NULL);
	gt_wg_wait(&wg);
	t = gt_after(GT_MILLISECOND);
	while (!ticks)
		if (gt_select(gt_case_recv(t, NULL)) == 0)
			ticks++;
	gt_chan_free(t);
	if (locked != 10 || through_a_pipe() != 0)
		return 1;
	printf("sum %d, after %d tick\n", sum, ticks);
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, run);
}
