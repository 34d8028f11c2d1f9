/* trigger_parse.c - a trigger's expression. */
#include "libtrace/triggers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char allowed[] =
	"runnable > TIME, blocked > TIME, blocked(REASON) > TIME, syscall > TIME, goroutines > NUMBER, "
	"region NAME > TIME, stw > TIME, exit, exit != STATUS, exit = STATUS, signal";

static int refuse(struct gt_error *err, const char *text, const char *why)
{
	return gt_fail(err, EINVAL, "not a trigger: %.*s: %s: one of %s", GT_TRIGGER_TEXT_BYTES, text, why, allowed);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* A piece of the expression. */
struct span {
	const char *at;
	size_t size;
};

static struct span trim(const char *at, size_t size)
{
	while (size && is_space(at[size - 1]))
		size--;
	for (; size && is_space(*at); size--)
		at++;
	return (struct span){at, size};
}

static bool is(struct span span, const char *text)
{
	return span.size == strlen(text) && memcmp(span.at, text, span.size) == 0;
}

/* A decimal number, with at most nine digits behind a point, and what follows it. False: none, or too large. */
static bool number(struct span span, uint64_t *whole, uint64_t *billionths, struct span *rest)
{
	uint64_t value = 0, part = 0, scale = 1000000000;
	size_t i = 0;

	for (; i < span.size && span.at[i] >= '0' && span.at[i] <= '9'; i++) {
		if (value > 100000000000000000u)
			return false;
		value = value * 10 + (uint64_t)(span.at[i] - '0');
	}
	if (!i)
		return false;
	if (i < span.size && span.at[i] == '.') {
		size_t first = ++i;

		for (; i < span.size && span.at[i] >= '0' && span.at[i] <= '9'; i++) {
			if (scale == 1)
				return false;
			scale /= 10;
			part += (uint64_t)(span.at[i] - '0') * scale;
		}
		if (i == first)
			return false;
	}
	*whole = value;
	*billionths = part;
	*rest = (struct span){span.at + i, span.size - i};
	return true;
}

static bool duration(struct span span, uint64_t *ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"ns", 1}, {"us", 1000}, {"µs", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000},
		{"h", 3600000000000}};
	uint64_t whole, billionths;
	struct span unit;

	if (!number(span, &whole, &billionths, &unit))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		unsigned __int128 value = (unsigned __int128)whole * units[i].ns +
					  (unsigned __int128)billionths * units[i].ns / 1000000000;

		if (!is(unit, units[i].name))
			continue;
		*ns = (uint64_t)value;
		return value > 0 && value <= INT64_MAX;
	}
	return false;
}

static bool plain_number(struct span span, uint64_t *out)
{
	uint64_t billionths;
	struct span rest;

	return !memchr(span.at, '.', span.size) && number(span, out, &billionths, &rest) && !rest.size;
}

/* What stands in the parentheses. */
static bool reason(struct span span, int *out)
{
	if (is(span, "any")) {
		*out = GT_TRIGGER_REASON_ANY;
		return true;
	}
	for (unsigned int i = 1; i < 256; i++)
		if (gt_reason_known(i) && is(span, gt_reason_text(i))) {
			*out = (int)i;
			return true;
		}
	return false;
}

/* The left side of a `>'. */
static int parse_what(struct span what, const char *text, struct gt_trigger *out, struct gt_error *err)
{
	struct span name;

	if (is(what, "runnable")) {
		out->kind = GT_TRIGGER_RUNNABLE;
	} else if (is(what, "syscall")) {
		out->kind = GT_TRIGGER_SYSCALL;
	} else if (is(what, "goroutines")) {
		out->kind = GT_TRIGGER_GOROUTINES;
	} else if (is(what, "stw")) {
		out->kind = GT_TRIGGER_STW;
	} else if (what.size >= 7 && memcmp(what.at, "blocked", 7) == 0) {
		out->kind = GT_TRIGGER_BLOCKED;
		out->reason = GT_TRIGGER_REASON_OTHERS;
		name = trim(what.at + 7, what.size - 7);
		if (!name.size)
			return 0;
		if (name.size < 2 || *name.at != '(' || name.at[name.size - 1] != ')')
			return refuse(err, text, "blocked, or blocked(REASON)");
		name = trim(name.at + 1, name.size - 2);
		if (!reason(name, &out->reason))
			return gt_fail(err, EINVAL,
				"not a trigger: %s: no such reason to wait: %.*s: see gtrace-record(1), TRIGGERS", text,
				(int)name.size, name.at);
	} else if (what.size > 6 && memcmp(what.at, "region", 6) == 0 && is_space(what.at[6])) {
		name = trim(what.at + 6, what.size - 6);
		out->kind = GT_TRIGGER_REGION;
		if (!name.size || name.size >= sizeof(out->name))
			return refuse(err, text, "a region's name has 1 to 63 bytes");
		memcpy(out->name, name.at, name.size);
	} else {
		return refuse(err, text, "not known");
	}
	return 0;
}

/* Behind `exit'. */
static bool parse_status(struct span rest, struct gt_trigger *out)
{
	if (!rest.size)
		return true;
	out->compare = *rest.at;
	if (rest.size >= 2 && (memcmp(rest.at, "!=", 2) == 0 || memcmp(rest.at, "==", 2) == 0))
		rest = trim(rest.at + 2, rest.size - 2);
	else if (*rest.at == '=')
		rest = trim(rest.at + 1, rest.size - 1);
	else
		return false;
	return plain_number(rest, &out->limit) && out->limit <= 255;
}

int gt_trigger_parse(const char *text, struct gt_trigger *out, struct gt_error *err)
{
	struct span all = trim(text, strlen(text)), right;
	const char *greater;
	int ret;

	memset(out, 0, sizeof(*out));
	if (!all.size || all.size >= sizeof(out->text))
		return refuse(err, all.size ? text : "(empty)", "1 to 127 bytes");
	for (size_t i = 0; i < all.size; i++)
		if ((unsigned char)all.at[i] < ' ' || all.at[i] == 127)
			return refuse(err, "(control characters)", "plain text");
	memcpy(out->text, all.at, all.size);
	if (is(all, "signal")) {
		out->kind = GT_TRIGGER_SIGNAL;
		return 0;
	}
	greater = strrchr(out->text, '>');
	if (!greater) {
		out->kind = GT_TRIGGER_EXIT;
		if (all.size >= 4 && memcmp(all.at, "exit", 4) == 0 &&
			parse_status(trim(all.at + 4, all.size - 4), out))
			return 0;
		return refuse(err, out->text, "no `>' in it");
	}
	right = trim(greater + 1, strlen(greater + 1));
	ret = parse_what(trim(out->text, (size_t)(greater - out->text)), out->text, out, err);
	if (ret < 0)
		return ret;
	if (out->kind == GT_TRIGGER_GOROUTINES)
		return plain_number(right, &out->limit) && out->limit <= INT64_MAX
			       ? 0
			       : refuse(err, out->text, "behind `>' stands a number");
	return duration(right, &out->limit)
		       ? 0
		       : refuse(err, out->text, "behind `>' stands a time with its unit (250ms, 5s)");
}
