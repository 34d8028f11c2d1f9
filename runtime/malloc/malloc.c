/*
 * malloc.c - counts every allocation, and takes the stack of some, chosen by size as Go's heap profile does.
 *
 * It stands between the program and the malloc that comes after it in the loader's order; the blocks are that one's, unchanged.
 *
 *   each call     two counters and a countdown of the thread's own; a free looks into a filter of 64 Ki counters
 *   each sample   the stack, a bucket, an entry for the address: under a lock, with signals held back
 *
 * Nothing in here allocates but by mmap, what joins a thread apart: then `inside` is set, and calls go straight through, counted in
 * `others`. So are those of a thread after its end (the C library frees what it had then), and those in dlsym, which get
 * a piece of a fixed array.
 */
#include "base/buckets.h"
#include "base/frames.h"
#include "runtime/malloc/api.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define API         __attribute__((visibility("default")))
#define TLS         __thread __attribute__((tls_model("initial-exec")))
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define RATE_DEFAULT  524288
#define DEPTH_MAX     64u
#define FILTER_SLOTS  65536u
#define LIVE_FIRST    ((size_t)4096)
#define LIVE_MAX      ((size_t)1 << 22)
#define BUCKETS_BYTES ((size_t)256 << 20)
#define STUCK         UINT16_MAX /* a filter's counter that does not move any more */

#define get(at)        atomic_load_explicit(at, memory_order_relaxed)
#define set(at, value) atomic_store_explicit(at, value, memory_order_relaxed)

/* ---- the next malloc ---- */

static struct {
	void *(*malloc)(size_t size);
	void (*free)(void *at);
	void *(*calloc)(size_t count, size_t size);
	void *(*realloc)(void *at, size_t size);
	void *(*memalign)(size_t alignment, size_t size);
	int (*posix_memalign)(void **out, size_t alignment, size_t size);
	void *(*aligned_alloc)(size_t alignment, size_t size);
	size_t (*usable)(void *at);
} next;
static _Atomic int next_state; /* 0; 1: being looked up; 2: there */

static TLS bool inside;

/* What dlsym itself asks for. Never given back. Each has its size before it. */
static _Alignas(16) char early[32768];
static _Atomic size_t early_used;

static bool is_early(const void *at)
{
	return (const char *)at >= early && (const char *)at < early + sizeof(early);
}

static size_t early_size(const void *at)
{
	return ((const size_t *)at)[-2];
}

static void *early_alloc(size_t alignment, size_t size)
{
	size_t bytes = size + 16 + (alignment > 16 ? alignment : 0), from;
	char *at;

	if (size > sizeof(early) || alignment > 4096)
		return NULL;
	from = atomic_fetch_add(&early_used, (bytes + 15) & ~(size_t)15);
	if (from > sizeof(early) || sizeof(early) - from < bytes)
		return NULL;
	at = early + from + 16;
	if (alignment > 16)
		at = (char *)(((uintptr_t)at + alignment - 1) & ~(uintptr_t)(alignment - 1));
	((size_t *)(void *)at)[-2] = size;
	return at;
}

static void look_up(void)
{
	static const char *const names[] = {"malloc", "free", "calloc", "realloc", "memalign", "posix_memalign",
		"aligned_alloc", "malloc_usable_size"};
	void *found[8];

	for (int i = 0; i < 8; i++)
		found[i] = dlsym(RTLD_NEXT, names[i]);
	memcpy(&next, found, sizeof(next));
	for (int i = 0; i < 8; i++)
		if (!found[i]) {
			static const char text[] = "libgtrace_malloc: no malloc behind it\n";

			if (write(STDERR_FILENO, text, sizeof(text) - 1) >= 0)
				abort();
			abort();
		}
}

/* False: we are in it just now. */
static __attribute__((noinline, cold)) bool ready_slow(void)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&next_state, &none, 1)) {
		inside = true;
		look_up();
		inside = false;
		atomic_store(&next_state, 2);
		return true;
	}
	if (inside)
		return false;
	while (atomic_load(&next_state) != 2)
		sched_yield();
	return true;
}

