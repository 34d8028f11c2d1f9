/*
 * pclntab.c - reads Go's table of functions and lines.
 *
 * The header's offsets cut the table into parts; each part is checked to lie inside the next one's start,
 * and every later read is checked against its part. A walk over a pc-value table ends with the part or after a
 * number of steps that the function's size bounds.
 */
#include "symbols/pclntab.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC_GO_116 0xfffffffau
#define MAGIC_GO_118 0xfffffff0u
#define MAGIC_GO_120 0xfffffff1u

#define HEADER_SIZE    72
#define CANDIDATES_MAX 16    /* headers that look right, before we give up */
#define MODULES_MAX    64    /* moduledatas that look right, per header */
#define NAME_BYTES_MAX 65536 /* a longer name is broken */
#define PROBES_MAX     256

/* struct moduledata, the part that no version has moved */
#define MODULE_FUNCNAMETAB 8
#define MODULE_FTAB        128
#define MODULE_FTAB_COUNT  136
#define MODULE_TEXT        176
#define MODULE_ETEXT       184
#define MODULE_SIZE_MIN    360

#define PCDATA_INLINE_TREE_INDEX 2
#define FUNCDATA_INLINE_TREE     3

struct part {
	const uint8_t *at;
	uint64_t size;
};

struct gt_pclntab {
	struct gt_elf_image image; /* a copy of the view: the caller's may go, the bytes may not */
	uint64_t va;               /* of the header */
	uint32_t magic;
	uint64_t count;
	uint64_t text, etext;
	uint64_t moduledata;
	uint64_t gofunc; /* 0: unknown, and so is inlining */
	unsigned int minor;
	struct part names, units, files, values, functions;
	uint32_t *index; /* open addressing, function number + 1; NULL until the first find */
	uint64_t index_mask;
};

/* A _func record, as much of it as all versions have. */
struct record {
	const uint8_t *at; /* pcdata, then funcdata */
	uint64_t left;
	uint64_t va;
	uint64_t size;
	uint32_t name, deferreturn, pcsp, pcfile, pcln, npcdata, unit, start_line;
	int32_t args;
	uint8_t funcid, flags, nfuncdata;
};

static uint32_t read_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t read_u64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Names */

static const char *string_in(const struct part *part, uint64_t offset)
{
	uint64_t left;

	if (offset >= part->size)
		return NULL;
	left = part->size - offset;
	if (left > NAME_BYTES_MAX)
		left = NAME_BYTES_MAX;
	return memchr(part->at + offset, 0, left) ? (const char *)part->at + offset : NULL;
}

/* Opening */

/* Cuts the table at @va into its parts. */
static bool read_header(struct gt_pclntab *tab, uint64_t va)
{
	uint64_t left, names, units, files, values, functions;
	const uint8_t *at = gt_elf_from(&tab->image, va, &left);

	if (!at || left < HEADER_SIZE || at[4] || at[5] || at[6] != 1 || at[7] != 8)
		return false;
	tab->magic = read_u32(at);
	if (tab->magic != MAGIC_GO_118 && tab->magic != MAGIC_GO_120)
		return false;
	tab->va = va;
	tab->count = read_u64(at + 8);
	names = read_u64(at + 32);
	units = read_u64(at + 40);
	files = read_u64(at + 48);
	values = read_u64(at + 56);
	functions = read_u64(at + 64);
	if (names < HEADER_SIZE || names > units || units > files || files > values || values > functions ||
		functions >= left)
		return false;
	tab->names = (struct part){at + names, units - names};
	tab->units = (struct part){at + units, files - units};
	tab->files = (struct part){at + files, values - files};
	tab->values = (struct part){at + values, functions - values};
	tab->functions = (struct part){at + functions, left - functions};
	return tab->functions.size >= 12 && tab->count > 0 && tab->count < UINT32_MAX &&
	       tab->count <= (tab->functions.size - 4) / 8;
}

static bool in_code(const struct gt_elf_image *image, uint64_t va, uint64_t end)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct gt_elf_segment *segment = &image->segments[i];

		if ((segment->flags & PF_X) && va >= segment->va && end - segment->va <= segment->file_size)
			return true;
	}
	return false;
}

