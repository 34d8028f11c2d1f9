/*
 * gc_hooks.S - templates of the sets gc, heap and alloc: the collector's cycles, stops of the world, assists, sweeping, the heap's
 * size, allocations. Included by hooks.S, whose rules and macros hold here.
 *
 * What two hooks tell together is kept in the M's line between them. Nothing moves the goroutine to another M meanwhile, but where
 * a third hook sees it coming (assist_stopped):
 *   M_STEP   a step that was begun and told by nobody yet. Low 2 bits: whose it is
 *            STEP_ASSIST | g     gcAssistAlloc was entered: no work for the goroutine yet
 *            STEP_SPAN | span    its objects are being counted
 *            STEP_REGION | g     StartRegion was told (marks_hooks.S)
 *   M_SWEPT  bytes swept since the last SweepEnd (whole pages), and below them how deep in sweeping functions, SWEEP_CHUNK*
 */

/* rsi r9 r12 are a record's words 1 to 3: emits it. */
.macro GC_REST id, kind=REC_GC
	jmp	.L\id\()_emit
.L\id\()_no_m:
	COUNT_NO_M .L\id\()_end
.L\id\()_big_g:
	COUNT_BIG_G .L\id\()_end
.L\id\()_full:
	FULL	32, .L\id\()_emit, .L\id\()_end
.L\id\()_emit:
	EMIT2	\kind, .L\id\()_full
.L\id\()_end:
.endm

/* The same for a record of 1 cell: rsi. */
.macro GC_REST1 id, kind
	jmp	.L\id\()_emit
.L\id\()_no_m:
	COUNT_NO_M .L\id\()_end
.L\id\()_full:
	FULL	16, .L\id\()_emit, .L\id\()_end
.L\id\()_emit:
	EMIT1	\kind, .L\id\()_full
.L\id\()_end:
.endm

/* rsi = goid of \g << 8 | \what. */
.macro GC_WORD g, what, big
	LOAD_GOID \g, %rsi, \big
	shl	$8, %rsi
	or	$(\what), %rsi
.endm

/* The same for the goroutine that this M runs; 0 when it has none. r12 = m. */
.macro GC_WORD_CURG what, big
	xor	%esi, %esi
	mov	K_M_CURG(%r12), %rdx
	test	%rdx, %rdx
	jz	.Lnobody\@
	LOAD_GOID %rdx, %rsi, \big
	shl	$8, %rsi
.Lnobody\@:
	or	$(\what), %rsi
.endm

/* rsi |= m.p's id + 1 << 48. */
.macro GC_OR_P
	LOAD_P_ARG
	shl	$48, %rdi
	or	%rdi, %rsi
.endm

/* r9 = the stack id of the goroutine that this M runs. At a function's entry. */
.macro WALK_CURG
	mov	K_G_M(%r14), %r12
	mov	K_M_CURG(%r12), %r13
	xor	%r9d, %r9d
	test	%r13, %r13
	jz	.Lalone\@
	WALK_OTHER %r13
.Lalone\@:
.endm

/* ---- cycles ---- */

/* gcBgMarkStartWorkers(): a cycle begins for sure, and the world does not stand yet */
.macro GC_BEGIN_HOOK name, stacks
HOOK \name
	.if	\stacks
	WALK_SELF
	.else
	xor	%r9d, %r9d
	.endif
	LOAD_M	.L\name\()_no_m
	GC_WORD	%r14, GC_BEGIN, .L\name\()_big_g
	mov	%r9, %r12
	mov	$1, %r9d
	lock xadd %r9, SHM_GC_CYCLE(%r15)
	inc	%r9
	GC_REST	\name
HOOK_END \name
.endm

	GC_BEGIN_HOOK gc_begin_plain, 0
	GC_BEGIN_HOOK gc_begin_stacks, 1

