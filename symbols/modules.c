/* modules.c - see modules.h. */
#include "symbols/modules.h"

#include "symbols/elf_symbols.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULES_MAX  4096
#define FILES_MAX    512 /* that are kept open */
#define KERNEL_MAX   1000000
#define ADDRESS_BITS 48
#define COUNT_MAX    ((1u << 14) - 1)

struct module {
	uint64_t start, end, offset, since;
	uint64_t again; /* the last time that the same was mapped; since, when it was once */
	uint64_t until; /* UINT64_MAX: it stands */
	uint32_t
		count; /* of files at some of these addresses that were told of before: in its place, so that no other has that */
	uint32_t file;
};

struct file {
	char *name; /* "[libc.so.6]" */
	dev_t device;
	ino_t inode;
	int fd; /* -1: there is none */
	bool program, vdso, tried;
	uint8_t build_id[20];
	size_t build_id_bytes;
	struct gt_elf_symbols *symbols;
};

struct kernel_symbol {
	uint64_t address;
	uint32_t name; /* in names */
};

struct gt_modules {
	pid_t pid;
	dev_t device; /* of the program */
	ino_t inode;
	struct module *list; /* in order of since */
	size_t count, room;
	uint64_t exec; /* the last */
	struct file *files;
	size_t file_count, file_room;

	struct kernel_symbol *kernel;
	size_t kernel_count;
	char *names;
	bool kernel_tried;
	char text[256]; /* of the last answer */
};

struct gt_modules *gt_modules_new(pid_t pid, const char *program)
{
	struct gt_modules *m = calloc(1, sizeof(*m));
	struct stat file;

	if (!m)
		return NULL;
	m->pid = pid;
	if (program && stat(program, &file) == 0) {
		m->device = file.st_dev;
		m->inode = file.st_ino;
	}
	return m;
}

void gt_modules_free(struct gt_modules *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->file_count; i++) {
		gt_elf_symbols_close(m->files[i].symbols);
		free(m->files[i].name);
		if (m->files[i].fd >= 0)
			close(m->files[i].fd);
	}
	free(m->files);
	free(m->list);
	free(m->kernel);
	free(m->names);
	free(m);
}

/* ---- what is mapped ---- */

static void *more(void *list, size_t count, size_t *room, size_t each)
{
	size_t wanted = *room ? *room * 2 : 16;

	if (count < *room)
		return list;
	list = realloc(list, wanted * each);
	if (list)
		*room = wanted;
	return list;
}

/* By the process's own view of files: it may live in another namespace. */
static int open_file(const struct gt_modules *m, const char *path, struct stat *st)
{
	char full[4096 + 32];
	int fd;

	snprintf(full, sizeof(full), "/proc/%d/root%s", (int)m->pid, path);
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* "[libc.so.6]"; what has no file: "[vdso]", "[anon]", "[memfd:jit]". */
static char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	char name[256];

	if (*last == '[')
		snprintf(name, sizeof(name), "%s", last);
	else
		snprintf(name, sizeof(name), "[%.*s]", (int)strcspn(last, " "), *last ? last : "?");
	return strdup(name);
}

static bool same_file(
	const struct file *file, const char *name, const struct stat *st, const struct gt_mapping *mapping)
{
	if (strcmp(file->name, name) != 0 || file->build_id_bytes != mapping->build_id_bytes ||
		memcmp(file->build_id, mapping->build_id, file->build_id_bytes) != 0)
		return false;
	return file->fd < 0 || file->vdso || (file->device == st->st_dev && file->inode == st->st_ino);
}

/* Its index in files, or -errno. */
static ssize_t file_of(struct gt_modules *m, const struct gt_mapping *mapping)
{
	bool vdso = strcmp(mapping->path, "[vdso]") == 0;
	char *name = name_of(mapping->path);
	struct stat st = {0};
	struct file *files;
	int fd = -1;

	if (!name)
		return -ENOMEM;
	if (vdso)
		fd = gt_elf_vdso();
	else if (mapping->path[0] == '/' && mapping->path[1] != '/' && m->file_count < FILES_MAX)
		fd = open_file(m, mapping->path, &st);
	for (size_t i = 0; i < m->file_count; i++)
		if ((m->files[i].fd < 0) == (fd < 0) && same_file(&m->files[i], name, &st, mapping)) {
			if (fd >= 0)
				close(fd);
			free(name);
			return (ssize_t)i;
		}
	files = more(m->files, m->file_count, &m->file_room, sizeof(*files));
	if (!files) {
		if (fd >= 0)
			close(fd);
		free(name);
		return -ENOMEM;
	}
	m->files = files;
	m->files[m->file_count] = (struct file){
		.name = name,
		.device = st.st_dev,
		.inode = st.st_ino,
		.fd = fd,
		.program = fd >= 0 && !vdso && st.st_ino == m->inode && st.st_dev == m->device,
		.vdso = vdso,
		.build_id_bytes = mapping->build_id_bytes,
	};
	memcpy(m->files[m->file_count].build_id, mapping->build_id, mapping->build_id_bytes);
	return (ssize_t)m->file_count++;
}

