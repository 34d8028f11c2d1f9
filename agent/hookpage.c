/* hookpage.c - what a traced process's memory says about its hooks. */
#include "agent/hookpage.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* When process @pid began; 0: there is none. */
static uint64_t start_of(unsigned int pid)
{
	char path[64], text[1024];
	const char *at;
	uint64_t start;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size > 0 ? size : 0] = 0;
	at = strrchr(text, ')');
	/* Fields 3 to 21 lie between the name and it. Z and X are as good as gone. */
	if (!at || at[2] == 'Z' || at[2] == 'X' ||
		sscanf(at + 2, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
			&start) != 1)
		return 0;
	return start;
}

void gt_hookpage_fill(
	void *to, const struct gt_patch *patches, size_t count, uint64_t size, uint64_t rings, uint64_t rings_size)
{
	struct gt_hookpage *page = to;

	memset(to, 0, GT_HOOKPAGE_BYTES);
	memcpy(page->magic, GT_HOOKPAGE_MAGIC, sizeof(page->magic));
	page->site_count = (uint32_t)count;
	page->owner = (uint32_t)getpid();
	page->owner_start = start_of(page->owner);
	page->size = size;
	page->rings = rings;
	page->rings_size = rings_size;
	for (size_t i = 0; i < count; i++) {
		page->sites[i].address = patches[i].address;
		page->sites[i].size = patches[i].original_size;
		memcpy(page->sites[i].jump, patches[i].bytes, sizeof(patches[i].bytes));
		memcpy(page->sites[i].original, patches[i].original, sizeof(patches[i].original));
	}
}

/* The number of process @pid in the innermost namespace that it is in; 0: there is none. */
static unsigned long own_number_of(unsigned int pid)
{
	unsigned long number = 0;
	char path[64], line[1024];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	in = fopen(path, "re");
	while (in && !number && fgets(line, sizeof(line), in))
		if (strncmp(line, "NSpid:", 6) == 0) {
			line[strcspn(line, "\n")] = '\0';
			number = strtoul(strrchr(line, '\t') ? strrchr(line, '\t') : line + 6, NULL, 10);
		}
	if (in)
		fclose(in);
	return number;
}

/* Its number is that of a PID namespace, which may be another than ours: of a container, say. */
static unsigned int find_in_namespaces(const struct gt_hookpage *page)
{
	struct dirent *entry;
	unsigned int found = 0;
	DIR *all = opendir("/proc");

	while (all && !found && (entry = readdir(all))) {
		unsigned int pid = (unsigned int)strtoul(entry->d_name, NULL, 10);

		if (pid && start_of(pid) == page->owner_start && own_number_of(pid) == page->owner)
			found = pid;
	}
	if (all)
		closedir(all);
	return found;
}

unsigned int gt_hookpage_owner(const struct gt_hookpage *page)
{
	if (!page->owner || !page->owner_start)
		return 0;
	return start_of(page->owner) == page->owner_start ? page->owner : find_in_namespaces(page);
}
