/* hookpage.c - what a traced process's memory says about its hooks. */
#include "agent/hookpage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
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

bool gt_hookpage_owned(const struct gt_hookpage *page)
{
	return page->owner && page->owner_start && start_of(page->owner) == page->owner_start;
}
