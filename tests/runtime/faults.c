/*
 * faults.c - what the system refuses or does to a program: memory, threads, descriptors, signals, fork, affinity. One case an argument;
 * faults.sh knows what each must come to.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <gtrace/go.h>
#include <gtrace/io.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what) \
	do { \
		if (!(what)) { \
			printf("%s:%d: not: %s\n", __FILE__, __LINE__, #what); \
			fflush(stdout); \
			_exit(1); \
		} \
	} while (0)

static void waits_for_ever(void *arg)
{
	gt_sleep(3600 * GT_SECOND);
}

static int nothing[2];

static void blocks_its_thread(void *arg)
{
	char byte;

	gt_syscall_enter();
	while (read(nothing[0], &byte, 1) < 0)
		;
	gt_syscall_exit();
}

static void memory(void)
{
	for (;;)
		gt_go(waits_for_ever, NULL);
}

static void threads(void)
{
	CHECK(pipe(nothing) == 0);
	for (int i = 0; i < 100; i++) {
		gt_go(blocks_its_thread, NULL);
		gt_sleep(GT_MILLISECOND);
	}
	gt_sleep(20 * GT_SECOND);
}

/* ---- descriptors ---- */

static struct gt_fd *listen_here(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*address);
	struct gt_fd *made;

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)address, size) == 0 && listen(fd, 64) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)address, &size) == 0);
	CHECK(gt_fd_new(fd, &made) == 0);
	return made;
}

