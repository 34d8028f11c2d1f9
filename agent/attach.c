/* attach.c - puts hooks into a running Go process, and takes them out. */
#include "agent/attach.h"

#include "agent/agent_internal.h"
#include "agent/attach_internal.h"
#include "agent/process.h"
#include "agent/remote.h"
#include "agent/seccomp.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STOP_NS        200000000  /* of one try to stop all threads */
#define GIVE_UP_NS     5000000000 /* of all tries */
#define SETTLE_TRIES   40         /* after that a change under way is accepted, and told */
#define DRAIN_TRIES    200
#define START_TRIES    100
#define START_NAP_NS   10000000
#define CODE_BYTES_MAX (1u << 20)
#define POPULATE_MAX   (8u << 20)
#define ORPHANS_MAX    16
#define MS_KEPT        1024 /* the lowest ids always have their lines */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* ---- signals: none of gtrace's own may come while the process stands ---- */

static void hold_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, before);
}

static void nap_ns(int64_t ns)
{
	const struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	nanosleep(&time, NULL);
}

/* ---- stops ---- */

static void go_on(struct gt_attach *attach)
{
	struct gt_attach_view *view = &attach->view;

	view->threads = attach->threads.count;
	gt_threads_go(&attach->threads);
	view->stops++;
	view->stop_ns_total += attach->threads.stop_ns;
	if (attach->threads.stop_ns > view->stop_ns_longest)
		view->stop_ns_longest = attach->threads.stop_ns;
}

/* A thread that can be made to do something; one that sleeps is disturbed least. */
static struct gt_thread *worker(struct gt_attach *attach)
{
	struct gt_thread *best = NULL;

	for (size_t i = 0; i < attach->threads.count; i++) {
		struct gt_thread *thread = &attach->threads.list[i];

		if (!thread->plain || thread->gone || !thread->stopped)
			continue;
		if (!best || (int64_t)thread->regs.orig_rax == SYS_futex)
			best = thread;
		if ((int64_t)thread->regs.orig_rax == SYS_futex)
			break;
	}
	return best;
}

/* A gtrace that was killed has left a thread in a call for it: it comes back by itself. */
static bool in_stub(const struct gt_attach *attach)
{
	for (size_t i = 0; i < attach->threads.count; i++) {
		const struct gt_thread *thread = &attach->threads.list[i];

		if (!thread->gone && thread->stopped && thread->regs.rip - attach->stub < gt_remote_stub_bytes())
			return true;
	}
	return false;
}

static enum gt_standing worst_standing(struct gt_attach *attach)
{
	enum gt_standing worst = GT_STANDING_WELL;

	for (size_t i = 0; i < attach->threads.count && worst != GT_STANDING_BAD; i++) {
		const struct gt_thread *thread = &attach->threads.list[i];
		enum gt_standing one;

		if (thread->gone || !thread->stopped)
			continue;
		one = gt_standing(&attach->places, attach->view.pid, thread);
		if (one > worst)
			worst = one;
	}
	return worst;
}

/*
 * Stops all threads, as often as needed until what stands is not worse than @accept (after SETTLE_TRIES: than CHANGING) and one of
 * them can be put to work.
 */
static int stop_standing(
	struct gt_attach *attach, enum gt_standing accept, enum gt_standing *stands, struct gt_error *err)
{
	int64_t until_ns = gt_monotonic_ns() + GIVE_UP_NS;

	for (unsigned int tries = 1;; tries++) {
		int ret = gt_threads_stop(&attach->threads, STOP_NS, err);

		if (ret < 0 && ret != -EAGAIN)
			return ret;
		if (ret >= 0) {
			bool able = worker(attach) && !in_stub(attach);

			if (!gt__attach_same_program(attach)) {
				go_on(attach);
				return gt_fail(err, ESRCH,
					"cannot attach: process %d runs another program than a moment ago",
					(int)attach->view.pid);
			}
			*stands = accept == GT_STANDING_BAD ? GT_STANDING_WELL : worst_standing(attach);
			if (able && (*stands <= accept || (*stands == GT_STANDING_CHANGING && tries > SETTLE_TRIES)))
				return 0;
			go_on(attach);
			gt_fail(err, EAGAIN,
				"cannot attach: process %d has no moment at which its code may be changed: try again",
				(int)attach->view.pid);
		}
		if (gt_monotonic_ns() > until_ns)
			return -EAGAIN;
		nap_ns(200000 + tries % 7 * 150000);
	}
}

