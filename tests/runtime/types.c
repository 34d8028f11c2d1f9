/*
 * types.c - what the compiler must accept of chan.h without a warning, and, one BAD at a time, what it must refuse. For types.sh.
 */
#include <gtrace/go.h>

struct point {
	int x, y;
};
struct holder {
	gt_chan(struct point) points;
	gt_chan(int) numbers;
};

gt_chan(int) same(gt_chan(int) c);
gt_chan(int) same(gt_chan(int) c)
{
	gt_chan(int) other = c;

	return other;
}

void good(struct holder *h);
void good(struct holder *h)
{
	gt_chan(gt_chan(int)) of_chans = gt_chan_make(gt_chan(int), 2);
	gt_chan(const char *) texts = gt_chan_make(const char *);
	gt_chan(struct gt_unit) units = gt_chan_make(struct gt_unit);
	struct point p = {1, 2};
	int n = 3, v;
	bool ok;

	h->numbers = same(gt_chan_make(int, n > 2 ? 4 : n << 1));
	h->points = gt_chan_make(struct point, 1);
	gt_send(h->numbers, 'x');
	gt_send(h->numbers, gt_recv_value(h->numbers) + gt_recv_value(h->numbers));
	gt_send(h->points, p);
	gt_send(h->points, (struct point){3, 4});
	gt_send(units, (struct gt_unit){});
	gt_send(texts, "text");
	gt_send(of_chans, h->numbers);
	ok = gt_recv(h->numbers, &v) && gt_recv(h->numbers, NULL) && gt_recv(h->points, &p);
	if (ok && gt_try_send(h->numbers, 1) && gt_try_recv(h->points, &p) == GT_CLOSED)
		n = gt_recv_value(h->points).x;
	switch (gt_select(gt_case_recv(h->numbers, &v, &ok), gt_case_send(h->points, p), gt_case_recv(texts, NULL),
		gt_case_default)) {
	case 0:
		break;
	}
	gt_close(units);
	gt_chan_free(gt_chan_ref(units));
	gt_select();
#if BAD == 1
	gt_recv(h->numbers, &p);
#elif BAD == 2
	gt_send(h->numbers, p);
#elif BAD == 3
	gt_send(h->numbers, "text");
#elif BAD == 4
	h->numbers = gt_chan_make(long, 1);
#elif BAD == 5
	long l;
	gt_recv(h->numbers, &l);
#elif BAD == 6
	same(texts);
#elif BAD == 7
	gt_select(gt_case_recv(h->points, &v));
#elif BAD == 8
	gt_select(gt_case_send(texts, 5));
#elif BAD == 9
	n = gt_recv_value(h->points);
#elif BAD == 10
	gt_try_recv(texts, &v);
#elif BAD == 11
	gt_select(gt_case_recv(h->numbers, &v, &n));
#elif BAD == 12
	gt_send(of_chans, texts);
#elif BAD == 13
	gt_close(n);
#elif BAD == 14
	gt_close(&p);
#elif BAD == 15
	n = (int)gt_chan_len("text");
#elif BAD == 16
	gt_recv(NULL, NULL);
#elif BAD == 17
	gt_send(h->points, 1, 2, 3);
#elif BAD == 18
	gt_timer t = h->numbers;
#elif BAD == 19
	gt_select(gt_case_recv(n, &v));
#elif BAD == 20
	gt_send(units, 1);
#elif BAD == 21
	h->points = gt_chan_ref(h->numbers);
#endif
}
