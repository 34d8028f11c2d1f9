/* triggers.h - --trigger and what belongs to it: conditions and a command beside, whose end a snapshot follows. */
#ifndef GT_CLI_TRIGGERS_H
#define GT_CLI_TRIGGERS_H

#include "cli/flight.h"
#include "libtrace/triggers.h"

#include <argp.h>

struct gt_recording;

struct gt_trigger_options {
	struct gt_trigger list[GT_TRIGGERS_MAX];
	size_t count;
	const char *command;
	uint64_t after_ns, interval_ns;
	bool once;
	const char *option; /* one that needs a trigger, or NULL */
};

/* The options: a child of gt_record_common's parser, whose input is a struct gt_record_options. */
extern const struct argp gt_trigger_argp;

struct gt_watch;

/* Before the collector is made. What cannot be judged of such a program is refused. 0, or an exit status after the error was told. */
int gt_watch_new(struct gt_recording *recording, size_t bytes_max);
/* For the collector's config; NULL: none. */
struct gt_triggers *gt_watch_triggers(const struct gt_recording *recording);
/* The program runs. */
void gt_watch_start(struct gt_recording *recording);
/* After each look of the collector: what fired, and what is due. */
void gt_watch_step(struct gt_recording *recording);
/* What a snapshot says of its trigger. */
struct gt_trigger_metas {
	struct gt_flight_meta list[GT_FLIGHT_METAS_MAX];
	char numbers[GT_FLIGHT_METAS_MAX][32];
	size_t count;
};
/* The program ended (@status as of waitpid) or goes on without us (-1): before gt_flight_end, which writes what was due later.
 * @cause and @metas get those of the last snapshot when that is a trigger's; else the one stays, the other is empty. */
void gt_watch_end(struct gt_recording *recording, int status, char *cause, size_t size, struct gt_trigger_metas *metas);
void gt_watch_free(struct gt_recording *recording);

#endif
