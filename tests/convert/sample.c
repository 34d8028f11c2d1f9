/* sample.c - writes DIR/trace.json, DIR/trace.pftrace, DIR/trace.gtrace and DIR/truth.json: what a scheduler did, converted, as a file, and
 * as it knows itself. */
#include "format/convert/perfetto.h"
#include "simulate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned int seed = argc > 2 ? (unsigned int)atoi(argv[2]) : 1;
	unsigned int steps = argc > 3 ? (unsigned int)atoi(argv[3]) : 20000;
	struct gt_convert_options options = GT_CONVERT_OPTIONS_DEFAULT;
	struct gt_trace *trace = fake_new();
	struct gt_sink sink;
	struct gt_error err;
	char path[4096];
	FILE *truth;
	int fd, ret;

	if (argc < 2) {
		fprintf(stderr, "usage: convert_sample DIR [SEED [STEPS [object]]]\n");
		return 2;
	}
	snprintf(path, sizeof(path), "%s/truth.json", argv[1]);
	truth = fopen(path, "w");
	snprintf(path, sizeof(path), "%s/trace.json", argv[1]);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (!truth || fd < 0 || gt_sink_open_fd(&sink, fd, path) < 0) {
		perror(argv[1]);
		return 1;
	}
	simulate(trace, seed, steps, truth);
	options.object = argc > 4;
	ret = gt_convert_chrome(trace, &sink, &options, &err);
	if (gt_sink_close(&sink, NULL, NULL, &err) < 0 || ret < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	close(fd);
	gt_trace_rewind(trace);
	snprintf(path, sizeof(path), "%s/trace.pftrace", argv[1]);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || gt_sink_open_fd(&sink, fd, path) < 0) {
		perror(path);
		return 1;
	}
	ret = gt_convert_perfetto(trace, &sink, NULL, &err);
	if (gt_sink_close(&sink, NULL, NULL, &err) < 0 || ret < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/trace.gtrace", argv[1]);
	fake_write(trace, path);
	fake_free(trace);
	close(fd);
	return fclose(truth) == 0 ? 0 : 1;
}
