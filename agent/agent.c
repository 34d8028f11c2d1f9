/* agent.c - from a file to a running, hooked program. */
#include "agent/agent.h"

#include "agent/agent_internal.h"
#include "agent/blob/offsets.h"
#include "agent/hookpage.h"
#include "agent/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define POPULATE_MAX (8u << 20) /* what follows is mapped page by page, as it is written */

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010u
#endif

/* What is known of a launch on its way. */
struct making {
	const struct gt_agent_launch *launch;
	struct gt_gohooks hooks;
	struct gt_patch patches[GT_GOHOOKS_MAX];
	uint64_t slide;
	uint64_t code_address;
	uint64_t code_size;
};

/* A program that a tracer is attached to gets no privileges from its file: it would run without, and fail oddly. */
static int check_privileges(const char *path, struct gt_error *err)
{
	struct stat status;
	bool user, group;

	if (geteuid() == 0 || stat(path, &status) < 0)
		return 0;
	user = status.st_mode & S_ISUID && status.st_uid != geteuid();
	group = (status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && status.st_gid != getegid();
	if (user || group || getxattr(path, "security.capability", NULL, 0) > 0)
		return gt_fail(err, EPERM,
			"a program with privileges of its own would lose them under a tracer: %s: try as root", path);
	return 0;
}

/* ---- the code ---- */

static uint64_t pow2_below(uint64_t value)
{
	uint64_t power = 1;

	while (power * 2 <= value)
		power *= 2;
	return power;
}

int gt__agent_values(const struct gt_memory *memory, struct gt_gobin *bin, const struct gt_golayout *layout,
	uint64_t slide, uint64_t rings, struct gt_probe_values *values, struct gt_error *err)
{
	if (!memory->spill_count)
		return gt_fail(err, EINVAL, "the shared memory has no stacks for hooks");
	memset(values, 0, sizeof(*values));
	gt_gohooks_values(layout, values);
	gt_gohooks_bin_values(bin, slide, memory->alloc_rate, values);
	values->holes[GT_HOLE_SHM] = rings;
	values->holes[GT_HOLE_STACKS] = rings + memory->stacks_offset;
	values->holes[GT_HOLE_MS_OFFSET] = memory->ms_offset;
	values->holes[GT_HOLE_BLOCKS_OFFSET] = memory->blocks_offset;
	values->holes[GT_HOLE_SPILL_OFFSET] = memory->spill_offset;
	values->holes[GT_HOLE_SPILL_MASK] = pow2_below(memory->spill_count) - 1;
	values->holes[GT_HOLE_STACK_MASK] = gt__takes_stacks(memory) ? memory->stack_slot_count - 1 : 0;
	values->holes[GT_HOLE_TEXT] = bin->text + slide;
	values->holes[GT_HOLE_TEXT_SIZE] = bin->etext - bin->text;
	values->holes[GT_HOLE_DEPTH] = gt__takes_stacks(memory) ? memory->stack_depth : 1;
	values->holes[GT_HOLE_DEPTH_ALLOC] =
		values->holes[GT_HOLE_DEPTH] < STACK_DEPTH_ALLOC ? values->holes[GT_HOLE_DEPTH] : STACK_DEPTH_ALLOC;
	return 0;
}

/* A memfd that holds @code and can never be changed again. */
static int seal_code(const uint8_t *code, size_t size, int *memfd, struct gt_error *err)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("gtrace-code", flags | MFD_EXEC);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("gtrace-code", flags);
	if (fd < 0)
		return gt_fail(err, errno, "cannot make memory for the hooks: %s", strerror(errno));
	if (write(fd, code, size) != (ssize_t)size ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int code_errno = errno;

		close(fd);
		return gt_fail(err, code_errno, "cannot fill the memory for the hooks: %s", strerror(code_errno));
	}
	*memfd = fd;
	return 0;
}

static int make_code(void *context, uint64_t rings, uint64_t code_address, int *memfd, struct gt_error *err)
{
	struct making *making = context;
	const struct gt_gohooks *hooks = &making->hooks;
	size_t size = making->code_size;
	struct gt_probe_values values;
	uint8_t *code = malloc(size);
	int ret;

	if (!code)
		return gt_fail(err, ENOMEM, "out of memory");
	making->code_address = code_address;
	ret = gt__agent_values(making->launch->memory, making->launch->bin, making->launch->layout, making->slide,
		rings, &values, err);
	if (ret >= 0)
		ret = gt_probe_build(hooks->probes, hooks->count, &values, making->slide,
			code_address + GT_HOOKPAGE_BYTES, code + GT_HOOKPAGE_BYTES, making->patches, err);
	if (ret >= 0)
		gt_hookpage_fill(code, making->patches, hooks->count, size, rings, making->launch->memory->total_bytes);
	if (ret >= 0)
		ret = seal_code(code, size, memfd, err);
	free(code);
	return ret;
}

/* ---- launch ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A script, say, is started as its interpreter: no code of that is patched. */
static int check_same_file(const struct gt_program *program, const char *path, struct gt_error *err)
{
	struct stat wanted, started;
	char exe[64];

	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)program->pid);
	if (stat(exe, &started) < 0 || stat(path, &wanted) < 0)
		return gt_fail(err, errno, "cannot look at the program that was started: %s", strerror(errno));
	if (started.st_dev != wanted.st_dev || started.st_ino != wanted.st_ino)
		return gt_fail(err, ESTALE, "another program was started than the one looked at: %s: try again", path);
	return 0;
}

