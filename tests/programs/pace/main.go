// pace times what a scheduler does most: yields and channel ping-pong. It prints the best of several rounds, ns an
// operation. A yield is 2 changes of state, a ping-pong 6 (2 waits, 2 wakes, 2 runs).
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

func yields(n int) time.Duration {
	begin := time.Now()
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
	return time.Since(begin)
}

func pingPong(n int) time.Duration {
	a, b := make(chan int), make(chan int)
	go func() {
		for v := range a {
			b <- v
		}
		close(b)
	}()
	begin := time.Now()
	for i := 0; i < n; i++ {
		a <- i
		<-b
	}
	took := time.Since(begin)
	close(a)
	<-b
	return took
}

func main() {
	n, rounds := 100000, 8
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	best := [2]time.Duration{1 << 62, 1 << 62}
	for i := 0; i < rounds; i++ {
		for k, f := range []func(int) time.Duration{yields, pingPong} {
			if took := f(n); took < best[k] {
				best[k] = took
			}
		}
	}
	fmt.Printf("yield %.1f pingpong %.1f\n", float64(best[0])/float64(n), float64(best[1])/float64(n))
}