/* gcSweep(mode), with the world standing */
HOOK gc_end
	LOAD_M	.Lgc_end_no_m
	mov	$GC_END, %esi
	mov	SHM_GC_CYCLE(%r15), %r9
	xor	%r12d, %r12d
	GC_REST	gc_end
HOOK_END gc_end

/* ---- stops of the world ---- */

/* stopTheWorldWithSema(reason): EAX; until Go 1.20 the reason is m.preemptoff, a text, or none for sweep termination */
.macro STW_BEGIN_HOOK name, stacks, by_text
HOOK \name
	.if	\stacks
	WALK_CURG
	.else
	xor	%r9d, %r9d
	.endif
	LOAD_M	.L\name\()_no_m
	GC_WORD_CURG GC_STW_BEGIN, .L\name\()_big_g
	.if	\by_text
	mov	K_M_PREEMPTOFF+8(%r12), %edi    /* its length and first letter tell them apart */
	mov	$0x8000, %edx
	test	%edi, %edi
	jz	.L\name\()_kind
	and	$127, %edi
	shl	$8, %edi
	or	%edi, %edx
	mov	K_M_PREEMPTOFF(%r12), %rdi
	movzbl	(%rdi), %edi
	or	%edi, %edx
.L\name\()_kind:
	.else
	movzbl	%al, %edx
	.endif
	shl	$48, %rdx
	or	%rdx, %rsi
	mov	%r9, %r12
	xor	%r9d, %r9d
	GC_REST	\name
HOOK_END \name
.endm

	STW_BEGIN_HOOK stw_begin_plain, 0, 0
	STW_BEGIN_HOOK stw_begin_stacks, 1, 0
	STW_BEGIN_HOOK stw_begin_text_plain, 0, 1
	STW_BEGIN_HOOK stw_begin_text_stacks, 1, 1

/* returns of stopTheWorldWithSema, whose results may be in RDI too, and of startTheWorldWithSema */
.macro STW_RETURN_HOOK name, what
HOOK \name
	mov	%rdi, %r9
	LOAD_M	.L\name\()_no_m
	GC_WORD_CURG \what, .L\name\()_big_g
	xor	%r12d, %r12d
	GC_REST	\name
	mov	%r9, %rdi
HOOK_END \name
.endm

	STW_RETURN_HOOK stw_stopped, GC_STW_STOPPED
	STW_RETURN_HOOK stw_end, GC_STW_END

/*
 * ---- assists: gcAssistAlloc may find that nothing is to be done; if so it has not left its M. Any other tells its begin on the M where it was
 * entered: by gcAssistAlloc1, or when it is stopped on the way there ----
 */

HOOK assist_enter
	LOAD_M	.Lassist_enter_end
	lea	STEP_ASSIST(%r14), %rdi
	mov	%rdi, M_STEP(%r13)
.Lassist_enter_end:
HOOK_END assist_enter

/* gcAssistAlloc1(gp, work): RAX; again and again in one assist: the first tells */
.macro ASSIST_BEGIN_HOOK name, stacks
HOOK \name
	LOAD_M	.L\name\()_no_m
	lea	STEP_ASSIST(%rax), %rdi
	cmp	%rdi, M_STEP(%r13)
	jne	.L\name\()_end
	movq	$0, M_STEP(%r13)
	.if	\stacks
	WALK_OTHER %rax
	LOAD_M	.L\name\()_no_m
	.else
	xor	%r9d, %r9d
	.endif
	GC_WORD	%rax, GC_ASSIST_BEGIN, .L\name\()_big_g
	mov	%r9, %r12
	xor	%r9d, %r9d
	GC_REST	\name
HOOK_END \name
.endm

	ASSIST_BEGIN_HOOK assist_begin_plain, 0
	ASSIST_BEGIN_HOOK assist_begin_stacks, 1

/*
 * newstack(), on g0: a function's stack check has failed. Until Go 1.21 there is one between the two above: that of traceEvent, by which
 * Go's own tracer is told of an assist that does begin. The goroutine may be preempted there and go on elsewhere.
 */
