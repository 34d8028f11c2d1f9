/* simulate.c - dice, a scheduler, and its diary. */
#include "simulate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4, THREADS = 9, LIVE_MAX = 60, FUNCTIONS = 5 };

struct strip {
	const char *process;
	char row[64];
	char name[80]; /* what is open, "" nothing */
	int64_t since;
};

struct goroutine {
	uint64_t id;
	enum gt_state state;
	int m;
	struct strip strip;
};

struct slot {
	int m; /* -1: idle */
	struct strip strip;
};

struct thread {
	int p, g; /* -1: none */
	bool started;
	struct strip strip;
};

struct sim {
	struct gt_trace *trace;
	FILE *truth;
	unsigned int seed;
	int64_t now;
	uint64_t next_id;
	struct goroutine live[LIVE_MAX];
	int live_count; /* entries in use; an id of 0 is free */
	struct slot slots[SLOTS];
	struct thread threads[THREADS];
	char *links, *counters[5];
	size_t links_size, counters_size[5];
	FILE *links_file, *counter_files[5];
	long shown[5];
	bool comma, link_comma, counter_comma[5];
};

static const char *const functions[FUNCTIONS] = {
	"main.main", "main.worker", "net/http.(*conn).serve", "main.f[go.shape.int]", "größe.\"x\\y\""};
static const char *const counter_names[5] = {
	"goroutines running", "goroutines runnable", "goroutines waiting", "goroutines syscall", "Ps running"};
static const uint64_t stack[] = {0x2000, 0x1001};

static unsigned int dice(struct sim *sim, unsigned int sides)
{
	return (unsigned int)rand_r(&sim->seed) % sides;
}

static void put_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', file);
		fputc(*text, file);
	}
	fputc('"', file);
}

static void strip_to(struct sim *sim, struct strip *strip, const char *name)
{
	if (strip->name[0] && sim->now > strip->since) {
		fprintf(sim->truth, "%s\n[\"%s\",", sim->comma ? "," : "", strip->process);
		put_string(sim->truth, strip->row);
		fputc(',', sim->truth);
		put_string(sim->truth, strip->name);
		fprintf(sim->truth, ",%lld,%lld]", (long long)strip->since, (long long)(sim->now - strip->since));
		sim->comma = true;
	}
	snprintf(strip->name, sizeof(strip->name), "%s", name);
	strip->since = sim->now;
}

static void link_to(struct sim *sim, const struct goroutine *from, const struct goroutine *to)
{
	fprintf(sim->links_file, "%s\n[", sim->link_comma ? "," : "");
	put_string(sim->links_file, from->strip.row);
	fputc(',', sim->links_file);
	put_string(sim->links_file, to->strip.row);
	fprintf(sim->links_file, ",%lld]", (long long)sim->now);
	sim->link_comma = true;
}

/* After every step: what is different is written down. */
static void count(struct sim *sim)
{
	long now[5] = {0};

	for (int i = 0; i < LIVE_MAX; i++) {
		const struct goroutine *g = &sim->live[i];

		if (!g->id)
			continue;
		now[0] += g->state == GT_STATE_RUNNING;
		now[1] += g->state == GT_STATE_RUNNABLE;
		now[2] += g->state == GT_STATE_WAITING;
		now[3] += g->state == GT_STATE_SYSCALL;
	}
	for (int i = 0; i < SLOTS; i++)
		now[4] += sim->slots[i].strip.name[0] == 'G';
	/* The four states are one event in the file. */
	if (memcmp(now, sim->shown, 4 * sizeof(*now)) != 0)
		for (int i = 0; i < 4; i++) {
			fprintf(sim->counter_files[i], "%s[%lld,%ld]", sim->counter_comma[i] ? "," : "",
				(long long)sim->now, now[i]);
			sim->counter_comma[i] = true;
		}
	if (now[4] != sim->shown[4]) {
		fprintf(sim->counter_files[4], "%s[%lld,%ld]", sim->counter_comma[4] ? "," : "", (long long)sim->now,
			now[4]);
		sim->counter_comma[4] = true;
	}
	memcpy(sim->shown, now, sizeof(now));
}

