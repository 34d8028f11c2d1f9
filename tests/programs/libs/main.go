// libs - burns CPU time in C code of its own, in shared libraries that come and go, in the vdso and in the kernel.
//
//	libs LIBRARY...        of each: dlopen, its function hot burns, dlclose: "hot LIBRARY ADDRESS"; then "g N", the goroutine
//	libs late LIBRARY...   the libraries alone, the first on the highest CPU, each further one on the next lower one, while the
//	                       parent process (gtrace) stands still and learns of all of it at once
package main

/*
#cgo LDFLAGS: -ldl
#cgo CFLAGS: -O1 -g -fno-omit-frame-pointer
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
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

// The @turn-th of the CPUs that it may run on, from above.
static int move(int turn)
{
	static cpu_set_t all;
	cpu_set_t one;
	if (!CPU_COUNT(&all) && sched_getaffinity(0, sizeof(all), &all) != 0)
		return -1;
	turn %= CPU_COUNT(&all);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
		if (!CPU_ISSET(cpu, &all) || turn-- > 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		return sched_setaffinity(0, sizeof(one), &one);
	}
	return -1;
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
	"syscall"
)

func libraries(paths []string, late bool) {
	for turn, path := range paths {
		each := 60000000
		if late {
			each /= 4
			if C.move(C.int(turn)) != 0 {
				panic("the thread cannot be moved to another CPU")
			}
		}
		fmt.Printf("hot %s %#x\n", path, uintptr(C.burn_in_library(C.CString(path), C.int64_t(each))))
	}
}

func late(paths []string) {
	syscall.Kill(os.Getppid(), syscall.SIGSTOP)
	defer syscall.Kill(os.Getppid(), syscall.SIGCONT)
	libraries(paths, true)
}

func main() {
	done := make(chan bool)
	go func() {
		runtime.LockOSThread()
		if os.Args[1] == "late" {
			late(os.Args[2:])
		} else {
			const each = 60000000
			C.burn_in_c(each)
			C.burn_in_kernel(each)
			C.burn_in_vdso(each)
			libraries(os.Args[1:], false)
		}
		text := make([]byte, 64)
		fmt.Printf("g %s\n", bytes.Fields(text[:runtime.Stack(text, false)])[1])
		done <- true
	}()
	<-done
}
