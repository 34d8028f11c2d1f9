// cgo - threads of C that call into Go, calls from Go into C that last, and calls back; prints sums that must not change.
package main

/*
#cgo LDFLAGS: -lpthread
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

extern uint64_t fromC(uint64_t thread, uint64_t round);

struct work { pthread_t thread; uint64_t number, rounds, sum; };

static void *body(void *data)
{
	struct work *work = data;
	for (uint64_t i = 0; i < work->rounds; i++)
		work->sum += fromC(work->number, i);
	return NULL;
}

static uint64_t run_threads(unsigned threads, uint64_t rounds)
{
	struct work *works = calloc(threads, sizeof(*works));
	uint64_t sum = 0;
	for (unsigned i = 0; i < threads; i++) {
		works[i].number = i;
		works[i].rounds = rounds;
		pthread_create(&works[i].thread, NULL, body, &works[i]);
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(works[i].thread, NULL);
		sum += works[i].sum;
	}
	free(works);
	return sum;
}

static uint64_t slow(uint64_t x) { usleep(300); return x * 3; }
static uint64_t quick(uint64_t x) { return x + 1; }
static uint64_t back(uint64_t x) { return fromC(x, x) + 1; }
*/
import "C"

import (
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync"
)

var (
	mu    sync.Mutex
	calls uint64
)

//export fromC
func fromC(thread, round C.uint64_t) C.uint64_t {
	mu.Lock()
	calls++
	mu.Unlock()
	if round%16 == 0 {
		c := make(chan C.uint64_t)
		go func() { c <- thread * round }()
		return <-c
	}
	if round%7 == 0 {
		runtime.Gosched()
	}
	return thread * round
}

func main() {
	debug.SetGCPercent(20)
	var group sync.WaitGroup
	sums := make([]uint64, 8)
	for i := range sums {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			x := C.uint64_t(i)
			for k := 0; k < 30; k++ {
				x += C.slow(x % 1000)
				x = C.quick(x)
				x += C.back(x % 1000)
				_ = make([]byte, 10000)
			}
			sums[i] = uint64(x)
		}(i)
	}
	threads := uint64(C.run_threads(16, 200)) + uint64(C.run_threads(8, 100))
	group.Wait()
	out, err := exec.Command("/bin/echo", "child").Output()
	if err != nil {
		panic(err)
	}
	fmt.Print(string(out))
	fmt.Println(calls, threads, sums)
}