/* True when the struct at @va is the moduledata of this table. */
static bool is_moduledata(struct gt_pclntab *tab, uint64_t va)
{
	const struct gt_elf_image *image = &tab->image;
	uint64_t names = tab->va + (uint64_t)(tab->names.at - gt_elf_at(image, tab->va, HEADER_SIZE));
	uint64_t functions = names + (uint64_t)(tab->functions.at - tab->names.at);
	uint64_t value;

	if (!gt_elf_at(image, va, MODULE_SIZE_MIN))
		return false;
	if (!gt_elf_pointer(image, va, &value) || value != tab->va)
		return false;
	if (!gt_elf_pointer(image, va + MODULE_FUNCNAMETAB, &value) || value != names)
		return false;
	if (!gt_elf_pointer(image, va + MODULE_FTAB, &value) || value != functions)
		return false;
	if (read_u64(gt_elf_at(image, va + MODULE_FTAB_COUNT, 8)) != tab->count + 1)
		return false;
	if (!gt_elf_pointer(image, va + MODULE_TEXT, &tab->text) ||
		!gt_elf_pointer(image, va + MODULE_ETEXT, &tab->etext))
		return false;
	if (tab->text >= tab->etext || !in_code(image, tab->text, tab->etext))
		return false;
	tab->moduledata = va;
	return true;
}

struct module_search {
	struct gt_pclntab *tab;
	unsigned int tries;
};

static bool visit_relocation(void *arg, uint64_t va, uint64_t addend)
{
	struct module_search *search = arg;

	if (addend != search->tab->va || search->tries == MODULES_MAX)
		return false;
	search->tries++;
	return is_moduledata(search->tab, va);
}

/* The moduledata's first word points to the table: as a word of data, or in a PIE as a relocation's addend. */
static bool find_moduledata(struct gt_pclntab *tab)
{
	const struct gt_elf_image *image = &tab->image;
	struct module_search search = {.tab = tab};

	if (image->dynamic && gt_elf_each_relative(image, visit_relocation, &search))
		return true;
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct gt_elf_segment *segment = &image->segments[i];
		uint64_t skip = (8 - (segment->va & 7)) & 7;
		const uint8_t *at = image->bytes + segment->offset;

		if (segment->flags & PF_X)
			continue;
		for (uint64_t offset = skip; offset + MODULE_SIZE_MIN <= segment->file_size; offset += 8) {
			if (read_u64(at + offset) != tab->va)
				continue;
			if (search.tries++ == MODULES_MAX)
				return false;
			if (is_moduledata(tab, segment->va + offset))
				return true;
		}
	}
	return false;
}

static bool is_magic(uint64_t word)
{
	uint32_t magic = (uint32_t)word;

	return word >> 32 == 0x08010000 && (magic == MAGIC_GO_118 || magic == MAGIC_GO_120 || magic == MAGIC_GO_116);
}

struct scan {
	unsigned int candidates;
	bool old;    /* a table of Go 1.16 or 1.17 */
	bool broken; /* a header without moduledata */
};

static bool try_at(struct gt_pclntab *tab, uint64_t va, struct scan *scan)
{
	const uint8_t *at = gt_elf_at(&tab->image, va, 8);

	if (!at || !is_magic(read_u64(at)) || scan->candidates == CANDIDATES_MAX)
		return false;
	scan->candidates++;
	if (read_u32(at) == MAGIC_GO_116) {
		scan->old = true;
		return false;
	}
	if (read_header(tab, va) && find_moduledata(tab))
		return true;
	scan->broken = true;
	return false;
}

static bool find_table(struct gt_pclntab *tab, struct scan *scan)
{
	static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab"};
	const struct gt_elf_image *image = &tab->image;
	struct gt_elf_section section;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (gt_elf_section_named(image, names[i], &section) && try_at(tab, section.va, scan))
			return true;
	}
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct gt_elf_segment *segment = &image->segments[i];
		uint64_t skip = (8 - (segment->va & 7)) & 7;
		const uint8_t *at = image->bytes + segment->offset;

		for (uint64_t offset = skip; offset + HEADER_SIZE <= segment->file_size; offset += 8) {
			if (is_magic(read_u64(at + offset)) && try_at(tab, segment->va + offset, scan))
				return true;
		}
	}
	return false;
}

int gt_pclntab_open(const struct gt_elf_image *image, struct gt_pclntab **out, struct gt_error *err)
{
	struct gt_pclntab *tab = calloc(1, sizeof(*tab));
	struct scan scan = {0};

	if (!tab)
		return gt_fail(err, ENOMEM, "out of memory");
	tab->image = *image;
	if (!find_table(tab, &scan)) {
		free(tab);
		if (scan.broken)
			return gt_fail(
				err, EBADMSG, "its Go function table is broken: copy or build the program again");
		if (scan.old)
			return gt_fail(
				err, EPROTONOSUPPORT, "a program of Go 1.16 or 1.17: build it with Go 1.19 or later");
		return gt_fail(err, ENOENT, "no Go function table in it: not a Go program, or a packed one");
	}
	*out = tab;
	return 0;
}

