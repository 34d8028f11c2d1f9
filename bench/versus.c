/*
 * versus.c - one operation of the runtime, as often as said; versus.go is the same in Go. runtime-vs-go.py runs both.
 *
 *   bench-versus OP COUNT      prints lines of NAME VALUE (ns, bytes); echo prints its port and serves until killed
 */
#include <gtrace/chan.h>
#include <gtrace/go.h>
#include <gtrace/io.h>
#include <gtrace/sync.h>

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CONTENDERS 8
#define BATCH      1000

static long count;

static int64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static void tell(const char *name, double value)
{
	printf("%s %.2f\n", name, value);
	fflush(stdout);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void tell_sorted(int64_t *values, long n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	tell("p50", (double)values[n / 2]);
	tell("p99", (double)values[n * 99 / 100]);
}

static struct gt_wg all;

/* ---- two goroutines that give way to each other ---- */

static void yielder(void *arg)
{
	for (long i = 0; i < count / 2; i++)
		gt_yield();
	gt_wg_done(&all);
}

static void yields(void)
{
	int64_t begin = now();

	gt_wg_add(&all, 2);
	gt_go(yielder, NULL);
	gt_go(yielder, NULL);
	gt_wg_wait(&all);
	tell("ns", (double)(now() - begin) / (double)count);
}

static void end_at_once(void *arg)
{
	gt_wg_done(&all);
}

static void spawn(void)
{
	int64_t begin = now();

	for (long i = 0; i < count / BATCH; i++) {
		gt_wg_add(&all, BATCH);
		for (int k = 0; k < BATCH; k++)
			gt_go(end_at_once, NULL);
		gt_wg_wait(&all);
	}
	tell("ns", (double)(now() - begin) / (double)(count / BATCH * BATCH));
}

/* ---- channels ---- */

static gt_chan(long) there, back;

static void answer(void *arg)
{
	for (long i = 0; i < count; i++)
		gt_send(back, gt_recv_value(there));
}

static void pingpong(void)
{
	int64_t begin;

	there = gt_chan_make(long);
	back = gt_chan_make(long);
	gt_go(answer, NULL);
	begin = now();
	for (long i = 0; i < count; i++) {
		gt_send(there, i);
		(void)gt_recv_value(back);
	}
	tell("ns", (double)(now() - begin) / (double)count);
}

static void sender(void *arg)
{
	for (long i = 0; i < count; i++)
		gt_send(there, i);
}

static void buffered(void)
{
	int64_t begin = now();

	there = gt_chan_make(long, 128);
	gt_go(sender, NULL);
	for (long i = 0; i < count; i++)
		(void)gt_recv_value(there);
	tell("ns", (double)(now() - begin) / (double)count);
}

/* ---- a mutex that many want ---- */

static struct gt_mutex mutex;
static long counter;

static void contender(void *arg)
{
	for (long i = 0; i < count / CONTENDERS; i++) {
		gt_mutex_lock(&mutex);
		counter++;
		gt_mutex_unlock(&mutex);
	}
	gt_wg_done(&all);
}

static void contention(void)
{
	int64_t begin = now();

	gt_wg_add(&all, CONTENDERS);
	for (int i = 0; i < CONTENDERS; i++)
		gt_go(contender, NULL);
	gt_wg_wait(&all);
	tell("ns", (double)(now() - begin) / (double)count);
}

/* ---- time ---- */

static int64_t *late;

static void sleeps(void)
{
	for (long i = 0; i < count; i++) {
		int64_t begin = now();

		gt_sleep(100 * GT_MICROSECOND);
		late[i] = now() - begin - 100 * GT_MICROSECOND;
	}
	tell_sorted(late, count);
}

/* Their ends lie all over one second. */
static void sleeper(void *arg)
{
	long i = (long)(intptr_t)arg;
	int64_t wanted = GT_SECOND / 2 + (int64_t)((uint64_t)i * UINT64_C(2654435761) % UINT64_C(1000000000)),
		begin = now();

	gt_sleep(wanted);
	late[i] = now() - begin - wanted;
	gt_wg_done(&all);
}

static void sleepers(void)
{
	gt_wg_add(&all, (int)count);
	for (long i = 0; i < count; i++)
		gt_go(sleeper, (void *)(intptr_t)i);
	gt_wg_wait(&all);
	tell_sorted(late, count);
}

static _Atomic bool stop;

static void spinner(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		;
}

static void preempt(void)
{
	gt_go(spinner, NULL);
	for (long i = 0; i < count; i++) {
		int64_t begin = now();

		gt_yield();
		late[i] = now() - begin;
	}
	stop = true;
	tell_sorted(late, count);
}

/* ---- many that wait ---- */

static long resident(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	long kb = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "VmRSS:", 6) == 0 || strncmp(line, "VmPTE:", 6) == 0)
			kb += strtol(line + 6, NULL, 10);
	if (file)
		fclose(file);
	return kb * 1024;
}

