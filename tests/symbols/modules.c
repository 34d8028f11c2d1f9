/* modules.c - what stands at addresses of this very test: in the C library, the vdso, files that took each other's place, the kernel. */
#include "symbols/elf_symbols.h"
#include "symbols/modules.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define AT 0x7f0000000000

/* Of our own maps: the line that holds @pc. */
static void find_mapping(uint64_t pc, struct gt_mapping *out, char path[4096])
{
	unsigned long long start, end, offset;
	char line[4096 + 128];
	FILE *in = fopen("/proc/self/maps", "re");

	cr_assert(in);
	while (fgets(line, sizeof(line), in)) {
		path[0] = 0;
		if (sscanf(line, "%llx-%llx %*s %llx %*s %*u %4095[^\n]", &start, &end, &offset, path) >= 3 &&
			pc >= start && pc < end)
			break;
		start = 0;
	}
	fclose(in);
	cr_assert(start, "nothing is mapped at %lx", (unsigned long)pc);
	*out = (struct gt_mapping){.start = start, .size = end - start, .offset = offset, .since = 1, .path = path};
}

static const char *name_at(struct gt_modules *modules, uint64_t place)
{
	static struct gt_pcline lines[16];

	return gt_modules_lookup(modules, place, lines, 16) ? lines[0].function : NULL;
}

Test(modules, a_function_of_a_shared_library_and_one_of_the_program)
{
	struct gt_modules *modules = gt_modules_new(getpid(), "/proc/self/exe");
	uint64_t library = (uintptr_t)dlsym(RTLD_DEFAULT, "qsort"), own = (uintptr_t)&find_mapping, bytes;
	struct gt_mapping mapping;
	char path[4096];

	find_mapping(library, &mapping, path);
	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	find_mapping(own, &mapping, path);
	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	cr_assert_eq(gt_modules_place(modules, own, 2), own);
	cr_assert_eq(gt_modules_place(modules, library, 2), library | GT_PLACE_OTHER);
	cr_assert_str_eq(name_at(modules, own), "find_mapping");
	cr_assert(strstr(name_at(modules, library | GT_PLACE_OTHER), "qsort"), "%s",
		name_at(modules, library | GT_PLACE_OTHER));
	cr_assert(gt_modules_known(modules, library, 2) && !gt_modules_known(modules, 1, 2));
	/* Before its first instruction the return address is on top of the stack. */
	cr_assert(gt_modules_frame(modules, library | GT_PLACE_OTHER, &bytes));
	cr_assert_eq(bytes, 0);
	gt_modules_free(modules);
}

Test(modules, the_vdso)
{
	struct gt_modules *modules = gt_modules_new(getpid(), NULL);
	void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
	const void *function = vdso ? dlsym(vdso, "__vdso_clock_gettime") : NULL;
	uint64_t image = getauxval(AT_SYSINFO_EHDR);
	const struct gt_mapping mapping = {.start = image, .size = 8192, .since = 1, .path = "[vdso]"};

	if (!image || !function)
		cr_skip_test("this kernel has no vdso");
	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	/* Of names for one address any will do. */
	cr_assert(strncmp(name_at(modules, gt_modules_place(modules, (uintptr_t)function, 2)), "[vdso] ", 7) == 0);
	cr_assert(strstr(name_at(modules, gt_modules_place(modules, (uintptr_t)function, 2)), "clock_gettime"));
	gt_modules_free(modules);
}

Test(modules, files_that_took_each_others_place_are_told_apart)
{
	struct gt_modules *modules = gt_modules_new(getpid(), NULL);
	struct gt_mapping mapping = {.start = AT, .size = 4096, .since = 10, .path = "/no/libone.so"};
	uint64_t one, two, again;

	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	mapping.since = 20;
	mapping.path = "/no/libtwo.so";
	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	mapping.since = 30;
	mapping.path = "/no/libone.so";
	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	one = gt_modules_place(modules, AT + 5, 15);
	two = gt_modules_place(modules, AT + 5, 25);
	again = gt_modules_place(modules, AT + 5, 35);
	cr_assert(one != two && two != again);
	cr_assert_str_eq(name_at(modules, one), "[libone.so]");
	cr_assert_str_eq(name_at(modules, two), "[libtwo.so]");
	cr_assert_str_eq(name_at(modules, again), "[libone.so]");
	gt_modules_exec(modules, 40);
	cr_assert_not(gt_modules_known(modules, AT + 5, 41));
	cr_assert(gt_modules_known(modules, AT + 5, 35));
	gt_modules_free(modules);
}

