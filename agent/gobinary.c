/* gobinary.c - what a program's file says about Go. */
#include "agent/gobinary.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUILDINFO_MAGIC      "\xff Go buildinf:"
#define BUILDINFO_MAGIC_SIZE 14
#define BUILDINFO_SIZE       32 /* magic, pointer size, flags, two pointers */
#define BUILDINFO_INLINE     2  /* flag: the strings follow */
#define BUILDINFO_BIG_ENDIAN 1
#define NOTE_GO_BUILD_ID     4
#define NOTE_GNU_BUILD_ID    3

/* Versions */

static bool parse_number(const char **at, unsigned int *value)
{
	unsigned int number = 0;
	const char *start = *at;

	while (isdigit((unsigned char)**at) && *at - start < 4)
		number = number * 10 + (unsigned int)(*(*at)++ - '0');
	*value = number;
	return *at > start;
}

bool gt_go_version_parse(const char *text, unsigned int *minor, unsigned int *patch)
{
	unsigned int ignored;

	if (strncmp(text, "go1.", 4) != 0)
		return false;
	text += 4;
	*patch = 0;
	if (!parse_number(&text, minor))
		return false;
	if (*text == '.') {
		text++;
		if (!parse_number(&text, patch))
			return false;
	} else if (strncmp(text, "rc", 2) == 0 || strncmp(text, "beta", 4) == 0) {
		text += *text == 'r' ? 2 : 4;
		if (!parse_number(&text, &ignored))
			return false;
	}
	/* "go1.25.3 X:name" and vendors' "go1.25.3-name". */
	return *text == '\0' || *text == ' ' || *text == '-' || *text == '+';
}

/* Takes @size bytes as the version text. False when they are none; a version that has no number is kept for the message. */
static bool take_version(struct gt_gobin *bin, const uint8_t *at, uint64_t size)
{
	if (!at || size == 0 || size >= sizeof(bin->version))
		return false;
	for (uint64_t i = 0; i < size; i++) {
		if (at[i] < 0x20 || at[i] > 0x7e)
			return false;
	}
	memcpy(bin->version, at, size);
	bin->version[size] = '\0';
	return true;
}

static bool buildinfo_version(struct gt_gobin *bin, uint64_t va)
{
	uint64_t left, size = 0, string, text;
	const uint8_t *at = gt_elf_from(&bin->image, va, &left);
	unsigned int shift = 0;

	if (!at || left < BUILDINFO_SIZE || (at[15] & BUILDINFO_BIG_ENDIAN))
		return false;
	if (!(at[15] & BUILDINFO_INLINE)) {
		if (at[14] != 8 || !gt_elf_pointer(&bin->image, va + 16, &string) ||
			!gt_elf_pointer(&bin->image, string, &text) || !gt_elf_at(&bin->image, string + 8, 8))
			return false;
		memcpy(&size, gt_elf_at(&bin->image, string + 8, 8), 8);
		return size < sizeof(bin->version) && take_version(bin, gt_elf_at(&bin->image, text, size), size);
	}
	for (uint64_t i = BUILDINFO_SIZE; i < left && shift < 28; i++, shift += 7) {
		size |= (uint64_t)(at[i] & 0x7f) << shift;
		if (!(at[i] & 0x80))
			return size <= left - i - 1 && take_version(bin, at + i + 1, size);
	}
	return false;
}

/* The build information stands 16-byte aligned in a data segment, in a section of its own when there are sections. */
static bool find_buildinfo(struct gt_gobin *bin)
{
	const struct gt_elf_image *image = &bin->image;
	struct gt_elf_section section;

	if (gt_elf_section_named(image, ".go.buildinfo", &section)) {
		const uint8_t *at = gt_elf_at(image, section.va, BUILDINFO_SIZE);

		if (at && memcmp(at, BUILDINFO_MAGIC, BUILDINFO_MAGIC_SIZE) == 0 && buildinfo_version(bin, section.va))
			return true;
	}
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct gt_elf_segment *segment = &image->segments[i];
		const uint8_t *at = image->bytes + segment->offset;
		uint64_t skip = (16 - (segment->va & 15)) & 15;

		if (segment->flags & PF_X)
			continue;
		for (uint64_t offset = skip; offset + BUILDINFO_SIZE <= segment->file_size; offset += 16) {
			if (at[offset] == 0xff && memcmp(at + offset, BUILDINFO_MAGIC, BUILDINFO_MAGIC_SIZE) == 0 &&
				buildinfo_version(bin, segment->va + offset))
				return true;
		}
	}
	return false;
}

/* Takes the string header {@text, @size} when it says a version with a patch number: that is runtime.buildVersion;
 * tables of language versions ("go1.21") have none. */