static inline bool ready(void)
{
	return !UNLIKELY(atomic_load_explicit(&next_state, memory_order_acquire) != 2) || ready_slow();
}

/* ---- threads ---- */

struct counts {
	_Atomic uint64_t allocs, frees, alloc_bytes, free_bytes;
};

/* One writer; kept for ever, and used again by a thread that comes later. */
struct thread {
	struct counts counts;
	int64_t left;   /* bytes until the next sample */
	uint32_t epoch; /* of the rate */
	uint64_t random;
	uintptr_t stack_low, stack_high; /* high 0: not asked for yet; 1: not known */
	struct thread *following, *next_free;
} __attribute__((aligned(64)));

static TLS struct thread *here;
static TLS bool gone;
static struct counts others;
static struct thread *_Atomic threads;
static struct thread *free_threads;
static pthread_key_t key;
static bool key_made;

static _Atomic uint32_t epoch = 1;
static _Atomic int64_t rate_now = RATE_DEFAULT;
static struct gt_malloc_hooks hooks_now;
static _Atomic bool hooks_set;

/* ---- the lock: signals are held back, so that nobody is stopped with it by a handler ---- */

static _Atomic uint32_t locked;

static void lock_word(void)
{
	uint32_t none = 0;

	if (atomic_compare_exchange_strong(&locked, &none, 1))
		return;
	while (atomic_exchange(&locked, 2) != 0)
		syscall(SYS_futex, &locked, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

static void unlock_word(void)
{
	if (atomic_exchange(&locked, 0) == 2)
		syscall(SYS_futex, &locked, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void lock(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, before);
	lock_word();
}

static void unlock(const sigset_t *before)
{
	unlock_word();
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* ---- joining ---- */

static void leave(void *arg)
{
	struct thread *t = arg;
	sigset_t before;

	here = NULL;
	gone = true;
	lock(&before);
	t->next_free = free_threads;
	free_threads = t;
	unlock(&before);
}

static struct thread *take_thread(void)
{
	static char *page;
	static size_t page_left;
	struct thread *t;
	sigset_t before;

	lock(&before);
	t = free_threads;
	if (t) {
		free_threads = t->next_free;
	} else {
		if (page_left < sizeof(*t)) {
			void *fresh = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			page_left = fresh == MAP_FAILED ? 0 : 65536;
			page = fresh == MAP_FAILED ? NULL : fresh;
		}
		if (page_left) {
			t = (struct thread *)(void *)page;
			page += sizeof(*t);
			page_left -= sizeof(*t);
			t->following = atomic_load(&threads);
			atomic_store(&threads, t);
		}
	}
	unlock(&before);
	return t;
}

static __attribute__((noinline, cold)) struct thread *join(void)
{
	int error = errno;
	struct thread *t;

	if (inside || gone)
		return NULL;
	inside = true;
	t = take_thread();
	if (t) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		t->random = ((uint64_t)now.tv_nsec << 20 ^ (uint64_t)(uintptr_t)t ^ (uint64_t)now.tv_sec) | 1;
		t->epoch = 0;
		t->stack_high = 0;
		if (key_made && pthread_setspecific(key, t) == 0)
			here = t;
		else if (!key_made)
			here = t; /* before our constructor: the program's first thread */
	}
	inside = false;
	errno = error;
	return here;
}

/* ---- samples ---- */

struct live {
	uintptr_t at; /* 0: free */
	struct gt_bucket *bucket;
	uint64_t size;
};

static struct {
	struct gt_buckets buckets;
	struct live *live;
	size_t room, count;
	uint64_t lost;
	_Atomic uint16_t filter[FILTER_SLOTS];
} samples = {.buckets = {.bytes_max = BUCKETS_BYTES}};

static uint64_t hash_of(uintptr_t at)
{
	return (uint64_t)(at >> 4) * UINT64_C(0x9e3779b97f4a7c15);
}

static _Atomic uint16_t *filter_of(uintptr_t at)
{
	return &samples.filter[hash_of(at) >> 48];
}

static size_t live_slot(uintptr_t at)
{
	return (hash_of(at) >> 16) & (samples.room - 1);
}

static void live_place(const struct live *entry)
{
	size_t i = live_slot(entry->at);

	while (samples.live[i].at)
		i = (i + 1) & (samples.room - 1);
	samples.live[i] = *entry;
}

static bool live_grow(void)
{
	size_t room = samples.room ? 2 * samples.room : LIVE_FIRST, old_room = samples.room;
	struct live *old = samples.live, *fresh;

	if (room > LIVE_MAX)
		return false;
	fresh = mmap(NULL, room * sizeof(*fresh), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		return false;
	samples.live = fresh;
	samples.room = room;
	for (size_t i = 0; i < old_room; i++)
		if (old[i].at)
			live_place(&old[i]);
	if (old)
		munmap(old, old_room * sizeof(*old));
	return true;
}

static bool live_put(const struct live *entry)
{
	_Atomic uint16_t *filter = filter_of(entry->at);

	if (2 * (samples.count + 1) > samples.room && !live_grow())
		return false;
	live_place(entry);
	samples.count++;
	if (get(filter) != STUCK)
		set(filter, (uint16_t)(get(filter) + 1));
	return true;
}

static bool live_take(uintptr_t at, struct live *entry)
{
	_Atomic uint16_t *filter = filter_of(at);
	size_t mask = samples.room - 1, i, k;

	if (!samples.room)
		return false;
	for (i = live_slot(at); samples.live[i].at != at; i = (i + 1) & mask)
		if (!samples.live[i].at)
			return false;
	*entry = samples.live[i];
	/* What came after it moves up, where its own place allows it. */
	for (k = (i + 1) & mask; samples.live[k].at; k = (k + 1) & mask) {
		if (((k - live_slot(samples.live[k].at)) & mask) >= ((k - i) & mask)) {
			samples.live[i] = samples.live[k];
			i = k;
		}
	}
	samples.live[i].at = 0;
	samples.count--;
	if (get(filter) != STUCK)
		set(filter, (uint16_t)(get(filter) - 1));
	return true;
}

static uint64_t size_class(uint64_t size)
{
	unsigned int shift = size > 1024 ? 60u - (unsigned int)__builtin_clzll(size) : 0;

	return size >> shift << shift; /* the greatest four bits */
}

extern void *__libc_stack_end;

static uintptr_t stack_high(struct thread *t)
{
	pthread_attr_t attributes;
	void *low;
	size_t bytes;

	if (t->stack_high)
		return t->stack_high;
	t->stack_high = 1;
	t->stack_low = 0; /* the first thread's grows */
	if (syscall(SYS_gettid) == getpid()) {
		t->stack_high = (uintptr_t)__libc_stack_end & ~(uintptr_t)7;
	} else if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
		if (pthread_attr_getstack(&attributes, &low, &bytes) == 0) {
			t->stack_low = (uintptr_t)low;
			t->stack_high = ((uintptr_t)low + bytes) & ~(uintptr_t)7;
		}
		pthread_attr_destroy(&attributes);
	}
	return t->stack_high;
}

/* From malloc's caller on. */
static size_t walk(struct thread *t, uintptr_t caller, uintptr_t frame, uintptr_t *pcs)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0), low = sp, high;
	size_t depth = 0;

	pcs[depth++] = caller - 1;
	if (!atomic_load_explicit(&hooks_set, memory_order_acquire) || !hooks_now.bounds ||
		!hooks_now.bounds(sp, &low, &high)) {
		high = stack_high(t);
		/* Above it, or so far below that it is another one: what is in between may not be there. */
		if (sp >= high || sp < t->stack_low || high - sp > ((uintptr_t)8 << 20))
			return depth;
		low = sp;
	}
	return depth + gt_frames_walk(frame, low, high, pcs + depth, DEPTH_MAX - depth);
}

static void sum(struct gt_malloc_totals *totals)
{
	const struct thread *t = atomic_load(&threads);

	*totals = (struct gt_malloc_totals){
		get(&others.allocs), get(&others.frees), get(&others.alloc_bytes), get(&others.free_bytes)};
	for (; t; t = t->following) {
		totals->allocs += get(&t->counts.allocs);
		totals->frees += get(&t->counts.frees);
		totals->alloc_bytes += get(&t->counts.alloc_bytes);
		totals->free_bytes += get(&t->counts.free_bytes);
	}
}

/* ---- to a trace ---- */

static const _Atomic uint32_t no_gate;
static const _Atomic uint32_t *const no_gate_at = &no_gate;
static const _Atomic uint32_t *const *_Atomic gate = &no_gate_at;
static uint32_t every_bit;

static inline bool every(void)
{
	return get(*get(&gate)) & every_bit;
}

static bool is_told(void)
{
	return atomic_load_explicit(&hooks_set, memory_order_acquire) && hooks_now.event;
}

/* One of those that were sampled. */
static void gt__malloc_sampled(const void *at, uint64_t size, bool freed, uintptr_t pc, uintptr_t frame)
{
	struct gt_malloc_event event = {
		.at = at, .size = size, .freed = freed, .sampled = true, .pc = pc, .frame = frame};
	double rate = (double)get(&rate_now);
	struct gt_malloc_totals t;

	if (!is_told())
		return;
	sum(&t);
	event.tell = !every();
	event.weight = rate > 1 ? (uint64_t)(-(double)size / expm1(-(double)size / rate)) : size;
	event.live_bytes = t.alloc_bytes > t.free_bytes ? t.alloc_bytes - t.free_bytes : 0;
	event.live_objects = t.allocs > t.frees ? t.allocs - t.frees : 0;
	hooks_now.event(&event);
}

/* One of all. */
static __attribute__((noinline, cold)) void tell(
	const void *at, uint64_t size, bool freed, uintptr_t pc, uintptr_t frame)
{
	struct gt_malloc_event event = {
		.at = at, .size = size, .weight = size, .freed = freed, .tell = true, .pc = pc, .frame = frame};
	int error = errno;

	if (!is_told() || inside)
		return;
	inside = true;
	hooks_now.event(&event);
	inside = false;
	errno = error;
}

/* ---- which are taken ---- */

static void next_sample(struct thread *t)
{
	int64_t rate = get(&rate_now);
	double chance;

	t->epoch = get(&epoch);
	t->random = t->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	chance = (double)((t->random >> 11) + 1) * 0x1p-53; /* in (0, 1] */
	t->left = rate <= 0 ? INT64_MAX : rate == 1 ? 0 : (int64_t)(-log(chance) * (double)rate);
}

static __attribute__((noinline, cold)) void maybe_sample(
	struct thread *t, void *at, uint64_t size, uintptr_t caller, uintptr_t frame)
{
	uint64_t tags[GT_BUCKET_TAGS] = {size_class(size), 0, 0, 0};
	int error = errno;
	uintptr_t pcs[DEPTH_MAX];
	struct gt_bucket *bucket;
	sigset_t before;
	size_t depth;
	bool old = t->epoch != get(&epoch);

	next_sample(t);
	/* A new rate begins with this one; a thread's first. */
	if (old && (get(&rate_now) <= 0 || (t->left -= (int64_t)size) >= 0))
		return;
	if (old)
		next_sample(t);
	inside = true;
	depth = walk(t, caller, frame, pcs);
	lock(&before);
	bucket = gt_buckets_get(&samples.buckets, tags, pcs, depth);
	if (bucket) {
		bucket->values[0]++;
		bucket->values[1] += (int64_t)size;
		if (live_put(&(struct live){(uintptr_t)at, bucket, size})) {
			bucket->values[2]++;
			bucket->values[3] += (int64_t)size;
		} else {
			samples.lost++;
		}
	} else {
		samples.lost++;
	}
	unlock(&before);
	gt__malloc_sampled(at, size, false, caller, frame);
	inside = false;
	errno = error;
}

/* Was it sampled? Then it is not any more. */
static __attribute__((noinline, cold)) bool forget(void *at, struct live *entry)
{
	int error = errno;
	sigset_t before;
	bool found;

	lock(&before);
	found = live_take((uintptr_t)at, entry);
	if (found) {
		entry->bucket->values[2]--;
		entry->bucket->values[3] -= (int64_t)entry->size;
	}
	unlock(&before);
	if (found)
		gt__malloc_sampled(at, entry->size, true, 0, 0);
	errno = error;
	return found;
}

/* ---- what each call does ---- */

static inline void add(_Atomic uint64_t *to, uint64_t value)
{
	set(to, get(to) + value);
}

#define CALLER       ((uintptr_t)__builtin_return_address(0))
#define CALLER_FRAME (*(const uintptr_t *)__builtin_frame_address(0))

static inline __attribute__((always_inline)) void *made(void *at, uintptr_t caller, uintptr_t frame)
{
	struct thread *t = here;
	uint64_t size;

	if (UNLIKELY(!at))
		return at;
	size = next.usable(at);
	if (UNLIKELY(inside || (!t && !(t = join())))) {
		atomic_fetch_add(&others.allocs, 1);
		atomic_fetch_add(&others.alloc_bytes, size);
		return at;
	}
	add(&t->counts.allocs, 1);
	add(&t->counts.alloc_bytes, size);
	t->left -= (int64_t)size;
	if (UNLIKELY(t->left < 0 || t->epoch != get(&epoch)))
		maybe_sample(t, at, size, caller, frame);
	if (UNLIKELY(every()))
		tell(at, size, false, caller, frame);
	return at;
}

static inline __attribute__((always_inline)) void count_free(uint64_t size)
{
	struct thread *t = here;

	if (UNLIKELY(inside || (!t && !(t = join())))) {
		atomic_fetch_add(&others.frees, 1);
		atomic_fetch_add(&others.free_bytes, size);
		return;
	}
	add(&t->counts.frees, 1);
	add(&t->counts.free_bytes, size);
}

API void *malloc(size_t size)
{
	if (UNLIKELY(!ready()))
		return early_alloc(16, size);
	return made(next.malloc(size), CALLER, CALLER_FRAME);
}

API void free(void *at)
{
	struct live entry;
	uint64_t size;

	if (!at || UNLIKELY(is_early(at)) || UNLIKELY(!ready()))
		return;
	size = next.usable(at);
	count_free(size);
	if (UNLIKELY(every()))
		tell(at, size, true, 0, 0);
	if (UNLIKELY(get(filter_of((uintptr_t)at)) != 0))
		forget(at, &entry);
	next.free(at);
}

API void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (UNLIKELY(!ready())) /* the array is zeros, and used once */
		return __builtin_mul_overflow(count, size, &bytes) ? NULL : early_alloc(16, bytes);
	return made(next.calloc(count, size), CALLER, CALLER_FRAME);
}

