/*
 * powser.c - power series with rational coefficients: every operation is a goroutine, every series a pair of channels.
 *
 * A series gives its next coefficient only when it is asked for it (the idea is Doug McIlroy's). So a series may be made from itself: the
 * exponential is 1 plus the integral of what it is multiplied with. Whoever needs no more closes the asking channel,
 * and the end goes down to all that worked for it: at the end of the test nobody must be left.
 */
#include <gtrace/go.h>

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

/* ---- rational numbers ---- */

struct rat {
	int64_t num, den; /* den > 0, no common factor */
};

static struct rat reduced(__int128 num, __int128 den)
{
	__int128 a = num < 0 ? -num : num, b = den < 0 ? -den : den;

	CHECK(den != 0);
	while (b) {
		__int128 rest = a % b;

		a = b;
		b = rest;
	}
	if (den < 0)
		a = -a;
	num /= a;
	den /= a;
	CHECK(num == (int64_t)num && den == (int64_t)den);
	return (struct rat){(int64_t)num, (int64_t)den};
}

static struct rat rat(int64_t num, int64_t den)
{
	return reduced(num, den);
}

static struct rat plus(struct rat a, struct rat b)
{
	return reduced((__int128)a.num * b.den + (__int128)b.num * a.den, (__int128)a.den * b.den);
}

static struct rat times(struct rat a, struct rat b)
{
	return reduced((__int128)a.num * b.num, (__int128)a.den * b.den);
}

/* ---- series ---- */

struct series {
	gt_chan(struct gt_unit) ask; /* closed: no more is wanted */
	gt_chan(struct rat) answer;
};

struct op {
	struct series out, second; /* second: of a split */
	struct series a, b;
	struct rat c;
	bool loop; /* a split whose second half is used to make its source */
	void (*run)(struct op *op);
};

static struct gt_wg goroutines;

static struct series make(void)
{
	return (struct series){gt_chan_make(struct gt_unit), gt_chan_make(struct rat)};
}

/* One side is through with it. */
static void leave(struct series s)
{
	gt_chan_free(s.ask);
	gt_chan_free(s.answer);
}

static void drop(struct series s)
{
	if (!s.ask)
		return;
	gt_close(s.ask);
	leave(s);
}

static struct rat get(struct series s)
{
	gt_send(s.ask, (struct gt_unit){});
	return gt_recv_value(s.answer);
}

static bool wanted(struct op *op)
{
	return gt_recv(op->out.ask, NULL);
}

static void give(struct op *op, struct rat c)
{
	gt_send(op->out.answer, c);
}

static void run_op(void *arg)
{
	struct op *op = arg;

	op->run(op);
	drop(op->a);
	drop(op->b);
	leave(op->out);
	free(op);
}

static struct op *new_op(void (*run)(struct op *op), struct series a, struct series b, struct rat c)
{
	struct op *op = malloc(sizeof(*op));

	CHECK(op);
	*op = (struct op){.out = make(), .a = a, .b = b, .c = c, .run = run};
	/* The other side's. */
	gt_chan_ref(op->out.ask);
	gt_chan_ref(op->out.answer);
	return op;
}

static struct series start(void (*run)(struct op *op), struct series a, struct series b, struct rat c)
{
	struct op *op = new_op(run, a, b, c);
	struct series out = op->out;

	gt_wg_go(&goroutines, run_op, op);
	return out;
}

static const struct series none;

/* ---- split: one series for two readers, each at its own pace ---- */

/* Never waits for its source alone: while the source works, it may itself ask the other half. */
static void split_run(struct op *op)
{
	struct series out[2] = {op->out, op->second};
	size_t given[2] = {0, 0}, have = 0, room = 0;
	bool waits[2] = {false, false}, asked = false;
	struct rat *kept = NULL;

	while (out[0].ask || out[1].ask) {
		struct rat c;
		bool ok = false;
		/* A half that waits, or is closed, and a source that was not asked are nil. */
		size_t i = gt_select(gt_case_recv(waits[0] ? NULL : out[0].ask, NULL, &ok),
			gt_case_recv(waits[1] ? NULL : out[1].ask, NULL, &ok),
			gt_case_recv(asked ? op->a.answer : NULL, &c, &ok));

		if (i == 2) {
			if (have == room) {
				room = room ? 2 * room : 8;
				kept = realloc(kept, room * sizeof(*kept));
				CHECK(kept);
			}
			kept[have++] = c;
			asked = false;
		} else if (!ok) {
			out[i].ask = NULL;
			if (op->loop && i == 0) {
				drop(op->a);
				op->a = none;
			}
		} else {
			waits[i] = true;
		}
		for (int half = 0; half < 2; half++) {
			if (!waits[half])
				continue;
			if (given[half] < have) {
				waits[half] = false;
				gt_send(out[half].answer, kept[given[half]++]);
			} else if (!asked) {
				asked = true;
				gt_send(op->a.ask, (struct gt_unit){});
			}
		}
	}
	leave(op->second);
	free(kept);
}