int gt_modules_add(struct gt_modules *m, const struct gt_mapping *mapping)
{
	struct gt_mapping own = *mapping;
	uint64_t end = own.start + own.size;
	struct module module, *list, *last = NULL;
	size_t at = m->count;
	ssize_t file;

	if (!own.size || end < own.start || end >> ADDRESS_BITS || own.build_id_bytes > 20)
		return 0;
	if (!own.build_id)
		own.build_id = (const uint8_t *)"", own.build_id_bytes = 0;
	if (m->count == MODULES_MAX)
		return -ENOSPC;
	file = file_of(m, &own);
	if (file < 0)
		return (int)file;
	module = (struct module){own.start, end, own.offset, own.since, own.since,
		own.since < m->exec ? m->exec : UINT64_MAX, 0, (uint32_t)file};
	for (size_t i = 0; i < m->count; i++) {
		struct module *old = &m->list[i];

		if (old->end <= module.start || old->start >= module.end)
			continue;
		if (old->since <= module.since)
			last = old;
		if (old->count >= module.count)
			module.count = old->count < COUNT_MAX ? old->count + 1 : COUNT_MAX;
	}
	/* The same again, as after dlclose and dlopen: as if it had stayed. */
	if (last && last->file == module.file && last->start - last->offset == module.start - module.offset &&
		last->until >= module.since) {
		if (last->start == module.start && last->end == module.end) {
			if (last->again < module.since)
				last->again = module.since;
			return 0;
		}
		module.count = last->count;
	}
	list = more(m->list, m->count, &m->room, sizeof(*list));
	if (!list)
		return -ENOMEM;
	m->list = list;
	while (at > 0 && list[at - 1].since > module.since)
		at--;
	memmove(&list[at + 1], &list[at], (m->count++ - at) * sizeof(*list));
	list[at] = module;
	return 0;
}

void gt_modules_exec(struct gt_modules *m, uint64_t since)
{
	if (m->exec < since)
		m->exec = since;
	for (size_t i = 0; i < m->count; i++)
		if (m->list[i].since < since && m->list[i].until > since)
			m->list[i].until = since;
}

/* What was mapped there last by then; of a moment before all of them, the first. */
static const struct module *module_at(const struct gt_modules *m, uint64_t pc, uint64_t time)
{
	const struct module *found = NULL;
	uint64_t mapped = 0;

	for (size_t i = 0; i < m->count; i++) {
		const struct module *module = &m->list[i];
		uint64_t last = module->again <= time ? module->again : module->since;

		if (pc < module->start || pc >= module->end || module->until < time)
			continue;
		if (!found || (last <= time && last >= mapped)) {
			found = module;
			mapped = last;
		}
	}
	return found;
}

uint64_t gt_modules_place(const struct gt_modules *m, uint64_t pc, uint64_t time)
{
	const struct module *module = pc & GT_PLACE_KERNEL ? NULL : module_at(m, pc, time);

	if (pc & GT_PLACE_KERNEL)
		return pc;
	pc &= (1ull << ADDRESS_BITS) - 1;
	if (!module || m->files[module->file].program)
		return pc;
	return pc | GT_PLACE_OTHER | (uint64_t)module->count << ADDRESS_BITS;
}

/* ---- names: the kernel ---- */

