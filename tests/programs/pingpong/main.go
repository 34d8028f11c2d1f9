// pingpong - how long a round trip over two unbuffered channels takes: plain, or with Go's own tracer on.
// Prints ns for each round trip (two hand-overs: six transitions).
package main

import (
	"flag"
	"fmt"
	"io"
	"runtime/trace"
	"time"
)

func main() {
	count := flag.Int("n", 1000000, "round trips")
	traced := flag.Bool("trace", false, "under runtime/trace to nowhere")
	flag.Parse()
	if *traced {
		if err := trace.Start(io.Discard); err != nil {
			panic(err)
		}
	}
	ping, pong := make(chan int), make(chan int)
	go func() {
		for x := range ping {
			pong <- x + 1
		}
		close(pong)
	}()
	sum := 0
	begin := time.Now()
	for i := 0; i < *count; i++ {
		ping <- i
		sum += <-pong
	}
	ns := time.Since(begin).Nanoseconds()
	close(ping)
	<-pong
	if *traced {
		trace.Stop()
	}
	if sum != *count*(*count+1)/2 {
		panic("wrong sum")
	}
	fmt.Printf("%.2f\n", float64(ns)/float64(*count))
}