/* Slot 0 is nobody's: its number means "no stack". No stack hashes to 1. */
void gt__agent_reserve_slot_0(const struct gt_memory *memory)
{
	struct gt_stack_slot *slots = (void *)((uint8_t *)memory->shm + memory->stacks_offset);

	if (gt__takes_stacks(memory))
		atomic_store_explicit(&slots[0].hash, 1, memory_order_relaxed);
}

static int inject(struct making *making, struct gt_program *program, struct gt_error *err)
{
	const struct gt_agent_launch *launch = making->launch;
	const struct gt_gobin *bin = launch->bin;
	struct gt_inject_maps maps = {
		.rings_memfd = launch->memory->fd,
		.rings_size = launch->memory->total_bytes,
		.populate_offset = launch->memory->blocks_offset,
		.populate_size = (uint64_t)launch->memory->block_count * GT_BLOCK_BYTES,
		.code_size = making->code_size,
		.code = make_code,
		.context = making,
	};
	int ret = check_same_file(program, launch->path, err);

	if (ret < 0)
		return ret;
	if (maps.populate_size > POPULATE_MAX)
		maps.populate_size = POPULATE_MAX;
	making->slide = program->entry - bin->image.entry;
	gt__agent_reserve_slot_0(launch->memory);
	maps.text_lo = bin->text + making->slide;
	maps.text_hi = bin->etext + making->slide;
	ret = gt_inject_map(program, &maps, err);
	if (ret >= 0)
		ret = gt_inject_patch(program, making->patches, making->hooks.count, err);
	if (ret >= 0)
		ret = gt_inject_release(program, err);
	return ret;
}

static int launch_hooked(const struct gt_agent_launch *launch, const struct gt_start *start,
	struct gt_agent_result *result, struct gt_error *err)
{
	struct making *making = calloc(1, sizeof(*making));
	struct gt_program program = {.memory = -1};
	int exec_errno = 0;
	int ret;

	if (!making)
		return gt_fail(err, ENOMEM, "out of memory");
	making->launch = launch;
	ret = gt_gohooks_find(launch->bin, launch->layout, gt__takes_stacks(launch->memory), launch->sets,
		launch->skip_hook, &making->hooks, err);
	if (ret >= 0)
		ret = check_privileges(launch->path, err);
	if (ret >= 0) {
		making->code_size = GT_HOOKPAGE_BYTES + gt_probe_code_size(making->hooks.probes, making->hooks.count);
		ret = gt_inject_start(start, true, &program, &exec_errno, err);
		result->exec_failed = exec_errno != 0;
	}
	if (ret >= 0)
		ret = inject(making, &program, err);
	if (ret < 0)
		gt_inject_kill(&program, err);
	result->pid = program.pid;
	result->membarrier = program.membarrier;
	result->ended = program.ended;
	result->wait_status = program.wait_status;
	result->slide = making->slide;
	result->code_address = making->code_address;
	result->code_size = making->code_size;
	result->hooks = making->hooks.count;
	result->missing_count = making->hooks.missing_count;
	memcpy(result->missing, making->hooks.missing, sizeof(result->missing));
	free(making);
	return ret;
}

/* The environment of @launch with the variable that names the memory; in one piece for free(), the text behind the array. */
static char **environment_with_memory(const struct gt_agent_launch *launch)
{
	const size_t text_size = 96, name = strlen(GT_AGENT_SHM_VARIABLE "=");
	size_t count = 0, kept = 0;
	char **env, *text;

	while (launch->envp[count])
		count++;
	env = calloc(1, (count + 2) * sizeof(*env) + text_size);
	if (!env)
		return NULL;
	text = (char *)(env + count + 2);
	for (size_t i = 0; i < count; i++)
		if (strncmp(launch->envp[i], GT_AGENT_SHM_VARIABLE "=", name))
			env[kept++] = launch->envp[i];
	snprintf(text, text_size, GT_AGENT_SHM_VARIABLE "=/proc/%d/fd/%d", (int)getpid(), launch->memory->fd);
	env[kept] = text;
	return env;
}

static int launch_plain(const struct gt_agent_launch *launch, const struct gt_start *start,
	struct gt_agent_result *result, struct gt_error *err)
{
	struct gt_start changed = *start;
	struct gt_program program;
	char **env = NULL;
	int exec_errno, ret;

	if (launch->memory) {
		env = environment_with_memory(launch);
		if (!env)
			return gt_fail(err, ENOMEM, "out of memory");
		changed.envp = env;
	}
	ret = gt_inject_start(&changed, false, &program, &exec_errno, err);
	free(env);
	result->exec_failed = exec_errno != 0;
	result->pid = program.pid;
	return ret;
}

int gt_agent_launch(const struct gt_agent_launch *launch, struct gt_agent_result *result, struct gt_error *err)
{
	struct gt_start start = {
		.path = launch->path,
		.argv = launch->argv,
		.envp = launch->envp,
		.signal_mask = launch->mask,
		.signals_ignored = launch->ignored,
		.before_exec = launch->before_exec,
		.context = launch->context,
	};
	uint64_t begin = now_ns();
	int ret;

	memset(result, 0, sizeof(*result));
	ret = launch->layout ? launch_hooked(launch, &start, result, err) : launch_plain(launch, &start, result, err);
	result->setup_ns = now_ns() - begin;
	return ret;
}
