/* seccomp.c - runs a process's filters over the calls it is to make for gtrace, before it makes them. */
#include "agent/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ptrace.h>

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

#define FILTERS_MAX 1000

/* ---- one filter: the classic BPF that seccomp takes ---- */

struct machine {
	uint32_t a, x, memory[BPF_MEMWORDS];
};

static bool load(struct machine *m, const struct sock_filter *i, const struct seccomp_data *data)
{
	uint32_t *to = BPF_CLASS(i->code) == BPF_LDX ? &m->x : &m->a;

	switch (i->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		if (i->k % 4 || i->k > sizeof(*data) - 4)
			return false;
		memcpy(to, (const uint8_t *)data + i->k, 4);
		return true;
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
		*to = sizeof(*data);
		return true;
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
		*to = i->k;
		return true;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
		if (i->k >= BPF_MEMWORDS)
			return false;
		*to = m->memory[i->k];
		return true;
	default:
		return false;
	}
}

static bool compute(struct machine *m, const struct sock_filter *i)
{
	uint32_t by = BPF_SRC(i->code) == BPF_X ? m->x : i->k;

	switch (BPF_OP(i->code)) {
	case BPF_ADD:
		m->a += by;
		break;
	case BPF_SUB:
		m->a -= by;
		break;
	case BPF_MUL:
		m->a *= by;
		break;
	case BPF_DIV:
		if (!by)
			return false; /* the kernel's answer is 0: the thread is killed */
		m->a /= by;
		break;
	case BPF_OR:
		m->a |= by;
		break;
	case BPF_AND:
		m->a &= by;
		break;
	case BPF_XOR:
		m->a ^= by;
		break;
	case BPF_LSH:
		m->a <<= by & 31;
		break;
	case BPF_RSH:
		m->a >>= by & 31;
		break;
	case BPF_NEG:
		m->a = -m->a;
		break;
	default:
		return false;
	}
	return true;
}

/* How many instructions are left out. */
static uint32_t jump(const struct machine *m, const struct sock_filter *i)
{
	uint32_t with = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
	bool yes = false;

	switch (BPF_OP(i->code)) {
	case BPF_JA:
		return i->k;
	case BPF_JEQ:
		yes = m->a == with;
		break;
	case BPF_JGT:
		yes = m->a > with;
		break;
	case BPF_JGE:
		yes = m->a >= with;
		break;
	case BPF_JSET:
		yes = m->a & with;
		break;
	default:
		return UINT32_MAX;
	}
	return yes ? i->jt : i->jf;
}

int64_t gt_seccomp_run(const struct sock_filter *filter, size_t count, const struct seccomp_data *data)
{
	struct machine m = {0};

	/* Jumps go forward only: it ends. */
	for (uint64_t at = 0; at < count; at++) {
		const struct sock_filter *i = &filter[at];
		bool good = true;

		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
		case BPF_LDX:
			good = load(&m, i, data);
			break;
		case BPF_ST:
		case BPF_STX:
			good = i->k < BPF_MEMWORDS;
			if (good)
				m.memory[i->k] = BPF_CLASS(i->code) == BPF_ST ? m.a : m.x;
			break;
		case BPF_ALU:
			good = compute(&m, i);
			break;
		case BPF_JMP:
			at += jump(&m, i);
			break;
		case BPF_RET:
			return BPF_RVAL(i->code) == BPF_A ? m.a : i->k;
		case BPF_MISC:
			if (BPF_MISCOP(i->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		}
		if (!good)
			return -1;
	}
	return -1;
}

/* ---- those of a thread ---- */

/* An action that the kernel does not know ends it, too. */
static bool ends_it(int64_t answer)
{
	if (answer < 0)
		return true;
	switch ((uint32_t)answer & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_TRACE:
	case SECCOMP_RET_USER_NOTIF:
	case SECCOMP_RET_ERRNO:
		return false;
	default:
		return true;
	}
}

int gt_seccomp_check(pid_t tid, const struct gt_call *calls, size_t count, struct gt_error *err)
{
	static struct sock_filter filter[BPF_MAXINSNS];

	for (long number = 0; number < FILTERS_MAX; number++) {
		long length = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, (void *)number, NULL);

		if (length <= 0 || length > BPF_MAXINSNS ||
			ptrace(PTRACE_SECCOMP_GET_FILTER, tid, (void *)number, filter) != length)
			return 0; /* that was the last one; or they are not for us to see */
		for (size_t i = 0; i < count; i++) {
			struct seccomp_data data = {.nr = (int)calls[i].number, .arch = AUDIT_ARCH_X86_64};

			memcpy(data.args, calls[i].arguments, sizeof(data.args));
			if (ends_it(gt_seccomp_run(filter, (size_t)length, &data)))
				return gt_fail(err, EPERM,
					"a seccomp filter of the program's would end it for %s, which gtrace needs it "
					"to call: let it allow that",
					calls[i].name);
		}
	}
	return 0;
}
