/*
 * debug.h - looks into a running program by HTTP: profiles, traces and metrics, at the paths of Go's net/http/pprof.
 *
 *	gt_debug_serve("127.0.0.1:6060");
 *
 *	go tool pprof http://127.0.0.1:6060/debug/pprof/profile?seconds=10
 *	curl -o t.gtrace http://127.0.0.1:6060/debug/pprof/trace?seconds=5
 *	curl http://127.0.0.1:6060/metrics
 *
 * The server is goroutines on the program's own scheduler: it costs nothing while nobody asks, and is in the goroutine profile. Link
 * libgtrace_debug as well. gt_debug_serve(3) lists the paths.
 *
 * Whoever reaches it sees the program's inside and makes it work. So it listens on loopback addresses only, unless told
 * otherwise, and answers only requests for localhost, 127.x.y.z and [::1] by name (a foreign web page can give a name of
 * its own the address 127.0.0.1). It has no passwords: every user of the machine can ask.
 */
#ifndef GTRACE_DEBUG_H
#define GTRACE_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GT_API
#define GT_API __attribute__((visibility("default")))
#endif

struct gt_debug_options {
	/* "HOST:PORT": HOST a number (127.0.0.1, [::1]), localhost, or nothing: 127.0.0.1. PORT 0: any that is free. */
	const char *address;
	/* Also on addresses that others reach, and for requests by any name. */
	bool allow_remote;
	unsigned int connections_max; /* at once; 0: 128. Who comes then is told so (503) */
	int64_t timeout_ns; /* for a request to come, once begun, and for each part of an answer to go; 0: 10 s */
};

/*
 * Listens, and serves until the program ends. From a goroutine. Returns the port; -EACCES: not an address of this machine alone;
 * -EINVAL: no such address; else what socket, bind or listen said (-EADDRINUSE...). May be called for several addresses.
 */
GT_API int gt_debug_serve(const char *address);
GT_API int gt_debug_serve_options(const struct gt_debug_options *options);

#ifdef __cplusplus
}
#endif

#endif
