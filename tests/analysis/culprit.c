/*
 * culprit.c - the stories of tests/programs/culprit/main.go on our own runtime: a fault that is known, which the report must name first.
 *
 *   culprit STORY [FACTOR]
 */
#include <gtrace/go.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double factor = 1;
static struct gt_wg wg;

static void pause_ms(double ms)
{
	gt_sleep((int64_t)(ms * factor * 1e6));
}

/* Keeps the CPU for so many us. */
static __attribute__((noinline)) void spin(int us)
{
	for (int64_t end = gt_now() + us * GT_MICROSECOND; gt_now() < end;)
		gt_checkpoint();
}

static void many(int n, void (*fn)(void *arg), void *arg)
{
	for (int i = 0; i < n; i++)
		gt_wg_go(&wg, fn, arg);
	gt_wg_wait(&wg);
}

/* ---- decoys: they wait much, and cost nothing ---- */

static gt_chan(int) jobs;
static struct gt_mutex small;

static void idle_worker(void *arg)
{
	while (gt_recv(jobs, NULL))
		pause_ms(0.1);
}

static void janitor(void *arg)
{
	gt_chan(int) stop = arg;

	for (;;)
		if (gt_select(gt_case_recv(stop, NULL), gt_case_recv(gt_after(25 * GT_MILLISECOND), NULL)) == 0)
			return;
}

static void small_lock(void *arg)
{
	for (;;) {
		gt_mutex_lock(&small);
		pause_ms(0.3);
		gt_mutex_unlock(&small);
		pause_ms(arg ? 31 : 20);
	}
}

static void decoys(void)
{
	jobs = gt_chan_make(int);
	for (int i = 0; i < 20; i++)
		gt_go(idle_worker, NULL);
	gt_go(janitor, gt_chan_make(int));
	gt_go(small_lock, NULL);
	gt_go(small_lock, &small);
	for (int i = 0; i < 20; i++)
		gt_send(jobs, i);
}

/* ---- lock convoy ---- */

static struct gt_mutex table_lock;
static int table[64];

static __attribute__((noinline)) void update_table(int n)
{
	gt_mutex_lock(&table_lock);
	table[n % 64]++;
	spin(150);
	gt_mutex_unlock(&table_lock);
}

static void convoy_worker(void *arg)
{
	for (int i = 0; i < 150; i++) {
		update_table(i);
		pause_ms(0.1);
	}
}

static struct gt_rwmutex ledger_lock;

static __attribute__((noinline)) void book_entry(int n)
{
	gt_rwmutex_lock(&ledger_lock);
	table[n % 64]++;
	spin(300);
	gt_rwmutex_unlock(&ledger_lock);
}

static void clerk(void *arg)
{
	for (int i = 0; i < 60; i++)
		book_entry(i);
}

/* ---- a holder that loses its CPU: the same work under a lock each time, whatever the clock says ---- */

static struct gt_mutex index_lock;
static volatile uint64_t words;

static __attribute__((noinline)) void work_for(int rounds)
{
	uint64_t sum = 0;

	for (int i = 0; i < rounds; i++)
		sum = sum * 6364136223846793005u + (uint64_t)i + words;
	words = sum;
}

/* So long that a thread which shares its CPU is taken away again and again meanwhile. */
static __attribute__((noinline)) void rebuild_index(void)
{
	gt_mutex_lock(&index_lock);
	work_for(8000000);
	gt_mutex_unlock(&index_lock);
}

static void indexer(void *arg)
{
	for (int i = 0; i < 4; i++) {
		rebuild_index();
		pause_ms(2);
	}
}

static struct gt_rwmutex epoch_lock;

/* More than twice what the quota gives for a period. */
static __attribute__((noinline)) void seal_epoch(void)
{
	gt_rwmutex_lock(&epoch_lock);
	work_for(24000000);
	gt_rwmutex_unlock(&epoch_lock);
}

