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
	MARK	mark_region, MARK_REGION                /* userRegion(id, end, name) */
	MARK	mark_log, MARK_LOG                      /* userLog(id, category, message) */
	MARK	mark_start_region, MARK_START_REGION    /* StartRegion(ctx, name) */

/*
 * Returns of StartRegion: RAX = *Region. While Go's tracer is off that is one that its End, which is inlined, leaves at once. Another with
 * the same contents, zero bytes of the program's own constants, makes End call userRegion: with id 0 and no name.
 */
HOOK mark_region_started
	LOAD_M	.Lmark_region_started_no_m
	movq	$0, M_STEP(%r13)
.Lmark_region_started_no_m:
	mov	(%rax), %rdi
	or	8(%rax), %rdi
	or	16(%rax), %rdi
	jnz	.Lmark_region_started_end
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
