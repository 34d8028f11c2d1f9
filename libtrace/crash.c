/* crash.c - the crash file while its process lives: made, filled, kept up to date. */
#include "libtrace/crash_write.h"

#include "base/clock.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gtrace/gtrace.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

uint64_t gt_crash_bytes(size_t names_max)
{
	return (GT_CRASH_NAMES_AT + names_max * sizeof(struct gt_crash_name) + 4095) / 4096 * 4096;
}

static bool locked(int fd, pid_t *by)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return false;
	*by = lock.l_pid;
	return true;
}

/* What a dead process left is kept once more. */
static int move_away(const char *path, struct gt_error *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;
	char old[4096];
	pid_t by = 0;

	if (fd < 0)
		return errno == ENOENT
			       ? 0
			       : gt_fail(err, errno, "cannot use the crash file: %s: %s", path, strerror(errno));
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return gt_fail(err, EINVAL, "cannot use the crash file: %s: it is no plain file", path);
	}
	if (locked(fd, &by)) {
		close(fd);
		return gt_fail(err, EBUSY, "cannot use the crash file: %s: process %d records into it: name another",
			path, (int)by);
	}
	close(fd);
	if ((size_t)snprintf(old, sizeof(old), "%s.old", path) >= sizeof(old) || rename(path, old) < 0)
		return gt_fail(err, errno ? errno : ENAMETOOLONG, "cannot move the old crash file away: %s: %s", path,
			strerror(errno));
	return 0;
}

int gt_crash_open(const char *path, struct gt_error *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int ret = move_away(path, err), fd;

	if (ret < 0)
		return ret;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return gt_fail(err, errno, "cannot make the crash file: %s: %s", path, strerror(errno));
	/* Ends with the process, whatever ends it, and no child inherits it: who reads the file knows whether it is alive. */
	if (fcntl(fd, F_SETLK, &lock) < 0) {
		ret = gt_fail(err, errno, "cannot lock the crash file: %s: %s", path, strerror(errno));
		close(fd);
		unlink(path);
		return ret;
	}
	return fd;
}

struct build_id {
	uint8_t *out;
	uint32_t bytes;
};

static int find_build_id(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct build_id *id = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		const uint8_t *at = (const uint8_t *)(uintptr_t)(info->dlpi_addr + segment->p_vaddr);
		size_t left = segment->p_type == PT_NOTE ? segment->p_memsz : 0;

		while (left >= sizeof(ElfW(Nhdr))) {
			const ElfW(Nhdr) *note = (const void *)at;
			size_t name = (note->n_namesz + 3u) & ~3u,
			       all = sizeof(*note) + name + ((note->n_descsz + 3u) & ~3u);

			if (all > left)
				break;
			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(note + 1, "GNU", 4) == 0 &&
				note->n_descsz <= 64) {
				id->bytes = note->n_descsz;
				memcpy(id->out, (const uint8_t *)(note + 1) + name, note->n_descsz);
				return 1;
			}
			at += all;
			left -= all;
		}
	}
	return 1; /* the first is the program */
}

struct gt_crash *gt_crash_map(const struct gt_memory *memory, size_t names_max, struct gt_error *err)
{
	uint64_t bytes = gt_crash_bytes(names_max);
	struct build_id id;
	struct gt_crash *crash =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, (off_t)memory->total_bytes);
	struct utsname host;

	if (crash == MAP_FAILED) {
		gt_fail(err, errno, "cannot map the crash file: %s", strerror(errno));
		return NULL;
	}
	crash->abi = GT_CRASH_ABI;
	crash->names_at = GT_CRASH_NAMES_AT;
	crash->names_max = names_max;
	crash->total_bytes = memory->total_bytes + bytes;
	crash->pid = (uint32_t)getpid();
	snprintf(crash->clock, sizeof(crash->clock), "%s", gt_clock_text());
	snprintf(crash->gtrace, sizeof(crash->gtrace), "%s", GTRACE_VERSION);
	if (uname(&host) == 0)
		snprintf(crash->machine, sizeof(crash->machine), "%s", host.machine);
	if (readlink("/proc/self/exe", crash->program, sizeof(crash->program) - 1) < 0)
		crash->program[0] = '\0';
	id = (struct build_id){.out = crash->build_id};
	dl_iterate_phdr(find_build_id, &id);
	crash->build_id_bytes = id.bytes;
	atomic_store_explicit(&crash->magic, GT_CRASH_MAGIC, memory_order_release);
	return crash;
}

void gt_crash_begin(struct gt_crash *crash, const struct gt_clock_pair *start, int64_t realtime_ns, uint64_t slide)
{
	crash->start_ticks = crash->since_ticks = start->ticks;
	crash->start_monotonic_ns = start->monotonic_ns;
	crash->start_realtime_ns = realtime_ns;
	crash->ticks_per_second = gt_clock_rate();
	crash->slide = slide;
	gt_crash_tick(crash);
	memset((uint8_t *)crash + GT_CRASH_NAMES_AT, 0, crash->names_max * sizeof(struct gt_crash_name));
	atomic_store(&crash->state, GT_CRASH_RECORDS);
}

/* Both may be torn apart by a death between them: that is an error of one round in the clock's rate. */
void gt_crash_tick(struct gt_crash *crash)
{
	struct gt_clock_pair now = gt_clock_pair();

	atomic_store_explicit(&crash->last_ticks, now.ticks, memory_order_relaxed);
	atomic_store_explicit(&crash->last_monotonic_ns, now.monotonic_ns, memory_order_relaxed);
}
