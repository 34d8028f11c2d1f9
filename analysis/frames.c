/* frames.c - which frame of a stack is the user's own, and what things are called. */
#include "analysis/state.h"

#include "format/convert/wrapper.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define UNWRAPS     16u        /* stacks that are asked for a goroutine's function: of the first, some may be cut off */
#define INSIDES_MAX (1u << 20) /* goroutines; of more, the rest stands below its wrapper's name */

/* The first part of the import paths of Go's own packages. */
static const char *const go_packages[] = {"runtime", "sync", "internal", "syscall", "os", "time", "io", "net", "bufio",
	"bytes", "context", "crypto", "database", "encoding", "fmt", "log", "reflect", "sort", "strconv", "strings",
	"container", "compress", "archive", "hash", "html", "image", "iter", "maps", "slices", "math", "mime", "path",
	"regexp", "testing", "text", "unicode", "unique", "vendor", "errors", "flag", "embed", "expvar", "go", "debug",
	"plugin", "weak"};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

bool gt__system_function(const struct gt_analysis *a, const char *name)
{
	if (!a->go)
		return false;
	if (begins(name, "runtime."))
		return !begins(name, "runtime.main") || name[strlen("runtime.main")] != '\0';
	return begins(name, "runtime/") || begins(name, "os/signal.") || begins(name, "internal/runtime");
}

/* Of the C runtime: its own functions are called anything. */
static bool runtime_file(const char *file)
{
	static const char *const files[] = {"chan.c", "mutex.c", "select.c", "sync.c", "sema.c", "timer.c", "sched.c",
		"io.c", "netpoll.c", "start.c", "context.c", "lock.c", "g.c", "m.c", "p.c"};
	const char *base = file ? strrchr(file, '/') : NULL;

	if (!base || base - file < 7 || strncmp(base - 7, "runtime", 7) != 0)
		return false;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(base + 1, files[i]) == 0)
			return true;
	return false;
}

bool gt__library_line(const struct gt_analysis *a, const struct gt_trace_line *line)
{
	return gt__library_function(a, line->function) || (!a->go && runtime_file(line->file));
}

bool gt__library_function(const struct gt_analysis *a, const char *name)
{
	size_t length;

	if (!a->go)
		return begins(name, "gt_") || begins(name, "__libc") || begins(name, "_start") || begins(name, "__GI_");
	length = strcspn(name, "./");
	for (size_t i = 0; i < sizeof(go_packages) / sizeof(go_packages[0]); i++)
		if (strlen(go_packages[i]) == length && strncmp(name, go_packages[i], length) == 0)
			return true;
	/* .gowrap: the compiler's, around a go statement with arguments. */
	return gt__is_wrapper(name) || begins(name, "golang.org/x/sys/") || begins(name, "type:") ||
	       begins(name, "_cgo");
}

static bool runtimes(const struct gt_analysis *a, const char *function)
{
	return a->go && (begins(function, "runtime.") || begins(function, "internal/") || gt__is_wrapper(function));
}

const struct gt_trace_line *gt__user_frame(const struct gt_analysis *a, uint64_t stack)
{
	const struct gt_trace_stack *frames = stack ? gt_trace_stack(a->trace, stack) : NULL;
	const struct gt_trace_line *last = NULL;

	for (uint32_t i = 0; frames && i < frames->count; i++) {
		const struct gt_trace_pc *pc = gt_trace_pc(a->trace, frames->pcs[i]);

		for (uint32_t j = 0; pc && j < pc->count; j++) {
			const struct gt_trace_line *line = &pc->lines[j];

			if (!line->function || !*line->function)
				continue;
			if (!gt__library_line(a, line))
				return line;
			/* Every goroutine's stack begins in the runtime, or a wrapper: that tells nothing. */
			if (!last || !runtimes(a, line->function) || runtimes(a, last->function))
				last = line;
		}
	}
	return last;
}

const char *gt__user_function(const struct gt_analysis *a, uint64_t stack)
{
	const struct gt_trace_line *line = gt__user_frame(a, stack);

	return line ? line->function : "";
}

bool gt__stack_has(const struct gt_analysis *a, uint64_t stack, const char *part)
{
	const struct gt_trace_stack *frames = stack ? gt_trace_stack(a->trace, stack) : NULL;

	for (uint32_t i = 0; frames && i < frames->count; i++) {
		const struct gt_trace_pc *pc = gt_trace_pc(a->trace, frames->pcs[i]);

		for (uint32_t j = 0; pc && j < pc->count; j++)
			if (pc->lines[j].function && strstr(pc->lines[j].function, part))
				return true;
	}
	return false;
}

/* "syscall.Fsync" -> "fsync"; NULL for what only hands calls on. */
static const char *call_of_function(const char *function, char out[64])
{
	static const char *const handing_on[] = {
		"syscall", "rawsyscall", "runtime_", "rawvfork", "forkexec", "forkandexec"};
	const char *name = begins(function, "syscall.")                 ? function + 8
			   : begins(function, "golang.org/x/sys/unix.") ? function + 22
									: NULL;
	size_t i;

	if (!name || !isalpha((unsigned char)*name))
		return NULL;
	for (i = 0; i < 63 && (isalnum((unsigned char)name[i]) || name[i] == '_'); i++)
		out[i] = (char)tolower((unsigned char)name[i]);
	out[i] = '\0';
	for (size_t k = 0; k < sizeof(handing_on) / sizeof(handing_on[0]); k++)
		if (begins(out, handing_on[k]))
			return NULL;
	return out;
}

