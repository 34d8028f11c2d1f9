/*
 * world.h - the simulated machine: its threads are fibers of one thread, and a seed decides who runs, and when time passes.
 *
 * README.md tells the whole. Files: world.c fibers, chance, clock, memory; port_sim.c runtime/port.h on them; fds.c descriptors;
 * trace.c the hooks, judged by the model; check.c what must hold; run.c seeds and reports; scenarios_*.c the programs.
 */
#ifndef GT_TESTS_SCHEDSIM_WORLD_H
#define GT_TESTS_SCHEDSIM_WORLD_H

#include "runtime/rt.h"

#include "model/model.h"

#include <signal.h>

#define SIM_FIBERS  1024
#define SIM_BUFFER  8u
#define SIM_LOG     8192u
#define SIM_FDS     64
#define SIM_NEVER   INT64_MAX
#define SIM_POINTS  UINT64_C(6000000)
#define SIM_VIRTUAL (4000 * GT_SECOND)

/* Kept from seed to seed: everything else of this library is as it was loaded when a run begins. */
#define SIM_KEPT __attribute__((section("sim_kept")))

enum sim_strategy {
	SIM_WALK,   /* at each point, by chance; how often, by the seed */
	SIM_PCT,    /* by priorities that change at few points, and fall when a thread spins */
	SIM_STARVE, /* a walk in which one thread hardly ever runs; which one changes */
	SIM_STRATEGIES
};

struct sim_store {
	void *at;
	uint64_t value;
	uint8_t bytes;
};

struct sim_fiber {
	void *sp;
	char *stack; /* kept */
	void (*main_fn)(void *arg);
	void *arg;
	enum { FIBER_NONE, FIBER_READY, FIBER_ASLEEP } state;
	bool interrupted, in_time, polling, in_handler, blocked_by_user;
	int signal;
	const void *word; /* of the futex it sleeps on */
	int64_t deadline;
	int64_t priority;
	struct gt_worker *worker;
	int saved_errno;
	uint64_t ran; /* points since its priority fell last */
	/* x86's store buffer: what others do not see yet. */
	struct sim_store stores[SIM_BUFFER];
	uint32_t store_first, store_count;
	/* ASan's. */
	void *fake_stack;
	const void *bottom;
	size_t bytes;
};

/* One step, as it is told when a seed fails. */
struct sim_step {
	uint64_t point;
	int64_t now;
	uint32_t fiber;
	uint64_t g;
	uint32_t p; /* + 1 */
	const char *what, *site;
	bool is_event;
	struct gt_event event;
};

enum sim_end { SIM_EXITED, SIM_DIED, SIM_BROKEN };

struct sim_result {
	enum sim_end end;
	int code;       /* of the exit */
	char text[400]; /* last words, or what is broken */
	uint64_t points, switches, events, hash;
};

struct sim_config {
	uint64_t seed;
	enum sim_strategy strategy;
	uint32_t one_in;  /* a walk's switch */
	uint32_t tick_ns; /* that a point takes */
	uint32_t stall_one_in;
	int64_t stall_ns;
	bool buffered; /* stores */
	uint32_t changes;
	uint64_t length; /* in which the changes lie */
	int cpus;
	double cpu_limit;
	int procs; /* GOMAXPROCS; 0: by the machine */
};

struct sim_world {
	struct sim_config config;
	uint64_t random;
	int64_t now, first_deadline;
	struct sim_fiber *current;
	uint32_t fibers; /* made in this run */
	uint64_t until;  /* points to the next choice */
	uint64_t quiet;  /* clock steps since the last event */
	uint64_t change_at[16];
	int64_t lowest_priority;
	uint32_t victim;
	bool running;
	bool in_world; /* what the simulator itself calls of the runtime is no point */
	struct sim_result result;
	char procs_text[16];
	void (*handler)(int signal, siginfo_t *info, void *context);
	struct gt_model *model;
	void *outside_sp;
	void *outside_fake;
	const void *outside_bottom;
	size_t outside_bytes;
	struct sim_step *log;
	uint64_t logged;
	struct sim_fiber fiber[SIM_FIBERS];
};
extern struct sim_world sim;

/* ---- for all files of the simulator ---- */

uint64_t sim_random(void);
uint32_t sim_below(uint32_t n);
static inline bool sim_one_in(uint32_t n)
{
	return sim_below(n) == 0;
}
/* The run ends. */
_Noreturn void sim_end(enum sim_end end, int code, const char *format, va_list args);
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define sim_check(condition) ((condition) ? (void)0 : sim_fail("%s:%d: %s", __FILE__, __LINE__, #condition))

void sim_log(const char *what, const char *site);
void sim_log_event(const struct gt_event *event);
/* Another fiber may go on here. */
void sim_point(const char *what, const char *site);
/* The calling fiber waits, until somebody wakes it or its deadline passes. */
void sim_sleep(const void *word, int64_t deadline, const char *what);
void sim_wake(struct sim_fiber *fiber);
/* A spinning one lets others go first. */
void sim_back_off(void);
/* The calling fiber's stores become visible; or everybody's. */
void sim_flush(void);
void sim_flush_all(void);
int sim_start(void (*main_fn)(void *arg), void *arg);
static inline uint32_t sim_index(const struct sim_fiber *fiber)
{
	return (uint32_t)(fiber - sim.fiber);
}

/* The run's memory: gone when it ends. */
void *sim_aligned_alloc(size_t align, size_t bytes);
void sim_free(void *at);

/* check.c: at each switch; and when no thread can go on before time passes. */
void sim_check_always(void);
void sim_check_at_rest(void);
void sim_print_state(void);

/* fds.c */
bool sim_fds_ready(void);

/* ---- for scenarios ---- */

/* Instructions of the program's own, none of them a call of the runtime. */
void sim_work(uint32_t points);
/* The kernel thread is blocked so long, as in a system call. */
void sim_block(int64_t ns);
/* A pipe of @room bytes; both ends do not block. The C library's read and write work on them. */
void sim_pipe(int fds[2], size_t room);

struct sim_scenario {
	const char *name;
	int (*main_fn)(int argc, char **argv);
	const char *last_words; /* NULL: it returns 0 */
	int procs;              /* GOMAXPROCS; 0: by the seed, -1: the machine's, which changes */
	uint32_t share;         /* one of so many seeds runs it; 0 and 1: each. For long ones */
};
/* Each list ends with a name of NULL. */
extern const struct sim_scenario sim_scenarios_core[];
extern const struct sim_scenario sim_scenarios_objects[];
extern const struct sim_scenario sim_scenarios_world[];

struct sim_result sim_run(const struct sim_scenario *scenario, uint64_t seed);
/* What the seed gave, and the last @steps of the run before. */
void sim_report(const struct sim_scenario *scenario, uint64_t steps);
int sim_main(int argc, char **argv);

#endif
