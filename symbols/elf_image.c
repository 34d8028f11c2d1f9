/* elf_image.c - bounds-checked reading of an ELF file. */
#include "symbols/elf_image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAMS_MAX 4096

const uint8_t *gt_elf_bytes(const struct gt_elf_image *image, uint64_t offset, uint64_t size)
{
	if (offset > image->size || size > image->size - offset)
		return NULL;
	return image->bytes + offset;
}

static int check_header(const struct gt_elf_image *image, Elf64_Ehdr *header, struct gt_error *err)
{
	const uint8_t *ident = gt_elf_bytes(image, 0, EI_NIDENT);

	if (!ident || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return gt_fail(err, ENOEXEC, "not an ELF program: give the program's binary");
	if (ident[EI_CLASS] != ELFCLASS64)
		return gt_fail(err, ENOEXEC, "a 32-bit program: only x86-64 can be traced, build it with GOARCH=amd64");
	if (ident[EI_DATA] != ELFDATA2LSB)
		return gt_fail(err, ENOEXEC, "a big-endian program: only x86-64 can be traced");
	if (image->size < sizeof(*header))
		return gt_fail(err, ENOEXEC, "the file is cut off inside its ELF header: copy it again");
	memcpy(header, image->bytes, sizeof(*header));
	if (header->e_machine != EM_X86_64)
		return gt_fail(err, ENOEXEC,
			"a program for another machine (ELF machine %u): only x86-64 can be traced", header->e_machine);
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return gt_fail(
			err, ENOEXEC, "an ELF file of type %u, not a program: give the linked binary", header->e_type);
	if (header->e_phnum == 0 || header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > PROGRAMS_MAX ||
		!gt_elf_bytes(image, header->e_phoff, (uint64_t)header->e_phnum * sizeof(Elf64_Phdr)))
		return gt_fail(err, ENOEXEC, "the file is cut off or broken: its program headers are not in it");
	return 0;
}

static bool program_header(const struct gt_elf_image *image, uint32_t index, Elf64_Phdr *out)
{
	if (index >= image->program_count)
		return false;
	memcpy(out, image->bytes + image->program_offset + (uint64_t)index * sizeof(*out), sizeof(*out));
	return true;
}

static int add_segment(struct gt_elf_image *image, const Elf64_Phdr *program, struct gt_error *err)
{
	struct gt_elf_segment *segment;

	if (program->p_memsz == 0)
		return 0;
	if (image->segment_count == GT_ELF_SEGMENTS_MAX)
		return gt_fail(err, ENOEXEC, "more than %d segments to load: not a program as linkers make them",
			GT_ELF_SEGMENTS_MAX);
	if (program->p_filesz > program->p_memsz || program->p_vaddr + program->p_memsz < program->p_vaddr ||
		program->p_vaddr + program->p_memsz > (uint64_t)1 << 47)
		return gt_fail(err, ENOEXEC, "the file is broken: a segment at 0x%llx has no possible size",
			(unsigned long long)program->p_vaddr);
	if (!gt_elf_bytes(image, program->p_offset, program->p_filesz))
		return gt_fail(err, ENOEXEC, "the file is cut off: the segment at 0x%llx is not all in it",
			(unsigned long long)program->p_vaddr);
	segment = &image->segments[image->segment_count++];
	segment->va = program->p_vaddr;
	segment->size = program->p_memsz;
	segment->offset = program->p_offset;
	segment->file_size = program->p_filesz;
	segment->flags = program->p_flags;
	if (image->segment_count == 1 || segment->va < image->va_lo)
		image->va_lo = segment->va;
	if (segment->va + segment->size > image->va_hi)
		image->va_hi = segment->va + segment->size;
	return 0;
}

/* Sections are optional: a table that is not wholly there counts as none. */
static void find_sections(struct gt_elf_image *image, const Elf64_Ehdr *header)
{
	if (header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shnum == 0 ||
		header->e_shstrndx >= header->e_shnum ||
		!gt_elf_bytes(image, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr)))
		return;
	image->section_offset = header->e_shoff;
	image->section_count = header->e_shnum;
	image->section_names = header->e_shstrndx;
}

