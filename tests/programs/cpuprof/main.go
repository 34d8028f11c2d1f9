// cpuprof - the program's own CPU profiler runs at 1000 Hz while it works; its output is one sum.
package main

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/pprof"
	"sync"
)

//go:noinline
func work(n int, c chan int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum = sum*31 + i
		if i%64 == 0 {
			c <- i
			sum += <-c
		}
	}
	return sum
}

func main() {
	runtime.SetCPUProfileRate(1000)
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		panic(err)
	}
	var group sync.WaitGroup
	sums := make([]int, 8)
	for i := range sums {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			c := make(chan int)
			go func() {
				for x := range c {
					c <- x + 1
				}
			}()
			for k := 0; k < 10; k++ {
				sums[i] += work(20000, c)
			}
			close(c)
		}(i)
	}
	group.Wait()
	pprof.StopCPUProfile()
	if profile.Len() == 0 {
		panic("no profile")
	}
	sum := 0
	for _, s := range sums {
		sum = sum*17 + s
	}
	fmt.Println(sum)
}
