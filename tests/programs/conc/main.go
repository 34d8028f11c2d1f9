// conc makes a bit of everything that a scheduler does: channels, mutexes, sleeps, files, stack growth, tight loops
// that must be preempted, faults that are recovered. Its output does not depend on timing.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

type node struct {
	left, right *node
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{tree(depth - 1), tree(depth - 1)}
}

func (n *node) count() int {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func deep(n int) int {
	var pad [64]int
	if n == 0 {
		return pad[0]
	}
	pad[n%64] = n
	return deep(n-1) + pad[n%64] - n + 1
}

func fault() (caught bool) {
	defer func() { caught = recover() != nil }()
	var p *node
	return p.left == nil
}

func worker(id int, in <-chan int, out chan<- int, mu *sync.Mutex, total *int) {
	for n := range in {
		switch n % 7 {
		case 0:
			time.Sleep(50 * time.Microsecond)
		case 1:
			runtime.Gosched()
		case 2:
			if data, err := os.ReadFile("/proc/self/comm"); err != nil || len(data) == 0 {
				panic("comm")
			}
		case 3:
			if deep(200) != 200 {
				panic("deep")
			}
		case 4:
			if !fault() {
				panic("fault")
			}
		case 5:
			if tree(8).count() != 511 {
				panic("tree")
			}
		}
		mu.Lock()
		*total += n
		mu.Unlock()
		out <- n
	}
}

func main() {
	const workers, jobs = 64, 4000
	in, out := make(chan int), make(chan int)
	var mu sync.Mutex
	var wg sync.WaitGroup
	total, got := 0, 0
	for i := 0; i < workers; i++ {
		wg.Add(1)
		go func(i int) { defer wg.Done(); worker(i, in, out, &mu, &total) }(i)
	}
	stop := make(chan bool)
	spins := make(chan uint64, 2)
	for i := 0; i < 2; i++ {
		go func() {
			var n uint64
			for {
				select {
				case <-stop:
					spins <- n
					return
				default:
					for j := 0; j < 1e6; j++ {
						n += uint64(j)
					}
				}
			}
		}()
	}
	go func() {
		for i := 0; i < jobs; i++ {
			in <- i
		}
		close(in)
	}()
	for i := 0; i < jobs; i++ {
		got += <-out
	}
	wg.Wait()
	close(stop)
	<-spins
	<-spins
	fmt.Println("total", total, "got", got)
	os.Exit(3 - 3*(total/got))
}