static bool try_string(struct gt_gobin *bin, uint64_t text, uint64_t size)
{
	const uint8_t *at;
	unsigned int minor, patch;

	if (size < 7 || size >= sizeof(bin->version))
		return false;
	at = gt_elf_at(&bin->image, text, size);
	if (!at || memcmp(at, "go1.", 4) != 0 || !take_version(bin, at, size))
		return false;
	return gt_go_version_parse(bin->version, &minor, &patch) &&
	       (strchr(bin->version + 4, '.') || strstr(bin->version, "rc"));
}

static bool visit_string(void *arg, uint64_t va, uint64_t addend)
{
	struct gt_gobin *bin = arg;
	const uint8_t *at = gt_elf_at(&bin->image, va, 16);
	uint64_t size;

	if (!at)
		return false;
	memcpy(&size, at + 8, 8);
	return try_string(bin, addend, size);
}

/* Without build information the variable runtime.buildVersion still stands in the data. */
static bool find_version_variable(struct gt_gobin *bin)
{
	const struct gt_elf_image *image = &bin->image;

	if (image->dynamic && gt_elf_each_relative(image, visit_string, bin))
		return true;
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct gt_elf_segment *segment = &image->segments[i];
		const uint8_t *at = image->bytes + segment->offset;
		uint64_t skip = (8 - (segment->va & 7)) & 7;

		if (!(segment->flags & PF_W))
			continue;
		for (uint64_t offset = skip; offset + 16 <= segment->file_size; offset += 8) {
			uint64_t words[2];

			memcpy(words, at + offset, sizeof(words));
			if (words[0] >= image->va_lo && try_string(bin, words[0], words[1]))
				return true;
		}
	}
	return false;
}

/* The last resort: the first "go1.NN.P" in read-only data. Strings stand there without an end, so the number's
 * digits are all that is taken. */
static bool find_version_text(struct gt_gobin *bin)
{
	const struct gt_elf_image *image = &bin->image;

	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct gt_elf_segment *segment = &image->segments[i];
		const uint8_t *start = image->bytes + segment->offset, *at = start;
		const uint8_t *end = start + segment->file_size;

		if (segment->flags & (PF_X | PF_W))
			continue;
		while ((at = memmem(at, (size_t)(end - at), "go1.", 4)) != NULL) {
			size_t size = 4, dots = 0;

			while (at + size < end && size < 12 && (isdigit(at[size]) || (at[size] == '.' && dots++ == 0)))
				size++;
			if (dots && isdigit(at[size - 1]) && take_version(bin, at, size) &&
				gt_go_version_parse(bin->version, &bin->minor, &bin->patch))
				return true;
			at += 4;
		}
	}
	return false;
}

static int find_version(struct gt_gobin *bin, struct gt_error *err)
{
	bin->version[0] = '\0';
	if (!find_buildinfo(bin) && !find_version_variable(bin) && !find_version_text(bin))
		return gt_fail(err, EPROTONOSUPPORT,
			"its Go version cannot be found: build it with a released Go, 1.19 or later");
	if (!gt_go_version_parse(bin->version, &bin->minor, &bin->patch))
		return gt_fail(err, EPROTONOSUPPORT,
			"built by \"%s\", not a released Go: its runtime's layout is not known, build it with a "
			"release",
			bin->version);
	return 0;
}

/* Opening */

static void read_build_ids(struct gt_gobin *bin)
{
	uint32_t size;
	const uint8_t *at = gt_elf_note(&bin->image, "Go", NOTE_GO_BUILD_ID, &size);

	if (at && size < sizeof(bin->go_build_id))
		memcpy(bin->go_build_id, at, size);
	at = gt_elf_note(&bin->image, "GNU", NOTE_GNU_BUILD_ID, &size);
	if (at && size <= sizeof(bin->gnu_build_id)) {
		memcpy(bin->gnu_build_id, at, size);
		bin->gnu_build_id_size = size;
	}
}

int gt_gobin_open_bytes(const void *bytes, size_t size, const char *path, struct gt_gobin **out, struct gt_error *err)
{
	struct gt_gobin *bin = calloc(1, sizeof(*bin));
	int ret;

	if (!bin)
		return gt_fail(err, ENOMEM, "out of memory");
	ret = gt_elf_image_init(&bin->image, bytes, size, err);
	if (ret < 0)
		goto fail;
	ret = gt_pclntab_open(&bin->image, &bin->pclntab, err);
	if (ret < 0)
		goto fail;
	ret = find_version(bin, err);
	if (ret < 0)
		goto fail;
	gt_pclntab_set_minor(bin->pclntab, bin->minor);
	bin->text = gt_pclntab_text(bin->pclntab);
	bin->etext = gt_pclntab_etext(bin->pclntab);
	bin->moduledata = gt_pclntab_moduledata(bin->pclntab);
	read_build_ids(bin);
	*out = bin;
	return 0;

fail:
	gt_gobin_close(bin);
	return gt_fail_prefix(err, ret, "%s", path);
}