.macro ASSIST_STOPPED_HOOK name, stacks
HOOK \name
	LOAD_M	.L\name\()_end
	mov	K_M_CURG(%r12), %rdx
	lea	STEP_ASSIST(%rdx), %rdi
	cmp	%rdi, M_STEP(%r13)
	jne	.L\name\()_end
	movq	$0, M_STEP(%r13)
	.if	\stacks
	WALK_CURG
	.else
	xor	%r9d, %r9d
	.endif
	LOAD_M	.L\name\()_no_m
	GC_WORD_CURG GC_ASSIST_BEGIN, .L\name\()_big_g
	mov	%r9, %r12
	xor	%r9d, %r9d
	GC_REST	\name
HOOK_END \name
.endm

	ASSIST_STOPPED_HOOK assist_stopped_plain, 0
	ASSIST_STOPPED_HOOK assist_stopped_stacks, 1

/* returns of gcAssistAlloc */
HOOK assist_end
	LOAD_M	.Lassist_end_no_m
	lea	STEP_ASSIST(%r14), %rdi
	xor	%edx, %edx
	cmp	%rdi, M_STEP(%r13)
	mov	%rdx, M_STEP(%r13)
	je	.Lassist_end_end
	GC_WORD	%r14, GC_ASSIST_END, .Lassist_end_big_g
	xor	%r9d, %r9d
	xor	%r12d, %r12d
	GC_REST	assist_end
HOOK_END assist_end

/* ---- sweeping by who needs memory: cacheSpan, reclaim, deductSweepCredit, which may call each other ---- */

HOOK sweep_open
	LOAD_M	.Lsweep_open_end
	incq	M_SWEPT(%r13)
.Lsweep_open_end:
HOOK_END sweep_open

/* Their returns, and grow's entry, where cacheSpan has swept all that it would: what was swept is told. */
.macro SWEEP_CLOSE_HOOK name, leaves
HOOK \name
	LOAD_M	.L\name\()_end
	mov	M_SWEPT(%r13), %r9
	mov	%r9d, %edi
	and	$SWEEP_DEPTH, %edi
	jz	.L\name\()_end                  /* was there before us */
	.if	\leaves
	dec	%edi
	.endif
	mov	%rdi, M_SWEPT(%r13)
	and	$~SWEEP_LOW, %r9
	jz	.L\name\()_end
	mov	$GC_SWEEP_END, %esi
	GC_OR_P
	xor	%edi, %edi
	mov	M_RECLAIMED(%r13), %r12
	mov	%rdi, M_RECLAIMED(%r13)
	GC_REST	\name
HOOK_END \name
.endm

	SWEEP_CLOSE_HOOK sweep_close, 1
	SWEEP_CLOSE_HOOK sweep_flush, 0

/* r9 bytes are swept; the first since the last end begin a sweep. RAX is kept. */
.macro SWEEP_ADD name, stacks
	mov	M_SWEPT(%r13), %rdx
	lea	(%rdx, %r9), %rdi
	mov	%rdi, M_SWEPT(%r13)
	and	$~SWEEP_LOW, %rdx
	jnz	.L\name\()_end
	.if	\stacks
	WALK_CURG
	.else
	xor	%r9d, %r9d
	.endif
	LOAD_M	.L\name\()_no_m
	mov	$GC_SWEEP_BEGIN, %esi
	GC_OR_P
	mov	%r9, %r12
	xor	%r9d, %r9d
	GC_REST	\name
.endm

