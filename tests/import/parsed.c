/*
 * parsed.c - a Go trace's events as `go tool trace -d=parsed` prints them, so that both can be compared line by line.
 *
 *   gotrace-parsed FILE [-n]     -n prints nothing: how long does reading alone take?
 * What is broken is told on stderr, behind what is whole, and is exit status 1.
 */
#include "format/import/gotrace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUFFER_BYTES (1u << 20)

static char *buffer, *at, *end;

static void flush(void)
{
	fwrite(buffer, 1, (size_t)(at - buffer), stdout);
	at = buffer;
}

static void put(const char *bytes, size_t size)
{
	if ((size_t)(end - at) < size)
		flush();
	memcpy(at, bytes, size);
	at += size;
}

#define PUT(literal) put("" literal, sizeof(literal) - 1)

static void put_text(const char *text)
{
	put(text, strlen(text));
}

static void put_u64(uint64_t value)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put(digits + i, sizeof(digits) - i);
}

static void put_i64(int64_t value)
{
	if (value < 0)
		PUT("-");
	put_u64(value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void put_hex(uint64_t value)
{
	char digits[16];
	size_t i = sizeof(digits);

	do {
		digits[--i] = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	put(digits + i, sizeof(digits) - i);
}

/* The length of a UTF-8 character, 0: none. */
static size_t utf8(const unsigned char *s, size_t left, unsigned int *rune)
{
	size_t length = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	if (!length || length > left)
		return 0;
	*rune = s[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*rune = *rune << 6 | (s[i] & 0x3fu);
	}
	if ((length == 3 && *rune < 0x800) || (length == 4 && (*rune < 0x10000 || *rune > 0x10ffff)) ||
		(*rune >= 0xd800 && *rune < 0xe000))
		return 0;
	return length;
}

/* As Go's %q, but that every character from U+00A1 on is thought to be printable. */
static void put_quoted(const char *text, size_t size)
{
	static const char names[] = "abtnvfr";
	char hex[8];

	PUT("\"");
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		unsigned int rune;
		size_t length;

		if (c == '"' || c == '\\') {
			PUT("\\");
			put(text + i, 1);
		} else if (c >= 7 && c <= 13) {
			/* a 7, b 8, t 9, n 10, v 11, f 12, r 13 */
			PUT("\\");
			put(names + (c - 7), 1);
		} else if (c >= 0x20 && c < 0x7f) {
			put(text + i, 1);
		} else if (c >= 0x80 && (length = utf8((const unsigned char *)text + i, size - i, &rune)) != 0) {
			if (rune > 0xa0 && rune != 0xad) {
				put(text + i, length);
			} else {
				snprintf(hex, sizeof(hex), "\\u%04x", rune);
				put_text(hex);
			}
			i += length - 1;
		} else {
			snprintf(hex, sizeof(hex), "\\x%02x", c);
			put_text(hex);
		}
	}
	PUT("\"");
}

static void put_string(const struct gt_gotrace *trace, uint64_t id)
{
	size_t size = 0;
	const char *text = gt_gotrace_string(trace, id, &size);

	put_quoted(text ? text : "", size);
}

static void put_stack(const struct gt_gotrace *trace, uint64_t id)
{
	struct gt_gotrace_frame frames[GT_GOTRACE_FRAMES];
	int count = gt_gotrace_stack(trace, id, frames);

	for (int i = 0; i < count; i++) {
		size_t size;
		const char *text = gt_gotrace_string(trace, frames[i].function, &size);

		PUT("\t");
		put(text, size);
		PUT(" @ 0x");
		put_hex(frames[i].pc);
		PUT("\n\t\t");
		text = gt_gotrace_string(trace, frames[i].file, &size);
		put(text, size);
		PUT(":");
		put_u64(frames[i].line);
		PUT("\n");
	}
}

/* ---- kinds ---- */

static const char *const gstates[] = {"Undetermined", "NotExist", "Runnable", "Running", "Waiting", "Syscall"};
static const char *const pstates[] = {"Undetermined", "NotExist", "Running", "Idle"};

/* A transition's own stack is told apart from the event's: @own says that there is one, even when it has no frames. */
static void put_go(const struct gt_gotrace *trace, uint64_t g, unsigned int from, unsigned int to, bool reason,
	uint64_t string, bool own, uint64_t stack)
{
	PUT(" GoID=");
	put_i64((int64_t)g);
	PUT(" ");
	put_text(gstates[from]);
	PUT("->");
	put_text(gstates[to]);
	PUT(" Reason=");
	put_string(trace, reason ? string : 0);
	if (own) {
		PUT("\nTransitionStack=\n");
		put_stack(trace, stack);
	}
}

static void put_proc(uint64_t p, unsigned int from, unsigned int to)
{
	PUT(" ProcID=");
	put_i64((int64_t)p);
	PUT(" ");
	put_text(pstates[from]);
	PUT("->");
	put_text(pstates[to]);
	PUT(" Reason=\"\"");
}

static const uint8_t g_of_status[] = {GT_GOTRACE_G_UNDETERMINED, GT_GOTRACE_G_RUNNABLE, GT_GOTRACE_G_RUNNING,
	GT_GOTRACE_G_SYSCALL, GT_GOTRACE_G_WAITING};
static const uint8_t p_of_status[] = {
	GT_GOTRACE_P_UNDETERMINED, GT_GOTRACE_P_RUNNING, GT_GOTRACE_P_IDLE, GT_GOTRACE_P_RUNNING, GT_GOTRACE_P_IDLE};

static void put_transition(const struct gt_gotrace *trace, const struct gt_gotrace_event *e)
{
	enum {
		R = GT_GOTRACE_G_RUNNABLE,
		X = GT_GOTRACE_G_RUNNING,
		W = GT_GOTRACE_G_WAITING,
		S = GT_GOTRACE_G_SYSCALL,
		N = GT_GOTRACE_G_NOTEXIST
	};

	switch (e->type) {
	case GT_GOTRACE_PROC_START:
		put_proc(e->args[0], GT_GOTRACE_P_IDLE, GT_GOTRACE_P_RUNNING);
		break;
	case GT_GOTRACE_PROC_STOP:
		put_proc(e->p, GT_GOTRACE_P_RUNNING, GT_GOTRACE_P_IDLE);
		break;
	case GT_GOTRACE_PROC_STEAL:
		put_proc(e->args[0], e->old, GT_GOTRACE_P_IDLE);
		break;
	case GT_GOTRACE_PROC_STATUS:
		put_proc(e->args[0], e->old, p_of_status[e->args[1]]);
		break;
	case GT_GOTRACE_GO_CREATE:
	case GT_GOTRACE_GO_CREATE_BLOCKED:
		put_go(trace, e->args[0], N, e->type == GT_GOTRACE_GO_CREATE ? R : W, false, 0, true, e->args[1]);
		break;
	case GT_GOTRACE_GO_CREATE_SYSCALL:
		put_go(trace, e->args[0], N, S, false, 0, false, 0);
		break;
	case GT_GOTRACE_GO_START:
		put_go(trace, e->args[0], R, X, false, 0, false, 0);
		break;
	case GT_GOTRACE_GO_DESTROY:
		put_go(trace, e->g, X, N, false, 0, false, 0);
		break;
	case GT_GOTRACE_GO_DESTROY_SYSCALL:
		put_go(trace, e->g, S, N, false, 0, false, 0);
		break;
	case GT_GOTRACE_GO_STOP:
	case GT_GOTRACE_GO_BLOCK:
		put_go(trace, e->g, X, e->type == GT_GOTRACE_GO_STOP ? R : W, true, e->args[0], e->args[1] != 0,
			e->args[1]);
		break;
	case GT_GOTRACE_GO_UNBLOCK:
	case GT_GOTRACE_GO_SWITCH:
	case GT_GOTRACE_GO_SWITCH_DESTROY:
		put_go(trace, e->args[0], W, R, false, 0, false, 0);
		break;
	case GT_GOTRACE_GO_SYSCALL_BEGIN:
		put_go(trace, e->g, X, S, false, 0, e->args[1] != 0, e->args[1]);
		break;
	case GT_GOTRACE_GO_SYSCALL_END:
		put_go(trace, e->g, S, X, false, 0, false, 0);
		break;
	case GT_GOTRACE_GO_SYSCALL_END_BLOCKED:
		put_go(trace, e->g, S, R, false, 0, false, 0);
		break;
	case GT_GOTRACE_GO_STATUS:
	case GT_GOTRACE_GO_STATUS_STACK:
		put_go(trace, e->args[0], e->old, g_of_status[e->args[2]], false, 0,
			e->type == GT_GOTRACE_GO_STATUS_STACK && e->args[3], e->args[3]);
		break;
	default:
		break;
	}
}

static void put_metric(const struct gt_gotrace_event *e)
{
	put_text(e->type == GT_GOTRACE_PROCS_CHANGE ? " Name=\"/sched/gomaxprocs:threads\""
		 : e->type == GT_GOTRACE_HEAP_ALLOC ? " Name=\"/memory/classes/heap/objects:bytes\""
						    : " Name=\"/gc/heap/goal:bytes\"");
	PUT(" Value=Value{Uint64(");
	put_u64(e->args[0]);
	PUT(")}");
}

static void put_range(const struct gt_gotrace *trace, const struct gt_gotrace_event *e)
{
	bool stw = e->type == GT_GOTRACE_STW_BEGIN || e->type == GT_GOTRACE_STW_END;
	bool sweep = e->type >= GT_GOTRACE_GC_SWEEP_ACTIVE && e->type <= GT_GOTRACE_GC_SWEEP_END;
	bool assist = e->type >= GT_GOTRACE_GC_MARK_ASSIST_ACTIVE && e->type <= GT_GOTRACE_GC_MARK_ASSIST_END;

	PUT(" Name=");
	if (stw) {
		char name[2048];
		size_t size;
		const char *kind = gt_gotrace_string(trace, e->args[0], &size);
		int length = snprintf(name, sizeof(name), "stop-the-world (%.*s)", (int)size, kind ? kind : "");

		put_quoted(name, (size_t)length);
	} else {
		put_text(sweep    ? "\"GC incremental sweep\""
			 : assist ? "\"GC mark assist\""
				  : "\"GC concurrent mark phase\"");
	}
	PUT(" Scope=");
	if (sweep) {
		PUT("Proc(");
		put_i64((int64_t)(e->type == GT_GOTRACE_GC_SWEEP_ACTIVE ? e->args[0] : e->p));
		PUT(")");
	} else if (stw || assist) {
		PUT("Goroutine(");
		put_i64((int64_t)(e->type == GT_GOTRACE_GC_MARK_ASSIST_ACTIVE ? e->args[0] : e->g));
		PUT(")");
	} else {
		PUT("None");
	}
	if (strcmp(gt_gotrace_specs[e->type].kind, "RangeEnd"))
		return;
	PUT(" Attributes=[");
	if (e->type == GT_GOTRACE_GC_SWEEP_END) {
		PUT("\"bytes swept\"=Value{Uint64(");
		put_u64(e->args[0]);
		PUT(")} \"bytes reclaimed\"=Value{Uint64(");
		put_u64(e->args[1]);
		PUT(")}");
	}
	PUT("]");
}

static void put_mark(const struct gt_gotrace *trace, const struct gt_gotrace_event *e)
{
	const char *name;
	size_t size;

	if (e->type == GT_GOTRACE_USER_TASK_BEGIN || e->type == GT_GOTRACE_USER_TASK_END) {
		bool ends = e->type == GT_GOTRACE_USER_TASK_END;

		PUT(" ID=");
		put_u64(e->args[0]);
		PUT(" Parent=");
		put_u64(e->args[ends ? 2 : 1]);
		PUT(" Type=");
		if (ends) {
			name = gt_gotrace_name(trace, e->args[3], &size);
			put_quoted(name, size);
		} else {
			put_string(trace, e->args[2]);
		}
	} else if (e->type == GT_GOTRACE_USER_LOG) {
		PUT(" Task=");
		put_u64(e->args[0]);
		PUT(" Category=");
		put_string(trace, e->args[1]);
		PUT(" Message=");
		put_string(trace, e->args[2]);
	} else {
		PUT(" Task=");
		put_u64(e->args[0]);
		PUT(" Type=");
		put_string(trace, e->args[1]);
	}
}

static void put_sync(const struct gt_gotrace *trace, const struct gt_gotrace_event *e)
{
	struct gt_gotrace_info info;
	struct tm tm;
	time_t seconds;
	char text[64];
	size_t length;

	PUT(" N=");
	put_u64(e->args[0]);
	gt_gotrace_info(trace, &info);
	if (!info.clock.known || e->args[0] != info.generations)
		return;
	PUT(" Trace=");
	put_i64(info.clock.ns);
	PUT(" Mono=");
	put_u64(info.clock.mono);
	seconds = (time_t)info.clock.sec + (time_t)(info.clock.nsec / 1000000000);
	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), " Wall=%Y-%m-%dT%H:%M:%S", &tm);
	put_text(text);
	if (info.clock.nsec % 1000000000) {
		snprintf(text, sizeof(text), ".%09u", (unsigned int)(info.clock.nsec % 1000000000));
		for (length = strlen(text); text[length - 1] == '0'; length--)
			;
		put(text, length);
	}
	PUT("Z");
}