/* ---- calls in the process ---- */

static int64_t call(struct gt_remote *remote, enum gt_remote_call how, const char *what, uint64_t number,
	const uint64_t arguments[6], struct gt_error *err)
{
	bool failed;
	int64_t result = gt_remote_call(remote, how, number, arguments, &failed, err);

	if (failed)
		return result < 0 ? result : -EIO;
	if (result < 0 && result >= -4095)
		return gt_fail(err, (int)-result, "the process could not %s: %s", what, strerror((int)-result));
	return result;
}

/* The memory's file. Its name must stand in the process: the stub's own first bytes do, "gtrace1". */
static int64_t make_file(struct gt_attach *attach, struct gt_remote *remote, int *memfd, struct gt_error *err)
{
	const uint64_t arguments[6] = {attach->stub, MFD_CLOEXEC | MFD_ALLOW_SEALING};
	int64_t fd = call(remote, GT_REMOTE_DESCRIPTOR, "make memory", SYS_memfd_create, arguments, err);
	char path[64];

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)attach->view.pid, (int)fd);
	*memfd = open(path, O_RDWR | O_CLOEXEC);
	if (*memfd < 0) {
		int code = errno;

		call(remote, GT_REMOTE_PLAIN, "close", SYS_close, (const uint64_t[6]){(uint64_t)fd}, NULL);
		return gt_fail(err, code, "cannot open %s: %s", path, strerror(code));
	}
	return fd;
}

static int find_code_place(struct gt_attach *attach, struct gt_error *err)
{
	struct gt__mapping *mappings;
	size_t count;
	int ret = gt__mappings_read(attach->view.pid, &mappings, &count, err);

	if (ret < 0)
		return ret;
	ret = gt__near_find(mappings, count, attach->places.text_lo, attach->places.text_hi, attach->code_size,
		&attach->code_address, err);
	free(mappings);
	return ret;
}

/* The kernel may have put the rings where the code was to go: a static PIE lies where mmap looks first. */
static int keep_apart(struct gt_attach *attach, struct gt_error *err)
{
	if (attach->rings >= attach->code_address + attach->code_size + GT__PAGE ||
		attach->code_address >= attach->rings + attach->rings_size + GT__PAGE)
		return 0;
	return find_code_place(attach, err);
}

static int map_both(struct gt_attach *attach, struct gt_remote *remote, int *memfd, struct gt_error *err)
{
	int64_t fd = make_file(attach, remote, memfd, err), rings, code;

	if (fd < 0)
		return (int)fd;
	rings = call(remote, GT_REMOTE_WITH, "map memory", SYS_mmap,
		(const uint64_t[6]){0, attach->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED, (uint64_t)fd, 0}, err);
	call(remote, GT_REMOTE_PLAIN, "close", SYS_close, (const uint64_t[6]){(uint64_t)fd}, NULL);
	if (rings < 0)
		return (int)rings;
	attach->rings = (uint64_t)rings;
	code = keep_apart(attach, err);
	if (code >= 0)
		code = call(remote, GT_REMOTE_PLAIN, "map memory for the hooks", SYS_mmap,
			(const uint64_t[6]){attach->code_address, attach->code_size, PROT_READ | PROT_EXEC,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ull, 0},
			err);
	if (code >= 0 && (uint64_t)code != attach->code_address) {
		call(remote, GT_REMOTE_PLAIN, "unmap", SYS_munmap,
			(const uint64_t[6]){(uint64_t)code, attach->code_size}, NULL);
		code = gt_fail(
			err, EEXIST, "the hooks' code was mapped elsewhere: this kernel is too old (before 4.17)");
	}
	if (code < 0) {
		call(remote, GT_REMOTE_PLAIN, "unmap", SYS_munmap,
			(const uint64_t[6]){attach->rings, attach->rings_size}, NULL);
		attach->rings = 0;
	}
	return code < 0 ? (int)code : 0;
}

