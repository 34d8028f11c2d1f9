// libs - burns CPU time in C code of its own, in shared libraries that come and go, in the vdso and in the kernel.
//
//	libs LIBRARY...   of each: dlopen, its function hot burns, dlclose: "hot LIBRARY ADDRESS"; then "g N", the goroutine
package main

/*
#cgo LDFLAGS: -ldl
#cgo CFLAGS: -O1 -g -fno-omit-frame-pointer
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static inline __attribute__((always_inline)) uint64_t inlined_step(uint64_t x)
{
	for (int i = 0; i < 100000; i++) {
		x = x * 31 + 7;
		__asm__ volatile("" : "+r"(x));
	}
	return x;
}

__attribute__((noinline)) uint64_t burn_in_c(int64_t ns)
{
	uint64_t x = 1;
	for (int64_t end = cpu_ns() + ns; cpu_ns() < end;)
		x = inlined_step(x);
	return x;
}

__attribute__((noinline)) uint64_t burn_in_kernel(int64_t ns)
{
	static char memory[1 << 20];
	int fd = open("/dev/zero", O_RDONLY);
	uint64_t x = 0;
	for (int64_t end = cpu_ns() + ns; fd >= 0 && cpu_ns() < end;)
		x += (uint64_t)read(fd, memory, sizeof(memory));
	close(fd);
	return x;
}

__attribute__((noinline)) uint64_t burn_in_vdso(int64_t ns)
{
	struct timespec now;
	uint64_t x = 0;
	for (int64_t end = cpu_ns() + ns; cpu_ns() < end;)
		for (int i = 0; i < 10000; i++) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			x += (uint64_t)now.tv_nsec;
		}
	return x;
}

static uintptr_t burn_in_library(const char *path, int64_t ns)
{
	void *library = dlopen(path, RTLD_NOW);
	void (*hot)(int64_t) = library ? (void (*)(int64_t))dlsym(library, "hot") : 0;
	if (!hot)
		return 0;
	hot(ns);
	dlclose(library);
	return (uintptr_t)hot;
}
*/
import "C"

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
)

func main() {
	done := make(chan bool)
	go func() {
		runtime.LockOSThread()
		const each = 60000000
		C.burn_in_c(each)
		C.burn_in_kernel(each)
		C.burn_in_vdso(each)
		for _, path := range os.Args[1:] {
			fmt.Printf("hot %s %#x\n", path, uintptr(C.burn_in_library(C.CString(path), each)))
		}
		text := make([]byte, 64)
		fmt.Printf("g %s\n", bytes.Fields(text[:runtime.Stack(text, false)])[1])
		done <- true
	}()
	<-done
}
