/* process.c - reads and writes a process's memory, and finds places in it. */
#include "agent/process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#define PAGE             GT__PAGE
#define REACH            0x7f000000u /* of a jump, with room to spare */
#define STUB_ALIGN       16u
#define CLEAN_TAIL_BYTES 16u /* zeros that are left alone behind the last byte that is none */

/* ---- memory ---- */

int gt__memory_read(int memory, uint64_t address, void *to, size_t size)
{
	ssize_t got = pread(memory, to, size, (off_t)address);

	return got == (ssize_t)size ? 0 : got < 0 ? -errno : -EIO;
}

/* Where /proc/PID/mem may not write to read-only memory (a choice of some kernels), ptrace may. */
static int poke(pid_t tid, uint64_t address, const uint8_t *bytes, size_t size)
{
	while (size) {
		uint64_t word_at = address & ~7ull;
		size_t skip = (size_t)(address - word_at);
		size_t part = size < 8 - skip ? size : 8 - skip;
		long word;

		errno = 0;
		word = ptrace(PTRACE_PEEKTEXT, tid, (void *)word_at, NULL);
		if (errno)
			return -errno;
		memcpy((uint8_t *)&word + skip, bytes, part);
		if (ptrace(PTRACE_POKETEXT, tid, (void *)word_at, (void *)word) < 0)
			return -errno;
		address += part;
		bytes += part;
		size -= part;
	}
	return 0;
}

int gt__memory_write(int memory, pid_t tid, uint64_t address, const void *bytes, size_t size)
{
	ssize_t put = pwrite(memory, bytes, size, (off_t)address);

	if (put == (ssize_t)size)
		return 0;
	return tid ? poke(tid, address, bytes, size) : put < 0 ? -errno : -EIO;
}

/* ---- the map ---- */

int gt__mappings_read(pid_t pid, struct gt__mapping **mappings, size_t *count, struct gt_error *err)
{
	size_t room = 256;
	char path[64], line[4400];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	in = fopen(path, "re");
	if (!in)
		return gt_fail(err, errno, "cannot open %s: %s", path, strerror(errno));
	*count = 0;
	*mappings = malloc(room * sizeof(**mappings));
	while (*mappings && *count < GT__MAPPINGS_MAX && fgets(line, sizeof(line), in)) {
		struct gt__mapping *mapping;
		uint64_t inode = 0;
		char rights[5];

		if (*count == room) {
			void *more = realloc(*mappings, 2 * room * sizeof(**mappings));

			if (!more) {
				free(*mappings);
				*mappings = NULL;
				break;
			}
			*mappings = more;
			room *= 2;
		}
		mapping = &(*mappings)[*count];
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, &mapping->lo, &mapping->hi, rights,
			    &inode) < 3)
			continue;
		mapping->gtrace = strstr(line, " /memfd:gtrace") != NULL;
		mapping->hooks = mapping->gtrace && rights[2] == 'x';
		mapping->rings = mapping->gtrace && !strcmp(rights, "rw-s") &&
				 (strstr(line, "/memfd:gtrace (") || strstr(line, "/memfd:gtrace1 ("));
		mapping->unnamed = !inode && !strchr(line, '[');
		mapping->runs = !strcmp(rights, "r-xp") && (inode || mapping->unnamed || strstr(line, "[vdso]"));
		(*count)++;
	}
	fclose(in);
	return *mappings ? 0 : gt_fail(err, ENOMEM, "out of memory");
}

/* ---- places ---- */

/* The end of a page-tail of zeros: code ends, the page goes on. Gives the stub's address or 0. */
static uint64_t zeros_at_end(const uint8_t *page, const struct gt__mapping *mapping, size_t need)
{
	size_t from = PAGE;

	while (from && !page[from - 1])
		from--;
	from = (from + CLEAN_TAIL_BYTES + STUB_ALIGN - 1) / STUB_ALIGN * STUB_ALIGN;
	return from + need <= PAGE ? mapping->hi - PAGE + from : 0;
}

/* Go's own linker puts the file's headers into the page before the code: behind them there is nothing. */
static uint64_t zeros_behind_headers(const uint8_t *page, const struct gt__mapping *mapping, size_t need)
{
	size_t run = 0;

	if (memcmp(page, ELFMAG, SELFMAG))
		return 0;
	for (size_t at = PAGE; at > 0 && !page[at - 1]; at--)
		run++;
	if (run < need + CLEAN_TAIL_BYTES + STUB_ALIGN)
		return 0;
	return mapping->lo + (PAGE - need) / STUB_ALIGN * STUB_ALIGN;
}

int gt__zeros_find(int memory, const struct gt__mapping *mappings, size_t count, size_t need, uint64_t *place,
	struct gt_error *err)
{
	uint8_t first[PAGE], last[PAGE];

	*place = 0;
	for (size_t i = 0; i < count && !*place; i++) {
		const struct gt__mapping *mapping = &mappings[i];

		if (!mapping->runs || mapping->unnamed || gt__memory_read(memory, mapping->lo, first, PAGE) < 0 ||
			gt__memory_read(memory, mapping->hi - PAGE, last, PAGE) < 0)
			continue;
		*place = zeros_at_end(last, mapping, need);
		if (!*place)
			*place = zeros_behind_headers(first, mapping, need);
	}
	return *place ? 0 : gt_fail(err, ENOSPC, "the program's code has no %zu unused bytes", need);
}

static bool is_free(const struct gt__mapping *mappings, size_t count, uint64_t lo, uint64_t size)
{
	for (size_t i = 0; i < count; i++)
		if (lo < mappings[i].hi + PAGE && lo + size + PAGE > mappings[i].lo)
			return false;
	return true;
}

/* Below the program first: its heap grows upwards. */
int gt__near_find(const struct gt__mapping *mappings, size_t count, uint64_t text_lo, uint64_t text_hi, uint64_t size,
	uint64_t *place, struct gt_error *err)
{
	const uint64_t step = 1u << 20;
	uint64_t lowest = text_hi > REACH ? text_hi - REACH : 0;
	uint64_t highest = text_lo + REACH;

	if (lowest < 0x200000)
		lowest = 0x200000; /* more than any mmap_min_addr */
	for (uint64_t at = text_lo & ~(step - 1); at >= lowest + step; at -= step)
		if (is_free(mappings, count, at - step, size)) {
			*place = at - step;
			return 0;
		}
	/* The program's break may begin right behind it: stay away. */
	for (uint64_t at = ((text_hi + step - 1) & ~(step - 1)) + 256 * step; at < highest; at += step)
		if (is_free(mappings, count, at, size)) {
			*place = at;
			return 0;
		}
	return gt_fail(err, ENOSPC, "there is no free address within 2 GiB of the program's code");
}

uint64_t gt__entry_of(pid_t pid)
{
	uint64_t pair[2], entry = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (read(fd, pair, sizeof(pair)) == (ssize_t)sizeof(pair) && pair[0] != AT_NULL)
		if (pair[0] == AT_ENTRY)
			entry = pair[1];
	close(fd);
	return entry;
}