const char *gt__call_name(const struct gt_analysis *a, uint64_t call, uint64_t stack, char out[64])
{
	const struct gt_trace_stack *frames = stack ? gt_trace_stack(a->trace, stack) : NULL;
	const char *name = call ? gt_trace_syscall(a->trace, call - 1) : NULL;

	if (name)
		return name;
	if (call) {
		snprintf(out, 64, "call %" PRIu64, call - 1);
		return out;
	}
	for (uint32_t i = 0; frames && i < frames->count; i++) {
		const struct gt_trace_pc *pc = gt_trace_pc(a->trace, frames->pcs[i]);

		for (uint32_t j = 0; pc && j < pc->count; j++) {
			name = pc->lines[j].function ? call_of_function(pc->lines[j].function, out) : NULL;
			if (name)
				return name;
		}
	}
	return NULL;
}

/* Text of a file goes to terminals: no control bytes. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

char *gt__stack_text(const struct gt_analysis *a, uint64_t stack, unsigned int max, char *out, size_t size)
{
	const struct gt_trace_stack *frames = stack ? gt_trace_stack(a->trace, stack) : NULL;
	const struct gt_trace_line *user = gt__user_frame(a, stack);
	unsigned int shown = 0;
	size_t used = 0;
	bool begun = false;

	out[0] = '\0';
	for (uint32_t i = 0; frames && i < frames->count; i++) {
		const struct gt_trace_pc *pc = gt_trace_pc(a->trace, frames->pcs[i]);

		for (uint32_t j = 0; pc && j < pc->count && used < size; j++) {
			const struct gt_trace_line *line = &pc->lines[j];
			const char *file = line->file ? line->file : "", *base = strrchr(file, '/');
			int more;

			begun = begun || line == user;
			if (!begun || !line->function || !*line->function)
				continue;
			if (shown && gt__library_line(a, line))
				continue;
			if (shown++ == max)
				return out;
			base = base ? base + 1 : file;
			if (*base)
				more = snprintf(out + used, size - used, "%s%.200s %.100s:%u", used ? " < " : "",
					gt__short(line->function), base, line->line);
			else
				more = snprintf(out + used, size - used, "%s%.200s", used ? " < " : "",
					gt__short(line->function));
			used += more > 0 ? (size_t)more : 0;
		}
	}
	make_plain(out);
	return out;
}

char *gt__object_text(const struct gt_analysis *a, unsigned int what, uint64_t object, char *out)
{
	gt_trace_object(a->trace, what, object, out);
	make_plain(out);
	return out;
}

char *gt__time(int64_t ns, char out[32])
{
	double value = (double)ns;

	if (ns < 0)
		snprintf(out, 32, "-");
	else if (ns < 1000)
		snprintf(out, 32, "%" PRIi64 " ns", ns);
	else if (ns < 1000000)
		snprintf(out, 32, "%.1f us", value / 1e3);
	else if (ns < 1000000000)
		snprintf(out, 32, "%.1f ms", value / 1e6);
	else
		snprintf(out, 32, "%.2f s", value / 1e9);
	return out;
}

void gt__unwrap(struct gt_analysis *a, struct gt__goroutine *gor, uint64_t stack)
{
	struct gt__group *group = gor->group;
	const char *name;
	uint64_t id;

	if (!group->wrapper || gor->inside || !stack || gor->unwraps == UNWRAPS)
		return;
	gor->unwraps++;
	name = gt__wrapped(a->trace, stack, group->name);
	if (!name)
		return;
	if (gt_strings_intern(&a->names, name, strlen(name), &id) < 0)
		return;
	gor->inside = gt_strings_get(&a->names, id, NULL);
	if (!group->inside)
		group->inside = gor->inside;
	/* Interned: each name has one place. */
	group->mixed |= group->inside != gor->inside;
	if (a->insides.count < INSIDES_MAX)
		(void)gt_map_put(&a->insides, gor->g, (uint64_t)group->index << 32 | id);
}

void gt__show_groups(struct gt_analysis *a)
{
	for (size_t i = 0; i < a->group_count; i++) {
		struct gt__group *group = a->groups[i];
		const struct gt_trace_pc *pc = group->start_pc ? gt_trace_pc(a->trace, group->start_pc) : NULL;
		const char *file = pc && pc->count ? pc->lines[pc->count - 1].file : NULL,
			   *base = file ? strrchr(file, '/') : NULL;
		char text[300];

		if (group->wrapper && group->inside && !group->mixed)
			group->shown = group->inside;
		/* Its line is that of the go statement. */
		if (!group->wrapper || group->shown != group->name || !file || !*file)
			continue;
		snprintf(text, sizeof(text), "%.200s %.60s:%u", group->name, base ? base + 1 : file,
			pc->lines[pc->count - 1].line);
		group->shown = gt__intern(a, text);
	}
}
