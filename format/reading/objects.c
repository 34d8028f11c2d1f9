/* objects.c - short names of objects, and names of system calls. */
#include "format/reading/objects.h"
#include "format/reading/internal.h"
#include "format/wire/syscalls.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS_BITS 48
#define FD_KEY       (1ull << 63) /* descriptors among the names of objects */

void gt__objects_free(struct gt__objects *objects)
{
	gt_map_free(&objects->numbers);
	gt_map_free(&objects->names);
	memset(objects->counts, 0, sizeof(objects->counts));
}

static uint64_t key_of(unsigned int what, uint64_t object)
{
	return (uint64_t)what << ADDRESS_BITS | object;
}

void gt__objects_event(struct gt__objects *objects, const struct gt_event *event)
{
	unsigned int what = (unsigned int)event->args[1];
	uint64_t key;

	if (event->kind == GT_EV_OBJECT_NAME) {
		if (objects->names.count < GT__OBJECTS_MAX || gt_map_find(&objects->names, event->args[0]))
			(void)gt_map_put(&objects->names, event->args[0], event->args[1]);
		return;
	}
	if (event->kind == GT_EV_FD_NAME) {
		if (objects->names.count < GT__OBJECTS_MAX || gt_map_find(&objects->names, FD_KEY | event->args[0]))
			(void)gt_map_put(&objects->names, FD_KEY | event->args[0], event->args[1]);
		return;
	}
	if (!gt_object_is_address(what) || !event->args[2] || event->args[2] >> ADDRESS_BITS)
		return;
	key = key_of(what, event->args[2]);
	if (objects->numbers.count >= GT__OBJECTS_MAX || gt_map_find(&objects->numbers, key))
		return;
	if (gt_map_put(&objects->numbers, key, objects->counts[what] + 1) == 1)
		objects->counts[what]++;
}

uint64_t gt__objects_number(const struct gt__objects *objects, unsigned int what, uint64_t object)
{
	const uint64_t *number = object >> ADDRESS_BITS ? NULL : gt_map_find(&objects->numbers, key_of(what, object));

	return number ? *number : 0;
}

uint64_t gt__objects_name(const struct gt__objects *objects, uint64_t object)
{
	const uint64_t *id = gt_map_find(&objects->names, object);

	return id ? *id : 0;
}

const char *gt_trace_object(
	const struct gt_trace *trace, unsigned int what, uint64_t object, char out[GT_TRACE_OBJECT_BYTES])
{
	const size_t size = GT_TRACE_OBJECT_BYTES;
	uint64_t number = gt__objects_number(&trace->tables.objects, what, object);
	const char *name = gt_trace_string(trace, gt__objects_name(&trace->tables.objects, object));
	const char *kind = gt_object_text(what), *fd = NULL;

	if (what >= GT_OBJECT_FD_READ && what <= GT_OBJECT_FD_CONNECT)
		fd = gt_trace_string(trace, gt_trace_fd(trace, object));
	if (what == GT_OBJECT_NONE)
		snprintf(out, size, "none");
	else if (what == GT_OBJECT_SELECT)
		snprintf(out, size, "select of %" PRIu64, object);
	else if (what == GT_OBJECT_SLEEP)
		snprintf(out, size, "sleep of %" PRIu64 ".%03u us", object / 1000, (unsigned int)(object % 1000));
	else if (fd && *fd)
		snprintf(out, size, "%s %" PRIu64 " %s", kind, object, fd);
	else if (!gt_object_is_address(what))
		snprintf(out, size, "%s %" PRIu64, kind, object);
	else if (name && *name)
		snprintf(out, size, "%s \"%s\"", kind, name);
	else if (number)
		snprintf(out, size, "%s#%" PRIu64, kind, number);
	else
		snprintf(out, size, "%s 0x%" PRIx64, kind, object);
	return out;
}

uint64_t gt_trace_fd(const struct gt_trace *trace, uint64_t fd)
{
	return gt__objects_name(&trace->tables.objects, FD_KEY | fd);
}

uint64_t gt_trace_syscall_fd(const struct gt_trace *trace, uint64_t number, uint64_t arg0)
{
	const char *machine = gt_trace_meta(trace, "machine");

	if (!machine || strcmp(machine, "x86_64") != 0 || !(gt_syscall_fd(number) & GT_SYSCALL_FD_ARG))
		return 0;
	return gt_trace_fd(trace, arg0);
}

const char *gt_trace_syscall(const struct gt_trace *trace, uint64_t number)
{
	static const char *const x86_64[] = {
#define SYSCALL(number, name) [number] = #name,
#include "format/reading/syscalls_x86_64.def"
#undef SYSCALL
	};
	const char *machine = gt_trace_meta(trace, "machine");

	if (!machine || strcmp(machine, "x86_64") != 0 || number >= sizeof(x86_64) / sizeof(*x86_64))
		return NULL;
	return x86_64[number];
}
