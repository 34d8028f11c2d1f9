/* go_text.c - reasons to stop the world, labels of workers. The texts are Go's own. */
#include "libtrace/go_text.h"

#include <stddef.h>

static const char *const texts[GT_GO_TEXT_END] = {
	[GT_GO_TEXT_STW + 0] = "unknown",
	[GT_GO_TEXT_STW + 1] = "GC mark termination",
	[GT_GO_TEXT_STW + 2] = "GC sweep termination",
	[GT_GO_TEXT_STW + 3] = "write heap dump",
	[GT_GO_TEXT_STW + 4] = "goroutine profile",
	[GT_GO_TEXT_STW + 5] = "goroutine profile cleanup",
	[GT_GO_TEXT_STW + 6] = "all goroutines stack trace",
	[GT_GO_TEXT_STW + 7] = "read mem stats",
	[GT_GO_TEXT_STW + 8] = "AllThreadsSyscall",
	[GT_GO_TEXT_STW + 9] = "GOMAXPROCS",
	[GT_GO_TEXT_STW + 10] = "start trace",
	[GT_GO_TEXT_STW + 11] = "stop trace",
	[GT_GO_TEXT_STW + 12] = "CountPagesInUse (test)",
	[GT_GO_TEXT_STW + 13] = "ReadMetricsSlow (test)",
	[GT_GO_TEXT_STW + 14] = "ReadMemStatsSlow (test)",
	[GT_GO_TEXT_STW + 15] = "PageCachePagesLeaked (test)",
	[GT_GO_TEXT_STW + 16] = "ResetDebugLog (test)",
	[GT_GO_TEXT_LABEL + 1] = "GC (dedicated)",
	[GT_GO_TEXT_LABEL + 2] = "GC (fractional)",
	[GT_GO_TEXT_LABEL + 3] = "GC (idle)",
};

const char *gt_go_text(uint64_t id)
{
	uint64_t index = id - GT_GO_TEXT_BASE;

	return index < GT_GO_TEXT_END ? texts[index] : NULL;
}

/* Until Go 1.20 the reason is a text (none: sweep termination), told by its length and first letter. */
unsigned int gt_go_stw_reason(unsigned int arg)
{
	static const struct {
		uint8_t length;
		char first;
		uint8_t reason;
	} old[] = {
		{0, 0, 2},     /* the cycle's first */
		{5, 'g', 1},   /* gcing */
		{15, 'w', 3},  /* write heap dump */
		{7, 'p', 4},   /* profile */
		{15, 'p', 5},  /* profile cleanup */
		{11, 's', 6},  /* stack trace */
		{14, 'r', 7},  /* read mem stats */
		{19, 'd', 8},  /* doAllThreadsSyscall */
		{10, 'G', 9},  /* GOMAXPROCS */
		{13, 's', 10}, /* start tracing */
		{12, 's', 11}, /* stop tracing */
	};

	if (!(arg & 0x8000))
		return arg < GT_GO_TEXT_LABEL && texts[GT_GO_TEXT_STW + arg] ? arg : 0;
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		if (old[i].length == (arg >> 8 & 127) && (uint8_t)old[i].first == (arg & 255))
			return old[i].reason;
	return 0;
}