static void waiter(void *arg)
{
	long value;

	gt_recv(there, &value);
	gt_wg_done(&all);
}

static void idle(void)
{
	long before = resident();
	int64_t begin = now();

	there = gt_chan_make(long);
	gt_wg_add(&all, (int)count);
	for (long i = 0; i < count; i++) {
		gt_go(waiter, NULL);
		if (i % 1000 == 999)
			gt_yield();
	}
	gt_yield();
	tell("start_ns", (double)(now() - begin) / (double)count);
	tell("bytes", (double)(resident() - before) / (double)count);
	begin = now();
	gt_close(there);
	gt_wg_wait(&all);
	tell("wake_ns", (double)(now() - begin) / (double)count);
}

/* ---- the kernel ---- */

#define TURNS 50

/* With and without in turns, and the best of each: the difference is small. */
static void syscalls(void)
{
	int64_t raw = INT64_MAX, ours = INT64_MAX;
	long n = count / TURNS + 1;

	for (int turn = 0; turn < TURNS; turn++) {
		int64_t begin = now(), middle, end;

		for (long i = 0; i < n; i++)
			syscall(SYS_getppid);
		middle = now();
		for (long i = 0; i < n; i++) {
			gt_syscall_enter();
			syscall(SYS_getppid);
			gt_syscall_exit();
		}
		end = now();
		if (middle - begin < raw)
			raw = middle - begin;
		if (end - middle < ours)
			ours = end - middle;
	}
	tell("raw_ns", (double)raw / (double)n);
	tell("over_ns", (double)(ours - raw) / (double)n);
}

static void serve(void *arg)
{
	struct gt_fd *fd = arg;
	char buffer[4096];
	ssize_t n;

	while ((n = gt_fd_read(fd, buffer, sizeof(buffer))) > 0)
		if (gt_fd_write(fd, buffer, (size_t)n) != n)
			break;
	gt_fd_close(fd);
}

static void echo(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	struct gt_fd *listener, *conn;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 4096) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &length) < 0 || gt_fd_new(fd, &listener) < 0) {
		perror("bench-versus: listen");
		exit(1);
	}
	tell("port", ntohs(address.sin_port));
	while (gt_fd_accept(listener, &conn, NULL, NULL) == 0)
		gt_go(serve, conn);
}

static const struct {
	const char *name;
	void (*run)(void);
} ops[] = {{"yield", yields}, {"spawn", spawn}, {"pingpong", pingpong}, {"buffered", buffered}, {"mutex", contention},
	{"sleep", sleeps}, {"sleepers", sleepers}, {"preempt", preempt}, {"idle", idle}, {"syscall", syscalls},
	{"echo", echo}};

static int run(int argc, char **argv)
{
	count = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	if (argc < 3 || count < 1) {
		fprintf(stderr, "usage: bench-versus OP COUNT\n");
		return 2;
	}
	late = calloc((size_t)count, sizeof(*late));
	for (size_t i = 0; late && i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(argv[1], ops[i].name) == 0) {
			ops[i].run();
			return 0;
		}
	fprintf(stderr, "bench-versus: no operation %s\n", argv[1]);
	return 2;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, run);
}
