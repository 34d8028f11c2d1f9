/* trace.c - marks of users: tasks, regions, messages; and the table of their texts. */
#include "libtrace/connect.h"
#include "libtrace/string_table.h"

#include <gtrace/gtrace.h>
#include <gtrace/hooks.h>
#include <string.h>

static uint64_t (*current_goroutine)(void);
static _Atomic uint64_t task_next = 1;

GT_API const char *gt_version(void)
{
	return GTRACE_VERSION;
}

GT_API bool gt_tracing(void)
{
	return gt_hooks_on();
}

void gt_hook_current(uint64_t (*current)(void))
{
	current_goroutine = current;
}

uint64_t gt_hook_g(void)
{
	return current_goroutine ? current_goroutine() : 0;
}

uint32_t gt__intern(struct gt_shm *shm, const char *text)
{
	return gt__string_store(shm, text, text ? strnlen(text, GT_STRING_BYTES_MAX) : 0);
}

static void mark(enum gt_mark_op op, uint64_t task, uint64_t parent, const char *first, const char *second)
{
	struct gt_shm *shm = gt__connected()->shm;
	uint64_t g = gt_hook_g();
	const uint64_t words[5] = {
		(uint64_t)op | (g & GT_G_MASK) << 8, task, parent, gt__intern(shm, first), gt__intern(shm, second)};

	gt__hook_record3(GT_REC_MARK, words);
}

GT_API uint64_t gt_task_begin(const char *name, uint64_t parent)
{
	uint64_t task;

	if (!gt_hooks_on_for(GT_SET_MARKS))
		return 0;
	task = atomic_fetch_add_explicit(&task_next, 1, memory_order_relaxed);
	mark(GT_MARK_TASK_BEGIN, task, parent, name, NULL);
	return task;
}

GT_API void gt_task_end(uint64_t task)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_TASK_END, task, 0, NULL, NULL);
}

GT_API void gt_region_begin(uint64_t task, const char *name)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_REGION_BEGIN, task, 0, name, NULL);
}

GT_API void gt_region_end(uint64_t task, const char *name)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_REGION_END, task, 0, name, NULL);
}

GT_API void gt_log(uint64_t task, const char *key, const char *value)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_LOG, task, 0, key, value);
}

GT_API void gt_name(const void *object, const char *name)
{
	if (gt_hooks_on_for(GT_SET_MARKS))
		mark(GT_MARK_NAME, (uint64_t)(uintptr_t)object, 0, name, NULL);
}
