/*
 * test_cgroup.c - limits of v1 and v2 trees that are made for the test.
 */
#include "runtime/cgroup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char root[] = "/tmp/gtrace-cgroup-XXXXXX";

static const char *in_root(const char *name)
{
	static char path[4][256];
	static int at;

	at = (at + 1) % 4;
	snprintf(path[at], sizeof(path[at]), "%s/%s", root, name);
	return path[at];
}

static void write_file(const char *name, const char *format, const char *arg)
{
	FILE *file = fopen(in_root(name), "w");

	cr_assert(file);
	fprintf(file, format, arg);
	fclose(file);
}

static double limit(void)
{
	struct gt_cgroup cgroup;
	double result;

	gt_cgroup_open(&cgroup, in_root("membership"), in_root("mounts"));
	result = gt_cgroup_limit(&cgroup);
	gt_cgroup_close(&cgroup);
	return result;
}

static void setup(void)
{
	cr_assert(mkdtemp(root));
	mkdir(in_root("v1 cpu"), 0700);
	mkdir(in_root("v1 cpu/job"), 0700);
	mkdir(in_root("v2"), 0700);
	mkdir(in_root("v2/job"), 0700);
	write_file("v2/job/cpu.max", "%s 100000\n", "150000");
	write_file("v1 cpu/job/cpu.cfs_quota_us", "%s\n", "50000");
	write_file("v1 cpu/job/cpu.cfs_period_us", "%s\n", "100000");
}

static void teardown(void)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -r '%s'", root);
	cr_assert_eq(system(command), 0);
}

TestSuite(cgroup, .init = setup, .fini = teardown);

Test(cgroup, second_version)
{
	write_file("membership", "0::%s\n", "/job");
	write_file("mounts", "30 20 0:1 / %s/v2 rw,nosuid - cgroup2 cgroup2 rw\n", root);
	cr_assert_eq(limit(), 1.5);
	write_file("v2/job/cpu.max", "%s 100000\n", "max");
	cr_assert_eq(limit(), 0);
}

Test(cgroup, a_limit_that_changes_is_seen)
{
	struct gt_cgroup cgroup;

	write_file("membership", "0::%s\n", "/job");
	write_file("mounts", "30 20 0:1 / %s/v2 rw - cgroup2 cgroup2 rw\n", root);
	gt_cgroup_open(&cgroup, in_root("membership"), in_root("mounts"));
	cr_assert_eq(gt_cgroup_limit(&cgroup), 1.5);
	write_file("v2/job/cpu.max", "%s 100000\n", "320000");
	cr_assert_eq(gt_cgroup_limit(&cgroup), 3.2);
	gt_cgroup_close(&cgroup);
}

Test(cgroup, first_version_wins_and_its_path_is_escaped)
{
	write_file("membership", "0::/job\n5:memory:/job\n4:cpuacct,cpu:%s\n", "/job");
	write_file("mounts",
		"30 20 0:1 / /nowhere rw - cgroup2 cgroup2 rw\n"
		"31 20 0:2 / /nowhere rw - cgroup cgroup rw,memory\n"
		"32 20 0:3 / %s/v1\\040cpu rw shared:1 - cgroup cgroup rw,cpuacct,cpu\n",
		root);
	cr_assert_eq(limit(), 0.5);
	write_file("v1 cpu/job/cpu.cfs_quota_us", "%s\n", "-1");
	cr_assert_eq(limit(), 0);
}

Test(cgroup, the_mount_shows_a_part_of_the_tree)
{
	write_file("membership", "0::%s\n", "/slice/pod/job");
	write_file("mounts", "30 20 0:1 /slice/po %s/v2 rw - cgroup2 c rw\n", root);
	cr_assert_eq(limit(), 0, "a prefix that is no folder");
	write_file("mounts", "30 20 0:1 /slice/pod %s/v2 rw - cgroup2 c rw\n", root);
	cr_assert_eq(limit(), 1.5);
	write_file("mounts", "30 20 0:1 /../.. %s/v2 rw - cgroup2 c rw\n", root);
	cr_assert_eq(limit(), 0);
}

Test(cgroup, odd_files_mean_no_limit)
{
	static const char *const odd[] = {"", "x", "-5", "1", "1 0", "99999999999999999999999"};

	cr_assert_eq(limit(), 0, "no files");
	write_file("membership", "0::%s\n", "/job");
	cr_assert_eq(limit(), 0, "no mounts");
	write_file("mounts", "30 20 0:1 / - \n - cgroup2\n30 20 0:1 / %s/v2 rw - cgroup2 c rw", root);
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		write_file("v2/job/cpu.max", "%s\n", odd[i]);
		cr_assert_eq(limit(), 0, "%s", odd[i]);
	}
	write_file("membership", "junk\n::\n0:%s", "");
	cr_assert_eq(limit(), 0);
}
