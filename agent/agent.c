/* agent.c - from a file to a running, hooked program. */
#include "agent/agent.h"

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

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010u
#endif

struct gt_agent {
	struct gt_gobin *bin;
	const struct gt_golayout *layout;
	struct gt_gohooks hooks;
	bool stacks;
	dev_t device; /* of the file that was looked at */
	ino_t inode;
};

/* What the code callback needs. */
struct making {
	const struct gt_agent *agent;
	const struct gt_memory *memory;
	uint64_t slide;
	uint64_t code_address;
	struct gt_patch patches[GT_GOHOOKS_MAX];
};

int gt_agent_open(const char *path, const struct gt_agent_options *options, struct gt_agent **out, struct gt_error *err)
{
	struct gt_agent *agent = calloc(1, sizeof(*agent));
	struct stat status;
	int ret;

	if (!agent)
		return gt_fail(err, ENOMEM, "out of memory");
	agent->stacks = options->stacks;
	ret = gt_gobin_open(path, &agent->bin, err);
	if (ret >= 0 && stat(path, &status) < 0)
		ret = gt_fail(err, errno, "cannot look at %s: %s", path, strerror(errno));
	if (ret >= 0) {
		agent->device = status.st_dev;
		agent->inode = status.st_ino;
		ret = gt_golayout_find(agent->bin, &agent->layout, err);
	}
	if (ret >= 0)
		ret = gt_golayout_verify(agent->bin, agent->layout, err);
	if (ret >= 0)
		ret = gt_gohooks_find(agent->bin, agent->layout, options->stacks, options->skip_hook, &agent->hooks, err);
	if (ret < 0) {
		gt_agent_close(agent);
		return ret;
	}
	*out = agent;
	return 0;
}

void gt_agent_close(struct gt_agent *agent)
{
	if (!agent)
		return;
	gt_gobin_close(agent->bin);
	free(agent);
}

struct gt_gobin *gt_agent_binary(struct gt_agent *agent)
{
	return agent->bin;
}

const struct gt_golayout *gt_agent_layout(const struct gt_agent *agent)
{
	return agent->layout;
}

const struct gt_gohooks *gt_agent_hooks(const struct gt_agent *agent)
{
	return &agent->hooks;
}

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

static int fill_values(const struct making *making, uint64_t rings, struct gt_probe_values *values, struct gt_error *err)
{
	const struct gt_memory *memory = making->memory;

	if (!memory->spill_count)
		return gt_fail(err, EINVAL, "the shared memory has no stacks for hooks");
	memset(values, 0, sizeof(*values));
	gt_gohooks_values(making->agent->layout, values);
	values->holes[GT_HOLE_SHM] = rings;
	values->holes[GT_HOLE_STACKS] = rings + memory->stacks_offset;
	values->holes[GT_HOLE_MS_OFFSET] = memory->ms_offset;
	values->holes[GT_HOLE_BLOCKS_OFFSET] = memory->blocks_offset;
	values->holes[GT_HOLE_SPILL_OFFSET] = memory->spill_offset;
	values->holes[GT_HOLE_SPILL_MASK] = pow2_below(memory->spill_count) - 1;
	values->holes[GT_HOLE_STACK_MASK] = memory->stack_slot_count ? memory->stack_slot_count - 1 : 0;
	values->holes[GT_HOLE_TEXT] = memory->text_base;
	values->holes[GT_HOLE_TEXT_SIZE] = memory->text_end - memory->text_base;
	values->holes[GT_HOLE_DEPTH] = memory->stack_depth ? memory->stack_depth : 1;
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
	const struct gt_gohooks *hooks = &making->agent->hooks;
	size_t size = gt_probe_code_size(hooks->probes, hooks->count);
	struct gt_probe_values values;
	uint8_t *code = malloc(size);
	int ret;

	if (!code)
		return gt_fail(err, ENOMEM, "out of memory");
	making->code_address = code_address;
	ret = fill_values(making, rings, &values, err);
	if (ret >= 0)
		ret = gt_probe_build(hooks->probes, hooks->count, &values, making->slide, code_address, code,
			making->patches, err);
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

/* What was started must be what was looked at: between the two a file can be replaced. */
static int check_same_file(const struct gt_agent *agent, const struct gt_program *program, const char *path,
	struct gt_error *err)
{
	struct stat status;
	char exe[64];

	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)program->pid);
	if (stat(exe, &status) < 0)
		return gt_fail(err, errno, "cannot look at the program that was started: %s", strerror(errno));
	if (status.st_dev != agent->device || status.st_ino != agent->inode)
		return gt_fail(err, ESTALE, "what was started is not the file that was looked at: %s: try again", path);
	return 0;
}

