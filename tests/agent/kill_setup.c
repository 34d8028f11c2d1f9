/*
 * kill_setup.c - gtrace is killed at any instant of a program's start: the program must not notice.
 *
 * Usage: kill_setup RUNNER PROGRAM [ROUNDS]
 * Starts RUNNER PROGRAM, kills RUNNER after a time that grows from round to round, adopts the program and looks at its
 * output and its end. Either it never began (no output, status 127), or it ran to its end, with the output and status of an
 * undisturbed run. Exit: 0 good, 1 not.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX 65536

static pid_t start(const char *runner, const char *program, int output)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(output, 1);
		dup2(null, 2);
		if (runner)
			execl(runner, runner, "-s", "8", "-b", "256", program, (char *)NULL);
		else
			execl(program, program, (char *)NULL);
		_exit(126);
	}
	return pid;
}

/* Waits for every child but @not; the status of the last one, -1 when there was none. */
static int reap(pid_t not_this)
{
	int status, last = -1;
	pid_t pid;

	for (;;) {
		pid = wait(&status);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return last;
		if (pid != not_this)
			last = status;
	}
}

static size_t read_all(int fd, char *text)
{
	ssize_t got = pread(fd, text, OUTPUT_MAX, 0);

	return got > 0 ? (size_t)got : 0;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	static char wanted[OUTPUT_MAX], got[OUTPUT_MAX];
	int rounds = argc > 3 ? atoi(argv[3]) : 200, done = 0, wanted_status;
	int began = 0, never = 0, whole = 0;
	char name[] = "/tmp/kill_setup.XXXXXX";
	int fd = mkstemp(name);
	size_t wanted_size, size;
	uint64_t span = 0;

	if (argc < 3 || fd < 0)
		return 1;
	unlink(name);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	start(NULL, argv[2], fd);
	wanted_status = reap(0);
	wanted_size = read_all(fd, wanted);
	/* If the machine stood still while a whole start was measured, no kill may have hit the time that counts: then again. */
	for (; done < rounds || (!began && done < 40 * rounds); done++) {
		struct timespec pause = {0, 0};
		uint64_t after;
		pid_t runner;
		int status;

		if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
			return 1;
		if (done % rounds == 0) {
			/* How long a whole start takes: the kills are spread over it. */
			span = now_us();
			start(argv[1], argv[2], fd);
			reap(0);
			span = now_us() - span;
			if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
				return 1;
		}
		after = span * (uint64_t)(done % rounds) / (uint64_t)rounds;
		pause.tv_nsec = (long)(after % 1000000 * 1000);
		pause.tv_sec = (time_t)(after / 1000000);
		runner = start(argv[1], argv[2], fd);
		nanosleep(&pause, NULL);
		kill(runner, SIGKILL);
		status = reap(runner);
		size = read_all(fd, got);
		if (status == -1 && size == wanted_size && !memcmp(got, wanted, size)) {
			whole++; /* all was over before */
		} else if (size == 0 && (status == -1 || (WIFEXITED(status) && WEXITSTATUS(status) == 127))) {
			never++;
		} else if (status == wanted_status && size == wanted_size && !memcmp(got, wanted, size)) {
			began++;
		} else {
			fprintf(stderr, "killed after %lu us: status 0x%x, %zu bytes of output\n", (unsigned long)after,
				status, size);
			return 1;
		}
	}
	printf("%d rounds over %lu us: %d never began, %d ran on alone, %d were over\n", done, (unsigned long)span,
		never, began, whole);
	return began ? 0 : 1;
}