/* Each CPU has a ring of its own, and they are read one after the other. */
Test(modules, mappings_come_in_any_order)
{
	static const struct {
		uint64_t since;
		const char *path;
	} all[] = {{10, "/no/libone.so"}, {20, "/no/libtwo.so"}, {30, "/no/libone.so"}, {40, "/no/libtwo.so"}};
	static const unsigned int orders[][4] = {
		{0, 1, 2, 3}, {1, 0, 2, 3}, {1, 3, 0, 2}, {0, 2, 1, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}};

	for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
		struct gt_modules *modules = gt_modules_new(getpid(), NULL);

		if (o % 2)
			gt_modules_exec(modules, 45);
		for (size_t i = 0; i < 4; i++) {
			const struct gt_mapping mapping = {.start = AT,
				.size = 4096,
				.since = all[orders[o][i]].since,
				.path = all[orders[o][i]].path};

			cr_assert_eq(gt_modules_add(modules, &mapping), 0);
		}
		for (uint64_t time = 5; time < 45; time += 5) {
			const char *want = (time < 20 || (time >= 30 && time < 40)) ? "[libone.so]" : "[libtwo.so]";

			cr_assert_str_eq(name_at(modules, gt_modules_place(modules, AT + 5, time)), want,
				"order %zu, at %lu", o, time);
		}
		cr_assert_eq(gt_modules_known(modules, AT + 5, 50), o % 2 == 0);
		gt_modules_free(modules);
	}
}

Test(modules, a_file_with_another_build_id_gives_its_name_alone)
{
	struct gt_modules *modules = gt_modules_new(getpid(), NULL);
	uint64_t library = (uintptr_t)dlsym(RTLD_DEFAULT, "qsort");
	const uint8_t other[20] = {1, 2, 3};
	struct gt_mapping mapping;
	const char *name;
	char path[4096];

	find_mapping(library, &mapping, path);
	mapping.build_id = other;
	mapping.build_id_bytes = sizeof(other);
	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	name = name_at(modules, gt_modules_place(modules, library, 2));
	cr_assert(name && name[0] == '[', "%s", name ? name : "none");
	gt_modules_free(modules);
}

Test(modules, the_kernels_addresses_are_marked)
{
	struct gt_modules *modules = gt_modules_new(getpid(), NULL);

	cr_assert_eq(gt_modules_place(modules, 0xffffffff81000000, 1), 0xffffffff81000000);
	cr_assert(strncmp(name_at(modules, 0xffffffff81000000), "[kernel]", 8) == 0);
	cr_assert_null(name_at(modules, AT));
	gt_modules_free(modules);
}

Test(modules, what_no_kernel_tells_is_left_alone)
{
	struct gt_modules *modules = gt_modules_new(getpid(), NULL);
	struct gt_mapping mapping = {.start = UINT64_MAX - 10, .size = 4096, .since = 1, .path = "x"};

	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	mapping = (struct gt_mapping){.start = AT, .size = 0, .since = 1, .path = ""};
	cr_assert_eq(gt_modules_add(modules, &mapping), 0);
	for (uint64_t i = 0; i < 5000; i++) {
		mapping = (struct gt_mapping){.start = AT + i * 8192, .size = 4096, .since = i, .path = "//anon"};
		gt_modules_add(modules, &mapping);
	}
	cr_assert(gt_modules_known(modules, AT + 100, 5000));
	cr_assert_str_eq(name_at(modules, gt_modules_place(modules, AT, 1)), "[anon]");
	gt_modules_free(modules);
}