#define EVENT(kind, m, ...) FAKE_EVENT(sim->trace, kind, (uint64_t)(m), sim->now, __VA_ARGS__)

static void set_slot(struct sim *sim, int p, const char *what, const struct goroutine *g)
{
	char name[80] = "";

	if (g)
		snprintf(name, sizeof(name), "%s%s", what, g->strip.row);
	strip_to(sim, &sim->slots[p].strip, name);
}

static void set_thread(struct sim *sim, int m, const struct goroutine *g)
{
	struct thread *thread = &sim->threads[m];
	char name[80] = "";

	if (g && g->state == GT_STATE_SYSCALL)
		snprintf(name, sizeof(name), "syscall G%llu", (unsigned long long)g->id);
	else if (g)
		snprintf(name, sizeof(name), "P%d G%llu", thread->p, (unsigned long long)g->id);
	strip_to(sim, &thread->strip, name);
	thread->g = g ? (int)(g - sim->live) : -1;
}

static void set_state(struct sim *sim, struct goroutine *g, enum gt_state state, const char *name)
{
	strip_to(sim, &g->strip, name);
	g->state = state;
}

static struct goroutine *pick(struct sim *sim, enum gt_state state)
{
	unsigned int from = dice(sim, LIVE_MAX);

	for (unsigned int i = 0; i < LIVE_MAX; i++) {
		struct goroutine *g = &sim->live[(from + i) % LIVE_MAX];

		if (g->id && g->state == state)
			return g;
	}
	return NULL;
}

static void create(struct sim *sim, int m, struct goroutine *parent)
{
	unsigned int function = dice(sim, FUNCTIONS);
	struct goroutine *g = NULL;

	for (int i = 0; i < LIVE_MAX && !g; i++)
		if (!sim->live[i].id)
			g = &sim->live[i];
	if (!g)
		return;
	memset(g, 0, sizeof(*g));
	g->id = sim->next_id++;
	g->strip.process = "GOROUTINES";
	snprintf(g->strip.row, sizeof(g->strip.row), "G%llu %s", (unsigned long long)g->id, functions[function]);
	set_state(sim, g, GT_STATE_RUNNABLE, "runnable");
	if (parent)
		link_to(sim, parent, g);
	EVENT(GO_CREATE, m, g->id, GT_STATE_RUNNABLE, parent ? parent->id : 0, 0x1001 + function, 0x2000);
}

static int idle_thread(struct sim *sim)
{
	for (int m = 0; m < THREADS; m++) {
		struct thread *thread = &sim->threads[m];

		if (thread->p >= 0 || thread->g >= 0)
			continue;
		if (!thread->started)
			EVENT(M_START, m, 5000 + m);
		thread->started = true;
		return m;
	}
	return -1;
}

static void run_next(struct sim *sim, int p)
{
	struct goroutine *g = pick(sim, GT_STATE_RUNNABLE);
	int m = sim->slots[p].m;

	if (!g) {
		EVENT(P_STOP, m, (uint64_t)p + 1);
		EVENT(P_IDLE, m, (uint64_t)p + 1);
		EVENT(M_IDLE, m, 0);
		sim->slots[p].m = -1;
		sim->threads[m].p = -1;
		return;
	}
	EVENT(GO_RUN, m, g->id, GT_STATE_RUNNABLE, (uint64_t)p + 1);
	set_state(sim, g, GT_STATE_RUNNING, "running");
	g->m = m;
	set_thread(sim, m, g);
	set_slot(sim, p, "", g);
}

static void leave(struct sim *sim, int p)
{
	set_slot(sim, p, "", NULL);
	set_thread(sim, sim->slots[p].m, NULL);
}