static __attribute__((noinline, cold)) void *realloc_early(void *at, size_t size)
{
	void *fresh = ready() ? next.malloc(size) : early_alloc(16, size);

	if (fresh)
		memcpy(fresh, at, early_size(at) < size ? early_size(at) : size);
	return fresh;
}

API void *realloc(void *at, size_t size)
{
	struct live entry;
	bool sampled = false;
	uint64_t old;
	void *fresh;

	if (!at)
		return UNLIKELY(!ready()) ? early_alloc(16, size) : made(next.malloc(size), CALLER, CALLER_FRAME);
	if (UNLIKELY(is_early(at)))
		return realloc_early(at, size);
	if (UNLIKELY(!ready()))
		return NULL;
	old = next.usable(at);
	/* Before: afterwards another thread may have the address. */
	if (UNLIKELY(get(filter_of((uintptr_t)at)) != 0))
		sampled = forget(at, &entry);
	fresh = next.realloc(at, size);
	if (UNLIKELY(!fresh && size)) {
		if (sampled) {
			sigset_t before;
			int error = errno;

			lock(&before);
			if (live_put(&entry)) {
				entry.bucket->values[2]++;
				entry.bucket->values[3] += (int64_t)entry.size;
			}
			unlock(&before);
			errno = error;
		}
		return NULL;
	}
	count_free(old);
	if (UNLIKELY(every()))
		tell(at, old, true, 0, 0);
	return made(fresh, CALLER, CALLER_FRAME);
}

