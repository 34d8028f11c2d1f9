/*
 * hookpage.h - the first pages of the hooks' code in a traced process: what a later gtrace must know to take the hooks out.
 *
 * It is read from the process, so it is as hostile as all of that: an address is used only when the program's own file has the
 * same original bytes there.
 */
#ifndef GT_AGENT_HOOKPAGE_H
#define GT_AGENT_HOOKPAGE_H

#include "agent/gohooks.h"

#define GT_HOOKPAGE_BYTES 16384u
#define GT_HOOKPAGE_MAGIC "GTHOOKS2"

struct gt_hookpage {
	char magic[8];
	uint32_t site_count;
	uint32_t owner;       /* gtrace's pid, and when that process began: is it still at work? */
	uint64_t owner_start; /* clock ticks since boot, as /proc tells it */
	uint64_t size;        /* of the whole mapping, this page included */
	uint64_t rings, rings_size;
	struct {
		uint64_t address; /* in the process */
		uint8_t size;     /* of the original instructions */
		uint8_t jump[GT_SITE_JUMP_SIZE];
		uint8_t original[GT_SITE_WINDOW_MAX];
	} sites[GT_GOHOOKS_MAX];
};
_Static_assert(sizeof(struct gt_hookpage) <= GT_HOOKPAGE_BYTES, "it is as long as it says");

/* @page: GT_HOOKPAGE_BYTES. Owner: this process. */
void gt_hookpage_fill(
	void *page, const struct gt_patch *patches, size_t count, uint64_t size, uint64_t rings, uint64_t rings_size);

/* The process of the gtrace that made it, by its number here; 0: that is gone. */
unsigned int gt_hookpage_owner(const struct gt_hookpage *page);

#endif
