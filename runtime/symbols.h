/*
 * symbols.h - names of functions in this process, static ones too: what dladdr does not know.
 */
#ifndef GT_RUNTIME_SYMBOLS_H
#define GT_RUNTIME_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct gt_symbol {
	const char *name;   /* NULL: not known; lives as long as the process */
	const char *module; /* the file's path; "" not known */
	uintptr_t offset;   /* from the function's begin; without a name, in the module */
};

/* The function with @pc. Takes no lock; maps files on first need. For the last words of a process and for profiles. */
void gt__symbol_of(uintptr_t pc, struct gt_symbol *out);

#endif
