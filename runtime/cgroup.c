/*
 * cgroup.c - /proc/self/cgroup names the group, mountinfo its folder; cpu.max or cpu.cfs_*_us hold the limit.
 *
 * A v1 line with the controller "cpu" wins over the v2 line.
 */
#include "runtime/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Is "cpu" a whole word of the list "cpu,cpuacct"? */
static bool list_has_cpu(const char *list)
{
	for (const char *at = list; *at;) {
		size_t length = strcspn(at, ",");

		if (length == 3 && memcmp(at, "cpu", 3) == 0)
			return true;
		at += length + (at[length] == ',');
	}
	return false;
}

/* Which version limits the CPU (0: none), and the group's path. */
static int find_group(const char *membership, char *path, size_t size)
{
	FILE *file = fopen(membership, "re");
	char *line = NULL;
	size_t room = 0;
	int version = 0;

	if (!file)
		return 0;
	while (getline(&line, &room, file) > 0) {
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;
		int found = 0;

		line[strcspn(line, "\n")] = '\0';
		if (!group)
			continue;
		*group++ = '\0';
		controllers++;
		if (list_has_cpu(controllers))
			found = 1;
		else if (strncmp(line, "0:", 2) == 0 && !*controllers && !version)
			found = 2;
		if (!found || strlen(group) >= size)
			continue;
		strcpy(path, group);
		version = found;
		if (found == 1)
			break;
	}
	free(line);
	fclose(file);
	return version;
}

/* \040 and the like, in place. */
static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' &&
			text[3] >= '0' && text[3] <= '7') {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* The part of @path below @root, or NULL. */
static const char *below(const char *path, const char *root)
{
	size_t length = strlen(root);

	if (strcmp(root, "/") == 0)
		return path;
	if (strncmp(path, root, length) != 0 || (path[length] && path[length] != '/'))
		return NULL;
	return path + length;
}

/*
 * 36 35 98:0 /root /mount/point rw,noatime master:1 - cgroup2 cgroup rw
 * Fields 4 and 5 count from the left; type, source and options from the lone dash.
 */
static bool parse_mount(char *line, int version, const char *group, char *folder, size_t size)
{
	char *fields[6], *save = NULL, *dash = strstr(line, " - "), *type, *options;
	const char *rest;

	if (!dash)
		return false;
	*dash = '\0';
	type = strtok_r(dash + 3, " \n", &save);
	strtok_r(NULL, " \n", &save);
	options = strtok_r(NULL, " \n", &save);
	if (!type || strcmp(type, version == 1 ? "cgroup" : "cgroup2") != 0)
		return false;
	if (version == 1 && (!options || !list_has_cpu(options)))
		return false;
	save = NULL;
	for (int i = 0; i < 5; i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!fields[i])
			return false;
	}
	unescape(fields[3]);
	unescape(fields[4]);
	if (strncmp(fields[3], "/..", 3) == 0)
		return false;
	rest = below(group, fields[3]);
	if (!rest)
		return false;
	return snprintf(folder, size, "%s%s", fields[4], strcmp(rest, "/") == 0 ? "" : rest) < (int)size;
}

static bool find_folder(const char *mounts, int version, const char *group, char *folder, size_t size)
{
	FILE *file = fopen(mounts, "re");
	char *line = NULL;
	size_t room = 0;
	bool found = false;

	if (!file)
		return false;
	while (!found && getline(&line, &room, file) > 0)
		found = parse_mount(line, version, group, folder, size);
	free(line);
	fclose(file);
	return found;
}

static int open_in(const char *folder, const char *name)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

void gt_cgroup_open(struct gt_cgroup *cgroup, const char *membership, const char *mounts)
{
	char group[PATH_MAX], folder[PATH_MAX];
	int version = find_group(membership, group, sizeof(group));

	*cgroup = (struct gt_cgroup){-1, -1};
	if (!version || strncmp(group, "/..", 3) == 0 || !find_folder(mounts, version, group, folder, sizeof(folder)))
		return;
	if (version == 2) {
		cgroup->quota_fd = open_in(folder, "cpu.max");
		return;
	}
	cgroup->quota_fd = open_in(folder, "cpu.cfs_quota_us");
	cgroup->period_fd = open_in(folder, "cpu.cfs_period_us");
	if (cgroup->period_fd < 0)
		gt_cgroup_close(cgroup);
}

void gt_cgroup_close(struct gt_cgroup *cgroup)
{
	if (cgroup->quota_fd >= 0)
		close(cgroup->quota_fd);
	if (cgroup->period_fd >= 0)
		close(cgroup->period_fd);
	*cgroup = (struct gt_cgroup){-1, -1};
}

static bool read_text(int fd, char *text, size_t size)
{
	ssize_t got = fd < 0 ? -1 : pread(fd, text, size - 1, 0);

	if (got <= 0)
		return false;
	text[got] = '\0';
	return true;
}

double gt_cgroup_limit(const struct gt_cgroup *cgroup)
{
	char text[64], *end;
	long long quota, period;

	if (!read_text(cgroup->quota_fd, text, sizeof(text)))
		return 0;
	quota = strtoll(text, &end, 10); /* "max 100000": 0 */
	if (end == text || quota <= 0)
		return 0;
	if (cgroup->period_fd >= 0) {
		if (!read_text(cgroup->period_fd, text, sizeof(text)))
			return 0;
		end = text;
	}
	period = strtoll(end, NULL, 10);
	return period > 0 ? (double)quota / (double)period : 0;
}
