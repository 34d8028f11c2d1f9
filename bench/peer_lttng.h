/* peer_lttng.h - the tracepoint of peer_flight.c for LTTng-UST: the same 12 bytes that gtrace's record of a transition tells. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER peer
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./peer_lttng.h"

#if !defined(PEER_LTTNG_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define PEER_LTTNG_H
#include <lttng/tracepoint.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT(peer, state, LTTNG_UST_TP_ARGS(uint64_t, g, uint32_t, what),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(uint64_t, g, g) lttng_ust_field_integer(uint32_t, what, what)))
#endif

#include <lttng/tracepoint-event.h>