int gt_gobin_open(const char *path, struct gt_gobin **out, struct gt_error *err)
{
	void *bytes;
	size_t size;
	int ret = gt_elf_map(path, &bytes, &size, err);

	if (ret < 0)
		return ret;
	ret = gt_gobin_open_bytes(bytes, size, path, out, err);
	if (ret < 0) {
		gt_elf_unmap(bytes, size);
		return ret;
	}
	(*out)->bytes = bytes;
	(*out)->size = size;
	(*out)->mapped = true;
	return 0;
}

void gt_gobin_close(struct gt_gobin *bin)
{
	if (!bin)
		return;
	gt_pclntab_close(bin->pclntab);
	if (bin->mapped)
		gt_elf_unmap(bin->bytes, bin->size);
	free(bin);
}

/* Kinds */

/* The interpreter of "#!PATH ARG"; of env the program that it would start. */
static void read_script(const uint8_t *bytes, size_t size, struct gt_elf_identity *out)
{
	size_t at = 2, end = 2, length;
	const char *base;

	while (end < size && end < sizeof(out->interpreter) && bytes[end] != '\n' && bytes[end] != '\r' && bytes[end])
		end++;
	for (int word = 0; at < end; word++) {
		while (at < end && (bytes[at] == ' ' || bytes[at] == '\t'))
			at++;
		for (length = 0; at + length < end && bytes[at + length] != ' ' && bytes[at + length] != '\t';)
			length++;
		/* env's own options and settings stand before the program's name */
		if (length && !(word > 0 && (bytes[at] == '-' || memchr(bytes + at, '=', length)))) {
			memcpy(out->interpreter, bytes + at, length);
			out->interpreter[length] = '\0';
			base = strrchr(out->interpreter, '/');
			if (word > 0 || strcmp(base ? base + 1 : out->interpreter, "env") != 0)
				return;
		}
		at += length;
	}
}

static bool needs_libtrace(const struct gt_elf_image *image)
{
	uint64_t strings = 0;
	Elf64_Dyn entry;

	for (uint32_t i = 0; gt_elf_dynamic(image, i, &entry); i++) {
		if (entry.d_tag == DT_STRTAB)
			strings = entry.d_un.d_ptr;
	}
	for (uint32_t i = 0; strings && gt_elf_dynamic(image, i, &entry); i++) {
		const char *name = entry.d_tag == DT_NEEDED ? gt_elf_string(image, strings + entry.d_un.d_val) : NULL;

		if (name && (strncmp(name, "libgtrace.so", 12) == 0 || strncmp(name, "libgtrace_runtime.so", 20) == 0))
			return true;
	}
	return false;
}

static bool has_go(const struct gt_elf_image *image)
{
	struct gt_elf_section section;
	struct gt_pclntab *pclntab;
	uint32_t size;
	int ret;

	if (gt_elf_note(image, "Go", NOTE_GO_BUILD_ID, &size) || gt_elf_section_named(image, ".gopclntab", &section) ||
		gt_elf_section_named(image, ".go.buildinfo", &section))
		return true;
	ret = gt_pclntab_open(image, &pclntab, NULL);
	if (ret == 0)
		gt_pclntab_close(pclntab);
	return ret == 0;
}

int gt_elf_kind_bytes(
	const void *bytes, size_t size, const char *path, struct gt_elf_identity *out, struct gt_error *err)
{
	struct gt_elf_section section;
	struct gt_elf_image image;
	uint32_t note_size;
	int ret;

	memset(out, 0, sizeof(*out));
	out->kind = GT_ELF_OTHER;
	if (size >= 2 && memcmp(bytes, "#!", 2) == 0) {
		out->kind = GT_ELF_SCRIPT;
		read_script(bytes, size, out);
		return 0;
	}
	ret = gt_elf_image_init(&image, bytes, size, err);
	if (ret < 0)
		return gt_fail_prefix(err, ret, "%s", path);
	if (has_go(&image))
		out->kind = GT_ELF_GO;
	else if (gt_elf_note(&image, GT_NOTE_OWNER, GT_NOTE_TYPE, &note_size) ||
		 gt_elf_section_named(&image, GT_NOTE_SECTION, &section) || needs_libtrace(&image))
		out->kind = GT_ELF_LIBTRACE;
	return 0;
}

int gt_elf_kind(const char *path, struct gt_elf_identity *out, struct gt_error *err)
{
	void *bytes;
	size_t size;
	int ret = gt_elf_map(path, &bytes, &size, err);

	if (ret < 0)
		return ret;
	ret = gt_elf_kind_bytes(bytes, size, path, out, err);
	gt_elf_unmap(bytes, size);
	return ret;
}