static void split_into(struct op *op, struct series *one, struct series *two)
{
	op->second = make();
	gt_chan_ref(op->second.ask);
	gt_chan_ref(op->second.answer);
	*one = op->out;
	*two = op->second;
}

static void split(struct series s, struct series *one, struct series *two)
{
	struct op *op = new_op(split_run, s, none, rat(0, 1));

	split_into(op, one, two);
	gt_wg_go(&goroutines, run_op, op);
}

/* A series that is made from itself: take @again, make the source, close the loop with it. */
struct loop {
	struct op *op;
	struct series out, again;
};

static struct loop loop_begin(void)
{
	struct loop loop = {.op = new_op(split_run, none, none, rat(0, 1))};

	loop.op->loop = true;
	split_into(loop.op, &loop.out, &loop.again);
	return loop;
}

static struct series loop_end(struct loop *loop, struct series source)
{
	loop->op->a = source;
	gt_wg_go(&goroutines, run_op, loop->op);
	return loop->out;
}

/* ---- operations; each takes its arguments over ---- */

static void copy_run(struct op *op)
{
	while (wanted(op))
		give(op, get(op->a));
}

static void constant_run(struct op *op)
{
	for (struct rat c = op->c; wanted(op); c = rat(0, 1))
		give(op, c);
}

static struct series constant(struct rat c)
{
	return start(constant_run, none, none, c);
}

static void add_run(struct op *op)
{
	while (wanted(op))
		give(op, plus(get(op->a), get(op->b)));
}

static struct series add(struct series a, struct series b)
{
	return start(add_run, a, b, rat(0, 1));
}

static void scale_run(struct op *op)
{
	while (wanted(op))
		give(op, times(op->c, get(op->a)));
}

static struct series scale(struct rat c, struct series a)
{
	return start(scale_run, a, none, c);
}

/* c + x a */
static void shift_run(struct op *op)
{
	if (wanted(op)) {
		give(op, op->c);
		copy_run(op);
	}
}

static struct series shift(struct rat c, struct series a)
{
	return start(shift_run, a, none, c);
}

static void derive_run(struct op *op)
{
	if (!wanted(op))
		return;
	get(op->a);
	for (int64_t n = 1;; n++) {
		give(op, times(rat(n, 1), get(op->a)));
		if (!wanted(op))
			return;
	}
}

static struct series derive(struct series a)
{
	return start(derive_run, a, none, rat(0, 1));
}

/* c + the integral: its first coefficient is known without asking. */
static void integrate_run(struct op *op)
{
	if (!wanted(op))
		return;
	give(op, op->c);
	for (int64_t n = 1; wanted(op); n++)
		give(op, times(rat(1, n), get(op->a)));
}

static struct series integrate(struct rat c, struct series a)
{
	return start(integrate_run, a, none, c);
}

/* (f + xF)(g + xG) = fg + x (fG + gF + x FG) */
static void multiply_run(struct op *op);
static struct series multiply(struct series a, struct series b)
{
	return start(multiply_run, a, b, rat(0, 1));
}

static void multiply_run(struct op *op)
{
	struct series f1, f2, g1, g2;
	struct rat f, g;

	if (!wanted(op))
		return;
	f = get(op->a);
	g = get(op->b);
	give(op, times(f, g));
	if (!wanted(op))
		return;
	split(op->a, &f1, &f2);
	split(op->b, &g1, &g2);
	op->b = none;
	op->a = add(add(scale(f, g1), scale(g, f1)), shift(rat(0, 1), multiply(f2, g2)));
	do
		give(op, get(op->a));
	while (wanted(op));
}

/* 1/F: Z = 1/f - x (1/f) Fbar Z, where F = f + x Fbar */
static void reciprocal_run(struct op *op)
{
	struct loop loop;
	struct rat f;

	if (!wanted(op))
		return;
	f = get(op->a);
	f = rat(f.den, f.num);
	loop = loop_begin();
	op->a = loop_end(&loop, shift(f, multiply(scale(times(rat(-1, 1), f), op->a), loop.again)));
	do
		give(op, get(op->a));
	while (wanted(op));
}