/* (*sweepLocked).sweep(preserve): RAX = where the span is told */
.macro SWEEP_SPAN_HOOK name, stacks
HOOK \name
	LOAD_M	.L\name\()_no_m
	testl	$SWEEP_DEPTH, M_SWEPT(%r13)
	jz	.L\name\()_end
	mov	(%rax), %rdi
	lea	STEP_SPAN(%rdi), %rdx
	mov	%rdx, M_STEP(%r13)
	movzwl	K_SPAN_ALLOC_COUNT(%rdi), %edx
	imul	K_SPAN_ELEMSIZE(%rdi), %rdx
	add	%rdx, M_RECLAIMED(%r13)
	mov	K_SPAN_NPAGES(%rdi), %r9
	shl	$PAGE_SHIFT, %r9
	SWEEP_ADD \name, \stacks
HOOK_END \name
.endm

	SWEEP_SPAN_HOOK sweep_span_plain, 0
	SWEEP_SPAN_HOOK sweep_span_stacks, 1

/* newMarkBits(n): in sweep, when the span's objects have been counted anew */
HOOK sweep_counted
	LOAD_M	.Lsweep_counted_end
	mov	M_STEP(%r13), %rdi
	mov	%edi, %edx
	and	$STEP_MASK, %edx
	cmp	$STEP_SPAN, %edx
	jne	.Lsweep_counted_end
	movq	$0, M_STEP(%r13)
	sub	$STEP_SPAN, %rdi
	movzwl	K_SPAN_ALLOC_COUNT(%rdi), %edx
	imul	K_SPAN_ELEMSIZE(%rdi), %rdx
	sub	%rdx, M_RECLAIMED(%r13)
.Lsweep_counted_end:
HOOK_END sweep_counted

/* reclaimChunk(arenas, page, n): arguments up to R8. Pages that it looked at count as swept, unless there was nothing to sweep any more. */
HOOK sweep_chunk_enter
	mov	%rdi, %r9
	LOAD_M	.Lsweep_chunk_leave
	testl	$SWEEP_DEPTH, M_SWEPT(%r13)
	jz	.Lsweep_chunk_leave
	orl	$SWEEP_CHUNK, M_SWEPT(%r13)
.Lsweep_chunk_leave:
	mov	%r9, %rdi
HOOK_END sweep_chunk_enter

/* (*activeSweep).end: it did look */
HOOK sweep_chunk_looked
	LOAD_M	.Lsweep_chunk_looked_end
	testl	$SWEEP_CHUNK, M_SWEPT(%r13)
	jz	.Lsweep_chunk_looked_end
	orl	$SWEEP_CHUNK_LOOKED, M_SWEPT(%r13)
.Lsweep_chunk_looked_end:
HOOK_END sweep_chunk_looked

/* returns of reclaimChunk: RAX = pages that were freed, and so counted as spans */
.macro SWEEP_CHUNK_HOOK name, stacks
HOOK \name
	LOAD_M	.L\name\()_no_m
	mov	M_SWEPT(%r13), %edx
	andl	$~(SWEEP_CHUNK | SWEEP_CHUNK_LOOKED), M_SWEPT(%r13)
	test	$SWEEP_CHUNK_LOOKED, %edx
	jz	.L\name\()_end
	mov	$SWEEP_CHUNK_PAGES, %r9d
	sub	%rax, %r9                       /* below 0 when a span reached beyond them: as Go counts */
	je	.L\name\()_end
	shl	$PAGE_SHIFT, %r9
	SWEEP_ADD \name, \stacks
HOOK_END \name
.endm

	SWEEP_CHUNK_HOOK sweep_chunk_leave_plain, 0
	SWEEP_CHUNK_HOOK sweep_chunk_leave_stacks, 1

/* ---- who marks, how many Ps ---- */

