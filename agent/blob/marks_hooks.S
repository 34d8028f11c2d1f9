/*
 * marks_hooks.S - templates of the set marks: runtime/trace's tasks, regions and messages. Included by hooks.S, whose rules and macros
 * hold here, but that all of the arguments are kept: up to RDI, RSI.
 *
 * The functions' texts are copied by C (marks.c), on a private stack.
 */

.macro MARK name, op
HOOK \name
	mov	$\op, %r12d
	lea	.L\name\()_back(%rip), %r11
	jmp	thunk_mark
.L\name\()_back:
HOOK_END \name
.endm

	MARK	mark_task_begin, MARK_TASK_BEGIN        /* userTaskCreate(id, parent, name) */
	MARK	mark_task_end, MARK_TASK_END            /* userTaskEnd(id) */
	MARK	mark_log, MARK_LOG                      /* userLog(id, category, message) */

/* StartRegion(ctx, name). While Go's tracer is on it calls userRegion, which tells. */
HOOK mark_start_region
	movabs	$K_TRACING, %r12
	test	%r12, %r12
	jz	.Lmark_start_region_tell
	cmpb	$0, (%r12)
	jne	.Lmark_start_region_end
.Lmark_start_region_tell:
	mov	$MARK_START_REGION, %r12d
	lea	.Lmark_start_region_end(%rip), %r11
	jmp	thunk_mark
.Lmark_start_region_end:
HOOK_END mark_start_region

/*
 * userRegion(id, end, name): RAX, RBX, RCX, RDI. End's of a region that mark_region_started gave is told and goes no further: Go's tracer, if
 * it was turned on meanwhile, knows nothing of that region. Only its name has no length and yet stands somewhere: at K_REGION_NAME.
 */
HOOK mark_region
	movabs	$K_TRACING, %r12
	test	%r12, %r12
	mov	$MARK_REGION, %r12d
	jz	.Lmark_region_tell
	or	$MARK_SURE, %r12d
.Lmark_region_tell:
	lea	.Lmark_region_back(%rip), %r11
	jmp	thunk_mark
.Lmark_region_back:
	test	%rdi, %rdi
	jnz	.Lmark_region_end
	cmp	$1, %rbx
	jne	.Lmark_region_end
	movabs	$K_REGION_NAME, %r12
	test	%r12, %r12
	jz	.Lmark_region_end
	cmp	%r12, %rcx
	jne	.Lmark_region_end
	ret
.Lmark_region_end:
HOOK_END mark_region

/*
 * Logf(ctx, category, format, args): RAX RBX, RCX RDI, RSI R8, R9 R10 R11. While Go's tracer is off it does nothing: the message that is told is
 * the format. Else it comes to userLog.
 */
HOOK mark_logf
	movabs	$K_TRACING, %r12
	test	%r12, %r12
	jz	.Lmark_logf_end
	cmpb	$0, (%r12)
	jne	.Lmark_logf_end
	LOAD_M	.Lmark_logf_end, %edx, %rdx
	mov	%r8, M_SAVED(%r13)
	mov	%r9, M_SAVED+8(%r13)
	mov	%r10, M_SAVED+16(%r13)
	mov	%r11, M_SAVED+24(%r13)
	mov	%r8, %r12
	shl	$8, %r12
	or	$MARK_LOGF, %r12
	lea	.Lmark_logf_back(%rip), %r11
	jmp	thunk_mark
.Lmark_logf_back:
	mov	M_SAVED(%r13), %r8
	mov	M_SAVED+8(%r13), %r9
	mov	M_SAVED+16(%r13), %r10
	mov	M_SAVED+24(%r13), %r11
.Lmark_logf_end:
HOOK_END mark_logf

/*
 * Returns of StartRegion: RAX = *Region. While Go's tracer is off that is one that its End, which is inlined, leaves at once. Another with
 * the same contents, of the program's own constants, makes End call userRegion: with id 0 and no name.
 */
HOOK mark_region_started
	LOAD_M	.Lmark_region_started_no_m
	movq	$0, M_STEP(%r13)
.Lmark_region_started_no_m:
	mov	(%rax), %rdi
	or	8(%rax), %rdi
	or	16(%rax), %rdi
	jnz	.Lmark_region_started_end
	movabs	$K_TRACING, %rdi                /* on: this one has neither task nor name, and is the program's own */
	test	%rdi, %rdi
	jz	.Lmark_region_other
	cmpb	$0, (%rdi)
	jne	.Lmark_region_started_end
.Lmark_region_other:
	movabs	$K_REGION, %rdi
	test	%rdi, %rdi
	cmovnz	%rdi, %rax
.Lmark_region_started_end:
HOOK_END mark_region_started

/* Returns of NewTask: RAX, RBX = a context that holds the task: its kind, and the kind of its key, by which others are known. */
HOOK mark_task_context
	movabs	$K_SHM, %r15
	mov	16(%rbx), %rdi
	mov	%rdi, SHM_CONTEXT_KEY(%r15)
	mov	%rax, SHM_CONTEXT_KIND(%r15)
HOOK_END mark_task_context
