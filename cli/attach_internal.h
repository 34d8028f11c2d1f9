/* attach_internal.h - one attach, between attach_loop.c (Go, and what both kinds of programs share) and attach_linked.c (libtrace). */
#ifndef GT_CLI_ATTACH_INTERNAL_H
#define GT_CLI_ATTACH_INTERNAL_H

#include "agent/attach.h"
#include "agent/linked.h"
#include "cli/attach.h"

#include <time.h>

struct gt_attached {
	struct gt_recording *recording;
	const struct gt_attach_options *options;
	struct gt_attach *attach; /* a Go program, */
	const struct gt_attach_view *view;
	struct gt_linked *linked; /* or one that links libtrace */
	struct gt_shm_aside aside;
	bool hooked;
	int signals, process; /* descriptors */
	size_t found;
	bool gone; /* the program ended */
};

/* All return 0, or an exit status after the error was told. */
int gt_attached_name(struct gt_attached *a, const char *program, const char *exe);
int gt_linked_look(struct gt_attached *a);
int gt_linked_hook(struct gt_attached *a);
void gt_linked_unhook(struct gt_attached *a);
/* After all was written: what only a recording needs is given back. */
void gt_linked_finish(struct gt_attached *a);

#endif
