/* symbolize.c - functions of the vdso have their names, in the profiles of a process as in samples. */
#include "runtime/profile/profile.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <string.h>

Test(symbolize, the_vdso)
{
	struct gt_symbolizer *symbolizer = gt__symbolizer_new();
	void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
	const uint8_t *clock = vdso ? dlsym(vdso, "__vdso_clock_gettime") : NULL;
	const uint8_t *cpu = vdso ? dlsym(vdso, "__vdso_getcpu") : NULL;
	struct gt_symbols_line first, other, again;

	if (!clock || !cpu)
		cr_skip_test("this kernel has no such vdso");
	cr_assert_eq(gt__symbolizer_lines(symbolizer, (uintptr_t)clock + 1, &first, 1), 1);
	cr_assert_eq(gt__symbolizer_lines(symbolizer, (uintptr_t)cpu + 1, &other, 1), 1);
	cr_assert_eq(gt__symbolizer_lines(symbolizer, (uintptr_t)clock + 2, &again, 1), 1);
	cr_assert(strncmp(first.function, "[vdso] ", 7) == 0 && strstr(first.function, "clock_gettime"), "it is %s",
		first.function);
	cr_assert(strncmp(other.function, "[vdso] ", 7) == 0 && strstr(other.function, "getcpu"), "it is %s",
		other.function);
	cr_assert_eq(first.function, again.function);
	gt__symbolizer_free(symbolizer);
}
