/*
 * json.h - the pieces of JSON text: numbers, times, escaped strings.
 *
 * Each puts its text at @to, which has room, and returns the place behind it. No float is ever made: a viewer reads times
 * as doubles, and only short decimals made from integers come through exactly.
 */
#ifndef GT_FORMAT_JSON_H
#define GT_FORMAT_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GT_JSON_U64_MAX    20 /* digits of 2^64 - 1 */
#define GT_JSON_TIME_MAX   24 /* microseconds with three decimals */
#define GT_JSON_ESCAPE_MAX 6  /* bytes of text that one byte can become */

/* "00" to "99", one after the other. */
extern const char gt__json_digits[200];

/* A constant text. The copy has a size known when compiling. */
#define GT_JSON_PUT(to, text) ((char *)memcpy((to), (text), sizeof(text) - 1) + sizeof(text) - 1)

static inline char *gt__json_two(char *to, uint32_t value)
{
	memcpy(to, gt__json_digits + 2 * value, 2);
	return to + 2;
}

static inline char *gt__json_eight(char *to, uint32_t value)
{
	uint32_t high = value / 10000, low = value % 10000;

	to = gt__json_two(to, high / 100);
	to = gt__json_two(to, high % 100);
	to = gt__json_two(to, low / 100);
	return gt__json_two(to, low % 100);
}

/* Without leading zeros; @value < 100,000,000. */
static inline char *gt__json_small(char *to, uint32_t value)
{
	if (value < 100) {
		if (value < 10) {
			*to = (char)('0' + value);
			return to + 1;
		}
		return gt__json_two(to, value);
	}
	if (value < 10000) {
		to = gt__json_small(to, value / 100);
		return gt__json_two(to, value % 100);
	}
	to = gt__json_small(to, value / 10000);
	value %= 10000;
	to = gt__json_two(to, value / 100);
	return gt__json_two(to, value % 100);
}

static inline char *gt_json_u64(char *to, uint64_t value)
{
	if (__builtin_expect(value < 100000000, 1))
		return gt__json_small(to, (uint32_t)value);
	if (value < UINT64_C(10000000000000000)) {
		to = gt__json_small(to, (uint32_t)(value / 100000000));
		return gt__json_eight(to, (uint32_t)(value % 100000000));
	}
	to = gt__json_small(to, (uint32_t)(value / UINT64_C(10000000000000000)));
	value %= UINT64_C(10000000000000000);
	to = gt__json_eight(to, (uint32_t)(value / 100000000));
	return gt__json_eight(to, (uint32_t)(value % 100000000));
}

/* Nanoseconds as microseconds with three decimals: 1500 is 1.500. */
static inline char *gt_json_time(char *to, uint64_t ns)
{
	uint32_t rest = (uint32_t)(ns % 1000);

	to = gt_json_u64(to, ns / 1000);
	*to = '.';
	to[1] = (char)('0' + rest / 100);
	memcpy(to + 2, gt__json_digits + 2 * (rest % 100), 2);
	return to + 4;
}

/*
 * The same for times that lie near each other, as those of a trace do: the digits above 10 ms are copied from the last
 * time that had them. Zeroed at first.
 */
struct gt_json_clock {
	uint64_t high; /* in 10 ms */
	char text[24]; /* its digits, 24 bytes to be copied at once */
	size_t size;   /* 0: nothing is known */
};

/* 24 bytes are written whatever the time; GT_JSON_TIME_MAX counts them. */
static inline char *gt_json_near_time(struct gt_json_clock *clock, char *to, uint64_t ns)
{
	uint64_t high = ns / 10000000;
	uint32_t low = (uint32_t)(ns - high * 10000000), us, rest;

	if (__builtin_expect(!clock->size || high != clock->high, 0)) {
		if (!high)
			return gt_json_time(to, ns);
		clock->high = high;
		clock->size = (size_t)(gt_json_u64(clock->text, high) - clock->text);
	}
	us = low / 1000;
	rest = low - us * 1000;
	memcpy(to, clock->text, sizeof(clock->text));
	to = gt__json_two(to + clock->size, us / 100);
	to = gt__json_two(to, us % 100);
	*to = '.';
	to[1] = (char)('0' + rest / 100);
	memcpy(to + 2, gt__json_digits + 2 * (rest % 100), 2);
	return to + 4;
}

/* "0x1f", with its quotes: how ids and addresses of 64 bits are written, as no viewer keeps such numbers. */
char *gt_json_hex(char *to, uint64_t value);

/*
 * What stands between the quotes of a string: `"`, `\` and control bytes escaped, each byte that is no part
 * of good UTF-8 replaced by U+FFFD. At most @size * GT_JSON_ESCAPE_MAX bytes.
 */
char *gt_json_escape(char *to, const char *text, size_t size);

/* Bytes of the good UTF-8 character at @text (1 to 4), 0 when it is none. */
unsigned int gt_json_utf8(const char *text, size_t size);

#endif