static void put_experimental(const struct gt_gotrace_event *e)
{
	const struct gt_gotrace_spec *spec = &gt_gotrace_specs[e->type];
	const char *name = spec->args;

	PUT(" Name=");
	put_text(spec->text);
	PUT(" Args=[");
	for (unsigned int i = 0; i < spec->arg_count; i++) {
		size_t length = strcspn(name, " ");

		if (i)
			PUT(", ");
		put(name, length);
		PUT("=Value{Uint64(");
		put_u64(e->args[i]);
		PUT(")}");
		name += length + 1;
	}
	PUT("]");
}

/* The first id of a stack, and for GoCreate the one where it happened. */
static void put_event_stack(const struct gt_gotrace *trace, const struct gt_gotrace_event *e)
{
	unsigned int stacks = gt_gotrace_specs[e->type].stacks;
	uint64_t id;

	if (!stacks)
		return;
	if (e->type == GT_GOTRACE_GO_CREATE || e->type == GT_GOTRACE_GO_CREATE_BLOCKED)
		stacks = 4;
	id = e->args[__builtin_ctz(stacks)];
	if (!id && e->type != GT_GOTRACE_CPU_SAMPLE)
		return;
	PUT("\nStack=\n");
	put_stack(trace, id);
}

static void put_event(const struct gt_gotrace *trace, const struct gt_gotrace_event *e)
{
	const char *kind = gt_gotrace_specs[e->type].kind;

	PUT("M=");
	put_i64((int64_t)e->m);
	PUT(" P=");
	put_i64((int64_t)e->p);
	PUT(" G=");
	put_i64((int64_t)e->g);
	PUT(" ");
	put_text(kind);
	PUT(" Time=");
	put_i64(e->time_ns);
	if (e->type == GT_GOTRACE_SYNC) {
		put_sync(trace, e);
	} else if (e->type >= 128) {
		put_experimental(e);
	} else if (e->type == GT_GOTRACE_GO_LABEL) {
		PUT(" Label=");
		put_string(trace, e->args[0]);
		PUT(" Resource=Goroutine(");
		put_i64((int64_t)e->g);
		PUT(")");
	} else if (kind[0] == 'M') {
		put_metric(e);
	} else if (!strncmp(kind, "Range", 5)) {
		put_range(trace, e);
	} else if (!strcmp(kind, "StateTransition")) {
		put_transition(trace, e);
	} else if (e->type >= GT_GOTRACE_USER_TASK_BEGIN && e->type <= GT_GOTRACE_USER_LOG) {
		put_mark(trace, e);
	}
	put_event_stack(trace, e);
	PUT("\n");
}

int main(int argc, char **argv)
{
	bool quiet = argc == 3 && !strcmp(argv[2], "-n");
	struct gt_gotrace_event event;
	struct gt_gotrace *trace;
	struct gt_error err;
	const char *error;

	if (argc < 2 || (argc == 3 && !quiet) || argc > 3) {
		fprintf(stderr, "usage: gotrace-parsed FILE [-n]\n");
		return 2;
	}
	if (gt_gotrace_open(argv[1], &trace, &err) < 0) {
		fprintf(stderr, "gotrace-parsed: %s\n", err.text);
		return 1;
	}
	buffer = at = malloc(BUFFER_BYTES);
	if (!buffer)
		return 1;
	end = buffer + BUFFER_BYTES;
	while (gt_gotrace_next(trace, &event) > 0)
		if (!quiet)
			put_event(trace, &event);
	flush();
	error = gt_gotrace_error(trace);
	if (error)
		fprintf(stderr, "gotrace-parsed: %s: %s\n", argv[1], error);
	free(buffer);
	gt_gotrace_close(trace);
	return error ? 1 : 0;
}