void gt_pclntab_close(struct gt_pclntab *tab)
{
	if (!tab)
		return;
	free(tab->index);
	free(tab);
}

uint64_t gt_pclntab_text(const struct gt_pclntab *tab)
{
	return tab->text;
}

uint64_t gt_pclntab_etext(const struct gt_pclntab *tab)
{
	return tab->etext;
}

uint64_t gt_pclntab_moduledata(const struct gt_pclntab *tab)
{
	return tab->moduledata;
}

size_t gt_pclntab_count(const struct gt_pclntab *tab)
{
	return tab->count;
}

/* Where moduledata.gofunc is; the inline trees count from there. */
static uint64_t gofunc_offset(unsigned int minor)
{
	if (minor >= 27)
		return 344;
	if (minor >= 20)
		return 320;
	return minor >= 18 ? 304 : 0;
}

void gt_pclntab_set_minor(struct gt_pclntab *tab, unsigned int go_minor)
{
	uint64_t offset = gofunc_offset(go_minor);

	tab->minor = go_minor;
	tab->gofunc = 0;
	if (offset && !gt_elf_pointer(&tab->image, tab->moduledata + offset, &tab->gofunc))
		tab->gofunc = 0;
	free(tab->index);
	tab->index = NULL;
}

/* Functions */

/* Number @index's entry and _func record's offset. */
static bool entry_at(const struct gt_pclntab *tab, uint64_t index, uint32_t *entry, uint32_t *next, uint32_t *record)
{
	const uint8_t *at = tab->functions.at + index * 8;

	if (index >= tab->count)
		return false;
	*entry = read_u32(at);
	*record = read_u32(at + 4);
	*next = read_u32(at + 8); /* the last one's is the table's end */
	return *next > *entry && *next <= tab->etext - tab->text;
}

static bool record_at(const struct gt_pclntab *tab, uint64_t index, struct record *out)
{
	uint32_t fixed = tab->magic == MAGIC_GO_118 ? 40 : 44;
	uint32_t entry, next, offset;
	const uint8_t *at;

	if (!entry_at(tab, index, &entry, &next, &offset))
		return false;
	if (offset > tab->functions.size || tab->functions.size - offset < fixed)
		return false;
	at = tab->functions.at + offset;
	out->va = tab->text + entry;
	out->size = next - entry;
	out->name = read_u32(at + 4);
	out->args = (int32_t)read_u32(at + 8);
	out->deferreturn = read_u32(at + 12);
	out->pcsp = read_u32(at + 16);
	out->pcfile = read_u32(at + 20);
	out->pcln = read_u32(at + 24);
	out->npcdata = read_u32(at + 28);
	out->unit = read_u32(at + 32);
	out->start_line = fixed == 44 ? read_u32(at + 36) : 0;
	out->funcid = at[fixed - 4];
	out->flags = at[fixed - 3];
	out->nfuncdata = at[fixed - 1];
	out->at = at + fixed;
	out->left = tab->functions.size - offset - fixed;
	return true;
}

static bool is_wrapper(const struct gt_pclntab *tab, uint8_t funcid)
{
	if (tab->minor >= 25)
		return funcid == 23;
	if (tab->minor >= 22)
		return funcid == 22;
	return tab->minor && funcid == 21;
}

bool gt_pclntab_function(const struct gt_pclntab *tab, size_t index, struct gt_gofunction *out)
{
	struct record record;

	if (!record_at(tab, index, &record))
		return false;
	out->name = string_in(&tab->names, record.name);
	if (!out->name)
		return false;
	out->va = record.va;
	out->size = record.size;
	out->args = record.args;
	out->funcid = record.funcid;
	out->flags = record.flags;
	out->deferreturn = record.deferreturn;
	out->wrapper = is_wrapper(tab, record.funcid);
	out->start_line = record.start_line;
	out->record = index;
	return true;
}

/* The last function that starts at or before @pc. */
static bool index_at(const struct gt_pclntab *tab, uint64_t pc, uint64_t *index)
{
	uint64_t low = 0, high = tab->count;
	uint32_t offset;

	if (pc < tab->text || pc >= tab->etext || pc - tab->text > UINT32_MAX)
		return false;
	offset = (uint32_t)(pc - tab->text);
	if (read_u32(tab->functions.at) > offset)
		return false;
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (read_u32(tab->functions.at + middle * 8) <= offset)
			low = middle;
		else
			high = middle;
	}
	*index = low;
	return read_u32(tab->functions.at + (low + 1) * 8) > offset;
}

