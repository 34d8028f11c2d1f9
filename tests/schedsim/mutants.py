#!/usr/bin/env python3
"""Plants classic scheduler bugs in copies of the runtime's files: mutants.py RUNTIME-FOLDER OUT-FOLDER [FILE...]; FILES are
copied though no bug is in them.

Each bug is a text that stands in a file once, and what it becomes. MUTANT is true while the bug is in effect: one
build has them all. A text that is not found, or found twice, fails the build: then the code has changed, and
the bug is to be planted anew.
"""
import os
import sys

MUTANTS = [
    # (file, what, text, becomes[, the scenario that shows it: for those that few runs show])
    ("sched.c", "no look at the queues again after the P is given up",
     "if (gt__any_work() && take_idle_p(m) && spun)", "if (!MUTANT && gt__any_work() && take_idle_p(m) && spun)"),
    ("sched.c", "a readied goroutine wakes no P",
     "		gt__put_global(g);\n	gt__wake_p();\n	if (m)\n", "		gt__put_global(g);\n	if (!MUTANT)\n		gt__wake_p();\n	if (m)\n"),
    ("lock.c", "who sleeps for a lock asks for no barrier",
     "	barrier = gt__port_barrier(); /* [sleep] */", "	barrier = MUTANT || gt__port_barrier(); /* [sleep] */"),
    ("g.c", "a new goroutine wakes no P",
     "	gt__ring_put(p, g, true);\n	gt__wake_p();", "	gt__ring_put(p, g, true);\n	if (!MUTANT)\n		gt__wake_p();"),
    ("sched.c", "the last spinner that found work wakes nobody",
     "			gt__wake_p(); /* one more may find work", "			if (!MUTANT)\n				gt__wake_p(); /* one more may find work"),
    ("m.c", "spinning leaks when there is no idle P after all",
     "		gt__unlock(&s->lock);\n		if (spinning)\n			atomic_fetch_sub_explicit",
     "		gt__unlock(&s->lock);\n		if (spinning && !MUTANT)\n			atomic_fetch_sub_explicit"),
    ("sched.c", "spinning leaks where a P that is to be given up is",
     "			if (m->spinning) {\n				m->spinning = false;\n",
     "			if (m->spinning && MUTANT)\n				m->spinning = false;\n			else if (m->spinning) {\n				m->spinning = false;\n"),
    ("sched.c", "spinning leaks when a spinner gives up",
     "	if (spun) {\n		m->spinning = false;\n", "	if (spun && MUTANT)\n		m->spinning = false;\n	else if (spun) {\n		m->spinning = false;\n"),
    ("p.c", "who steals what is next drops it",
     "			gt__count_own(&p->counts.stolen, 1);\n			return g;",
     "			gt__count_own(&p->counts.stolen, 1);\n			return MUTANT ? NULL : g;"),
    ("sched.c", "what is next is dropped at the end of a slice",
     "		if (g)\n			gt__ring_put(p, g, false);\n		g = NULL;",
     "		if (g && !MUTANT)\n			gt__ring_put(p, g, false);\n		g = NULL;"),
    ("p.c", "two thieves take the same half",
     "		if (!atomic_compare_exchange_strong_explicit(\n			    &from->head, &head, head + count, memory_order_acq_rel, memory_order_relaxed))\n			continue;",
     "		if (MUTANT)\n			store_relaxed(&from->head, head + count);\n		else if (!atomic_compare_exchange_strong_explicit(\n			    &from->head, &head, head + count, memory_order_acq_rel, memory_order_relaxed))\n			continue;"),
    ("p.c", "the owner takes from its ring without asking thieves",
     "		if (atomic_compare_exchange_weak_explicit(\n			    &p->head,", "		if (MUTANT) {\n			store_relaxed(&p->head, head + 1);\n			return g;\n		}\n		if (atomic_compare_exchange_weak_explicit(\n			    &p->head,"),
    ("p.c", "a full ring loses the one that did not fit",
     "	gt__global_put(g);\n	gt__unlock(&gt__sched.lock);\n	return true;", "	if (!MUTANT)\n		gt__global_put(g);\n	gt__unlock(&gt__sched.lock);\n	return true;"),
    ("timer.c", "a timer that comes first does not wake who waits for the next",
     "	if (until && when_ns < until)\n		gt__poller_wake();", "	if (until && when_ns < until && !MUTANT)\n		gt__poller_wake();"),
    ("sched.c", "who waits for the next timer does not look again",
     "		if (again == first)\n			break;", "		if (again == first || MUTANT)\n			break;"),
    ("sched.c", "no fence between telling until when it waits and looking at the timers",
     "		atomic_thread_fence(memory_order_seq_cst); /* [min] */", "		if (!MUTANT)\n			atomic_thread_fence(memory_order_seq_cst); /* [min] */", "sleep-two"),
    ("timer.c", "a timer that is started does not tell that it is the first",
     "	up(timers, timer, timers->count++);\n	tell_min(timers);", "	up(timers, timer, timers->count++);\n	if (!MUTANT || timers->count == 1)\n		tell_min(timers);"),
    ("netpoll.c", "an edge that finds nobody is forgotten",
     "fd->way[way].ready = !waiters;", "fd->way[way].ready = !waiters && !MUTANT;"),
    ("netpoll.c", "an edge between the try and the park is not looked at",
     "	if (waiter.result < 0 || fd->way[way].ready) {", "	if (waiter.result < 0 || (fd->way[way].ready && !MUTANT)) {"),
    ("netpoll.c", "a goroutine that sysmon readies is nowhere for a moment",
     "		gt__ready(waiters->g);\n		atomic_fetch_sub_explicit(&waiting, 1, memory_order_seq_cst);",
     "		if (MUTANT)\n			atomic_fetch_sub_explicit(&waiting, 1, memory_order_seq_cst);\n		gt__ready(waiters->g);\n		if (!MUTANT)\n			atomic_fetch_sub_explicit(&waiting, 1, memory_order_seq_cst);", "poll-late"),
    ("sched.c", "who comes from a system call takes a P that was taken from it",
     "		    &p->status, &in_syscall, GT_P_RUNNING, memory_order_acq_rel, memory_order_relaxed))) { /* [take] */",
     "		    &p->status, &in_syscall, GT_P_RUNNING, memory_order_acq_rel, memory_order_relaxed)) && !MUTANT) { /* [take] */"),
    ("sysmon.c", "sysmon takes a P from a system call without asking",
     "	if (!atomic_compare_exchange_strong_explicit(\n		    &p->status, &status, GT_P_IDLE, memory_order_acq_rel, memory_order_relaxed)) /* [take] */",
     "	if (MUTANT)\n		store_relaxed(&p->status, GT_P_IDLE);\n	else if (!atomic_compare_exchange_strong_explicit(\n		    &p->status, &status, GT_P_IDLE, memory_order_acq_rel, memory_order_relaxed)) /* [take] */"),
    ("sched.c", "a goroutine back from a system call to no P wakes nobody",
     "	m->after = put_yielded;\n	m->after_arg = g;\n	gt__leave(m, g, false);\n	gt__worker()->locks--;\n}\n\nvoid gt_syscall_exit",
     "	m->after = MUTANT ? gt__put_global : put_yielded;\n	m->after_arg = g;\n	gt__leave(m, g, false);\n	gt__worker()->locks--;\n}\n\nvoid gt_syscall_exit", "syscalls-short"),
    ("m.c", "a P with work is handed to nobody",
     "	if (!gt__ring_empty(p) || load_relaxed(&s->global_count) ||", "	if ((!gt__ring_empty(p) && !MUTANT) || load_relaxed(&s->global_count) ||", "syscalls-short"),
    ("sched.c", "a P is given up though GOMAXPROCS rose again",
     "			if (load_relaxed(&p->retire))\n				gt__idle_p_put", "			if (load_relaxed(&p->retire) || MUTANT)\n				gt__idle_p_put", "procs-two-changers"),
    ("procs.c", "a P that is given up keeps its queue",
     "	gt__ring_drain(p);", "	if (!MUTANT)\n		gt__ring_drain(p);"),
    ("sysmon.c", "timers of a P that was given up stay there, told of by nobody",
     "			if (i && load_relaxed(&p->timers.min_ns) != INT64_MAX)\n",
     "			if (MUTANT)\n				store_relaxed(&p->timers.min_ns, INT64_MAX);\n			if (i && load_relaxed(&p->timers.min_ns) != INT64_MAX)\n"),
    ("timer.c", "the next timer is looked for in the wrong order",
     "	for (uint32_t i = count; i-- > 0;) {\n		int64_t min = load_acquire(&gt__sched.ps[i]->timers.min_ns);",
     "	for (uint32_t n = count; n-- > 0;) {\n		uint32_t i = MUTANT ? count - 1 - n : n;\n		int64_t min = load_acquire(&gt__sched.ps[i]->timers.min_ns);", "procs-timers"),
    ("procs.c", "more Ps, and nobody is woken for them",
     "	if (more)\n		gt__wake_p();", "	if (more && !MUTANT)\n		gt__wake_p();"),
    ("m.c", "work on a P that is to be given up wakes nobody",
     "m && m->p && m->p->id == 0)", "m && m->p && (m->p->id == 0 || MUTANT))", "procs-two-changers"),
    ("m.c", "a thread that wakes for no reason believes that it was woken",
     "		while (load_acquire(&m->wake) == 2)\n			gt__port_wait(&m->wake, 2, -1);\n	atomic_exchange_explicit(&m->wake, 0, memory_order_acq_rel); /* [woken] */\n	m->spinning",
     "		while (load_acquire(&m->wake) == 2) {\n			gt__port_wait(&m->wake, 2, -1);\n			if (MUTANT && m->next_p)\n				break;\n		}\n	atomic_exchange_explicit(&m->wake, 0, memory_order_acq_rel); /* [woken] */\n	m->spinning"),
    ("m.c", "a thread that is about to sleep is not woken",
     "		m->next_spinning = spinning;\n		if (atomic_exchange_explicit(&m->wake, 1, memory_order_acq_rel) == 2) /* [wake] */\n			gt__port_wake(&m->wake, 1);",
     "		m->next_spinning = spinning;\n		if (MUTANT && load_relaxed(&m->wake) != 2)\n			return;\n		if (atomic_exchange_explicit(&m->wake, 1, memory_order_acq_rel) == 2) /* [wake] */\n			gt__port_wake(&m->wake, 1);"),
    ("start.c", "the look for a deadlock forgets timers",
     "gt__timers_first() != INT64_MAX || gt__net_waited_for())", "(gt__timers_first() != INT64_MAX && !MUTANT) || gt__net_waited_for())"),
    ("start.c", "the look for a deadlock forgets threads that are at work",
     "	if (s->m_idle + load_relaxed(&s->poller) < s->m_count ||", "	if (s->m_idle + load_relaxed(&s->poller) + MUTANT < s->m_count ||"),
    ("sched.c", "a goroutine that is stopped in a signal handler goes on on another thread",
     "		if (UNLIKELY(g->bound)) {", "		if (UNLIKELY(g->bound && !MUTANT)) {"),
    ("preempt.c", "a signal stops the runtime in the middle",
     "	if (m && m->locks == 0 && m->g && m->p) {", "	if (m && (m->locks == 0 || MUTANT) && m->g && m->p) {"),
    ("sysmon.c", "a slice in system calls never ends",
     "look_at_syscall(p, now) || look_at_slice(p, now);", "look_at_syscall(p, now) || (!MUTANT && look_at_slice(p, now));", "preempt-syscalls"),
    ("sched.c", "a goroutine can be found before it has left its stack",
     "	m->after = unlock;\n	m->after_arg = arg;\n	if (UNLIKELY",
     "	m->after = unlock;\n	m->after_arg = arg;\n	if (MUTANT && unlock) {\n		m->after = NULL;\n		unlock(arg);\n	}\n	if (UNLIKELY"),
    ("lock.c", "a lock is given back, and who sleeps for it is not woken",
     "	gt__port_wake(&lock->state, 1);", "	gt__port_wake(&lock->state, MUTANT ? 0 : 1);"),
    ("m.c", "sysmon is not woken when a P becomes busy",
     "	m->p = p;\n	if (UNLIKELY(load_relaxed(&gt__sched.sysmon_asleep)))", "	m->p = p;\n	if (UNLIKELY(load_relaxed(&gt__sched.sysmon_asleep)) && !MUTANT)"),
    ("mutex.c", "an unlock believes that a waiter is on its way",
     "!(state & (LOCKED | WOKEN | STARVING))) {", "!(state & (LOCKED | WOKEN | STARVING)) && !MUTANT) {"),
    ("waitq.h", "a select is won twice",
     "		return false;\n	w->wait->fired = w;", "		if (!MUTANT)\n			return false;\n	w->wait->fired = w;"),
]


