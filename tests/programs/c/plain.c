/* plain.c - a C program without Go and without libtrace: gtrace must say what it supports. */
#include <stdio.h>

int main(void)
{
	puts("plain C");
	return 0;
}