/* One of both; 0 is nothing. */
static int unmap_one(struct gt_remote *remote, uint64_t *address, uint64_t size, struct gt_error *err)
{
	int64_t ret = 0;

	if (*address)
		ret = call(
			remote, GT_REMOTE_PLAIN, "unmap memory", SYS_munmap, (const uint64_t[6]){*address, size}, err);
	if (ret < 0)
		return (int)ret;
	*address = 0;
	return 0;
}

/*
 * The code's first page tells of the rings, but not of what may be in their place a moment later, if we die in between. So that is struck out
 * there; where that cannot be done the code goes first, and the rings would stay for nothing.
 */
static int unmap_both(struct gt_attach *attach, struct gt_remote *remote, struct gt_error *err)
{
	static const uint64_t nothing[2] = {0, 0};
	int ret = 0;

	if (attach->code_sealed)
		ret = unmap_one(remote, &attach->code_address, attach->code_size, err);
	else if (attach->rings && attach->code_address)
		ret = gt__memory_write(attach->memory, remote->thread->tid,
			attach->code_address + offsetof(struct gt_hookpage, rings), nothing, sizeof(nothing));
	if (ret >= 0)
		ret = unmap_one(remote, &attach->rings, attach->rings_size, err);
	if (ret >= 0)
		ret = unmap_one(remote, &attach->code_address, attach->code_size, err);
	attach->code_sealed = attach->code_sealed && ret < 0;
	return ret;
}

typedef int work_fn(struct gt_attach *attach, struct gt_remote *remote, void *context, struct gt_error *err);

/* All threads stand: one of them does @work, and is as it was. */
static int with_worker(struct gt_attach *attach, work_fn *work, void *context, struct gt_error *err)
{
	struct gt_remote remote;
	struct gt_error later;
	int ret = gt_remote_begin(&remote, worker(attach), attach->memory, attach->stub, attach->original, err), end;

	if (ret < 0)
		return ret;
	ret = work(attach, &remote, context, err);
	end = gt_remote_end(&remote, &later);
	if (ret >= 0 && end < 0 && err)
		*err = later;
	return ret < 0 ? ret : end;
}

/* Whoever comes next finds an owner here, from the first moment on. */
static int write_page(struct gt_attach *attach, struct gt_error *err)
{
	uint8_t page[GT_HOOKPAGE_BYTES];
	int ret;

	gt_hookpage_fill(
		page, attach->patches, attach->patch_count, attach->code_size, attach->rings, attach->rings_size);
	ret = gt__memory_write(attach->memory, attach->threads.count ? attach->threads.list[0].tid : 0,
		attach->code_address, page, sizeof(page));
	return ret < 0 ? gt_fail(err, -ret, "cannot write into the process: %s", strerror(-ret)) : 0;
}

static int map_work(struct gt_attach *attach, struct gt_remote *remote, void *context, struct gt_error *err)
{
	int ret = map_both(attach, remote, context, err);

	if (ret >= 0) {
		ret = write_page(attach, err);
		if (ret < 0 && unmap_one(remote, &attach->rings, attach->rings_size, NULL) >= 0)
			unmap_one(remote, &attach->code_address, attach->code_size, NULL);
	}
	return ret < 0 ? gt_fail_prefix(err, ret, "cannot attach: process %d", (int)attach->view.pid) : 0;
}

static int unmap_work(struct gt_attach *attach, struct gt_remote *remote, void *context, struct gt_error *err)
{
	struct gt__orphan orphans[ORPHANS_MAX];
	int ret = unmap_both(attach, remote, err);
	size_t count = ret < 0 ? 0 : gt__attach_orphans(attach, orphans, ORPHANS_MAX);

	(void)context;
	for (size_t i = 0; i < count; i++)
		unmap_one(remote, &orphans[i].address, orphans[i].size, NULL);
	return ret;
}

/* ---- open ---- */

/* Hooks of a gtrace that was killed: out with them, as if they were ours. One that started the program may have moved a call, which attach does not
 * do: then goroutines that wait may come back to the copy. */
