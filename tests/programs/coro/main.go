//go:build go1.23

// coro - iter.Pull: goroutines that hand the thread to each other without the scheduler. Prints how often, as JSON.
package main

import (
	"fmt"
	"iter"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, _ := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	return id
}

func main() {
	debug.SetGCPercent(-1)
	const n = 1000
	done := make(chan uint64)
	var inner uint64
	go func() {
		next, stop := iter.Pull(func(yield func(int) bool) {
			inner = goid()
			for i := 0; i < n; i++ {
				if !yield(i) {
					return
				}
			}
		})
		for i := 0; ; i++ {
			if x, ok := next(); !ok {
				break
			} else if x != i {
				panic("wrong value")
			}
		}
		stop()
		done <- goid()
	}()
	outer := <-done
	// next() n + 1 times: each time the outer one waits, and the inner one waits n times before it ends.
	fmt.Printf("{\"outer\":%d,\"inner\":%d,\"outer_waits\":%d,\"inner_waits\":%d}\n", outer, inner, n+1, n)
}