static void descriptors(void)
{
	struct sockaddr_in address;
	struct gt_fd *listener = listen_here(&address), *fresh;
	struct rlimit before, none;
	int clients[4], next;

	for (int i = 0; i < 4; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK(clients[i] >= 0 && connect(clients[i], (struct sockaddr *)&address, sizeof(address)) == 0);
	}
	next = dup(0);
	CHECK(next >= 0 && close(next) == 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = before;
	none.rlim_cur = (rlim_t)next;
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(gt_fd_accept(listener, &fresh, NULL, NULL) == -EMFILE);
	CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
	for (int i = 0; i < 4; i++) {
		CHECK(gt_fd_accept(listener, &fresh, NULL, NULL) == 0);
		gt_fd_close(fresh);
		close(clients[i]);
	}
	gt_fd_close(listener);
}

/* ---- everything at once, with results that are known ---- */

static struct gt_mutex mutex;
static struct gt_cond cond = {.mutex = &mutex};
static long guarded;
static struct gt_sem sem = {.size = 2};

struct part {
	gt_chan(int) out;
	struct gt_wg wg;
	struct sockaddr_in address;
};

static void sends(void *arg)
{
	struct part *part = arg;

	for (int i = 1; i <= 100; i++) {
		gt_sem_acquire(&sem, 1);
		gt_mutex_lock(&mutex);
		guarded++;
		gt_mutex_unlock(&mutex);
		gt_sem_release(&sem, 1);
		gt_send(part->out, i);
		if (i % 25 == 0)
			gt_sleep(GT_MILLISECOND / 4);
	}
}

static void echoes(void *arg)
{
	struct gt_fd *fd = arg;
	char bytes[4096];
	ssize_t got;

	while ((got = gt_fd_read(fd, bytes, sizeof(bytes))) > 0)
		CHECK(gt_fd_write(fd, bytes, (size_t)got) == got);
	CHECK(got == 0);
	gt_fd_close(fd);
}

static void talks(void *arg)
{
	static char out[200000];
	struct part *part = arg;
	int number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *in = malloc(sizeof(out));
	struct gt_fd *fd;

	CHECK(number >= 0 && gt_fd_new(number, &fd) == 0);
	CHECK(gt_fd_connect(fd, (struct sockaddr *)&part->address, sizeof(part->address)) == 0);
	for (size_t sent = 0; sent < sizeof(out);) {
		size_t piece = sizeof(out) - sent < 20000 ? sizeof(out) - sent : 20000, back = 0;

		CHECK(gt_fd_write(fd, out + sent, piece) == (ssize_t)piece);
		while (back < piece) {
			ssize_t got = gt_fd_read(fd, in + back, piece - back);

			CHECK(got > 0);
			back += (size_t)got;
		}
		CHECK(memcmp(in, out + sent, piece) == 0);
		sent += piece;
	}
	gt_fd_close(fd);
	free(in);
}

static void reads_a_file(void *arg)
{
	struct gt_fd *fd;
	char byte;
	int number = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	CHECK(number >= 0 && gt_fd_new(number, &fd) == 0);
	for (int i = 0; i < 50; i++)
		CHECK(gt_fd_read(fd, &byte, 1) == 1);
	gt_fd_close(fd);
}

static void cancelled(void *arg)
{
	struct gt_ctx *ctx = gt_ctx_with_timeout(gt_ctx_background(), 2 * GT_MILLISECOND);

	gt_recv(gt_ctx_done(ctx), NULL);
	CHECK(gt_ctx_err(ctx) == ETIMEDOUT);
	gt_ctx_free(ctx);
	gt_mutex_lock(&mutex);
	gt_cond_broadcast(&cond);
	guarded++;
	gt_mutex_unlock(&mutex);
}

static void one_round(void)
{
	struct part part = {.out = gt_chan_make(int, 3)};
	struct gt_fd *listener = listen_here(&part.address), *fresh;
	gt_timer ticker = gt_ticker(GT_MILLISECOND);
	long sum = 0, ticks = 0;
	int64_t begin = gt_now();
	int v;

	guarded = 0;
	for (int i = 0; i < 4; i++)
		gt_wg_go(&part.wg, sends, &part);
	gt_wg_go(&part.wg, talks, &part);
	gt_wg_go(&part.wg, reads_a_file, &part);
	gt_wg_go(&part.wg, cancelled, &part);
	CHECK(gt_fd_accept(listener, &fresh, NULL, NULL) == 0);
	gt_go(echoes, fresh);
	for (int left = 400; left;) {
		if (gt_select(gt_case_recv(part.out, &v), gt_case_recv(ticker, NULL)) == 0) {
			sum += v;
			left--;
		} else {
			ticks++;
		}
	}
	gt_mutex_lock(&mutex);
	while (guarded < 401)
		gt_cond_wait(&cond);
	gt_mutex_unlock(&mutex);
	gt_wg_wait(&part.wg);
	gt_sleep(2 * GT_MILLISECOND);
	CHECK(gt_now() - begin >= 2 * GT_MILLISECOND);
	CHECK(sum == 4 * 5050);
	gt_chan_free(ticker);
	gt_chan_free(part.out);
	gt_fd_close(listener);
}

static _Atomic long signals;

static void on_signal(int signal)
{
	atomic_fetch_add(&signals, 1);
}

static void handle(int signal)
{
	/* No SA_RESTART: every call that can be interrupted is. */
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(signal, &action, NULL);
}

static void eintr(void)
{
	struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};

	handle(SIGALRM);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	for (int i = 0; i < 3000 && (i < 5 || atomic_load(&signals) < 100); i++)
		one_round();
	CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
	CHECK(atomic_load(&signals) >= 100);
}

/* From outside: signals to the process, and stop and go on. */
static void from_outside(void)
{
	pid_t me = getpid(), child;
	int status;

	handle(SIGUSR1);
	handle(SIGUSR2);
	handle(SIGCONT);
	child = fork();
	if (child == 0) {
		struct timespec pause = {0, 1000000};

		for (int i = 0; i < 100; i++) {
			kill(me, i % 2 ? SIGUSR1 : SIGUSR2);
			nanosleep(&pause, NULL);
			if (i % 10 == 0) {
				kill(me, SIGSTOP);
				nanosleep(&pause, NULL);
				kill(me, SIGCONT);
			}
		}
		_exit(0);
	}
	CHECK(child > 0);
	do
		one_round();
	while (waitpid(child, &status, WNOHANG) != child);
	CHECK(status == 0 && atomic_load(&signals) > 0); /* one that waits to be seen takes in all that come after it */
}

/* ---- fork ---- */

static gt_chan(int) shared;

static int status_of(pid_t child)
{
	int status = 0;

	gt_syscall_enter();
	while (waitpid(child, &status, 0) < 0)
		;
	gt_syscall_exit();
	return status;
}