int gt_elf_image_init(struct gt_elf_image *image, const void *bytes, size_t size, struct gt_error *err)
{
	Elf64_Ehdr header;
	int ret;

	memset(image, 0, sizeof(*image));
	image->bytes = bytes;
	image->size = size;
	ret = check_header(image, &header, err);
	if (ret < 0)
		return ret;
	image->entry = header.e_entry;
	image->dynamic = header.e_type == ET_DYN;
	image->program_offset = header.e_phoff;
	image->program_count = header.e_phnum;
	for (uint32_t i = 0; i < image->program_count; i++) {
		Elf64_Phdr program;

		if (!program_header(image, i, &program) || program.p_type != PT_LOAD)
			continue;
		ret = add_segment(image, &program, err);
		if (ret < 0)
			return ret;
	}
	if (image->segment_count == 0)
		return gt_fail(err, ENOEXEC, "nothing to load in it: an ELF file that is no program");
	find_sections(image, &header);
	return 0;
}

const uint8_t *gt_elf_from(const struct gt_elf_image *image, uint64_t va, uint64_t *left)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct gt_elf_segment *segment = &image->segments[i];

		if (va < segment->va || va - segment->va >= segment->file_size)
			continue;
		*left = segment->file_size - (va - segment->va);
		return image->bytes + segment->offset + (va - segment->va);
	}
	*left = 0;
	return NULL;
}

const uint8_t *gt_elf_at(const struct gt_elf_image *image, uint64_t va, uint64_t size)
{
	uint64_t left;
	const uint8_t *at = gt_elf_from(image, va, &left);

	return at && left >= size ? at : NULL;
}

const char *gt_elf_string(const struct gt_elf_image *image, uint64_t va)
{
	uint64_t left;
	const uint8_t *at = gt_elf_from(image, va, &left);

	return at && memchr(at, 0, left) ? (const char *)at : NULL;
}

static bool section_header(const struct gt_elf_image *image, uint32_t index, Elf64_Shdr *out)
{
	if (index >= image->section_count)
		return false;
	memcpy(out, image->bytes + image->section_offset + (uint64_t)index * sizeof(*out), sizeof(*out));
	return true;
}

bool gt_elf_section(const struct gt_elf_image *image, uint32_t index, struct gt_elf_section *out)
{
	Elf64_Shdr header, names;
	const uint8_t *name;

	if (!section_header(image, index, &header) || !section_header(image, image->section_names, &names))
		return false;
	if (header.sh_type != SHT_NOBITS && !gt_elf_bytes(image, header.sh_offset, header.sh_size))
		return false;
	if (header.sh_name >= names.sh_size)
		return false;
	name = gt_elf_bytes(image, names.sh_offset, names.sh_size);
	if (!name || !memchr(name + header.sh_name, 0, names.sh_size - header.sh_name))
		return false;
	out->name = (const char *)name + header.sh_name;
	out->type = header.sh_type;
	out->va = header.sh_addr;
	out->offset = header.sh_offset;
	out->size = header.sh_size;
	return true;
}

bool gt_elf_section_named(const struct gt_elf_image *image, const char *name, struct gt_elf_section *out)
{
	for (uint32_t i = 0; i < image->section_count; i++) {
		if (gt_elf_section(image, i, out) && strcmp(out->name, name) == 0)
			return true;
	}
	return false;
}

bool gt_elf_dynamic(const struct gt_elf_image *image, uint32_t index, Elf64_Dyn *out)
{
	for (uint32_t i = 0; i < image->program_count; i++) {
		Elf64_Phdr program;
		const uint8_t *at;

		if (!program_header(image, i, &program) || program.p_type != PT_DYNAMIC)
			continue;
		if ((uint64_t)index >= program.p_filesz / sizeof(*out))
			return false;
		at = gt_elf_bytes(image, program.p_offset, program.p_filesz);
		if (!at)
			return false;
		memcpy(out, at + (uint64_t)index * sizeof(*out), sizeof(*out));
		return out->d_tag != DT_NULL;
	}
	return false;
}