/* gcDrain(gcw, flags): EBX. A worker's first drain of a turn goes on until preempted; the second of a dedicated one does not. */
HOOK gc_label
	test	$1, %bl
	jz	.Lgc_label_end
	LOAD_M	.Lgc_label_no_m
	GC_WORD_CURG GC_LABEL, .Lgc_label_big_g
	mov	$1, %edx                        /* dedicated */
	mov	$2, %edi
	test	$8, %bl
	cmovnz	%edi, %edx                      /* fractional */
	mov	$3, %edi
	test	$4, %bl
	cmovnz	%edi, %edx                      /* idle */
	shl	$48, %rdx
	or	%rdx, %rsi
	xor	%r9d, %r9d
	xor	%r12d, %r12d
	GC_REST	gc_label
HOOK_END gc_label

/* procresize(n): EAX */
.macro PROCS_HOOK name, stacks
HOOK \name
	.if	\stacks
	WALK_CURG
	.else
	xor	%r9d, %r9d
	.endif
	LOAD_M	.L\name\()_no_m
	mov	$GC_PROCS, %esi
	mov	%r9, %r12
	mov	%eax, %r9d
	GC_REST	\name
HOOK_END \name
.endm

	PROCS_HOOK procs_plain, 0
	PROCS_HOOK procs_stacks, 1

/* ---- the heap's size ---- */

/* (*gcControllerState).update(dHeapLive, dHeapScan): RAX, RBX */
HOOK heap_live
	test	%rbx, %rbx
	jz	.Lheap_live_end
	LOAD_M	.Lheap_live_no_m
	mov	K_GC_HEAP_LIVE(%rax), %rsi
	add	%rbx, %rsi
	shl	$8, %rsi
	or	$HEAP_LIVE, %rsi
	GC_REST1 heap_live, REC_HEAP
HOOK_END heap_live

/* (*gcControllerState).resetLive(bytesMarked): RAX, RBX; a cycle ends. Stacks are summed up in the same struct. */
HOOK heap_reset
	LOAD_M	.Lheap_reset_no_m
	mov	%rbx, %rsi
	shl	$8, %rsi
	or	$HEAP_LIVE, %rsi
	GC_REST1 heap_reset, REC_HEAP
	LOAD_M	.Lheap_stacks_no_m
	mov	$GC_STACKS, %esi
	mov	K_GC_STACK_BYTES(%rax), %r9
	xor	%r12d, %r12d
	GC_REST	heap_stacks
HOOK_END heap_reset

/* gcPaceScavenger(memoryLimit, heapGoal, lastHeapGoal): RBX; more than any heap can be when the collector is off */
HOOK heap_goal
	LOAD_M	.Lheap_goal_no_m
	mov	$GC_GOAL, %esi
	xor	%r9d, %r9d
	mov	%rbx, %rdi
	shr	$60, %rdi
	cmovz	%rbx, %r9
	xor	%r12d, %r12d
	GC_REST	heap_goal
HOOK_END heap_goal

/* ---- allocations: mallocgc(size, typ, needzero): RAX, RBX; and those of its kind for small sizes (\small) ---- */

/* A record of 1 cell, where all fits: most do. r9 = the stack id. On to what is longer when not. */
.macro ALLOC_BRIEF name
	mov	K_G_GOID(%r14), %rsi
	movabs	$K_TEXT, %rdx
	mov	%rbx, %rdi
	sub	%rdx, %rdi
	test	%rbx, %rbx
	cmovz	%rbx, %rdi                      /* no type */
	ror	$ALLOC_TYPE_SHIFT, %rdi         /* an odd place comes out too far */
	cmp	$((1 << ALLOC_TYPE_BITS) - 1), %rdi
	ja	.L\name\()_longer
	cmp	$((1 << ALLOC_SIZE_BITS) - 1), %rax
	ja	.L\name\()_longer
	cmp	$((1 << ALLOC_STACK_BITS) - 1), %r9
	ja	.L\name\()_longer
	cmp	$((1 << ALLOC_G_BITS) - 1), %rsi
	ja	.L\name\()_longer
	shl	$(64 - ALLOC_TYPE_BITS), %rdi
	or	%rdi, %rsi
	mov	%rax, %rdi
	shl	$(ALLOC_G_BITS + ALLOC_STACK_BITS), %rdi
	or	%rdi, %rsi
	shl	$ALLOC_G_BITS, %r9
	or	%r9, %rsi
	jmp	.L\name\()_brief
