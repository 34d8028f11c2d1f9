/*
 * seccomp.c - filters of chance: what gt_seccomp_run says of a call is what the kernel does with it.
 *
 * The filter lets all calls pass but one, for which it computes an error's number out of the call's arguments. A child makes that call.
 * Beside: filters that the kernel would not take, and actions that end a program.
 */
#include "agent/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILTERS  300
#define LENGTH   40 /* at most, of the part of chance */
#define CALLS    8
#define ASKED    SYS_personality
#define ERRNO_LO 0x7ff /* the kernel takes numbers up to 4095 */

static uint64_t chance(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint32_t value(void)
{
	static const uint32_t odd[] = {0, 1, 2, 31, 255, 0x7fffffff, 0x80000000, 0xffffffff};

	return chance() % 2 ? odd[chance() % 8] : (uint32_t)(chance() >> 16);
}

static struct sock_filter one(unsigned int left)
{
	static const unsigned int alu[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR};
	static const unsigned int jumps[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
	const unsigned int from = chance() % 2 ? BPF_K : BPF_X;

	switch (chance() % 12) {
	case 0:
		return (struct sock_filter)BPF_STMT((chance() % 2 ? BPF_LD : BPF_LDX) | BPF_IMM, value());
	case 1:
		return (struct sock_filter)BPF_STMT(
			(chance() % 2 ? BPF_LD : BPF_LDX) | BPF_MEM, (uint32_t)(chance() % BPF_MEMWORDS));
	case 2:
		return (struct sock_filter)BPF_STMT(
			chance() % 2 ? BPF_ST : BPF_STX, (uint32_t)(chance() % BPF_MEMWORDS));
	case 3:
		return (struct sock_filter)BPF_STMT(BPF_MISC | (chance() % 2 ? BPF_TAX : BPF_TXA), 0);
	case 4:
		return (struct sock_filter)BPF_STMT((chance() % 2 ? BPF_LD : BPF_LDX) | BPF_W | BPF_LEN, 0);
	case 5:
		return (struct sock_filter)BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, value() | 1);
	case 6:
		return (struct sock_filter)BPF_STMT(
			BPF_ALU | (chance() % 2 ? BPF_LSH : BPF_RSH) | BPF_K, (uint32_t)(chance() % 32));
	case 7:
		return (struct sock_filter)BPF_STMT(BPF_ALU | BPF_NEG, 0);
	case 8:
		return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, (uint32_t)(chance() % (left + 1)), 0, 0);
	case 9:
	case 10:
		return (struct sock_filter)BPF_JUMP(BPF_JMP | jumps[chance() % 4] | from, value(),
			(uint8_t)(chance() % (left + 1)), (uint8_t)(chance() % (left + 1)));
	default:
		if (chance() % 2)
			return (struct sock_filter)BPF_STMT(BPF_ALU | alu[chance() % 6] | from, value());
		return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(16 + chance() % 12 * 4));
	}
}

/* The kernel wants each word of memory written before it is read. */
static size_t make(struct sock_filter *filter)
{
	unsigned int length = 1 + (unsigned int)(chance() % LENGTH);
	size_t n = 0;

	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ASKED, 1, 0);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	for (uint32_t i = 0; i < BPF_MEMWORDS; i++)
		filter[n++] = (struct sock_filter)BPF_STMT(BPF_ST, i);
	for (unsigned int i = 0; i < length; i++)
		filter[n++] = one(length - 1 - i);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ERRNO_LO);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO);
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	return n;
}

static void in_child(struct sock_filter *filter, size_t count, uint64_t calls[CALLS][6], int out)
{
	const struct sock_fprog program = {.len = (unsigned short)count, .filter = filter};
	int answers[CALLS] = {0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		_exit(77);
	for (int i = 0; i < CALLS; i++) {
		errno = 0;
		syscall(ASKED, calls[i][0], calls[i][1], calls[i][2], calls[i][3], calls[i][4], calls[i][5]);
		answers[i] = errno;
	}
	_exit(write(out, answers, sizeof(answers)) == sizeof(answers) ? 0 : 1);
}

/* 77: there are no filters here. */
static int compare(void)
{
	struct sock_filter filter[LENGTH + BPF_MEMWORDS + 8];
	uint64_t calls[CALLS][6];
	size_t count = make(filter);
	int pipes[2], status, answers[CALLS];
	pid_t child;

	for (int i = 0; i < CALLS; i++)
		for (int k = 0; k < 6; k++)
			calls[i][k] = (uint64_t)value() << 32 | value();
	if (pipe(pipes) < 0)
		return 1;
	child = fork();
	if (child == 0)
		in_child(filter, count, calls, pipes[1]);
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 1;
	if (status == 0 && read(pipes[0], answers, sizeof(answers)) != sizeof(answers))
		status = 1;
	close(pipes[0]);
	close(pipes[1]);
	if (status)
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	for (int i = 0; i < CALLS; i++) {
		struct seccomp_data data = {.nr = ASKED, .arch = AUDIT_ARCH_X86_64};
		int64_t got;

		memcpy(data.args, calls[i], sizeof(data.args));
		got = gt_seccomp_run(filter, count, &data);
		if (got != (int64_t)(SECCOMP_RET_ERRNO | (uint32_t)answers[i])) {
			printf("call %d: %#llx, the kernel: %d\n", i, (unsigned long long)got, answers[i]);
			for (size_t k = 0; k < count; k++)
				printf("  %zu: %#x %u %u %#x\n", k, filter[k].code, filter[k].jt, filter[k].jf,
					filter[k].k);
			return 1;
		}
	}
	return 0;
}

static bool refuses(void)
{
	const struct sock_filter bad[][2] = {
		{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(struct seccomp_data)), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0xfffffffc), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_STMT(BPF_LD | BPF_MEM, BPF_MEMWORDS), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_STMT(BPF_ST, BPF_MEMWORDS), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_STMT(BPF_ALU | 0xf0, 0), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_JUMP(BPF_JMP | BPF_JA, 0xffffffff, 0, 0), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 255, 255), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_JUMP(BPF_JMP | 0xf0, 0, 0, 0), BPF_STMT(BPF_RET | BPF_A, 0)},
		{BPF_STMT(BPF_LD | BPF_IMM, 0), BPF_STMT(BPF_LD | BPF_IMM, 0)},
	};
	const struct seccomp_data data = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (gt_seccomp_run(bad[i], 2, &data) != -1) {
			printf("filter %zu is taken\n", i);
			return false;
		}
	return gt_seccomp_run(bad[0], 0, &data) == -1;
}

int main(void)
{
	if (!refuses())
		return 1;
	for (int i = 0; i < FILTERS; i++) {
		int ret = compare();

		if (ret == 77)
			printf("seccomp filters are not allowed here\n");
		if (ret)
			return ret;
	}
	printf("%d filters, %d calls each\n", FILTERS, CALLS);
	return 0;
}