static int by_address(const void *a, const void *b)
{
	const struct kernel_symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* "ffffffff81000000 T name [module]": false when it is no code, or who reads may not see addresses. */
static bool read_kernel_line(char *line, uint64_t *address, const char **name)
{
	char *at;

	*address = strtoull(line, &at, 16);
	if (!*address || at[0] != ' ' || !strchr("tTwW", at[1]) || at[2] != ' ')
		return false;
	*name = at + 3;
	at[3 + strcspn(at + 3, "\t\n")] = 0;
	return **name;
}

void gt_modules_kernel(struct gt_modules *m)
{
	size_t room = 0, names_room = 0, names = 0;
	const char *name;
	char line[512];
	uint64_t address;
	FILE *in;

	if (m->kernel_tried)
		return;
	m->kernel_tried = true;
	in = fopen("/proc/kallsyms", "re");
	while (in && m->kernel_count < KERNEL_MAX && fgets(line, sizeof(line), in)) {
		struct kernel_symbol *list;
		size_t length;

		if (!read_kernel_line(line, &address, &name))
			continue;
		length = strlen(name) + 1;
		list = more(m->kernel, m->kernel_count, &room, sizeof(*list));
		if (!list)
			break;
		m->kernel = list;
		if (names + length > names_room) {
			char *grown = realloc(m->names, names_room ? names_room * 2 : 1 << 20);

			if (!grown)
				break;
			names_room = names_room ? names_room * 2 : 1 << 20;
			m->names = grown;
		}
		memcpy(m->names + names, name, length);
		m->kernel[m->kernel_count++] = (struct kernel_symbol){address, (uint32_t)names};
		names += length;
	}
	if (in)
		fclose(in);
	if (m->kernel_count)
		qsort(m->kernel, m->kernel_count, sizeof(*m->kernel), by_address);
}

static const char *kernel_name(struct gt_modules *m, uint64_t pc)
{
	size_t low = 0, high;

	gt_modules_kernel(m);
	for (high = m->kernel_count; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (m->kernel[middle].address <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? m->names + m->kernel[low - 1].name : NULL;
}

/* ---- names: files ---- */

/* One that was replaced since has other code: no name is better than a wrong one. */
static struct gt_elf_symbols *symbols_of(struct file *file)
{
	uint8_t build_id[20];
	char path[40];

	if (file->tried || file->fd < 0)
		return file->symbols;
	file->tried = true;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	if (gt_elf_symbols_open(path, &file->symbols, NULL) < 0) {
		file->symbols = NULL;
	} else if (file->build_id_bytes && !file->vdso) {
		size_t size = gt_elf_symbols_build_id(file->symbols, build_id, sizeof(build_id));

		if (size != file->build_id_bytes || memcmp(build_id, file->build_id, size) != 0) {
			gt_elf_symbols_close(file->symbols);
			file->symbols = NULL;
		}
	}
	return file->symbols;
}

static const struct module *module_of_place(const struct gt_modules *m, uint64_t place)
{
	uint64_t pc = place & ((1ull << ADDRESS_BITS) - 1);
	uint32_t count = place >> ADDRESS_BITS & COUNT_MAX;
	bool program = !(place & GT_PLACE_OTHER);

	for (size_t i = m->count; i-- > 0;) {
		const struct module *module = &m->list[i];

		if (pc >= module->start && pc < module->end && m->files[module->file].program == program &&
			(program || module->count == count))
			return module;
	}
	return NULL;
}

bool gt_modules_known(const struct gt_modules *m, uint64_t pc, uint64_t time)
{
	return module_at(m, pc, time) != NULL;
}

/* In the file; NULL: there are no symbols. */
static struct gt_elf_symbols *in_file(
	struct gt_modules *m, const struct module *module, uint64_t place, uint64_t *address)
{
	struct file *file = &m->files[module->file];
	struct gt_elf_symbols *symbols = symbols_of(file);

	*address = (place & ((1ull << ADDRESS_BITS) - 1)) - module->start + (file->vdso ? 0 : module->offset);
	return symbols && (file->vdso || gt_elf_symbols_address(symbols, *address, address)) ? symbols : NULL;
}

bool gt_modules_frame(struct gt_modules *m, uint64_t place, uint64_t *bytes)
{
	const struct module *module = place & GT_PLACE_KERNEL ? NULL : module_of_place(m, place);
	uint64_t address;
	struct gt_elf_symbols *symbols = module ? in_file(m, module, place, &address) : NULL;

	return symbols && gt_elf_symbols_frame(symbols, address, bytes);
}

size_t gt_modules_lookup(struct gt_modules *m, uint64_t place, struct gt_pcline *lines, size_t max)
{
	const struct module *module;
	struct gt_elf_symbols *symbols;
	const char *name;
	struct file *file;
	uint64_t address;
	size_t count;

	if (!max)
		return 0;
	if (place & GT_PLACE_KERNEL) {
		name = kernel_name(m, place);
		snprintf(m->text, sizeof(m->text), "[kernel]%s%s", name ? " " : "", name ? name : "");
		lines[0] = (struct gt_pcline){m->text, "", 0, 0, false};
		return 1;
	}
	module = module_of_place(m, place);
	if (!module)
		return 0;
	file = &m->files[module->file];
	symbols = in_file(m, module, place, &address);
	count = symbols ? gt_elf_symbols_lookup(symbols, address, lines, max) : 0;
	if (count && (count > 1 || lines[0].function[0])) {
		/* Whose it is stands in its name: no file of the program's does. */
		if (file->vdso) {
			snprintf(m->text, sizeof(m->text), "[vdso] %s", lines[0].function);
			lines[0].function = m->text;
		}
		return count;
	}
	if (file->program)
		return 0;
	lines[0] = (struct gt_pcline){file->name, "", 0, 0, false};
	return 1;
}
