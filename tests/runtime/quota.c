/*
 * quota.c - GOMAXPROCS follows the cgroup's quota while the program runs: on a machine of 8 CPUs and cgroup trees, v1 and v2, that are made
 * for the test. What the C library is asked about both is answered here.
 */
#include <dlfcn.h>
#include <gtrace/go.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/gtrace-quota-XXXXXX";

static const char *in_root(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

int sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
	CPU_ZERO_S(bytes, set);
	for (int i = 0; i < 8; i++)
		CPU_SET_S(i, bytes, set);
	return 0;
}

FILE *fopen(const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");

	if (strcmp(path, "/proc/self/cgroup") == 0)
		path = in_root("membership");
	else if (strcmp(path, "/proc/self/mountinfo") == 0)
		path = in_root("mounts");
	return real(path, mode);
}

static void put(const char *name, const char *text)
{
	FILE *file = fopen(in_root(name), "w");

	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		abort();
}

static void expect(int want)
{
	int64_t begin = gt_now();

	while (gt_gomaxprocs(0) != want) {
		if (gt_now() - begin > 60 * GT_SECOND) {
			printf("GOMAXPROCS is %d, not %d\n", gt_gomaxprocs(0), want);
			exit(1);
		}
		gt_yield();
	}
}

static int run(int argc, char **argv)
{
	bool v1 = argc > 1 && strcmp(argv[1], "v1") == 0;
	const char *file = v1 ? "tree/job/cpu.cfs_quota_us" : "tree/job/cpu.max";

	if (gt_gomaxprocs(0) != 3) {
		printf("GOMAXPROCS is %d at the start, not 3\n", gt_gomaxprocs(0));
		return 1;
	}
	put(file, v1 ? "550000\n" : "550000 100000\n");
	expect(6);
	put(file, v1 ? "150000\n" : "150000 100000\n");
	expect(2); /* 1.5, rounded up */
	put(file, v1 ? "-1\n" : "max 100000\n");
	expect(8);
	put(file, v1 ? "50000\n" : "50000 100000\n");
	expect(2); /* not below, though a half is one when rounded up */
	put(file, v1 ? "550000\n" : "550000 100000\n");
	expect(6);
	/* What is set by a call is not changed, until the default is asked for. */
	gt_gomaxprocs(5);
	put(file, v1 ? "400000\n" : "400000 100000\n");
	gt_sleep(1200 * GT_MILLISECOND);
	expect(5);
	gt_gomaxprocs_default();
	expect(4);
	return 0;
}

static void tidy(void)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -r '%s'", root);
	if (system(command) != 0)
		puts(root);
}

int main(int argc, char **argv)
{
	char line[600];

	if (!mkdtemp(root))
		return 1;
	atexit(tidy);
	unsetenv("GOMAXPROCS");
	mkdir(in_root("tree"), 0700);
	mkdir(in_root("tree/job"), 0700);
	if (argc > 1 && strcmp(argv[1], "v1") == 0) {
		put("membership", "5:cpu,cpuacct:/job\n0::/\n");
		snprintf(line, sizeof(line), "36 35 98:0 / %s/tree rw - cgroup cgroup rw,cpu,cpuacct\n", root);
		put("tree/job/cpu.cfs_quota_us", "300000\n");
		put("tree/job/cpu.cfs_period_us", "100000\n");
	} else {
		put("membership", "0::/job\n");
		snprintf(line, sizeof(line), "36 35 98:0 / %s/tree rw - cgroup2 cgroup2 rw\n", root);
		put("tree/job/cpu.max", "300000 100000\n");
	}
	put("mounts", line);
	return gt_main(argc, argv, run);
}
