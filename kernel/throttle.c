/* throttle.c - see throttle.h. Files: the kernel's Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst. */
#include "kernel/throttle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The process's path below the root of its cgroups: of v1 the line with the controller cpu, else v2's. */
static bool cgroup_of(pid_t pid, char *out, size_t size, bool *v1)
{
	char path[64], line[PATH_MAX];
	bool found = false;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in)) {
		char *controllers = strchr(line, ':'), *name = controllers ? strchr(controllers + 1, ':') : NULL;
		bool cpu;

		if (!name)
			continue;
		*name++ = 0;
		name[strcspn(name, "\n")] = 0;
		cpu = strcmp(controllers + 1, "cpu") == 0 || strncmp(controllers + 1, "cpu,", 4) == 0 ||
		      strstr(controllers + 1, ",cpu,") || strcmp(controllers + 1, "cpuacct,cpu") == 0;
		if (!cpu && (controllers[1] || found))
			continue;
		found = (size_t)snprintf(out, size, "%s", name) < size;
		*v1 = cpu;
		if (cpu)
			break;
	}
	if (in)
		fclose(in);
	return found;
}

static bool has_quota(const char *folder, bool v1)
{
	char path[PATH_MAX + 96], text[64] = "";
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", folder, v1 ? "cpu.cfs_quota_us" : "cpu.max");
	in = fopen(path, "re");
	if (in && !fgets(text, sizeof(text), in))
		text[0] = 0;
	if (in)
		fclose(in);
	return text[0] >= '1' && text[0] <= '9';
}

int gt__throttle_open(pid_t pid)
{
	static const char *const roots[2][2] = {
		{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}, {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}};
	char name[PATH_MAX], folder[PATH_MAX + 64], path[PATH_MAX + 96];
	bool v1 = false;

	if (!cgroup_of(pid, name, sizeof(name) - 1, &v1))
		return -1;
	for (size_t i = 0; i < 2; i++) {
		char below[PATH_MAX];

		snprintf(below, sizeof(below), "%s", name);
		for (;;) {
			char *slash;

			snprintf(folder, sizeof(folder), "%s%s", roots[v1][i], below);
			if (has_quota(folder, v1)) {
				snprintf(path, sizeof(path), "%s/cpu.stat", folder);
				return open(path, O_RDONLY | O_CLOEXEC);
			}
			slash = strrchr(below, '/');
			if (!slash || !below[1])
				break;
			slash[slash == below] = 0;
		}
	}
	return -1;
}

uint64_t gt__throttle_read(int fd)
{
	char text[1024];
	const char *at;
	uint64_t value;
	ssize_t size = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (size <= 0)
		return 0;
	text[size] = 0;
	at = strstr(text, "throttled_usec ");
	if (at && sscanf(at, "throttled_usec %" SCNu64, &value) == 1)
		return value * 1000;
	at = strstr(text, "throttled_time ");
	return at && sscanf(at, "throttled_time %" SCNu64, &value) == 1 ? value : 0;
}