static void sealer(void *arg)
{
	for (int i = 0; i < 3; i++) {
		seal_epoch();
		pause_ms(1);
	}
}

/* ---- a slow fsync under a lock ---- */

static struct gt_mutex journal_lock;
static int journal;

/* A slow disk: so often that it takes about 4 ms wherever it runs. */
static __attribute__((noinline)) void flush_journal(void)
{
	static char block[256 << 10];

	for (int64_t end = gt_now() + (int64_t)(4 * factor * 1e6); gt_now() < end;) {
		gt_syscall_enter();
		if (pwrite(journal, block, sizeof(block), 4096) < 0 || fsync(journal) < 0)
			abort();
		gt_syscall_exit();
	}
}

static __attribute__((noinline)) void append_record(void)
{
	gt_mutex_lock(&journal_lock);
	flush_journal();
	gt_mutex_unlock(&journal_lock);
}

static void journal_writer(void *arg)
{
	for (int i = 0; i < 12; i++) {
		append_record();
		pause_ms(1);
	}
}

static void open_journal(void)
{
	const char *folder = getenv("CULPRIT_DIR");
	char name[512];

	snprintf(name, sizeof(name), "%s/culpritXXXXXX", folder ? folder : "/tmp");
	journal = mkstemp(name);
	if (journal < 0)
		abort();
	unlink(name);
}

/* ---- a channel without a buffer, and a slow reader ---- */

static gt_chan(int) rows;

static void produce_rows(void *arg)
{
	for (int i = 0; i < 25; i++)
		gt_send(rows, i);
}

static void consume_rows(void *arg)
{
	while (gt_recv(rows, NULL))
		pause_ms(3);
}

static void emit_metrics(void *arg)
{
	for (int i = 0; i < 40; i++)
		gt_send(rows, i);
}

static void upload_metrics(void *arg)
{
	while (gt_recv(rows, NULL))
		pause_ms(1);
}

/* ---- too few Ps ---- */

static void crunch(void *arg)
{
	for (int i = 0; i < 40; i++) {
		spin(1500);
		gt_yield();
	}
}

static void hash_blocks(void *arg)
{
	for (int i = 0; i < 15; i++)
		spin(3000);
}

/* ---- leaks ---- */

static void ask_backend(void *arg)
{
	gt_chan(int) answer = arg;

	pause_ms(1);
	gt_send(answer, 1);
}

static void handle(void)
{
	gt_chan(int) answer = gt_chan_make(int);

	gt_go(ask_backend, answer);
	gt_select(gt_case_recv(answer, NULL), gt_case_recv(gt_after(100 * GT_MICROSECOND), NULL));
}

static void watch_session(void *arg)
{
	gt_chan(int) done = arg;

	gt_recv(done, NULL);
}

/* ---- a select that nobody serves ---- */

static gt_chan(int) requests, replies, quit;

static void serve_requests(void *arg)
{
	gt_chan(int) reply = replies;

	for (int n = 1; gt_recv(requests, NULL); n++) {
		if (n == 20)
			reply = gt_chan_make(int);
		if (gt_select(gt_case_send(reply, n), gt_case_recv(quit, NULL)) == 1)
			return;
	}
}

static void client(void *arg)
{
	for (int i = 0; i < 40; i++) {
		pause_ms(1);
		gt_send(requests, i);
		gt_recv(replies, NULL);
	}
}

static void pump_events(void *arg)
{
	for (int v = 0; gt_recv(requests, &v);)
		if (gt_select(gt_case_send(v >= 12 ? gt_chan_make(int) : replies, v), gt_case_recv(quit, NULL)) == 1)
			return;
}

static void feeder(void *arg)
{
	for (int i = 0; i < 100; i++) {
		gt_send(requests, i);
		gt_recv(replies, NULL);
		pause_ms(2);
	}
}

