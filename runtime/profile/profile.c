/*
 * profile.c - <gtrace/pprof.h>: which profiles there are, waits as they are counted, differences.
 *
 * What is collected is collected where the caller is; what is made of it, by libdw and zlib, on a thread apart, whose stack is
 * large enough. The bytes are then written by the caller again.
 */
#include "runtime/profile/profile.h"

#include "runtime/malloc/api.h"
#include "runtime/prof.h"
#include "runtime/rt.h"
#include "runtime/traceback.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define APART_STACK_BYTES ((size_t)1 << 20)
#define WRITE_BYTES       ((size_t)64 << 10)

/* ---- block and mutex ---- */

static struct {
	struct gt_lock lock;
	struct gt_buckets buckets;
	uint64_t lost;
} waits[2]; /* by enum gt_prof_event */

static void gt__profile_event(enum gt_prof_event event, int64_t ns)
{
	bool block = event == GT_PROF_BLOCK;
	int64_t rate = load_relaxed(block ? &gt__prof.block_rate : &gt__prof.mutex_rate), count = 1;
	uintptr_t pcs[GT_WALK_MAX];
	struct gt_bucket *bucket;
	size_t depth;

	if (rate <= 0)
		return;
	if (ns == 0)
		ns = 1;
	/* What is taken with a chance below one counts for those that are not taken. */
	if (block && ns < rate) {
		uint64_t chance = (uint64_t)gt__random() << 32 | gt__random();

		if ((int64_t)(chance % (uint64_t)rate) > ns)
			return;
		/* rate / ns events, on average a whole number. */
		count = rate / ns + ((int64_t)(chance >> 8) % ns < rate % ns);
		ns = rate;
	} else if (!block) {
		if (rate > 1 && gt__random_below(rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate) != 0)
			return;
		count = rate;
		ns *= rate;
	}
	depth = gt__walk_here(pcs, GT_WALK_MAX);
	gt__lock(&waits[event].lock);
	bucket = gt_buckets_get(&waits[event].buckets, NULL, pcs, depth);
	if (bucket) {
		bucket->values[0] += count;
		bucket->values[1] += ns;
	} else {
		waits[event].lost++;
	}
	gt__unlock(&waits[event].lock);
}

void gt_profile_block_rate(int64_t ns)
{
	gt__prof.event = gt__profile_event;
	atomic_store(&gt__prof.block_rate, ns > 0 ? ns : 0);
}

int gt_profile_mutex_fraction(int n)
{
	if (n < 0)
		return (int)load_relaxed(&gt__prof.mutex_rate);
	gt__prof.event = gt__profile_event;
	return (int)atomic_exchange(&gt__prof.mutex_rate, n);
}

static int copy_buckets(struct gt_profile_data *data, const struct gt_buckets *from)
{
	for (const struct gt_bucket *bucket = from->first; bucket; bucket = bucket->next) {
		struct gt_bucket *to = gt_buckets_get(&data->buckets, bucket->tags, bucket->pcs, bucket->depth);

		if (!to)
			return -ENOMEM;
		memcpy(to->values, bucket->values, sizeof(to->values));
	}
	return 0;
}

static int collect_waits(struct gt_profile_data *data, enum gt_prof_event event)
{
	int ret;

	data->buckets.bytes_max = (size_t)256 << 20;
	gt__lock(&waits[event].lock);
	ret = copy_buckets(data, &waits[event].buckets);
	data->lost = waits[event].lost;
	gt__unlock(&waits[event].lock);
	return ret;
}

static int collect_block(struct gt_profile_data *data, int debug)
{
	data->period = 1;
	return collect_waits(data, GT_PROF_BLOCK);
}

static int collect_mutex(struct gt_profile_data *data, int debug)
{
	int64_t rate = load_relaxed(&gt__prof.mutex_rate);

	data->period = debug ? rate : 1;
	return collect_waits(data, GT_PROF_MUTEX);
}

static uint64_t count_waits(enum gt_prof_event event)
{
	uint64_t count;

	gt__lock(&waits[event].lock);
	count = waits[event].buckets.count;
	gt__unlock(&waits[event].lock);
	return count;
}

static uint64_t count_block(void)
{
	return count_waits(GT_PROF_BLOCK);
}

static uint64_t count_mutex(void)
{
	return count_waits(GT_PROF_MUTEX);
}

/* ---- heap ---- */

static const struct gt_malloc_api *malloc_api(void)
{
	const struct gt_malloc_api *api = dlsym(RTLD_DEFAULT, GT_MALLOC_API_NAME);

	return api && api->version == GT_MALLOC_API_VERSION ? api : NULL;
}

int64_t gt_profile_heap_rate(int64_t bytes)
{
	const struct gt_malloc_api *api = malloc_api();

	return api ? api->rate(bytes) : 0;
}

