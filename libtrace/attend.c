/* attend.c - the program's side of gtrace attach: see attend.h. */
#include "libtrace/attend.h"

#include "libtrace/embed.h"

#include <errno.h>
#include <gtrace/hooks.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 1000000000 /* is the recorder still there? */

/* Found by gtrace through this note: the distance from the note to it. */
extern struct gt_attend gt__attend __attribute__((visibility("hidden")));
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
__asm__(".pushsection .note.gtrace, \"a\", %note\n"
	".balign 4\n"
	".long 7, 8, " TEXT(GT_ATTEND_NOTE) "\n"
					    ".asciz \"gtrace\"\n"
					    ".balign 4\n"
					    ".quad gt__attend - .\n"
					    ".popsection\n");

struct gt_attend gt__attend = {
	.magic = GT_ATTEND_MAGIC,
	.abi = GT_ATTEND_ABI,
	.bytes = sizeof(struct gt_attend),
};

static _Atomic bool attended;
static struct gt_error error;

/* What gt__attend tells of, and who may write there writes it all: here is what is so. */
static struct {
	struct gt_attend_alive *alive;
	size_t alive_count, alive_room;
	uint32_t state;
	int result;
} own;

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* ---- requests ---- */

static bool opened(void)
{
	return atomic_load(&gt__own.pid) == getpid() && gt__own.kind == GT__OWN_ATTACHED;
}

/* Before what it lies in is written or freed: who reads it sees by this that it was not for him. */
static void no_list(void)
{
	own.alive_count = 0;
	gt__attend.alive_count = 0;
	__atomic_store_n(&gt__attend.alive, 0, __ATOMIC_SEQ_CST);
}

static int end(void)
{
	if (opened()) {
		gt__own_shut();
		atomic_store(&gt__own.pid, 0);
	}
	no_list();
	free(own.alive);
	own.alive = NULL;
	own.alive_room = 0;
	return 0;
}

/* Bytes that the machine could give without writing others' to a disk; 0: not known. */
static uint64_t memory_available(void)
{
	char line[128];
	uint64_t kib = 0;
	FILE *in = fopen("/proc/meminfo", "re");

	while (in && !kib && fgets(line, sizeof(line), in))
		sscanf(line, "MemAvailable: %" SCNu64, &kib);
	if (in)
		fclose(in);
	return kib << 10;
}

/* The pages are made at once: what asks for all that there is would end the program. */
static int affordable(const struct gt_shm_config *config)
{
	uint64_t bytes = config->max_bytes, available = memory_available();
	uint64_t blocks = (uint64_t)config->block_count * GT_BLOCK_BYTES;
	uint64_t tables = config->stack_slot_count * sizeof(struct gt_stack_slot) +
			  config->arena_words * sizeof(uint32_t) +
			  config->string_slot_count * sizeof(struct gt_string_slot) + config->string_bytes;

	if (blocks > bytes)
		bytes = blocks;
	if (!available || (bytes <= available / 2 && tables <= available / 2 - bytes))
		return 0;
	return gt_fail(&error, ENOMEM,
		"memory for a recording: more than half of the %" PRIu64 " MiB that are free: "
		"give a lower size",
		available >> 20);
}

static int make_memory(void)
{
	const struct gt_attend *a = &gt__attend;
	const struct gt_shm_config config = {
		.block_count = a->block_count,
		.max_bytes = a->max_bytes,
		.mode = a->mode ? GT_MODE_FLIGHT : GT_MODE_STREAM,
		.m_count = a->m_count,
		.m_limit = a->m_limit,
		.stack_slot_count = a->stack_slot_count,
		.arena_words = a->arena_words,
		.stack_depth = a->stack_depth,
		.string_slot_count = a->string_slot_count,
		.string_bytes = a->string_bytes,
	};
	int ret;

	end();
	/* What is made here stays: a table that threads have filled would have no M for goroutines that are on none, ever. */
	if (config.m_count && config.m_count < GT_MS_A_PAGE)
		return gt_fail(&error, EINVAL, "memory for a recording: %u threads are too few", config.m_count);
	if (!gt__connected()) {
		ret = affordable(&config);
		if (ret < 0)
			return ret;
	}
	ret = gt__own_free("a recording", "by gtrace", &error);
	if (ret >= 0)
		ret = gt__own_memory(&config, &error);
	if (ret < 0)
		return ret;
	gt__attend.fd = gt__connected()->fd;
	return 0;
}

