/* findings.c - see findings.h. */
#include "viewer/findings.h"

#include "analysis/analysis.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define NICE 10 /* behind whoever looks at the page meanwhile */

struct gt_findings {
	const char *file;
	pthread_t thread;
	bool started;
	atomic_bool stop, done;
	char *json; /* by the thread, before done */
	size_t size;
};

static bool stopped(void *user)
{
	struct gt_findings *findings = user;

	return atomic_load_explicit(&findings->stop, memory_order_relaxed);
}

/* Whether there is an answer. */
static bool find_them(struct gt_findings *findings, struct gt_error *err)
{
	struct gt_analysis_options options = {.user = findings, .stopped = stopped};
	struct gt_analysis *analysis;
	struct gt_trace *trace;
	FILE *out;
	bool good;

	if (gt_trace_open(findings->file, &trace, err) < 0)
		return false;
	if (gt_analysis_run(trace, &options, &analysis, err) < 0) {
		gt_trace_close(trace);
		return false;
	}
	out = open_memstream(&findings->json, &findings->size);
	good = out && gt_findings_json(analysis, out) == 0;
	if (out && fclose(out) != 0)
		good = false;
	gt_analysis_free(analysis);
	gt_trace_close(trace);
	if (!good)
		gt_fail(err, ENOMEM, "out of memory");
	return good;
}

static void *look(void *context)
{
	struct gt_findings *findings = context;
	struct gt_error err;

	/* Of this thread alone, in Linux. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	if (!find_them(findings, &err)) {
		free(findings->json);
		findings->json = strdup("{\"error\":\"gtrace report tells why\"}");
		findings->size = findings->json ? strlen(findings->json) : 0;
	}
	atomic_store_explicit(&findings->done, true, memory_order_release);
	return NULL;
}

struct gt_findings *gt_findings_new(const char *file)
{
	struct gt_findings *findings = calloc(1, sizeof(*findings));

	if (findings)
		findings->file = file;
	return findings;
}

const char *gt_findings_ask(struct gt_findings *findings, size_t *size)
{
	static const char looking[] = "{\"looking\":true}", failed[] = "{\"error\":\"out of memory\"}";

	if (!findings->started && pthread_create(&findings->thread, NULL, look, findings) == 0)
		findings->started = true;
	if (findings->started && !atomic_load_explicit(&findings->done, memory_order_acquire)) {
		*size = sizeof(looking) - 1;
		return looking;
	}
	*size = findings->started && findings->json ? findings->size : sizeof(failed) - 1;
	return findings->started && findings->json ? findings->json : failed;
}

void gt_findings_free(struct gt_findings *findings)
{
	if (!findings)
		return;
	atomic_store(&findings->stop, true);
	if (findings->started)
		pthread_join(findings->thread, NULL);
	free(findings->json);
	free(findings);
}