static int collect_heap(struct gt_profile_data *data, int debug)
{
	const struct gt_malloc_api *api = malloc_api();

	data->period = api ? api->rate(-1) : 0;
	data->buckets.bytes_max = (size_t)512 << 20;
	if (!api)
		return 0;
	data->lost = api->copy(&data->buckets);
	return 0;
}

static uint64_t count_heap(void)
{
	struct gt_profile_data data;
	uint64_t count;

	gt__profile_data_init(&data);
	collect_heap(&data, 1);
	count = data.buckets.count;
	gt_buckets_free(&data.buckets);
	return count;
}

/* ---- all of them ---- */

static uint64_t count_goroutines(void)
{
	return (uint64_t)gt_num_goroutine();
}

static uint64_t count_threads(void)
{
	uint64_t count;

	gt__lock(&gt__sched.lock);
	count = gt__sched.m_count;
	gt__unlock(&gt__sched.lock);
	return count;
}

static const struct gt_profile_kind kinds[] = {
	{"allocs", "A sampling of all past memory allocations",
		{{"alloc_objects", "count"}, {"alloc_space", "bytes"}, {"inuse_objects", "count"},
			{"inuse_space", "bytes"}},
		"alloc_space", {"space", "bytes"}, "bytes", "bytes", false, collect_heap, count_heap},
	{"block", "Stack traces that led to blocking on synchronization primitives",
		{{"contentions", "count"}, {"delay", "nanoseconds"}}, NULL, {"contentions", "count"}, NULL, NULL, true,
		collect_block, count_block},
	{"goroutine",
		"Stack traces of all current goroutines. Use debug=2 as a query parameter to export in the same "
		"format as an unrecovered panic.",
		{{"goroutine", "count"}}, NULL, {"goroutine", "count"}, NULL, NULL, true,
		gt__profile_collect_goroutines, count_goroutines},
	{"heap", "A sampling of memory allocations of live objects.",
		{{"alloc_objects", "count"}, {"alloc_space", "bytes"}, {"inuse_objects", "count"},
			{"inuse_space", "bytes"}},
		"inuse_space", {"space", "bytes"}, "bytes", "bytes", false, collect_heap, count_heap},
	{"mutex", "Stack traces of holders of contended mutexes", {{"contentions", "count"}, {"delay", "nanoseconds"}},
		NULL, {"contentions", "count"}, NULL, NULL, true, collect_mutex, count_mutex},
	{"threadcreate", "Stack traces that led to the creation of new kernel threads", {{"threadcreate", "count"}},
		NULL, {"threadcreate", "count"}, NULL, NULL, true, gt__profile_collect_threads, count_threads},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

size_t gt_profiles(struct gt_profile_info *out, size_t max)
{
	for (size_t i = 0; i < KINDS && i < max; i++)
		out[i] = (struct gt_profile_info){kinds[i].name, kinds[i].description, kinds[i].count()};
	return KINDS;
}

const struct gt_profile_kind *gt__profile_find(const char *name)
{
	for (size_t i = 0; name && i < KINDS; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

void gt__profile_data_init(struct gt_profile_data *data)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*data = (struct gt_profile_data){
		.realtime_ns = (int64_t)now.tv_sec * GT_SECOND + now.tv_nsec, .now_ns = gt__port_now()};
}

/* ---- apart ---- */

struct job {
	void (*fn)(void *arg);
	void *arg;
};

static void *run_job(void *arg)
{
	struct job *job = arg;

	job->fn(job->arg);
	return NULL;
}

int gt__profile_apart(void (*fn)(void *arg), void *arg)
{
	struct job job = {fn, arg};
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int ret;

	if (!gt__self()) {
		fn(arg);
		return 0;
	}
	gt_syscall_enter();
	ret = pthread_attr_init(&attributes);
	if (ret == 0) {
		pthread_attr_setstacksize(&attributes, APART_STACK_BYTES);
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before); /* signals of the program are not for that thread */
		ret = pthread_create(&thread, &attributes, run_job, &job);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		pthread_attr_destroy(&attributes);
		if (ret == 0)
			pthread_join(thread, NULL);
	}
	gt_syscall_exit();
	return -ret;
}

static const char *what_it_does(uint32_t state, uint32_t reason)
{
	if (state == GT_STATE_WAITING && reason < gt__reason_text_count && gt__reason_texts[reason])
		return gt__reason_texts[reason];
	return state < gt__state_text_count && gt__state_texts[state] ? gt__state_texts[state] : "?";
}

extern const struct gt_profile_encoder GT_PROFILE_ENCODER __attribute__((weak, visibility("default")));

/* Linked, in whatever way, or loaded now: it stands beside the runtime's own library, or where the loader looks. */
static const struct gt_profile_encoder *encoder(void)
{
	const struct gt_profile_encoder *found = &GT_PROFILE_ENCODER;
	void *library;

	if (!found)
		found = dlsym(RTLD_DEFAULT, GT_PROFILE_ENCODER_NAME);
	if (!found && (library = dlopen(GT_PROFILE_LIBRARY, RTLD_NOW | RTLD_LOCAL)))
		found = dlsym(library, GT_PROFILE_ENCODER_NAME);
	return found && found->version == GT_PROFILE_ENCODER_VERSION ? found : NULL;
}

struct output {
	struct gt_profile_input in;
	void *bytes;
	size_t size;
	int ret;
};

static void make(void *arg)
{
	const struct gt_profile_encoder *encode = encoder();
	struct output *o = arg;

	o->ret = encode ? encode->make(&o->in, &o->bytes, &o->size) : -ELIBACC;
}

/* Frees the data. */
static int put(struct output *o, gt_profile_write_fn *write, void *ctx)
{
	const struct gt_malloc_api *api = malloc_api();
	struct gt_malloc_totals totals = {0, 0, 0, 0};
	int ret;

	if (api)
		api->totals(&totals);
	o->in.heap_known = api != NULL;
	o->in.allocs = totals.allocs;
	o->in.frees = totals.frees;
	o->in.alloc_bytes = totals.alloc_bytes;
	o->in.free_bytes = totals.free_bytes;
	o->in.what_it_does = what_it_does;
	ret = gt__profile_apart(make, o);
	if (ret == 0)
		ret = o->ret;
	gt_buckets_free(&o->in.data->buckets);
	for (size_t at = 0; ret == 0 && at < o->size; at += WRITE_BYTES)
		ret = write(ctx, (const char *)o->bytes + at, o->size - at < WRITE_BYTES ? o->size - at : WRITE_BYTES);
	free(o->bytes);
	return ret;
}

int gt__profile_put(const struct gt_profile_kind *kind, struct gt_profile_data *data, int64_t time_ns,
	int64_t duration_ns, gt_profile_write_fn *write, void *ctx)
{
	struct output o = {.in = {.kind = kind, .data = data, .time_ns = time_ns, .duration_ns = duration_ns}};

	return put(&o, write, ctx);
}

int gt_profile_write(const char *name, int debug, gt_profile_write_fn *write, void *ctx)
{
	const struct gt_profile_kind *kind = gt__profile_find(name);
	struct output o = {.in = {.kind = kind, .debug = debug > 0 ? debug : 0}};
	struct gt_profile_data data;
	int ret;

	if (!kind)
		return -ENOENT;
	gt__profile_data_init(&data);
	o.in.data = &data;
	o.in.time_ns = data.realtime_ns;
	ret = kind->collect(&data, o.in.debug);
	if (ret < 0) {
		gt_buckets_free(&data.buckets);
		return ret;
	}
	return put(&o, write, ctx);
}

/* ---- differences ---- */

struct gt_profile_snapshot {
	const struct gt_profile_kind *kind;
	struct gt_profile_data data;
};

int gt_profile_snapshot(const char *name, struct gt_profile_snapshot **out)
{
	const struct gt_profile_kind *kind = gt__profile_find(name);
	struct gt_profile_snapshot *snapshot;
	int ret;

	if (!kind)
		return -ENOENT;
	snapshot = calloc(1, sizeof(*snapshot));
	if (!snapshot)
		return -ENOMEM;
	snapshot->kind = kind;
	gt__profile_data_init(&snapshot->data);
	ret = kind->collect(&snapshot->data, 0);
	if (ret < 0) {
		gt_profile_snapshot_free(snapshot);
		return ret;
	}
	*out = snapshot;
	return 0;
}

void gt_profile_snapshot_free(struct gt_profile_snapshot *snapshot)
{
	if (snapshot)
		gt_buckets_free(&snapshot->data.buckets);
	free(snapshot);
}

int gt_profile_write_since(const struct gt_profile_snapshot *since, gt_profile_write_fn *write, void *ctx)
{
	struct gt_profile_data data;
	int ret;

	gt__profile_data_init(&data);
	ret = since->kind->collect(&data, 0);
	for (const struct gt_bucket *old = since->data.buckets.first; old && ret == 0; old = old->next) {
		struct gt_bucket *bucket = gt_buckets_get(&data.buckets, old->tags, old->pcs, old->depth);

		if (!bucket)
			ret = -ENOMEM;
		for (unsigned int i = 0; bucket && i < GT_BUCKET_VALUES; i++)
			bucket->values[i] -= old->values[i];
	}
	if (ret < 0) {
		gt_buckets_free(&data.buckets);
		return ret;
	}
	return gt__profile_put(
		since->kind, &data, since->data.realtime_ns, data.now_ns - since->data.now_ns, write, ctx);
}
