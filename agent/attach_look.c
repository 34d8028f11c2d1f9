/* attach_look.c - what a process is, and whether gtrace can attach to it; nothing in it is touched. */
#include "agent/attach_internal.h"

#include "agent/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES  200
#define LOCK_NAP_NS 10000000

struct status {
	char state;
	long tgid, tracer, seccomp, size_kib, namespaces;
};

static int read_status(pid_t pid, struct status *out)
{
	char path[64], line[512];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	in = fopen(path, "re");
	if (!in)
		return -errno;
	*out = (struct status){.size_kib = -1, .namespaces = 1};
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "State: %c", &out->state) == 1 || sscanf(line, "Tgid: %ld", &out->tgid) == 1 ||
			sscanf(line, "TracerPid: %ld", &out->tracer) == 1 ||
			sscanf(line, "Seccomp: %ld", &out->seccomp) == 1 ||
			sscanf(line, "VmSize: %ld", &out->size_kib) == 1)
			continue;
		if (strncmp(line, "NSpid:", 6) == 0) {
			out->namespaces = 0;
			for (char *word = strtok(line + 6, " \t\n"); word; word = strtok(NULL, " \t\n"))
				out->namespaces++;
		}
	}
	fclose(in);
	return 0;
}

/* One that is about to end has no memory either. */
static bool is_kernels(pid_t pid)
{
	char path[64], text[1024];
	unsigned int flags = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	in = fopen(path, "re");
	if (in && fgets(text, sizeof(text), in) && strrchr(text, ')'))
		sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %u", &flags);
	if (in)
		fclose(in);
	return flags & 0x00200000; /* PF_KTHREAD */
}

int gt__attach_status(pid_t process, bool *foreign, struct gt_error *err)
{
	struct status status;
	int pid = (int)process;

	if (pid == getpid())
		return gt_fail(err, EINVAL, "cannot attach: process %d is gtrace itself", pid);
	if (read_status(pid, &status) < 0)
		return gt_fail(err, ESRCH, "cannot attach: there is no process %d", pid);
	if (status.state == 'Z' || status.state == 'X')
		return gt_fail(
			err, ESRCH, "cannot attach: process %d has ended; its parent has not taken note yet", pid);
	if (status.tgid != pid)
		return gt_fail(err, EINVAL, "cannot attach: %d is a thread of process %ld: give that number", pid,
			status.tgid);
	if (status.size_kib < 0 && !is_kernels(process))
		return gt_fail(err, ESRCH, "cannot attach: process %d is gone", pid);
	if (status.size_kib < 0)
		return gt_fail(err, EINVAL, "cannot attach: process %d is a thread of the kernel", pid);
	if (status.tracer)
		return gt_fail(err, EBUSY,
			"cannot attach: process %d is traced by process %ld already: end that (a debugger, strace, "
			"another gtrace) first",
			pid, status.tracer);
	if (status.seccomp == 1)
		return gt_fail(err, EPERM,
			"cannot attach: process %d may not make system calls (seccomp, strict mode), which gtrace "
			"needs it to",
			pid);
	*foreign = status.namespaces > 1;
	return 0;
}

bool gt__attach_stopped(pid_t pid)
{
	struct status status;

	return read_status(pid, &status) == 0 && status.state == 'T';
}

bool gt__attach_same_program(const struct gt_attach *attach)
{
	struct stat status;
	uint8_t byte;

	/* After an exec of the same file its memory is another: what we have open is that of nobody. */
	return stat(attach->exe, &status) == 0 && status.st_dev == attach->device && status.st_ino == attach->inode &&
	       gt__memory_read(attach->memory, attach->stub, &byte, 1) == 0;
}

int gt__attach_not_allowed(pid_t pid, int code, struct gt_error *err)
{
	if (code == ENOENT || code == ESRCH)
		return gt_fail(err, ESRCH, "cannot attach: process %d is gone", (int)pid);
	return gt_fail(err, code,
		"cannot attach: process %d: %s: it belongs to another user, or has rights of its own: try as root",
		(int)pid, strerror(code));
}

static int look_at_program(struct gt_attach *attach, struct gt_error *err)
{
	struct gt_elf_identity identity;
	struct stat status;
	ssize_t size;
	int ret;

	snprintf(attach->exe, sizeof(attach->exe), "/proc/%d/exe", (int)attach->view.pid);
	size = readlink(attach->exe, attach->program, sizeof(attach->program) - 1);
	if (size < 0 || stat(attach->exe, &status) < 0)
		return gt__attach_not_allowed(attach->view.pid, errno, err);
	attach->program[size] = 0;
	attach->device = status.st_dev;
	attach->inode = status.st_ino;
	ret = gt_elf_kind(attach->exe, &identity, err);
	if (ret >= 0 && identity.kind != GT_ELF_GO)
		ret = gt_fail(err, ENOTSUP, "%s is no Go program, and does not link libtrace", attach->program);
	if (ret >= 0)
		ret = gt_gobin_open(attach->exe, &attach->view.bin, err);
	if (ret >= 0)
		ret = gt_golayout_find(attach->view.bin, &attach->view.layout, err);
	if (ret >= 0)
		ret = gt_golayout_verify(attach->view.bin, attach->view.layout, err);
	if (ret >= 0)
		ret = gt_goread_find(attach->view.bin, &attach->allgs, err);
	return ret < 0 ? gt_fail_prefix(err, ret, "cannot attach: process %d", (int)attach->view.pid) : 0;
}