static void tell_alive(const struct gt_hook_alive *list, size_t count, uint32_t m)
{
	gt__attend.none_m = m;
	if (own.alive_count + count > own.alive_room) {
		size_t room = 2 * own.alive_room + count + 1024;
		struct gt_attend_alive *more = realloc(own.alive, room * sizeof(*more));

		if (!more)
			return; /* they are told by their own first events, or not at all */
		own.alive = more;
		own.alive_room = room;
	}
	for (size_t i = 0; i < count; i++)
		own.alive[own.alive_count++] = (struct gt_attend_alive){
			.g = list[i].g,
			.parent = list[i].parent,
			.start = (uint64_t)(uintptr_t)list[i].start,
			.m = list[i].m,
			.p = list[i].p,
			.state = list[i].state,
			.reason = list[i].reason,
			.stack = list[i].stack,
		};
	gt__attend.alive = (uint64_t)(uintptr_t)own.alive;
	gt__attend.alive_count = own.alive_count;
}

static int list_standing(void)
{
	struct gt_hook_alive *list;
	size_t count;
	int ret;

	if (!gt__connected())
		return gt_fail(&error, EPROTO, "nothing is recorded");
	ret = gt__own_standing(&list, &count);
	if (ret < 0)
		return gt_fail(&error, -ret, "%s", gt_standing_missing(ret));
	no_list();
	tell_alive(list, count, gt__attend.none_m);
	free(list);
	return 0;
}

static int open_gate(void)
{
	uint32_t sets = gt__attend.sets;

	if (own.state != GT_ATTEND_MEMORY || !gt__connected())
		return gt_fail(&error, EPROTO, "there is no memory yet");
	if (!sets || sets >> GT_GATE_SETS)
		return gt_fail(&error, EPROTO, "this program's libtrace does not know what is to be recorded");
	gt_shm_touch(gt__connected());
	gt__own_turn(sets, gt__attend.since);
	gt__own.kind = GT__OWN_ATTACHED;
	atomic_store(&gt__own.pid, getpid());
	gt__own_open();
	gt__own_alive(tell_alive);
	return 0;
}

static int serve(enum gt_attend_what what)
{
	int ret;

	error.text[0] = '\0';
	gt__own_lock();
	ret = what == GT_ATTEND_MEMORY  ? make_memory()
	      : what == GT_ATTEND_OPEN  ? open_gate()
	      : what == GT_ATTEND_CLOSE ? end()
	      : what == GT_ATTEND_LIST  ? list_standing()
				       : gt_fail(&error, EPROTO, "this program's libtrace does not know what is asked");
	gt__own_unlock();
	if (ret >= 0 && !(what == GT_ATTEND_LIST && opened()))
		own.state = what;
	own.result = ret;
	gt__attend.state = own.state;
	snprintf(gt__attend.text, sizeof(gt__attend.text), "%.255s", ret < 0 ? error.text : "");
	gt__attend.result = ret < 0 ? ret : 0;
	return ret;
}

/* ---- the thread that answers ---- */

static bool owner_gone(void)
{
	pid_t owner = (pid_t)load(&gt__attend.owner);

	return owner > 0 && kill(owner, 0) < 0 && errno == ESRCH;
}

static void *attend(void *arg)
{
	const struct timespec limit = {.tv_nsec = LOOK_NS % 1000000000, .tv_sec = LOOK_NS / 1000000000};

	(void)arg;
	pthread_setname_np(pthread_self(), "gtrace");
	store(&gt__attend.attendant, (uint32_t)gettid());
	for (;;) {
		uint32_t request = load(&gt__attend.request);

		if (request != load(&gt__attend.answer)) {
			serve(request & 15);
			store(&gt__attend.answer, request);
		} else if (owner_gone()) {
			serve(GT_ATTEND_CLOSE);
		} else if (syscall(SYS_futex, &gt__attend.request, FUTEX_WAIT_PRIVATE, request, &limit, NULL, 0) < 0 &&
			   errno == ETIMEDOUT && own.state == GT_ATTEND_LIST) {
			serve(GT_ATTEND_CLOSE); /* the list was read long ago */
		}
		if (own.state == GT_ATTEND_CLOSE || (own.result < 0 && !own.state))
			break;
	}
	store(&gt__attend.attendant, 0);
	atomic_store(&attended, false);
	return NULL;
}

static void begin(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	bool none = false;

	if (!atomic_compare_exchange_strong(&attended, &none, true))
		return;
	/* The program's signals are its own threads' business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, attend, NULL) != 0)
		atomic_store(&attended, false);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool gt_hook_watch(_Atomic uint32_t *asleep)
{
	if (__builtin_expect(!gt__attend.asleep, 0)) {
		gt__attend.looker = (uint32_t)gettid();
		__atomic_store_n(&gt__attend.asleep, (uint64_t)(uintptr_t)asleep, __ATOMIC_RELEASE);
	}
	if (__builtin_expect(load(&gt__attend.request) == load(&gt__attend.answer), 1))
		return false;
	begin();
	return true;
}
