/* rival.c - wants a CPU again and again, a millisecond after it had it, until its standard input ends. */
#include <poll.h>

int main(void)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};
	volatile unsigned long count = 0;

	do {
		for (int i = 0; i < 300000; i++)
			count++;
	} while (poll(&input, 1, 1) == 0);
	return 0;
}
