// gosched - how long a yield takes: plain, or with Go's own tracer on (argument: trace). Prints ns for each yield.
package main

import (
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/trace"
	"time"
)

func main() {
	count := flag.Int("n", 2000000, "yields of each of two goroutines")
	traced := flag.Bool("trace", false, "under runtime/trace to nowhere")
	flag.Parse()
	if *traced {
		if err := trace.Start(io.Discard); err != nil {
			panic(err)
		}
	}
	done := make(chan bool)
	yield := func(n int) {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
		done <- true
	}
	begin := time.Now()
	go yield(*count)
	go yield(*count)
	<-done
	<-done
	ns := time.Since(begin).Nanoseconds()
	if *traced {
		trace.Stop()
	}
	fmt.Printf("%.2f\n", float64(ns)/float64(2**count))
}
