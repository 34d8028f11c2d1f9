/*
 * findings.h - what gtrace report finds, for the page: found by a thread that reads the file by itself once somebody asks.
 */
#ifndef GT_VIEWER_FINDINGS_H
#define GT_VIEWER_FINDINGS_H

#include <stddef.h>

struct gt_findings;

/* NULL: out of memory. @file stays the caller's, and lives as long. */
struct gt_findings *gt_findings_new(const char *file);
/* JSON, which stays until _free: {"findings":[...]}, {"error":"..."}, or {"looking":true} until there is one. From one thread only. */
const char *gt_findings_ask(struct gt_findings *findings, size_t *size);
/* Ends the search when it is under way. NULL is none. */
void gt_findings_free(struct gt_findings *findings);

#endif