API void *reallocarray(void *at, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(at, bytes);
}

API void *memalign(size_t alignment, size_t size)
{
	if (UNLIKELY(!ready()))
		return early_alloc(alignment, size);
	return made(next.memalign(alignment, size), CALLER, CALLER_FRAME);
}

API void *aligned_alloc(size_t alignment, size_t size)
{
	if (UNLIKELY(!ready()))
		return early_alloc(alignment, size);
	return made(next.aligned_alloc(alignment, size), CALLER, CALLER_FRAME);
}

API int posix_memalign(void **out, size_t alignment, size_t size)
{
	int ret;

	if (UNLIKELY(!ready())) {
		*out = early_alloc(alignment, size);
		return *out ? 0 : ENOMEM;
	}
	ret = next.posix_memalign(out, alignment, size);
	if (ret == 0)
		made(*out, CALLER, CALLER_FRAME);
	return ret;
}

API void *valloc(size_t size)
{
	return memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

API void *pvalloc(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size > SIZE_MAX - page) {
		errno = ENOMEM;
		return NULL;
	}
	return memalign(page, (size + page - 1) & ~(page - 1));
}

API size_t malloc_usable_size(void *at)
{
	if (!at)
		return 0;
	return is_early(at) || !ready() ? early_size(at) : next.usable(at);
}

