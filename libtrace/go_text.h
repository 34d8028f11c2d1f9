/*
 * go_text.h - texts that records of Go's hooks mean by a number: ids beside those of the string table.
 */
#ifndef GT_LIBTRACE_GO_TEXT_H
#define GT_LIBTRACE_GO_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* Ids from here on are one of the list; from the second on, the address of a type, less the text's. */
#define GT_GO_TEXT_BASE ((uint64_t)1 << 32)
#define GT_GO_TYPE_BASE ((uint64_t)1 << 40)

enum gt_go_text {
	GT_GO_TEXT_STW = 0,    /* + Go's number of a reason to stop the world, as from 1.21 on */
	GT_GO_TEXT_LABEL = 32, /* + 1 dedicated, 2 fractional, 3 idle */
	GT_GO_TEXT_END = 36,
};

/* NULL: no such. */
const char *gt_go_text(uint64_t id);

/* Go's number (from 1.21 on) of what a GT_GC_STW_BEGIN record says; 0 unknown. */
unsigned int gt_go_stw_reason(unsigned int arg);

#endif
