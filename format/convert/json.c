/* json.c - escapes, hexadecimal ids, and the table of digits behind json.h. */
#include "format/convert/json.h"

const char gt__json_digits[200] = {
#define ROW(tens) \
	tens, '0', tens, '1', tens, '2', tens, '3', tens, '4', tens, '5', tens, '6', tens, '7', tens, '8', tens, '9'
	ROW('0'), ROW('1'), ROW('2'), ROW('3'), ROW('4'), ROW('5'), ROW('6'), ROW('7'), ROW('8'), ROW('9')
#undef ROW
};

static const char hex_digits[] = "0123456789abcdef";

char *gt_json_hex(char *to, uint64_t value)
{
	unsigned int shift = 60;

	to = GT_JSON_PUT(to, "\"0x");
	while (shift > 0 && !(value >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		*to++ = hex_digits[(value >> shift) & 15];
		if (!shift)
			break;
	}
	*to++ = '"';
	return to;
}

unsigned int gt_json_utf8(const char *text, size_t size)
{
	const unsigned char *byte = (const unsigned char *)text;
	unsigned int count;
	uint32_t code;

	if (byte[0] < 0x80)
		return 1;
	if (byte[0] >= 0xc2 && byte[0] <= 0xdf)
		count = 2;
	else if ((byte[0] & 0xf0) == 0xe0)
		count = 3;
	else if (byte[0] >= 0xf0 && byte[0] <= 0xf4)
		count = 4;
	else
		return 0;
	if (size < count)
		return 0;
	code = byte[0] & (0xffU >> (count + 1));
	for (unsigned int i = 1; i < count; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (byte[i] & 0x3f);
	}
	/* Too long a form, a surrogate, or beyond Unicode. */
	if ((count == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) ||
		(count == 4 && (code < 0x10000 || code > 0x10ffff)))
		return 0;
	return count;
}

char *gt_json_escape(char *to, const char *text, size_t size)
{
	for (size_t i = 0; i < size;) {
		unsigned char byte = (unsigned char)text[i];
		unsigned int count = gt_json_utf8(text + i, size - i);

		if (count > 1) {
			memcpy(to, text + i, count);
			to += count;
			i += count;
			continue;
		}
		i++;
		if (!count) {
			to = GT_JSON_PUT(to, "\xef\xbf\xbd");
		} else if (byte == '"' || byte == '\\') {
			*to++ = '\\';
			*to++ = (char)byte;
		} else if (byte == '\n') {
			to = GT_JSON_PUT(to, "\\n");
		} else if (byte < 0x20 || byte == 0x7f) {
			to = GT_JSON_PUT(to, "\\u00");
			*to++ = hex_digits[byte >> 4];
			*to++ = hex_digits[byte & 15];
		} else {
			*to++ = (char)byte;
		}
	}
	return to;
}