static void step_running(struct sim *sim, int p, struct goroutine *g)
{
	static const unsigned int reasons[] = {GT_REASON_CHAN_RECEIVE, GT_REASON_SELECT, GT_REASON_SLEEP};
	int m = sim->slots[p].m;
	unsigned int reason = reasons[dice(sim, 3)];
	struct goroutine *other;
	char name[64];

	switch (dice(sim, 9)) {
	case 0:
	case 1:
		EVENT(GO_BLOCK, m, g->id, reason, dice(sim, 2));
		snprintf(name, sizeof(name), "waiting: %s", gt_reason_text(reason));
		leave(sim, p);
		set_state(sim, g, GT_STATE_WAITING, name);
		break;
	case 2:
		EVENT(GO_YIELD, m, g->id, GT_REASON_GOSCHED, 0);
		leave(sim, p);
		set_state(sim, g, GT_STATE_RUNNABLE, "runnable: yield");
		break;
	case 3:
		EVENT(GO_SYSCALL, m, g->id, dice(sim, 2));
		set_state(sim, g, GT_STATE_SYSCALL, "syscall");
		set_slot(sim, p, "syscall ", g);
		set_thread(sim, m, g);
		break;
	case 4:
		if (sim->next_id % 3)
			break;
		EVENT(GO_END, m, g->id);
		leave(sim, p);
		set_state(sim, g, GT_STATE_DEAD, "");
		g->id = 0;
		break;
	case 5:
		create(sim, m, g);
		break;
	default:
		other = pick(sim, GT_STATE_WAITING);
		if (!other)
			break;
		EVENT(GO_READY, m, other->id, GT_STATE_WAITING, g->id);
		set_state(sim, other, GT_STATE_RUNNABLE, "runnable");
		link_to(sim, g, other);
		break;
	}
}

/* The goroutine of slot p is in a system call: it comes back, or loses its P, or goes on. */
static void step_syscall(struct sim *sim, int p, struct goroutine *g)
{
	int m = sim->slots[p].m, other;

	if (dice(sim, 2)) {
		EVENT(GO_SYSEXIT, m, g->id, GT_STATE_RUNNING);
		set_state(sim, g, GT_STATE_RUNNING, "running");
		set_slot(sim, p, "", g);
		set_thread(sim, m, g);
		return;
	}
	other = idle_thread(sim);
	if (other < 0)
		return;
	EVENT(P_START, other, (uint64_t)p + 1);
	set_slot(sim, p, "", NULL);
	sim->threads[m].p = -1;
	sim->threads[other].p = p;
	sim->slots[p].m = other;
}

/* A goroutine whose P was taken comes back: with an idle P, or to the end of the queue. */
static void step_lost_slot(struct sim *sim, struct goroutine *g)
{
	struct thread *thread = &sim->threads[g->m];
	int p;

	for (p = 0; p < SLOTS && sim->slots[p].m >= 0; p++)
		;
	if (p < SLOTS) {
		EVENT(P_START, g->m, (uint64_t)p + 1);
		EVENT(GO_SYSEXIT, g->m, g->id, GT_STATE_RUNNING);
		sim->slots[p].m = g->m;
		thread->p = p;
		set_state(sim, g, GT_STATE_RUNNING, "running");
		set_slot(sim, p, "", g);
		set_thread(sim, g->m, g);
		return;
	}
	EVENT(GO_SYSEXIT, g->m, g->id, GT_STATE_RUNNABLE);
	set_state(sim, g, GT_STATE_RUNNABLE, "runnable: syscall ended, no P");
	set_thread(sim, g->m, NULL);
	EVENT(M_IDLE, g->m, 0);
}

