/* writer_text.c - FILE TEXT EVENTS [worker] [write] [each]: a stream as a .gtrace file, and what it must read as. */
#include <stdlib.h>
#include <string.h>

#include "stream.h"

int main(int argc, char **argv)
{
	struct gt_writer_config config = {
		.ticks_per_second = 1000000000,
		.start_ticks = 500,
		.start_realtime_ns = 1,
		.start_monotonic_ns = -2,
	};
	struct gt_writer *writer;
	struct gt_error err;
	bool each = false;
	FILE *text;

	if (argc < 4) {
		return 2;
	}
	for (int i = 4; i < argc; i++) {
		config.worker |= !strcmp(argv[i], "worker");
		config.no_uring |= !strcmp(argv[i], "write");
		each |= !strcmp(argv[i], "each");
	}
	config.path = argv[1];
	text = fopen(argv[2], "w");
	if (!text || gt_writer_open(&config, &writer, &err) < 0)
		return 1;
	fputs("HEADER flags=0 ticks_per_second=1000000000 start_ticks=500 start_realtime_ns=1 start_monotonic_ns=-2\n",
		text);
	if (stream_write(writer, text, (uint32_t)argc, (size_t)atol(argv[3]), each) < 0)
		return 1;
	if (gt_writer_close(writer, 1, 2, &err) < 0) {
		puts(err.text);
		return 1;
	}
	return fclose(text) ? 1 : 0;
}