bool gt_pclntab_at(const struct gt_pclntab *tab, uint64_t pc, struct gt_gofunction *out)
{
	uint64_t index;

	return index_at(tab, pc, &index) && gt_pclntab_function(tab, index, out);
}

char *gt_go_name_short(const char *name, char *out, size_t size)
{
	const char *open = strchr(name, '['), *close = strrchr(name, ']');

	if (open && close && open < close)
		snprintf(out, size, "%.*s[...]%s", (int)(open - name), name, close + 1);
	else
		snprintf(out, size, "%s", name);
	return out;
}

/* The index by name */

static uint64_t hash_name(const char *name, size_t *size)
{
	uint64_t hash = 0xcbf29ce484222325u;
	const char *at = name;

	while (*at)
		hash = (hash ^ (uint8_t)*at++) * 0x100000001b3u;
	*size = (size_t)(at - name);
	return hash ^ hash >> 29;
}

static bool is_better(const struct gt_gofunction *one, const struct gt_gofunction *other)
{
	return one->wrapper != other->wrapper ? !one->wrapper : one->size > other->size;
}

/* A table made to collide loses names after PROBES_MAX; it costs no more than that. */
static void index_insert(struct gt_pclntab *tab, uint64_t number, const struct gt_gofunction *function, uint64_t hash)
{
	for (uint64_t probe = 0; probe < PROBES_MAX; probe++) {
		uint32_t *slot = &tab->index[(hash + probe) & tab->index_mask];
		struct gt_gofunction other;

		if (*slot == 0) {
			*slot = (uint32_t)number + 1;
			return;
		}
		if (!gt_pclntab_function(tab, *slot - 1, &other) || strcmp(other.name, function->name) != 0)
			continue;
		if (is_better(function, &other))
			*slot = (uint32_t)number + 1;
		return;
	}
}

static bool build_index(struct gt_pclntab *tab)
{
	/* Names of a sound table overlap only where they are equal; one that makes us hash the same bytes again
	 * and again is cut short. */
	uint64_t budget = tab->names.size * 16;
	uint64_t slots = 64;

	while (slots < tab->count * 3)
		slots *= 2;
	tab->index = calloc(slots, sizeof(*tab->index));
	if (!tab->index)
		return false;
	tab->index_mask = slots - 1;
	for (uint64_t i = 0; i < tab->count; i++) {
		struct gt_gofunction function;
		uint64_t hash;
		size_t size;

		if (!gt_pclntab_function(tab, i, &function))
			continue;
		hash = hash_name(function.name, &size);
		if (size > budget)
			break;
		budget -= size;
		index_insert(tab, i, &function, hash);
	}
	return true;
}

bool gt_pclntab_find(struct gt_pclntab *tab, const char *name, struct gt_gofunction *out)
{
	uint64_t hash;
	size_t size;

	if (!tab->index && !build_index(tab))
		return false;
	hash = hash_name(name, &size);
	for (uint64_t probe = 0; probe < PROBES_MAX; probe++) {
		uint32_t slot = tab->index[(hash + probe) & tab->index_mask];

		if (slot == 0)
			return false;
		if (gt_pclntab_function(tab, slot - 1, out) && strcmp(out->name, name) == 0)
			return true;
	}
	return false;
}

/* Lines */

static bool read_varint(const struct part *part, uint64_t *at, uint32_t *value)
{
	uint32_t result = 0;

	for (unsigned int shift = 0; shift < 35; shift += 7) {
		uint8_t byte;

		if (*at >= part->size)
			return false;
		byte = part->at[(*at)++];
		result |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*value = result;
			return true;
		}
	}
	return false;
}

/* The value of the table at @offset for the code at @pc (from the function's start), -1 when it has none. */
static int32_t value_at(const struct gt_pclntab *tab, const struct record *record, uint32_t offset, uint64_t pc)
{
	uint64_t at = offset, end = 0;
	uint32_t value = (uint32_t)-1;

	if (offset == 0)
		return -1;
	for (uint64_t step = 0; step < record->size * 2 + 16; step++) {
		uint32_t delta, run;

		if (!read_varint(&tab->values, &at, &delta) || (delta == 0 && end != 0))
			return -1;
		if (!read_varint(&tab->values, &at, &run))
			return -1;
		value += -(delta & 1) ^ (delta >> 1);
		end += run;
		if (pc < end)
			return (int32_t)value;
	}
	return -1;
}