static void blocked_select(void (*server)(void *arg), void (*user)(void *arg))
{
	requests = gt_chan_make(int);
	replies = gt_chan_make(int);
	quit = gt_chan_make(int);
	gt_go(server, NULL);
	gt_go(user, NULL);
	pause_ms(350);
}

/* ---- timers ---- */

static void poll_queue(void *arg)
{
	for (int i = 0; i < 500; i++)
		gt_sleep(100 * GT_MICROSECOND);
}

static void check_deadline(void *arg)
{
	for (int i = 0; i < 400; i++)
		gt_recv(gt_after(150 * GT_MICROSECOND), NULL);
}

/* ---- two locks, in both orders ---- */

static struct gt_mutex accounts, audit;

static void transfer(void *arg)
{
	gt_mutex_lock(&accounts);
	pause_ms(5);
	gt_mutex_lock(&audit);
}

static void reconcile(void *arg)
{
	gt_mutex_lock(&audit);
	pause_ms(5);
	gt_mutex_lock(&accounts);
}

/* ---- no fault ---- */

static gt_chan(int) work, results;

static void worker(void *arg)
{
	int job;

	while (gt_recv(work, &job)) {
		pause_ms(1);
		gt_send(results, job);
	}
}

static void dispatcher(void *arg)
{
	for (int i = 0; i < 60; i++) {
		gt_send(work, i);
		pause_ms(4);
	}
	gt_close(work);
}

static void healthy(void)
{
	work = gt_chan_make(int, 64);
	results = gt_chan_make(int, 64);
	for (int i = 0; i < 4; i++)
		gt_go(worker, NULL);
	gt_go(dispatcher, NULL);
	for (int i = 0; i < 60; i++)
		gt_recv(results, NULL);
}

static int story(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (argc > 2)
		factor = atof(argv[2]);
	decoys();
	if (!strcmp(name, "convoy")) {
		many(8, convoy_worker, NULL);
	} else if (!strcmp(name, "convoy2")) {
		many(12, clerk, NULL);
	} else if (!strcmp(name, "preempted")) {
		many(5, indexer, NULL);
	} else if (!strcmp(name, "preempted2")) {
		many(4, sealer, NULL);
	} else if (!strcmp(name, "fsync") || !strcmp(name, "fsync2")) {
		open_journal();
		many(name[5] ? 9 : 6, journal_writer, NULL);
	} else if (!strcmp(name, "reader") || !strcmp(name, "reader2")) {
		rows = gt_chan_make(int);
		gt_go(name[6] ? upload_metrics : consume_rows, NULL);
		many(name[6] ? 3 : 4, name[6] ? emit_metrics : produce_rows, NULL);
	} else if (!strcmp(name, "starved")) {
		gt_gomaxprocs(1);
		many(6, crunch, NULL);
	} else if (!strcmp(name, "starved2")) {
		gt_gomaxprocs(2);
		many(10, hash_blocks, NULL);
	} else if (!strcmp(name, "leak")) {
		for (int i = 0; i < 100; i++) {
			handle();
			pause_ms(3);
		}
	} else if (!strcmp(name, "leak2")) {
		for (int i = 0; i < 60; i++) {
			gt_go(watch_session, gt_chan_make(int));
			pause_ms(4);
		}
	} else if (!strcmp(name, "select")) {
		blocked_select(serve_requests, client);
	} else if (!strcmp(name, "select2")) {
		blocked_select(pump_events, feeder);
	} else if (!strcmp(name, "timers")) {
		many(40, poll_queue, NULL);
	} else if (!strcmp(name, "timers2")) {
		many(60, check_deadline, NULL);
	} else if (!strcmp(name, "deadlock")) {
		gt_go(transfer, NULL);
		gt_go(reconcile, NULL);
		pause_ms(200);
	} else if (!strcmp(name, "healthy")) {
		healthy();
	} else {
		fprintf(stderr, "no such story: %s\n", name);
		return 2;
	}
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, story);
}