/* ---- for profiles ---- */

static int64_t set_rate(int64_t bytes)
{
	int64_t before = get(&rate_now);

	if (bytes >= 0) {
		atomic_store(&rate_now, bytes);
		atomic_fetch_add(&epoch, 1);
	}
	return before;
}

static uint64_t copy(struct gt_buckets *into)
{
	uint64_t lost;
	sigset_t before;

	lock(&before);
	lost = samples.lost;
	for (const struct gt_bucket *from = samples.buckets.first; from; from = from->next) {
		struct gt_bucket *to = gt_buckets_get(into, from->tags, from->pcs, from->depth);

		if (!to) {
			lost += (uint64_t)from->values[0];
			continue;
		}
		for (unsigned int i = 0; i < GT_BUCKET_VALUES; i++)
			to->values[i] += from->values[i];
	}
	unlock(&before);
	return lost;
}

static void set_hooks(const struct gt_malloc_hooks *hooks)
{
	if (atomic_load(&hooks_set))
		return;
	hooks_now = *hooks;
	atomic_store_explicit(&hooks_set, true, memory_order_release);
	if (hooks->gate && hooks->event) {
		every_bit = hooks->every;
		atomic_store(&gate, hooks->gate);
	}
}

extern const struct gt_malloc_api gt__malloc_api;
API const struct gt_malloc_api gt__malloc_api = {
	GT_MALLOC_API_VERSION, sizeof(struct gt_malloc_hooks), set_rate, sum, copy, set_hooks};

/* A child of fork has the one thread; the lock must be in order there. */
static sigset_t fork_mask;

static void fork_begin(void)
{
	sigset_t before;

	lock(&before);
	fork_mask = before;
}

static void fork_end(void)
{
	sigset_t before = fork_mask;

	unlock(&before);
}

static __attribute__((constructor)) void begin(void)
{
	const char *text = getenv("GT_HEAP_RATE");
	struct thread *t;

	ready();
	inside = true;
	if (text && *text) {
		char *end;
		long long rate = strtoll(text, &end, 10);

		if (*end == '\0' && rate >= 0)
			set_rate(rate);
	}
	key_made = pthread_key_create(&key, leave) == 0;
	t = here;
	if (t && key_made)
		pthread_setspecific(key, t);
	pthread_atfork(fork_begin, fork_end, fork_end);
	inside = false;
}
