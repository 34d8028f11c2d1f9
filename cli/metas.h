/*
 * metas.h - what a trace says about where it comes from (docs/format.md, META keys).
 */
#ifndef GT_CLI_METAS_H
#define GT_CLI_METAS_H

#include "format/wire/writer.h"

/* Host, kernel, CPUs, version of gtrace. */
void gt_metas_host(struct gt_writer *writer);
/* The arguments, quoted as a shell would want them. */
void gt_metas_args(struct gt_writer *writer, char *const *argv);

#endif
