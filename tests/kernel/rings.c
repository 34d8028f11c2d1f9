/*
 * rings.c - while the reader is away nothing is lost: a process touches many more pages than the rings hold faults, and maps a file to be
 * executed in the midst of it; each fault and the mapping are there afterwards, once and in order.
 */
#include "kernel/perf.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_PAGES  2000 /* their faults fit into a ring */
#define FAULT_BYTES  40
#define CHUNKS       40 /* not all of theirs */
#define MAPPED_AFTER 7  /* chunks */
#define TRIES        10 /* of a machine that has no room for rings for a moment */
#define NAPS_MAX     60000

static uint8_t *memory;

static void fail(const char *what)
{
	fprintf(stderr, "kernel-rings: %s\n", what);
	exit(1);
}

/* One byte in: touches the pages of a chunk; at one of them, maps itself to be executed, and says where. */
static void touch(int in, int out)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *mapped = NULL;
	char byte;

	for (int i = 0; read(in, &byte, 1) == 1; i++) {
		if (i == MAPPED_AFTER) {
			FILE *self = fopen("/proc/self/exe", "re");

			if (self)
				mapped = mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(self), 0);
		}
		for (size_t k = 0; k < CHUNK_PAGES; k++)
			memory[k * page] = 1;
		madvise(memory, CHUNK_PAGES * page, MADV_DONTNEED);
		if (write(out, &mapped, sizeof(mapped)) != sizeof(mapped))
			break;
	}
	_exit(0);
}

struct seen {
	uint64_t faults, lost, mapped_ahead, mapped;
	bool backwards;
};

static bool is_of_chunk(uint64_t address)
{
	return address - (uintptr_t)memory < CHUNK_PAGES * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void read_all(struct gt__perf *perf, uint64_t mapped, struct seen *seen)
{
	static struct gt__perf_record record;

	for (size_t i = 0; i < gt__perf_cpus(perf); i++)
		gt__perf_look(perf, i);
	for (size_t i = 0; i < gt__perf_cpus(perf); i++)
		while (gt__perf_ahead(perf, i, &record))
			seen->mapped_ahead += record.kind == GT__PERF_MAPPED && record.number == mapped;
	for (size_t i = 0; i < gt__perf_cpus(perf); i++) {
		uint64_t before = 0;

		while (gt__perf_next(perf, i, &record)) {
			seen->faults += record.kind == GT__PERF_FAULT && is_of_chunk(record.number);
			seen->mapped += record.kind == GT__PERF_MAPPED && record.number == mapped;
			if (record.kind == GT__PERF_LOST) {
				seen->lost += record.number;
				continue;
			}
			seen->backwards |= record.raw_ns < before;
			before = record.raw_ns;
		}
		gt__perf_done(perf, i);
	}
}

static void wait_for(struct gt__perf *perf, uint64_t bytes)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	for (int i = 0; gt__perf_spilled(perf) < bytes; i++) {
		if (i == NAPS_MAX)
			fail("nobody empties the rings");
		nanosleep(&nap, NULL);
	}
}

/* False: what was lost was lost before it could be taken. */
static bool round_trip(struct gt__perf *perf, int to, int from)
{
	struct seen seen = {0};
	void *mapped = NULL;

	gt__perf_leave(perf);
	for (int i = 0; i < CHUNKS; i++) {
		if (write(to, "", 1) != 1 || read(from, &mapped, sizeof(mapped)) != sizeof(mapped))
			fail("the process is gone");
		/* What went into one ring, or into several. */
		if (i + 1 < CHUNKS)
			wait_for(perf, (uint64_t)(i + 1) * CHUNK_PAGES * FAULT_BYTES);
	}
	gt__perf_back(perf);
	read_all(perf, (uintptr_t)mapped, &seen);
	if (seen.lost)
		return false;
	if (gt__perf_spilled(perf) != 0)
		fail("something is left of what was read");
	if (seen.faults != CHUNKS * CHUNK_PAGES || seen.mapped != 1 || seen.mapped_ahead != 1 || seen.backwards) {
		fprintf(stderr, "kernel-rings: %llu faults, mapped %llu times and %llu ahead%s\n",
			(unsigned long long)seen.faults, (unsigned long long)seen.mapped,
			(unsigned long long)seen.mapped_ahead, seen.backwards ? ", times run back" : "");
		exit(1);
	}
	/* And by turns, as in a recording. */
	memset(&seen, 0, sizeof(seen));
	for (int i = 0; i < 3; i++) {
		if (write(to, "", 1) != 1 || read(from, &mapped, sizeof(mapped)) != sizeof(mapped))
			fail("the process is gone");
		read_all(perf, 0, &seen);
	}
	if (!seen.lost && (seen.faults != 3 * CHUNK_PAGES || seen.backwards))
		fail("what comes after that is not right");
	return !seen.lost;
}

static bool attempt(void)
{
	const struct gt__perf_wants wants = {.sample_period_ns = 1000000000, .fault_every = 1};
	struct gt__perf *perf;
	struct gt_error err = {0};
	int to[2], from[2];
	bool good;
	pid_t pid;

	if (pipe(to) < 0 || pipe(from) < 0)
		fail("pipe");
	pid = fork();
	if (pid == 0) {
		close(to[1]);
		close(from[0]);
		touch(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	if (gt__perf_open(pid, &wants, &perf, &err) < 0 || !gt__perf_has(perf)->fault_every) {
		fprintf(stderr, "kernel-rings: skipped: %s\n", err.text);
		kill(pid, SIGKILL);
		exit(77);
	}
	good = round_trip(perf, to[1], from[0]);
	close(to[1]);
	close(from[0]);
	waitpid(pid, NULL, 0);
	gt__perf_close(perf);
	return good;
}

int main(void)
{
	size_t bytes = CHUNK_PAGES * (size_t)sysconf(_SC_PAGESIZE);

	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("no memory");
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	for (int i = 0; i < TRIES; i++)
		if (attempt())
			return 0;
	fail("faults were lost, again and again");
}
