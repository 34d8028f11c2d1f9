/*
 * objects.h - short names of what goroutines wait for: a number for each (kind, address), by the order in which events first
 * tell of it; a user's name where there is one; what descriptors are. Bounded: what comes beyond the limit is told by its address.
 */
#ifndef GT_FORMAT_OBJECTS_H
#define GT_FORMAT_OBJECTS_H

#include "base/hash.h"
#include "format/wire/event.h"

#define GT__OBJECTS_MAX (1u << 20)

struct gt__objects {
	struct gt_map numbers; /* what << 48 | address -> number */
	struct gt_map names;   /* address -> string id */
	uint64_t counts[GT_OBJECT_COUNT];
};

void gt__objects_free(struct gt__objects *objects); /* valid and empty again */
void gt__objects_event(struct gt__objects *objects, const struct gt_event *event);
/* 0: none. */
uint64_t gt__objects_number(const struct gt__objects *objects, unsigned int what, uint64_t object);
uint64_t gt__objects_name(const struct gt__objects *objects, uint64_t object);

#endif