.L\name\()_brief_full:
	FULL	16, .L\name\()_brief, .L\name\()_end
.L\name\()_brief:
	EMIT1	REC_ALLOC, .L\name\()_brief_full
	jmp	.L\name\()_end
.L\name\()_longer:
.endm

/*
 * A sample: M_ALLOC_LEFT bytes may still go by. Its weight are the bytes since the last one, its own included. How many go by
 * until the next is chance: between half the rate and one and a half.
 */
.macro ALLOC_HOOK name, stacks, all, small
HOOK \name
	.if	!\small
	cmp	$K_ALLOC_MIN, %rax
	jb	.L\name\()_end
	.endif
	.if	!\all
	LOAD_M	.L\name\()_no_m
	sub	%rax, M_ALLOC_LEFT(%r13)
	jns	.L\name\()_end
	.endif
	.if	!\stacks
	xor	%r9d, %r9d
	.elseif	\all
	WALK_SELF walk_alloc
	.else
	WALK_SELF
	.endif
	LOAD_M	.L\name\()_no_m
	.if	!\all
	mov	%rax, %r8
	mov	M_ALLOC_STEP(%r13), %r12
	sub	M_ALLOC_LEFT(%r13), %r12
	rdtsc
	imul	$0x9e3779b1, %eax, %eax
	mov	$K_ALLOC_RATE, %edx
	imul	%rdx, %rax
	shr	$32, %rax
	shr	$1, %edx
	add	%rdx, %rax
	mov	%rax, M_ALLOC_STEP(%r13)
	mov	%rax, M_ALLOC_LEFT(%r13)
	mov	%r8, %rax
	.endif
	.if	\all
	ALLOC_BRIEF \name
	.endif
	/* a type of the program's file, told by its distance from the text */
	movabs	$K_TEXT, %rdx
	mov	%rbx, %rdi
	sub	%rdx, %rdi
	mov	%rdi, %rdx
	shr	$32, %rdx
	jnz	.L\name\()_no_type
	shl	$32, %rdi
	or	%rdi, %r9
.L\name\()_no_type:
	GC_WORD	%r14, HEAP_ALLOC, .L\name\()_big_g
	.if	\all
	mov	%r9, %r12
	mov	%rax, %r9
	GC_REST	\name, REC_HEAP
	.else
	jmp	.L\name\()_emit
.L\name\()_no_m:
	COUNT_NO_M .L\name\()_end
.L\name\()_big_g:
	COUNT_BIG_G .L\name\()_end
.L\name\()_full:
	FULL	48, .L\name\()_emit, .L\name\()_end
.L\name\()_emit:
	RESERVE	48, .L\name\()_full
	movq	$(3 << 1), (%rdi)
	mov	%rsi, 8(%rdi)
	movq	$0, 16(%rdi)
	mov	%rax, 24(%rdi)
	mov	%r12, 32(%rdi)
	mov	%r9, 40(%rdi)
	COMMIT	REC_HEAP, 3
.L\name\()_end:
	.endif
HOOK_END \name
.endm

	ALLOC_HOOK alloc_sample_plain, 0, 0, 0
	ALLOC_HOOK alloc_sample_stacks, 1, 0, 0
	ALLOC_HOOK alloc_all_plain, 0, 1, 0
	ALLOC_HOOK alloc_all_stacks, 1, 1, 0
	ALLOC_HOOK alloc_small_sample_plain, 0, 0, 1
	ALLOC_HOOK alloc_small_sample_stacks, 1, 0, 1
	ALLOC_HOOK alloc_small_all_plain, 0, 1, 1
	ALLOC_HOOK alloc_small_all_stacks, 1, 1, 1
