/*
 * runtime.c - the runtime under everything at once, for as long as one likes: random programs that check their own sums.
 *
 *   stress-runtime [--seconds N] [--seed S]        2 s by default, a seed from the clock; hours: --seconds 36000;
 *   GTRACE_STRESS_SECONDS comes before both
 *
 * A round is some islands, chosen by the seed, that run at the same time while GOMAXPROCS changes: pipelines, selects, timers, system
 * calls, pipes with deadlines, mutexes, trees of goroutines, loops that only a signal stops. Each knows what must come out. Kernel
 * threads are not simulated here: the same seed gives the same programs, not the same run (tests/schedsim does that).
 */
#include <gtrace/go.h>
#include <gtrace/io.h>

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t seed;
static int64_t seconds = 2;
static _Atomic uint64_t progress, done_islands;
static _Atomic long round_number;

#define check(condition) \
	((condition) ? (void)0 \
		     : (fprintf(stderr, "%s:%d: %s (--seed %" PRIu64 ", round %ld)\n", __FILE__, __LINE__, #condition, \
				seed, round_number), \
			       abort()))

/* Each island has its own chance. */
struct chance {
	uint64_t state;
};

static uint64_t next(struct chance *chance)
{
	uint64_t z = (chance->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint32_t below(struct chance *chance, uint32_t n)
{
	return (uint32_t)((next(chance) >> 32) * n >> 32);
}

static void moved(void)
{
	atomic_fetch_add_explicit(&progress, 1, memory_order_relaxed);
}

struct island {
	struct chance chance;
	struct gt_wg *all;
};

/* ---- pipelines ---- */

struct pipeline {
	gt_chan(uint64_t) in, out;
	struct gt_wg workers;
	uint32_t items, pause_one_in;
	struct chance chance;
};

static void pipeline_feed(void *arg)
{
	struct pipeline *p = arg;

	for (uint32_t i = 1; i <= p->items; i++)
		gt_send(p->in, i);
	gt_close(p->in);
}

static void pipeline_work(void *arg)
{
	struct pipeline *p = arg;
	uint64_t value;

	while (gt_recv(p->in, &value)) {
		if (value % p->pause_one_in == 0)
			gt_yield();
		gt_send(p->out, value * 3);
		moved();
	}
}

static void pipeline_end(void *arg)
{
	struct pipeline *p = arg;

	gt_wg_wait(&p->workers);
	gt_close(p->out);
}

static void pipeline(struct island *island)
{
	struct pipeline p = {
		.items = 100 + below(&island->chance, 3000), .pause_one_in = 1 + below(&island->chance, 50)};
	uint32_t workers = 1 + below(&island->chance, 8);
	uint64_t sum = 0, value;
	struct gt_wg ends = {0};

	p.in = gt_chan_make(uint64_t, below(&island->chance, 20));
	p.out = gt_chan_make(uint64_t, below(&island->chance, 20));
	for (uint32_t i = 0; i < workers; i++)
		gt_wg_go(&p.workers, pipeline_work, &p);
	gt_wg_go(&ends, pipeline_feed, &p);
	gt_wg_go(&ends, pipeline_end, &p);
	while (gt_recv(p.out, &value))
		sum += value;
	gt_wg_wait(&ends);
	check(sum == 3 * (uint64_t)p.items * (p.items + 1) / 2);
	gt_chan_free(p.in);
	gt_chan_free(p.out);
}

/* ---- selects ---- */

struct storm {
	gt_chan(uint64_t) c[3];
	gt_chan(struct gt_unit) stop;
	_Atomic uint64_t sent, received;
	uint32_t items;
};

static void storm_send(void *arg)
{
	struct storm *s = arg;

	for (uint64_t i = 1; i <= s->items; i++) {
		gt_select(gt_case_send(s->c[0], i), gt_case_send(s->c[1], i), gt_case_send(s->c[2], i));
		atomic_fetch_add(&s->sent, i);
		moved();
	}
}

static void storm_receive(void *arg)
{
	struct storm *s = arg;
	uint64_t value;

	for (;;) {
		gt_timer late = gt_after(5 * GT_MILLISECOND);
		size_t which = gt_select(gt_case_recv(s->c[2], &value), gt_case_recv(s->c[1], &value),
			gt_case_recv(s->c[0], &value), gt_case_recv(late, NULL), gt_case_recv(s->stop, NULL));

		gt_chan_free(late);
		if (which < 3)
			atomic_fetch_add(&s->received, value);
		if (which == 4)
			break;
	}
	/* What is in the buffers. */
	for (int i = 0; i < 3; i++)
		while (gt_select(gt_case_recv(s->c[i], &value), gt_case_default) == 0)
			atomic_fetch_add(&s->received, value);
}

static void storm(struct island *island)
{
	struct storm s = {.items = 50 + below(&island->chance, 500)};
	uint32_t senders = 1 + below(&island->chance, 4), receivers = 1 + below(&island->chance, 4);
	struct gt_wg sending = {0}, receiving = {0};

	for (int i = 0; i < 3; i++)
		s.c[i] = gt_chan_make(uint64_t, below(&island->chance, 4));
	s.stop = gt_chan_make(struct gt_unit);
	for (uint32_t i = 0; i < senders; i++)
		gt_wg_go(&sending, storm_send, &s);
	for (uint32_t i = 0; i < receivers; i++)
		gt_wg_go(&receiving, storm_receive, &s);
	gt_wg_wait(&sending);
	gt_close(s.stop);
	gt_wg_wait(&receiving);
	check(s.sent == s.received);
	for (int i = 0; i < 3; i++)
		gt_chan_free(s.c[i]);
	gt_chan_free(s.stop);
}

/* ---- time ---- */

static void count_one(void *arg)
{
	atomic_fetch_add((_Atomic uint64_t *)arg, 1);
}

static void times(struct island *island)
{
	_Atomic uint64_t fired = 0;
	uint64_t wanted = 0;

	for (uint32_t i = 0, count = 5 + below(&island->chance, 40); i < count; i++) {
		int64_t ns = below(&island->chance, 400) * GT_MICROSECOND, before = gt_now(), at;
		gt_timer t;

		switch (below(&island->chance, 4)) {
		case 0:
			gt_sleep(ns);
			check(gt_now() >= before + ns);
			break;
		case 1:
			t = gt_after(ns);
			check(gt_recv(t, &at) && at >= before + ns);
			gt_chan_free(t);
			break;
		case 2:
			t = gt_after_func(ns, count_one, &fired);
			if (below(&island->chance, 2))
				gt_yield();
			wanted += !gt_timer_stop(t);
			gt_chan_free(t);
			break;
		default:
			t = gt_ticker(20 * GT_MICROSECOND + ns);
			check(gt_recv(t, &at) && at >= before + ns);
			gt_timer_reset(t, 10 * GT_MICROSECOND);
			check(gt_recv(t, &at));
			gt_timer_stop(t);
			check(gt_select(gt_case_recv(t, &at), gt_case_default) == 1);
			gt_chan_free(t);
		}
		moved();
	}
	while (atomic_load(&fired) < wanted)
		gt_sleep(20 * GT_MICROSECOND);
	check(fired == wanted);
}

/* ---- system calls ---- */

static void calls(struct island *island)
{
	int fds[2];

	check(pipe2(fds, O_CLOEXEC) == 0);
	for (uint32_t i = 0, count = 5 + below(&island->chance, 60); i < count; i++) {
		char byte = (char)i, back = 0;

		gt_syscall_enter();
		if (below(&island->chance, 8) == 0)
			usleep(below(&island->chance, 300));
		while (write(fds[1], &byte, 1) != 1)
			continue;
		while (read(fds[0], &back, 1) != 1)
			continue;
		gt_syscall_exit();
		check(back == byte);
		errno = (int)i + 1;
		gt_yield();
		check(errno == (int)i + 1);
		moved();
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- descriptors ---- */

struct stream {
	struct gt_fd *fd;
	uint64_t bytes;
	struct chance chance;
};

static uint8_t byte_at(uint64_t at)
{
	return (uint8_t)(at * 31 + (at >> 8));
}

static void stream_write(void *arg)
{
	struct stream *s = arg;
	uint8_t buffer[5000];

	for (uint64_t at = 0; at < s->bytes;) {
		uint64_t count = 1 + below(&s->chance, sizeof(buffer) - 1);

		if (count > s->bytes - at)
			count = s->bytes - at;
		for (uint64_t i = 0; i < count; i++)
			buffer[i] = byte_at(at + i);
		check(gt_fd_write(s->fd, buffer, count) == (ssize_t)count);
		at += count;
		if (below(&s->chance, 5) == 0)
			gt_sleep(below(&s->chance, 200) * GT_MICROSECOND);
		moved();
	}
	check(gt_fd_close(s->fd) == 0);
}

static void stream(struct island *island)
{
	struct stream s = {.bytes = 1000 + below(&island->chance, 200000), .chance = {next(&island->chance)}};
	struct gt_wg writer = {0};
	uint8_t buffer[4096];
	struct gt_fd *reader;
	uint64_t at = 0;
	ssize_t got;
	int fds[2];

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	check(gt_fd_new(fds[0], &reader) == 0 && gt_fd_new(fds[1], &s.fd) == 0);
	gt_wg_go(&writer, stream_write, &s);
	for (;;) {
		if (below(&island->chance, 4) == 0)
			gt_fd_read_deadline(reader, gt_now() + below(&island->chance, 100) * GT_MICROSECOND);
		got = gt_fd_read(reader, buffer, 1 + below(&island->chance, sizeof(buffer) - 1));
		if (got == -ETIMEDOUT) {
			gt_fd_read_deadline(reader, 0);
			continue;
		}
		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++)
			check(buffer[i] == byte_at(at + (uint64_t)i));
		at += (uint64_t)got;
		moved();
	}
	check(got == 0 && at == s.bytes);
	gt_wg_wait(&writer);
	check(gt_fd_close(reader) == 0);
}

/* ---- locks ---- */

struct locks {
	struct gt_mutex mutex;
	struct gt_rwmutex rw;
	struct gt_cond cond;
	uint64_t counter, rw_counter, turns;
	uint32_t items;
};

static void lock_user(void *arg)
{
	struct locks *l = arg;

	for (uint32_t i = 0; i < l->items; i++) {
		gt_mutex_lock(&l->mutex);
		l->counter++;
		if (i % 64 == 0)
			gt_yield();
		gt_mutex_unlock(&l->mutex);
		gt_rwmutex_rlock(&l->rw);
		uint64_t before = l->rw_counter;
		if (i % 32 == 0)
			gt_yield();
		check(l->rw_counter == before);
		gt_rwmutex_runlock(&l->rw);
		if (i % 8 == 0) {
			gt_rwmutex_lock(&l->rw);
			l->rw_counter++;
			gt_rwmutex_unlock(&l->rw);
		}
		moved();
	}
	gt_mutex_lock(&l->mutex);
	l->turns++;
	gt_mutex_unlock(&l->mutex);
	gt_cond_signal(&l->cond);
}

static void locks(struct island *island)
{
	struct locks l = {.items = 8 * (1 + below(&island->chance, 60))};
	uint32_t users = 2 + below(&island->chance, 6);
	struct gt_wg all = {0};

	l.cond.mutex = &l.mutex;
	for (uint32_t i = 0; i < users; i++)
		gt_wg_go(&all, lock_user, &l);
	gt_mutex_lock(&l.mutex);
	while (l.turns < users)
		gt_cond_wait(&l.cond);
	gt_mutex_unlock(&l.mutex);
	gt_wg_wait(&all);
	check(l.counter == (uint64_t)users * l.items && l.rw_counter == (uint64_t)users * l.items / 8);
}

/* ---- trees, and loops that make no call ---- */

struct tree {
	struct gt_wg all;
	_Atomic uint64_t nodes;
};

struct branch {
	struct tree *tree;
	int depth;
};

static void grow(void *arg)
{
	struct branch self = *(struct branch *)arg;

	free(arg);
	atomic_fetch_add(&self.tree->nodes, 1);
	for (int i = 0; i < 2 && self.depth > 0; i++) {
		struct branch *child = malloc(sizeof(*child));

		check(child);
		*child = (struct branch){self.tree, self.depth - 1};
		gt_wg_go(&self.tree->all, grow, child);
	}
	moved();
}

static void tree(struct island *island)
{
	struct branch *root = malloc(sizeof(*root));
	int depth = 3 + (int)below(&island->chance, 8);
	struct tree t = {.nodes = 0};

	check(root);
	*root = (struct branch){&t, depth};
	gt_wg_go(&t.all, grow, root);
	gt_wg_wait(&t.all);
	check(t.nodes == (UINT64_C(2) << depth) - 1);
}

static void loop(struct island *island)
{
	struct timespec now;
	int64_t begin, ns = below(&island->chance, 25) * GT_MILLISECOND;
	volatile uint64_t x = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	begin = now.tv_sec * GT_SECOND + now.tv_nsec;
	do {
		for (int i = 0; i < 1000; i++)
			x += (uint64_t)i;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec * GT_SECOND + now.tv_nsec - begin < ns);
	moved();
}

/* ---- rounds ---- */

static void (*const kinds[])(struct island *island) = {pipeline, storm, times, calls, stream, locks, tree, loop};

static void run_island(void *arg)
{
	struct island *island = arg;

	kinds[below(&island->chance, sizeof(kinds) / sizeof(kinds[0]))](island);
	atomic_fetch_add(&done_islands, 1);
	gt_wg_done(island->all);
	free(island);
}

static _Atomic bool over;

static void changer(void *arg)
{
	struct chance chance = {seed ^ 77};

	while (!atomic_load(&over)) {
		gt_gomaxprocs(1 + (int)below(&chance, 5));
		gt_sleep((1 + below(&chance, 30)) * GT_MILLISECOND);
	}
	gt_wg_done(arg);
}

/* A plain thread: what stands still for so long never goes on. */
static void *watch(void *arg)
{
	uint64_t seen = 0;

	for (int still = 0; still < 300; still++) {
		uint64_t now = atomic_load(&progress);

		if (now != seen)
			still = 0;
		seen = now;
		sleep(1);
	}
	fprintf(stderr, "nothing has moved for 300 s (--seed %" PRIu64 ", round %ld)\n", seed, round_number);
	abort();
}

static int run(int argc, char **argv)
{
	int64_t until = gt_now() + seconds * GT_SECOND;
	struct gt_wg changing = {0};

	gt_wg_add(&changing, 1);
	gt_go_named("changer", changer, &changing);
	for (; gt_now() < until; atomic_fetch_add(&round_number, 1)) {
		struct chance chance = {seed * UINT64_C(1000003) + (uint64_t)round_number};
		uint32_t count = 1 + below(&chance, 24);
		struct gt_wg all = {0};

		gt_wg_add(&all, (int)count);
		for (uint32_t i = 0; i < count; i++) {
			struct island *island = malloc(sizeof(*island));

			check(island);
			*island = (struct island){{next(&chance)}, &all};
			gt_go(run_island, island);
		}
		gt_wg_wait(&all);
		moved();
	}
	atomic_store(&over, true);
	gt_wg_wait(&changing);
	while (gt_num_goroutine() > 1)
		gt_sleep(GT_MILLISECOND);
	printf("seed %" PRIu64 ": %ld rounds, %" PRIu64 " islands, %" PRIu64 " steps\n", seed, round_number,
		done_islands, progress);
	return 0;
}

int main(int argc, char **argv)
{
	struct timespec now;
	pthread_t watcher;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = (uint64_t)now.tv_nsec;
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc || (strcmp(argv[i], "--seconds") != 0 && strcmp(argv[i], "--seed") != 0)) {
			fprintf(stderr, "usage: %s [--seconds N] [--seed S]\n", argv[0]);
			return 2;
		}
		if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
		else
			seconds = strtoll(argv[i + 1], NULL, 0);
	}
	if (getenv("GTRACE_STRESS_SECONDS"))
		seconds = strtoll(getenv("GTRACE_STRESS_SECONDS"), NULL, 0);
	printf("seed %" PRIu64 "\n", seed);
	fflush(stdout);
	if (pthread_create(&watcher, NULL, watch, NULL) != 0)
		return 1;
	return gt_main(argc, argv, run);
}