static int take_over(struct gt_attach *attach, uint64_t at, const struct gt_hookpage *page, struct gt_error *err)
{
	for (uint32_t i = 0; i < page->site_count; i++) {
		struct gt_patch *patch = &attach->patches[i];
		struct gt_site site = {.used = page->sites[i].size};

		memcpy(site.original, page->sites[i].original, sizeof(site.original));
		if (gt_site_calls(&site))
			return gt_fail(err, ENOTSUP,
				"cannot attach: hooks of an earlier gtrace are in process %d, and cannot be taken out "
				"of a running program",
				(int)attach->view.pid);
		patch->address = page->sites[i].address;
		patch->original_size = page->sites[i].size;
		memcpy(patch->bytes, page->sites[i].jump, sizeof(patch->bytes));
		memcpy(patch->original, page->sites[i].original, sizeof(patch->original));
	}
	attach->code_address = at;
	attach->code_size = page->size;
	attach->rings = page->rings;
	attach->rings_size = page->rings_size;
	attach->patch_count = page->site_count;
	attach->patched = true;
	return 0;
}

/* A function that ran once, before the first goroutine: there is one, so it is over. */
static int find_stub_place(struct gt_attach *attach, struct gt_error *err)
{
	struct gt_gofunction function;
	struct gt_goroutine *list;
	size_t count = 0;
	int ret;

	if (!gt_pclntab_find(attach->view.bin->pclntab, "runtime.schedinit", &function) ||
		function.size < gt_remote_stub_bytes())
		return gt_fail(err, ENOTSUP, "cannot attach: process %d: runtime.schedinit is not in the program",
			(int)attach->view.pid);
	attach->stub = function.va + attach->view.slide;
	attach->original = gt_elf_at(&attach->view.bin->image, function.va, function.size);
	if (!attach->original)
		return gt_fail(
			err, ENOTSUP, "cannot attach: process %d: its file lacks its code", (int)attach->view.pid);
	for (int tries = 0; tries < START_TRIES; tries++) {
		ret = gt_attach_goroutines(attach, &list, &count, err);
		if (ret >= 0)
			free(list);
		if (ret >= 0 && count)
			return 0;
		if (ret < 0 && ret != -EAGAIN)
			break;
		nap_ns(START_NAP_NS);
	}
	return ret < 0 ? gt_fail_prefix(err, ret, "cannot attach: process %d", (int)attach->view.pid)
		       : gt_fail(err, EAGAIN, "cannot attach: process %d has no goroutine yet: try again",
				 (int)attach->view.pid);
}

int gt_attach_open(pid_t pid, struct gt_attach **out, struct gt_error *err)
{
	struct gt_attach *attach = calloc(1, sizeof(*attach));
	struct gt_hookpage page;
	uint64_t at;
	int ret;

	if (!attach)
		return gt_fail(err, ENOMEM, "out of memory");
	attach->memory = -1;
	attach->view.pid = attach->threads.pid = pid;
	ret = gt__attach_look(attach, err);
	attach->view.exe = attach->exe;
	attach->view.program = attach->program;
	if (ret >= 0)
		ret = find_stub_place(attach, err);
	if (ret >= 0)
		ret = gt__attach_lock(attach, err);
	if (ret >= 0)
		ret = gt__attach_leftover(attach, &at, &page, err);
	if (ret > 0) {
		gt_places_make(
			attach->view.bin, attach->view.layout, &attach->hooks, attach->view.slide, &attach->places);
		ret = take_over(attach, at, &page, err);
		if (ret >= 0)
			ret = gt_attach_detach(attach, err);
		if (ret >= 0 && attach->view.left_mapped)
			ret = gt_fail(err, EAGAIN,
				"cannot attach: hooks of an earlier gtrace are in process %d, and a thread stays in "
				"them: try again",
				(int)pid);
		attach->view.stops = 0;
		attach->view.stop_ns_longest = attach->view.stop_ns_total = 0;
	}
	if (ret < 0) {
		gt_attach_close(attach);
		return ret;
	}
	*out = attach;
	return 0;
}

void gt_attach_close(struct gt_attach *attach)
{
	if (!attach)
		return;
	gt_gobin_close(attach->view.bin);
	if (attach->memory >= 0)
		close(attach->memory);
	gt_threads_free(&attach->threads);
	free(attach);
}

const struct gt_attach_view *gt_attach_view(const struct gt_attach *attach)
{
	return &attach->view;
}

/* ---- map ---- */