static struct series reciprocal(struct series a)
{
	return start(reciprocal_run, a, none, rat(0, 1));
}

/* e^F, F without a constant: Z = 1 + integral of F' Z */
static struct series exponential(struct series a)
{
	struct loop loop = loop_begin();

	return loop_end(&loop, integrate(rat(1, 1), multiply(derive(a), loop.again)));
}

/* F(G), G without a constant: f + x Gbar Fbar(G) */
static void substitute_run(struct op *op);
static struct series substitute(struct series a, struct series b)
{
	return start(substitute_run, a, b, rat(0, 1));
}

static void substitute_run(struct op *op)
{
	struct series g1, g2;

	if (!wanted(op))
		return;
	give(op, get(op->a));
	if (!wanted(op))
		return;
	split(op->b, &g1, &g2);
	op->b = none;
	CHECK(get(g1).num == 0);
	op->a = multiply(g1, substitute(op->a, g2));
	do
		give(op, get(op->a));
	while (wanted(op));
}

/* R with F(R) = x, F without a constant: R = x / Fbar(R) */
static void reverse_run(struct op *op)
{
	struct loop loop;

	if (!wanted(op))
		return;
	CHECK(get(op->a).num == 0);
	loop = loop_begin();
	op->a = loop_end(&loop, shift(rat(0, 1), reciprocal(substitute(op->a, loop.again))));
	do
		give(op, get(op->a));
	while (wanted(op));
}

static struct series reverse(struct series a)
{
	return start(reverse_run, a, none, rat(0, 1));
}

/* ---- what must come out ---- */

/* x^n */
static struct series power(int n)
{
	return n ? shift(rat(0, 1), power(n - 1)) : constant(rat(1, 1));
}

static struct series linear(int64_t c, int64_t d)
{
	return shift(rat(c, 1), constant(rat(d, 1)));
}

#define TERMS 9

static void expect(const char *what, struct series s, const struct rat *want)
{
	for (int i = 0; i < TERMS; i++) {
		struct rat c = get(s);

		if (c.num != want[i].num || c.den != want[i].den) {
			fprintf(stderr, "%s: coefficient %d is %lld/%lld\n", what, i, (long long)c.num,
				(long long)c.den);
			exit(1);
		}
	}
	drop(s);
}

static void all(void)
{
	struct rat ones[TERMS], counted[TERMS], factorial[TERMS], one[TERMS], fibonacci[TERMS], with_x[TERMS];
	const struct rat tangent[TERMS] = {{0, 1}, {1, 1}, {0, 1}, {1, 3}, {0, 1}, {2, 15}, {0, 1}, {17, 315}, {0, 1}};
	int64_t product = 1;

	for (int i = 0; i < TERMS; i++) {
		product *= i ? i : 1;
		ones[i] = rat(1, 1);
		counted[i] = rat(i + 1, 1);
		factorial[i] = rat(1, product);
		one[i] = rat(!i, 1);
		with_x[i] = rat(i < 2, 1);
		fibonacci[i] = i < 2 ? rat(1, 1) : plus(fibonacci[i - 1], fibonacci[i - 2]);
	}
	expect("1/(1-x)", reciprocal(linear(1, -1)), ones);
	expect("its square", multiply(reciprocal(linear(1, -1)), reciprocal(linear(1, -1))), counted);
	expect("its derivative", derive(reciprocal(linear(1, -1))), counted);
	expect("1/(1-x-x^2)", reciprocal(add(linear(1, -1), scale(rat(-1, 1), power(2)))), fibonacci);
	expect("e^x", exponential(power(1)), factorial);
	expect("e^x e^-x", multiply(exponential(power(1)), exponential(scale(rat(-1, 1), power(1)))), one);
	expect("e^log(1+x)", substitute(exponential(power(1)), integrate(rat(0, 1), reciprocal(linear(1, 1)))), with_x);
	expect("tan", reverse(integrate(rat(0, 1), reciprocal(add(constant(rat(1, 1)), power(2))))), tangent);
}

static int run(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 3;

	for (int i = 0; i < rounds; i++) {
		all();
		gt_wg_wait(&goroutines);
	}
	printf("good\n");
	return 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, run);
}