/* The relocations that the loader applies, however the sections are named. */
static const uint8_t *relocations(const struct gt_elf_image *image, uint64_t *count)
{
	uint64_t va = 0, size = 0;
	const uint8_t *at;
	Elf64_Dyn entry;

	for (uint32_t i = 0; gt_elf_dynamic(image, i, &entry); i++) {
		if (entry.d_tag == DT_RELA)
			va = entry.d_un.d_ptr;
		else if (entry.d_tag == DT_RELASZ)
			size = entry.d_un.d_val;
	}
	at = size ? gt_elf_at(image, va, size) : NULL;
	*count = at ? size / sizeof(Elf64_Rela) : 0;
	return at;
}

bool gt_elf_each_relative(
	const struct gt_elf_image *image, bool (*visit)(void *arg, uint64_t va, uint64_t addend), void *arg)
{
	uint64_t count;
	const uint8_t *at = relocations(image, &count);

	for (uint64_t i = 0; i < count; i++) {
		Elf64_Rela rela;

		memcpy(&rela, at + i * sizeof(rela), sizeof(rela));
		if (ELF64_R_TYPE(rela.r_info) == R_X86_64_RELATIVE &&
			visit(arg, rela.r_offset, (uint64_t)rela.r_addend))
			return true;
	}
	return false;
}

struct pointer_search {
	uint64_t va;
	uint64_t value;
};

static bool is_pointer_at(void *arg, uint64_t va, uint64_t addend)
{
	struct pointer_search *search = arg;

	if (va != search->va)
		return false;
	search->value = addend;
	return true;
}

bool gt_elf_pointer(const struct gt_elf_image *image, uint64_t va, uint64_t *out)
{
	struct pointer_search search = {.va = va};
	const uint8_t *at = gt_elf_at(image, va, sizeof(*out));

	if (image->dynamic && gt_elf_each_relative(image, is_pointer_at, &search)) {
		*out = search.value;
		return true;
	}
	if (!at)
		return false;
	memcpy(out, at, sizeof(*out));
	return true;
}

const uint8_t *gt_elf_note(const struct gt_elf_image *image, const char *owner, uint32_t type, uint32_t *size)
{
	size_t owner_size = strlen(owner) + 1;

	for (uint32_t i = 0; i < image->program_count; i++) {
		Elf64_Phdr program;
		uint64_t offset = 0;
		const uint8_t *notes;

		if (!program_header(image, i, &program) || program.p_type != PT_NOTE)
			continue;
		notes = gt_elf_bytes(image, program.p_offset, program.p_filesz);
		while (notes && program.p_filesz - offset >= sizeof(Elf64_Nhdr)) {
			Elf64_Nhdr note;
			uint64_t name_at, data_at, align = program.p_align == 8 ? 7 : 3;

			memcpy(&note, notes + offset, sizeof(note));
			name_at = offset + sizeof(note);
			data_at = (name_at + note.n_namesz + align) & ~align;
			if (name_at + note.n_namesz > program.p_filesz || data_at > program.p_filesz ||
				note.n_descsz > program.p_filesz - data_at)
				break;
			/* Go pads its own name with a second NUL. */
			if (note.n_type == type && note.n_namesz >= owner_size &&
				memcmp(notes + name_at, owner, owner_size) == 0) {
				*size = note.n_descsz;
				return notes + data_at;
			}
			offset = (data_at + note.n_descsz + align) & ~align;
			if (offset > program.p_filesz)
				break;
		}
	}
	*size = 0;
	return NULL;
}

int gt_elf_map(const char *path, void **bytes, size_t *size, struct gt_error *err)
{
	struct stat st;
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		ret = -errno;
		return gt_fail(err, -ret, "cannot open: %s: %s", path, strerror(-ret));
	}
	if (fstat(fd, &st) < 0) {
		ret = gt_fail(err, errno, "cannot stat: %s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		ret = gt_fail(err, EACCES, "not a regular file: %s: give a program", path);
	} else if (st.st_size == 0) {
		ret = gt_fail(err, ENOEXEC, "an empty file: %s: give a program", path);
	} else {
		void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (map == MAP_FAILED) {
			ret = gt_fail(err, errno, "cannot map: %s: %s", path, strerror(errno));
		} else {
			*bytes = map;
			*size = (size_t)st.st_size;
			ret = 0;
		}
	}
	close(fd);
	return ret;
}

void gt_elf_unmap(void *bytes, size_t size)
{
	if (bytes)
		munmap(bytes, size);
}