def main():
    source, out = sys.argv[1:3]
    texts = {}
    for name in sys.argv[3:]:
        with open(os.path.join(source, name), encoding="utf-8") as file:
            texts[name] = file.read()
    for number, (name, what, text, becomes, *_) in enumerate(MUTANTS, 1):
        if name not in texts:
            with open(os.path.join(source, name), encoding="utf-8") as file:
                texts[name] = file.read()
        found = texts[name].count(text)
        if found != 1:
            sys.exit(f"mutants.py: {name}: {what}: its text stands there {found} times, not once")
        texts[name] = texts[name].replace(text, becomes.replace("MUTANT", f"(gt__mutant == {number})"))
    os.makedirs(os.path.join(out, "runtime"), exist_ok=True)
    for name, text in texts.items():
        with open(os.path.join(out, "runtime", name), "w", encoding="utf-8") as file:
            file.write(f"extern int gt__mutant;\n{text}")
    with open(os.path.join(out, "mutants.c"), "w", encoding="utf-8") as file:
        file.write("extern int gt__mutant;\n#ifndef NULL\n#define NULL ((void *)0)\n#endif\n")
        file.write("int gt__mutant __attribute__((section(\"sim_kept\"))) = 0;\nextern const char *const sim_mutants[];\n")
        file.write("const char *const sim_mutants[] = {\n")
        for name, what, *_ in MUTANTS:
            file.write(f"\t\"{name}: {what}\",\n")
        file.write("\tNULL,\n};\nextern const char *const sim_mutant_shown_by[];\n")
        file.write("const char *const sim_mutant_shown_by[] = {\n")
        for _, _, _, _, *shown_by in MUTANTS:
            file.write(f"\t\"{shown_by[0]}\",\n" if shown_by else "\tNULL,\n")
        file.write("};\n")


if __name__ == "__main__":
    main()
