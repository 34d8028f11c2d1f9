/* crash_image.h - the crash file of a program that was killed, in memory. For the test and the fuzz target of gtrace recover. */
#ifndef GT_TESTS_CRASH_IMAGE_H
#define GT_TESTS_CRASH_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* The caller's, by free. Ends the process when it cannot be made. */
uint8_t *crash_image(size_t *size);

#endif
