/*
 * probe.h - the code that hooks run: shared parts, and for each site a trampoline.
 *
 *   site:        e9 rel32 ------> copy of a template, its open places filled
 *                                 the site's own instructions, relocated
 *   site + used  <--------------- e9 rel32   (none when those end with ret)
 *
 * Pure computing: bytes in, bytes out. No process is touched here.
 */
#ifndef GT_AGENT_PROBE_H
#define GT_AGENT_PROBE_H

#include "agent/blob/holes.h"
#include "agent/site.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct gt_probe {
	enum gt_template template;
	struct gt_site site;
	uint32_t value; /* K_SITE in this site's copy */
};

/* What is to be written over a site, once the code is mapped. */
struct gt_patch {
	uint64_t address; /* in the process */
	uint8_t bytes[GT_SITE_JUMP_SIZE];
	uint8_t original_size;
	uint8_t original[GT_SITE_WINDOW_MAX]; /* what must be there now */
};

struct gt_probe_values {
	uint64_t holes[GT_HOLE_COUNT];
};

/* Bytes that the code for @probes takes at most; a multiple of the page. */
size_t gt_probe_code_size(const struct gt_probe *probes, size_t count);

/*
 * Writes the code as it must stand at @code_address into @code (gt_probe_code_size bytes) and fills @patches, one a probe,
 * in the same order. @slide: run-time address - link-time address. -ERANGE with a line when a site is out of reach or a value does
 * not fit its place.
 */
int gt_probe_build(const struct gt_probe *probes, size_t count, const struct gt_probe_values *values, uint64_t slide,
	uint64_t code_address, uint8_t *code, struct gt_patch *patches, struct gt_error *err);

#endif