static void line_at(const struct gt_pclntab *tab, const struct record *record, uint64_t pc, struct gt_pcline *out)
{
	int32_t file = value_at(tab, record, record->pcfile, pc);
	int32_t line = value_at(tab, record, record->pcln, pc);
	const char *name;
	uint64_t slot;
	uint32_t offset;

	out->file = "";
	out->line = 0;
	if (file < 0 || line < 0)
		return;
	slot = ((uint64_t)record->unit + (uint32_t)file) * 4;
	if (slot + 4 > tab->units.size)
		return;
	offset = read_u32(tab->units.at + slot);
	name = offset == UINT32_MAX ? NULL : string_in(&tab->files, offset);
	if (!name)
		return;
	out->file = name;
	out->line = (uint32_t)line;
}

/* The inline tree and the table that says where in it a pc is. */
struct inlining {
	uint64_t tree; /* 0: none */
	uint32_t table;
};

static struct inlining inlining_of(const struct gt_pclntab *tab, const struct record *record)
{
	struct inlining none = {0}, found = {0};
	uint64_t words = record->left / 4;
	uint32_t offset;

	if (!tab->gofunc || record->npcdata <= PCDATA_INLINE_TREE_INDEX || record->nfuncdata <= FUNCDATA_INLINE_TREE ||
		(uint64_t)record->npcdata + record->nfuncdata > words)
		return none;
	found.table = read_u32(record->at + PCDATA_INLINE_TREE_INDEX * 4);
	offset = read_u32(record->at + ((uint64_t)record->npcdata + FUNCDATA_INLINE_TREE) * 4);
	if (offset == UINT32_MAX)
		return none;
	found.tree = tab->gofunc + offset;
	return found;
}

/* The inlined call number @number: who was called, and a pc of the call in its caller. */
static bool inlined_call(const struct gt_pclntab *tab, const struct inlining *inlining, int32_t number,
	struct gt_pcline *out, uint32_t *parent_pc)
{
	uint64_t size = tab->magic == MAGIC_GO_118 ? 20 : 16;
	const uint8_t *at = gt_elf_at(&tab->image, inlining->tree + (uint64_t)number * size, size);

	if (!at)
		return false;
	if (size == 20) {
		out->function = string_in(&tab->names, read_u32(at + 12));
		out->start_line = 0;
		*parent_pc = read_u32(at + 16);
	} else {
		out->function = string_in(&tab->names, read_u32(at + 4));
		*parent_pc = read_u32(at + 8);
		out->start_line = read_u32(at + 12);
	}
	return out->function != NULL;
}

bool gt_pclntab_frame(const struct gt_pclntab *tab, uint64_t pc, uint64_t *bytes)
{
	const uint8_t writes_sp = 2; /* its flag: what the table says of the stack pointer does not hold */
	struct record record;
	uint64_t index;
	int32_t delta;

	if (!index_at(tab, pc, &index) || !record_at(tab, index, &record) || record.flags & writes_sp)
		return false;
	delta = value_at(tab, &record, record.pcsp, pc - record.va);
	if (delta < 0 || delta % 8)
		return false;
	*bytes = (uint64_t)delta;
	return true;
}

size_t gt_pclntab_lookup(const struct gt_pclntab *tab, uint64_t pc, struct gt_pcline *lines, size_t max)
{
	struct inlining inlining;
	struct record record;
	uint64_t index, at;
	size_t count = 0;

	if (!index_at(tab, pc, &index) || !record_at(tab, index, &record))
		return 0;
	if (max > GT_PCLNTAB_INLINE_MAX)
		max = GT_PCLNTAB_INLINE_MAX;
	inlining = inlining_of(tab, &record);
	at = pc - record.va;
	while (count < max) {
		struct gt_pcline *line = &lines[count++];
		int32_t number = inlining.tree ? value_at(tab, &record, inlining.table, at) : -1;
		uint32_t parent_pc;

		line_at(tab, &record, at, line);
		line->inlined = number >= 0 && inlined_call(tab, &inlining, number, line, &parent_pc) &&
				parent_pc < record.size;
		if (line->inlined) {
			at = parent_pc;
			continue;
		}
		line->function = string_in(&tab->names, record.name);
		if (!line->function)
			line->function = "";
		line->start_line = record.start_line;
		break;
	}
	return count;
}