/* A return address into the hooks would stay on a stack for as long as the goroutine waits. */
static int check_sites(const struct gt_attach *attach, struct gt_error *err)
{
	for (size_t i = 0; i < attach->hooks.count; i++) {
		const struct gt_site *site = &attach->hooks.probes[i].site;

		if (gt_site_calls(site))
			return gt_fail(err, ENOTSUP, "cannot hook %s in a running program: there is a call in the way",
				attach->hooks.names[i]);
	}
	return 0;
}

/* While the threads stand: what each M's id is. fs_base leads to it. */
static size_t note_threads(struct gt_attach *attach, uint64_t **bases, pid_t **tids)
{
	size_t count = attach->threads.count;

	*bases = calloc(count + 1, sizeof(**bases));
	*tids = calloc(count + 1, sizeof(**tids));
	if (!*bases || !*tids)
		return 0;
	for (size_t i = 0; i < count; i++) {
		(*bases)[i] = attach->threads.list[i].regs.fs_base;
		(*tids)[i] = attach->threads.list[i].tid;
		if ((int64_t)attach->threads.list[i].regs.orig_rax == SYS_futex)
			attach->idle = (*tids)[i];
	}
	return count;
}

static struct gt_goread reader(const struct gt_attach *attach)
{
	return (struct gt_goread){.pid = attach->view.pid, .allgs = attach->allgs, .layout = attach->view.layout};
}

static void find_highest_m(struct gt_attach *attach, const uint64_t *bases, const pid_t *tids, size_t count)
{
	const struct gt_goread read = reader(attach);

	memset(attach->ms_gone, 0xff, sizeof(attach->ms_gone));
	for (size_t i = 0; i < count; i++) {
		uint64_t m = gt_goread_m_of_thread(&read, attach->view.foreign ? 0 : tids[i], bases[i]);

		if (m >= GT_M_IDS_MAX)
			continue;
		if (m > attach->view.m_highest)
			attach->view.m_highest = m;
		m /= GT_MS_A_PAGE;
		attach->ms_gone[m / 64] &= ~(1ull << m % 64);
	}
	for (uint64_t page = 0, pages = sizeof(attach->ms_gone) * 8; page < pages; page++)
		if (page < MS_KEPT / GT_MS_A_PAGE || page >= attach->view.m_highest / GT_MS_A_PAGE)
			attach->ms_gone[page / 64] &= ~(1ull << page % 64);
	if (count)
		attach->view.ms_gone = attach->ms_gone;
}

/* All that it will be made to call, as far as a filter may look at it. */
static int check_filters(struct gt_attach *attach, struct gt_error *err)
{
	const struct gt_call calls[] = {
		{"getpid", SYS_getpid, {0}},
		{"memfd_create", SYS_memfd_create, {attach->stub, MFD_CLOEXEC | MFD_ALLOW_SEALING}},
		{"mmap", SYS_mmap, {0, attach->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0}},
		{"mmap", SYS_mmap,
			{attach->code_address, attach->code_size, PROT_READ | PROT_EXEC,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~0ull, 0}},
		{"close", SYS_close, {3}},
		{"membarrier", SYS_membarrier, {MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED}},
		{"madvise", SYS_madvise, {attach->stub & ~(GT__PAGE - 1), GT__PAGE, MADV_POPULATE_WRITE}},
		{"munmap", SYS_munmap, {attach->code_address, attach->code_size}},
	};
	int ret = gt_seccomp_check(worker(attach)->tid, calls, sizeof(calls) / sizeof(calls[0]), err);

	return ret < 0 ? gt_fail_prefix(err, ret, "cannot attach: process %d", (int)attach->view.pid) : 0;
}

static int map_stopped(struct gt_attach *attach, int *memfd, struct gt_error *err)
{
	struct gt_hookpage page;
	uint64_t at;
	int ret = gt__attach_leftover(attach, &at, &page, err);

	if (ret > 0)
		ret = gt_fail(
			err, EBUSY, "cannot attach: process %d is traced by another gtrace", (int)attach->view.pid);
	if (ret >= 0)
		ret = find_code_place(attach, err);
	if (ret >= 0)
		ret = check_filters(attach, err);
	if (ret >= 0)
		ret = with_worker(attach, map_work, memfd, err);
	if (ret < 0)
		attach->code_address = 0;
	return ret;
}

