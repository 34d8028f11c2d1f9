/* call.h - what call.S and remote.c share. */
#ifndef GT_AGENT_CALL_H
#define GT_AGENT_CALL_H

#ifndef __ASSEMBLER__
#include <stdint.h>

/* What the stub puts back when gtrace does not. */
struct gt__call_data {
	uint64_t mask; /* of signals */
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip;
	uint8_t flags;     /* SF ZF AF PF CF as lahf has them */
	uint8_t overflow;  /* 1: OF is set */
	uint8_t direction; /* 1: DF is set */
	uint8_t unused[5];
};

extern const uint8_t gt__call[];
extern const uint8_t gt__call_descriptor[]; /* a call that gives a descriptor */
extern const uint8_t gt__call_with[];       /* a call while rbx holds that descriptor */
extern const uint8_t gt__call_plain[];
extern const uint8_t gt__call_data[];
extern const uint8_t gt__call_end[];
#endif

#endif