static int look_at_memory(struct gt_attach *attach, struct gt_error *err)
{
	uint64_t entry;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)attach->view.pid);
	attach->memory = open(path, O_RDWR | O_CLOEXEC);
	if (attach->memory < 0)
		return gt__attach_not_allowed(attach->view.pid, errno, err);
	entry = gt__entry_of(attach->view.pid);
	if (!entry)
		return gt_fail(err, ESRCH, "cannot attach: process %d is gone", (int)attach->view.pid);
	attach->view.slide = entry - attach->view.bin->image.entry;
	attach->allgs += attach->view.slide;
	return 0;
}

int gt__attach_look(struct gt_attach *attach, struct gt_error *err)
{
	int ret = gt__attach_status(attach->view.pid, &attach->view.foreign, err);

	if (ret >= 0)
		ret = look_at_program(attach, err);
	return ret < 0 ? ret : look_at_memory(attach, err);
}

/* Can it be what gt_hookpage_fill made, for this program? */
static bool believable(const struct gt_attach *attach, const struct gt_hookpage *page,
	const struct gt__mapping *mapping, const struct gt__mapping *mappings, size_t count)
{
	bool rings = !page->rings;
	const struct gt_elf_image *image = &attach->view.bin->image;

	if (page->site_count > GT_GOHOOKS_MAX || page->size != mapping->hi - mapping->lo)
		return false;
	if (page->rings % GT__PAGE || page->rings_size % GT__PAGE || page->rings + page->rings_size < page->rings)
		return false;
	for (size_t i = 0; i < count; i++)
		rings |= mappings[i].gtrace && mappings[i].lo == page->rings &&
			 mappings[i].hi - mappings[i].lo == page->rings_size;
	if (!rings)
		return false;
	for (uint32_t i = 0; i < page->site_count; i++) {
		uint64_t va = page->sites[i].address - attach->view.slide;
		const uint8_t *file = gt_elf_at(image, va, page->sites[i].size);

		if (page->sites[i].size < GT_SITE_JUMP_SIZE || page->sites[i].size > GT_SITE_WINDOW_MAX || !file ||
			memcmp(file, page->sites[i].original, page->sites[i].size))
			return false;
	}
	return true;
}

int gt__attach_leftover(struct gt_attach *attach, uint64_t *at, struct gt_hookpage *page, struct gt_error *err)
{
	struct gt__mapping *mappings;
	unsigned int owner;
	size_t count;
	int ret = gt__mappings_read(attach->view.pid, &mappings, &count, err);

	attach->code_sealed = false;
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < count && !ret; i++) {
		/* A gtrace that started the program has put them into a memory file, one that attached into memory of no name. */
		if (!(mappings[i].runs || mappings[i].hooks) ||
			gt__memory_read(attach->memory, mappings[i].lo, page, sizeof(*page)) < 0 ||
			memcmp(page->magic, GT_HOOKPAGE_MAGIC, sizeof(page->magic)) ||
			!believable(attach, page, &mappings[i], mappings, count))
			continue;
		*at = mappings[i].lo;
		attach->code_sealed = mappings[i].hooks;
		ret = 1;
		owner = gt_hookpage_owner(page);
		if (owner)
			ret = gt_fail(err, EBUSY,
				"cannot attach: process %d is traced by another gtrace (process %u): end that first",
				(int)attach->view.pid, owner);
	}
	free(mappings);
	return ret;
}

int gt__attach_lock(struct gt_attach *attach, struct gt_error *err)
{
	const struct timespec nap = {.tv_nsec = LOCK_NAP_NS};
	struct gt_hookpage page;
	uint64_t at;

	for (int tries = 0;; tries++) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}, by = lock;

		/* Ends with the process, whatever ends it, and no child inherits it. Where there are no such locks the pages alone tell. */
		if (fcntl(attach->memory, F_SETLK, &lock) >= 0 || (errno != EAGAIN && errno != EACCES))
			return 0;
		if (gt__attach_leftover(attach, &at, &page, err) < 0)
			return -EBUSY;
		if (tries == LOCK_TRIES)
			return gt_fail(err, EBUSY,
				"cannot attach: process %d is traced by another gtrace (process %d): end that first",
				(int)attach->view.pid,
				fcntl(attach->memory, F_GETLK, &by) < 0 || by.l_type == F_UNLCK ? 0 : (int)by.l_pid);
		nanosleep(&nap, NULL);
	}
}

/* A program that links libtrace, too, has memory of that name, and a descriptor of it. */
static bool holds_memory_of_gtrace(pid_t pid)
{
	char path[64], target[64];
	struct dirent *entry;
	bool found = false;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	fds = opendir(path);
	if (!fds)
		return true;
	while (!found && (entry = readdir(fds))) {
		ssize_t size = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		target[size > 0 ? size : 0] = '\0';
		found = strncmp(target, "/memfd:gtrace", 13) == 0;
	}
	closedir(fds);
	return found;
}

size_t gt__attach_orphans(const struct gt_attach *attach, struct gt__orphan *list, size_t max)
{
	struct gt__mapping *mappings;
	size_t count, found = 0;
	char magic[6]; /* of whatever release */

	if (gt__mappings_read(attach->view.pid, &mappings, &count, NULL) < 0)
		return 0;
	for (size_t i = 0; i < count && found < max; i++)
		if (mappings[i].rings)
			list[found++] = (struct gt__orphan){mappings[i].lo, mappings[i].hi - mappings[i].lo};
	for (size_t i = 0; i < count && found; i++)
		if (mappings[i].hooks ||
			(mappings[i].runs &&
				gt__memory_read(attach->memory, mappings[i].lo, magic, sizeof(magic)) >= 0 &&
				memcmp(magic, GT_HOOKPAGE_MAGIC, sizeof(magic)) == 0))
			found = 0;
	free(mappings);
	return found && holds_memory_of_gtrace(attach->view.pid) ? 0 : found;
}