static void forks(void *arg)
{
	static char name[] = "true";
	static char *const words[] = {name, NULL};
	static char *const environment[] = {NULL};
	void (*const misuse[])(void) = {gt_yield, gt_checkpoint};
	pid_t child;

	child = fork();
	if (child == 0)
		_exit(3);
	CHECK(child > 0 && status_of(child) == 3 << 8);
	child = fork();
	if (child == 0) {
		execve("/bin/true", words, environment);
		_exit(4);
	}
	CHECK(child > 0 && status_of(child) == 0);
	CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, words, environment) == 0 && status_of(child) == 0);
	/* Each of these ends the child with a message. */
	for (int how = 0; how < 6; how++) {
		child = fork();
		if (child == 0) {
			if (how < 2)
				misuse[how]();
			else if (how == 2)
				gt_go(waits_for_ever, NULL);
			else if (how == 3)
				gt_send(shared, 1);
			else if (how == 4)
				gt_sleep(GT_MILLISECOND);
			else
				(void)gt_recv_value(shared);
			_exit(5);
		}
		CHECK(child > 0 && status_of(child) == 2 << 8);
	}
	gt_send(shared, 7);
}

static void fork_in_goroutine(void)
{
	shared = gt_chan_make(int);
	gt_go_named("forks", forks, NULL);
	CHECK(gt_recv_value(shared) == 7);
	one_round();
}

/* ---- CPUs ---- */

static void set_affinity(const cpu_set_t *set)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;

	CHECK(tasks);
	while ((entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			sched_setaffinity(atoi(entry->d_name), sizeof(*set), set);
	closedir(tasks);
}

static void wait_for_procs(int want)
{
	int64_t begin = gt_now();

	while (gt_gomaxprocs(0) != want) {
		CHECK(gt_now() - begin < 60 * GT_SECOND);
		gt_yield();
	}
}

static int affinity(void)
{
	cpu_set_t before, one;

	CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
	if (CPU_COUNT(&before) < 2) {
		puts("one CPU: nothing to take away");
		return 77;
	}
	CHECK(gt_gomaxprocs(0) >= 2);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &one);
	set_affinity(&one);
	wait_for_procs(1);
	one_round();
	set_affinity(&before);
	wait_for_procs(CPU_COUNT(&before));
	one_round();
	return 0;
}

static int run(int argc, char **argv)
{
	const char *how = argv[1];

	if (strcmp(how, "memory") == 0)
		memory();
	else if (strcmp(how, "max-threads") == 0)
		threads();
	else if (strcmp(how, "nproc") == 0)
		threads();
	else if (strcmp(how, "descriptors") == 0)
		descriptors();
	else if (strcmp(how, "eintr") == 0)
		eintr();
	else if (strcmp(how, "signals") == 0)
		from_outside();
	else if (strcmp(how, "fork") == 0)
		fork_in_goroutine();
	else if (strcmp(how, "affinity") == 0)
		return affinity();
	else
		return 1;
	puts("good");
	return 0;
}

static void limit(int what, rlim_t value)
{
	struct rlimit rlimit = {value, value};

	CHECK(setrlimit(what, &rlimit) == 0);
}

/* Beyond what is there: of ASan's terabytes of addresses nothing can be had by the program. */
static rlim_t addresses(rlim_t more)
{
	FILE *in = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	CHECK(in && fscanf(in, "%lu", &pages) == 1);
	fclose(in);
	return pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 1;
	if (strcmp(argv[1], "memory") == 0)
		limit(RLIMIT_AS, addresses(200 << 20));
	if (strcmp(argv[1], "max-threads") == 0)
		gt_set_max_threads(8);
	if (strcmp(argv[1], "nproc") == 0) {
		limit(RLIMIT_NPROC, 6);
		/* The limit does not hold for root; a user that has no other process. */
		uid_t nobody = (uid_t)(20000 + getpid() % 40000);

		if (getuid() == 0)
			CHECK(setgid(nobody) == 0 && setuid(nobody) == 0);
	}
	return gt_main(argc, argv, run);
}