static void step(struct sim *sim)
{
	int p = (int)dice(sim, SLOTS), m = sim->slots[p].m;
	struct goroutine *g = pick(sim, GT_STATE_SYSCALL);

	if (m < 0) {
		m = idle_thread(sim);
		if (m < 0)
			return;
		if (!pick(sim, GT_STATE_RUNNABLE)) {
			struct goroutine *waiting = pick(sim, GT_STATE_WAITING);

			/* The poller wakes somebody. */
			if (waiting) {
				EVENT(GO_READY, m, waiting->id, GT_STATE_WAITING, 0);
				set_state(sim, waiting, GT_STATE_RUNNABLE, "runnable");
			}
			return;
		}
		EVENT(P_START, m, (uint64_t)p + 1);
		sim->slots[p].m = m;
		sim->threads[m].p = p;
		return;
	}
	if (g && sim->threads[g->m].p < 0 && dice(sim, 3) == 0)
		step_lost_slot(sim, g);
	else if (sim->threads[m].g < 0)
		run_next(sim, p);
	else if (sim->live[sim->threads[m].g].state == GT_STATE_SYSCALL)
		step_syscall(sim, p, &sim->live[sim->threads[m].g]);
	else
		step_running(sim, p, &sim->live[sim->threads[m].g]);
}

static void begin(struct sim *sim)
{
	fake_meta(sim->trace, "program", "/tmp/sim");
	fake_meta(sim->trace, "pid", "5000");
	for (unsigned int i = 0; i < FUNCTIONS; i++)
		fake_pc(sim->trace, 0x1001 + i, functions[i], "/src/main.go", 10 * i);
	fake_pc(sim->trace, 0x2000, "runtime.gopark", "/go/src/runtime/proc.go", 400);
	fake_stack(sim->trace, 1, stack, 2);
	for (int p = 0; p < SLOTS; p++) {
		sim->slots[p].m = -1;
		sim->slots[p].strip.process = "PROCS";
		snprintf(sim->slots[p].strip.row, sizeof(sim->slots[p].strip.row), "P%d", p);
	}
	for (int m = 0; m < THREADS; m++) {
		sim->threads[m].p = sim->threads[m].g = -1;
		sim->threads[m].strip.process = "THREADS sim";
		snprintf(sim->threads[m].strip.row, sizeof(sim->threads[m].strip.row), "M%d", m);
	}
	for (int i = 0; i < 5; i++)
		sim->counter_files[i] = open_memstream(&sim->counters[i], &sim->counters_size[i]);
	sim->links_file = open_memstream(&sim->links, &sim->links_size);
	fprintf(sim->truth, "{\"slices\":[");
	sim->next_id = 1;
	sim->now = 1000;
	EVENT(M_START, 0, 5000);
	sim->threads[0].started = true;
	for (int i = 0; i < 12; i++)
		create(sim, 0, NULL);
	count(sim);
}

static void end(struct sim *sim)
{
	EVENT(M_IDLE, THREADS + 1, 0);
	for (int p = 0; p < SLOTS; p++)
		strip_to(sim, &sim->slots[p].strip, "");
	for (int m = 0; m < THREADS; m++)
		strip_to(sim, &sim->threads[m].strip, "");
	for (int i = 0; i < LIVE_MAX; i++)
		if (sim->live[i].id)
			strip_to(sim, &sim->live[i].strip, "");
	fclose(sim->links_file);
	fprintf(sim->truth, "],\n\"links\":[%s],\n\"counters\":{", sim->links);
	free(sim->links);
	for (int i = 0; i < 5; i++) {
		fclose(sim->counter_files[i]);
		fprintf(sim->truth, "%s\n\"%s\":[%s]", i ? "," : "", counter_names[i], sim->counters[i]);
		free(sim->counters[i]);
	}
	fprintf(sim->truth, "}}\n");
}

void simulate(struct gt_trace *trace, unsigned int seed, unsigned int steps, FILE *truth)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	sim->trace = trace;
	sim->truth = truth;
	sim->seed = seed;
	begin(sim);
	for (unsigned int i = 0; i < steps; i++) {
		sim->now += 1 + dice(sim, 20) * dice(sim, 100);
		step(sim);
		count(sim);
	}
	sim->now += 5000;
	end(sim);
	free(sim);
}