static void set_text(const struct gt_agent *agent, uint64_t slide, struct gt_memory *memory)
{
	memory->text_base = agent->bin->text + slide;
	memory->text_end = agent->bin->etext + slide;
	memory->shm->text_base = memory->text_base;
	memory->shm->text_end = memory->text_end;
	/* Slot 0 is nobody's: its number means "no stack". No stack hashes to 1. */
	if (memory->stack_slot_count)
		atomic_store_explicit(
			&((struct gt_stack_slot *)((uint8_t *)memory->shm + memory->stacks_offset))->hash, 1,
			memory_order_relaxed);
}

static int inject(struct gt_agent *agent, struct gt_program *program, const char *path, struct gt_memory *memory,
	struct gt_agent_started *started, struct gt_error *err)
{
	struct making making = { .agent = agent, .memory = memory };
	struct gt_inject_maps maps = {
		.rings_memfd = memory->fd,
		.rings_size = memory->total_bytes,
		.code_size = gt_probe_code_size(agent->hooks.probes, agent->hooks.count),
		.code = make_code,
		.context = &making,
	};
	int ret = check_same_file(agent, program, path, err);

	if (ret < 0)
		return ret;
	making.slide = program->entry - agent->bin->image.entry;
	set_text(agent, making.slide, memory);
	maps.text_lo = memory->text_base;
	maps.text_hi = memory->text_end;
	ret = gt_inject_map(program, &maps, err);
	if (ret >= 0)
		ret = gt_inject_patch(program, making.patches, agent->hooks.count, err);
	if (ret >= 0)
		ret = gt_inject_release(program, err);
	started->slide = making.slide;
	started->code_address = making.code_address;
	started->code_size = maps.code_size;
	return ret;
}

int gt_agent_launch(struct gt_agent *agent, const struct gt_launch *launch, struct gt_memory *memory,
	struct gt_agent_started *started, struct gt_error *err)
{
	struct gt_program program;
	uint64_t begin;
	int ret;

	memset(started, 0, sizeof(*started));
	if (agent->stacks && !(memory->stack_slot_count && memory->stack_depth))
		return gt_fail(err, EINVAL, "the shared memory has no room for stacks");
	ret = check_privileges(launch->path, err);
	if (ret < 0)
		return ret;
	begin = now_ns();
	ret = gt_inject_start(launch, true, &program, &started->exec_errno, err);
	if (ret < 0)
		return ret;
	ret = inject(agent, &program, launch->path, memory, started, err);
	if (ret < 0) {
		gt_inject_kill(&program);
		return ret;
	}
	started->pid = program.pid;
	started->hooks = agent->hooks.count;
	started->setup_ns = now_ns() - begin;
	return 0;
}

int gt_agent_launch_plain(
	const struct gt_launch *launch, int memory_fd, struct gt_agent_started *started, struct gt_error *err)
{
	struct gt_launch with_variable = *launch;
	struct gt_program program;
	char variable[96];
	char **env = NULL;
	size_t count = 0;
	int ret;

	memset(started, 0, sizeof(*started));
	if (memory_fd >= 0) {
		const size_t name = strlen(GT_AGENT_SHM_VARIABLE "=");
		size_t kept = 0;

		while (launch->envp[count])
			count++;
		env = calloc(count + 2, sizeof(*env));
		if (!env)
			return gt_fail(err, ENOMEM, "out of memory");
		for (size_t i = 0; i < count; i++)
			if (strncmp(launch->envp[i], GT_AGENT_SHM_VARIABLE "=", name))
				env[kept++] = launch->envp[i];
		snprintf(variable, sizeof(variable), GT_AGENT_SHM_VARIABLE "=/proc/%d/fd/%d", (int)getpid(), memory_fd);
		env[kept] = variable;
		with_variable.envp = env;
	}
	ret = gt_inject_start(&with_variable, false, &program, &started->exec_errno, err);
	free(env);
	if (ret < 0)
		return ret;
	started->pid = program.pid;
	return 0;
}