int gt_attach_map(struct gt_attach *attach, bool stacks, uint32_t sets, const char *skip_hook, uint64_t rings_size,
	int *memfd, struct gt_error *err)
{
	enum gt_standing stands;
	uint64_t *bases = NULL;
	pid_t *tids = NULL;
	sigset_t before;
	size_t count = 0;
	int ret = gt_gohooks_find(attach->view.bin, attach->view.layout, stacks, sets, skip_hook, &attach->hooks, err);

	*memfd = -1;
	if (ret >= 0)
		ret = check_sites(attach, err);
	if (ret < 0)
		return gt_fail_prefix(err, ret, "cannot attach: process %d", (int)attach->view.pid);
	gt_places_make(attach->view.bin, attach->view.layout, &attach->hooks, attach->view.slide, &attach->places);
	attach->rings_size = rings_size;
	attach->code_size = GT_HOOKPAGE_BYTES + gt_probe_code_size(attach->hooks.probes, attach->hooks.count);
	attach->patch_count = 0;
	hold_signals(&before);
	ret = stop_standing(attach, GT_STANDING_BAD, &stands, err);
	if (ret >= 0) {
		ret = map_stopped(attach, memfd, err);
		count = note_threads(attach, &bases, &tids);
		go_on(attach);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (ret >= 0)
		find_highest_m(attach, bases, tids, count);
	free(bases);
	free(tids);
	if (ret < 0 && *memfd >= 0) {
		close(*memfd);
		*memfd = -1;
	}
	return ret;
}

/* ---- patch ---- */

static int build_code(struct gt_attach *attach, const struct gt_memory *memory, uint8_t **out, struct gt_error *err)
{
	struct gt_probe_values values;
	uint8_t *code = malloc(attach->code_size);
	int ret;

	if (!code)
		return gt_fail(err, ENOMEM, "out of memory");
	ret = gt__agent_values(
		memory, attach->view.bin, attach->view.layout, attach->view.slide, attach->rings, &values, err);
	if (ret >= 0)
		ret = gt_probe_build(attach->hooks.probes, attach->hooks.count, &values, attach->view.slide,
			attach->code_address + GT_HOOKPAGE_BYTES, code + GT_HOOKPAGE_BYTES, attach->patches, err);
	if (ret < 0) {
		free(code);
		return ret;
	}
	attach->patch_count = attach->hooks.count;
	gt_hookpage_fill(
		code, attach->patches, attach->patch_count, attach->code_size, attach->rings, attach->rings_size);
	*out = code;
	return 0;
}

/* One thread that slept at the last stop does @work, while the others run. False: there is none, or it does something else now. */
static bool with_sleeper(struct gt_attach *attach, work_fn *work, void *context, int *ret, struct gt_error *err)
{
	bool able;

	if (!attach->idle || gt_threads_stop_one(&attach->threads, attach->idle, STOP_NS, NULL) < 0)
		return false;
	able = worker(attach) && (int64_t)worker(attach)->regs.orig_rax == SYS_futex;
	if (able)
		*ret = with_worker(attach, work, context, err);
	gt_threads_go(&attach->threads);
	return able;
}

static bool populate(
	struct gt_attach *attach, struct gt_remote *remote, uint64_t offset, uint64_t bytes, struct gt_error *err)
{
	bool failed;

	gt_remote_call(remote, GT_REMOTE_PLAIN, SYS_madvise,
		(const uint64_t[6]){attach->rings + offset / GT__PAGE * GT__PAGE,
			(bytes + GT__PAGE - 1) / GT__PAGE * GT__PAGE, MADV_POPULATE_WRITE},
		&failed, err);
	return !failed;
}

/* What takes long, and what may fail. The lines of Ms that will never be used have no pages. */
static int populate_work(struct gt_attach *attach, struct gt_remote *remote, void *context, struct gt_error *err)
{
	const struct gt_memory *memory = context;
	const uint64_t blocks = (uint64_t)memory->block_count * GT_BLOCK_BYTES;
	const uint64_t pieces[][2] = {
		{0, memory->ms_offset},
		{memory->stacks_offset, memory->blocks_offset - memory->stacks_offset},
		{memory->blocks_offset, blocks < POPULATE_MAX ? blocks : POPULATE_MAX},
	};
	bool failed;
	int64_t result = gt_remote_call(remote, GT_REMOTE_PLAIN, SYS_membarrier,
		(const uint64_t[6]){MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED}, &failed, err);

	attach->view.membarrier = !failed && result == 0;
	for (size_t i = 0; i < 3 && !failed; i++)
		failed = !populate(attach, remote, pieces[i][0], pieces[i][1], err);
	/* Lines that are there, in pieces. */
	for (uint32_t m = gt_shm_next_m(memory, 0), end; m < memory->m_limit && !failed;
		m = gt_shm_next_m(memory, end)) {
		for (end = m; end < memory->m_limit && gt_shm_next_m(memory, end) == end;)
			end += GT_MS_A_PAGE;
		failed = !populate(attach, remote, memory->ms_offset + (uint64_t)m * GT_M_BYTES,
			(uint64_t)(end - m) * GT_M_BYTES, err);
	}
	return 0;
}

static int check_bytes(const struct gt_attach *attach, struct gt_error *err)
{
	for (size_t i = 0; i < attach->patch_count; i++) {
		const struct gt_patch *patch = &attach->patches[i];
		uint8_t found[GT_SITE_WINDOW_MAX];
		int ret = gt__memory_read(attach->memory, patch->address, found, patch->original_size);

		if (ret < 0 || memcmp(found, patch->original, patch->original_size))
			return gt_fail(err, EBADMSG,
				"cannot attach: process %d: its code is not what its file says: a debugger's "
				"breakpoint, "
				"or another tracer's hooks?",
				(int)attach->view.pid);
	}
	return 0;
}

/* The bytes @original, or the jumps. */
static int write_sites(struct gt_attach *attach, bool original, struct gt_error *err)
{
	pid_t tid = attach->threads.list[0].tid;

	for (size_t i = 0; i < attach->patch_count; i++) {
		const struct gt_patch *patch = &attach->patches[i];
		int ret = gt__memory_write(attach->memory, tid, patch->address,
			original ? patch->original : patch->bytes, GT_SITE_JUMP_SIZE);

		if (ret < 0)
			return gt_fail(
				err, -ret, "cannot write into process %d: %s", (int)attach->view.pid, strerror(-ret));
	}
	return 0;
}

static int patch_stopped(struct gt_attach *attach, const uint8_t *code, bool code_written, struct gt_error *err)
{
	int ret = check_bytes(attach, err);

	if (ret >= 0 && !code_written) {
		ret = gt__memory_write(
			attach->memory, attach->threads.list[0].tid, attach->code_address, code, attach->code_size);
		if (ret < 0)
			gt_fail(err, -ret, "cannot write into process %d: %s", (int)attach->view.pid, strerror(-ret));
	}
	if (ret < 0)
		return ret;
	attach->patched = true;
	ret = write_sites(attach, false, err);
	if (ret < 0)
		write_sites(attach, true, NULL);
	return ret;
}

int gt_attach_patch(struct gt_attach *attach, const struct gt_memory *memory, struct gt_error *err)
{
	struct gt_memory populated = *memory;
	enum gt_standing stands = GT_STANDING_WELL;
	bool code_written;
	sigset_t before;
	uint8_t *code = NULL;
	int ret;

	gt__agent_reserve_slot_0(memory);
	ret = build_code(attach, memory, &code, err);
	if (ret < 0)
		return ret;
	code_written = gt__memory_write(attach->memory, 0, attach->code_address, code, attach->code_size) == 0;
	hold_signals(&before);
	with_sleeper(attach, populate_work, &populated, &ret, err);
	ret = stop_standing(attach, GT_STANDING_WELL, &stands, err);
	if (ret >= 0) {
		ret = patch_stopped(attach, code, code_written, err);
		attach->view.ticks = gt_ticks();
		attach->view.settled = stands == GT_STANDING_WELL;
		attach->view.hooks = attach->patch_count;
		go_on(attach);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	free(code);
	return ret;
}

/* ---- goroutines ---- */

int gt_attach_goroutines(struct gt_attach *attach, struct gt_goroutine **list, size_t *count, struct gt_error *err)
{
	const struct gt_goread read = reader(attach);

	return gt_goread_all(&read, list, count, err);
}

int gt_attach_goroutines_again(struct gt_attach *attach, struct gt_goroutine *list, size_t *count, struct gt_error *err)
{
	const struct gt_goread read = reader(attach);
	int ret = gt_goread_again(&read, list, count, err);
	uint64_t word;

	/* This file is the memory of the program that got the hooks, also after an exec. */
	if (ret >= 0 && gt__memory_read(attach->memory, attach->allgs, &word, sizeof(word)) < 0)
		ret = gt_fail(err, ESRCH,
			"cannot attach: process %d has ended, or runs another program than a moment ago",
			(int)attach->view.pid);
	return ret;
}

void gt_attach_stacks(struct gt_attach *attach, struct gt_goroutine *list, size_t count, size_t depth,
	gt_goread_take_fn *take, void *context)
{
	const struct gt_goread read = reader(attach);

	gt_goread_stacks(&read, list, count, depth, take, context);
}

/* ---- detach ---- */

static int restore_sites(struct gt_attach *attach, struct gt_error *err)
{
	for (size_t i = 0; i < attach->patch_count; i++) {
		const struct gt_patch *patch = &attach->patches[i];
		uint8_t found[GT_SITE_JUMP_SIZE];
		int ret = gt__memory_read(attach->memory, patch->address, found, sizeof(found));

		/* What is neither the jump nor the original is somebody else's: a breakpoint, say. */
		if (ret < 0 ||
			(memcmp(found, patch->bytes, sizeof(found)) && memcmp(found, patch->original, sizeof(found))))
			return gt_fail(err, EBADMSG,
				"cannot take the hooks out of process %d: its code was changed by somebody else",
				(int)attach->view.pid);
	}
	return write_sites(attach, true, err);
}

static bool in_code(struct gt_attach *attach)
{
	bool found = false;

	for (size_t i = 0; i < attach->threads.count && !found; i++) {
		const struct gt_thread *thread = &attach->threads.list[i];

		if (!thread->gone && thread->stopped)
			found = gt_standing(&attach->places, attach->view.pid, thread) == GT_STANDING_BAD;
	}
	return found;
}

/* One stop: the sites' own bytes. 1: somebody is in the hooks, or may come back to them. */
static int detach_stopped(struct gt_attach *attach, struct gt_error *err)
{
	int ret = attach->patched ? restore_sites(attach, err) : 0;

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < attach->threads.count; i++)
		if ((int64_t)attach->threads.list[i].regs.orig_rax == SYS_futex)
			attach->idle = attach->threads.list[i].tid;
	return in_code(attach);
}

/* Nobody is in what is unmapped: the others may run meanwhile, it takes a while. */
static int unmap(struct gt_attach *attach, struct gt_error *err)
{
	enum gt_standing stands;
	int ret;

	if (with_sleeper(attach, unmap_work, NULL, &ret, err) && ret >= 0)
		return 0;
	ret = stop_standing(attach, GT_STANDING_BAD, &stands, err);
	if (ret < 0)
		return ret;
	ret = with_worker(attach, unmap_work, NULL, err);
	go_on(attach);
	return ret;
}

int gt_attach_detach(struct gt_attach *attach, struct gt_error *err)
{
	enum gt_standing stands;
	sigset_t before;
	int ret = 0;

	if (!attach->code_address)
		return 0;
	/* From here on only the hooks' own place matters, and handlers of signals: they may come back to it. */
	attach->places.code = (struct gt_range){attach->code_address, attach->code_address + attach->code_size};
	attach->places.window_count = 0;
	hold_signals(&before);
	for (int tries = 0; tries < DRAIN_TRIES; tries++) {
		ret = stop_standing(attach, GT_STANDING_BAD, &stands, err);
		if (ret < 0)
			break;
		ret = detach_stopped(attach, err);
		go_on(attach);
		if (ret <= 0)
			break;
		nap_ns(500000 + tries % 5 * 300000);
	}
	if (ret == 0)
		ret = unmap(attach, err);
	sigprocmask(SIG_SETMASK, &before, NULL);
	attach->patched = attach->patched && ret < 0;
	attach->view.left_mapped = ret > 0;
	if (ret >= 0 && !attach->view.left_mapped)
		attach->code_address = 0;
	return ret < 0 ? ret : 0;
}
