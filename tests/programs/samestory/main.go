// samestory tells a story of goroutines; tests/runtime/samestory.c tells the same, line for line. On one P both
// must leave the same transitions.
package main

import (
	"runtime"
	"sync"
	"time"
)

var (
	a, b, full = make(chan int), make(chan int), make(chan int, 3)
	stop       = make(chan struct{})
	mutex      sync.Mutex
	rw         sync.RWMutex
	cond       = sync.NewCond(&mutex)
	open       bool
	wg         sync.WaitGroup
)

func start(f func()) {
	wg.Add(1)
	go func() {
		f()
		wg.Done()
	}()
}

func echo() {
	for v := range a {
		b <- v + 1
	}
	close(b)
}

func produce() {
	for i := 0; i < 10; i++ {
		full <- i
	}
	close(full)
}

func consume() {
	for range full {
	}
}

func lock() {
	mutex.Lock()
	mutex.Unlock()
}

func read() {
	rw.RLock()
	runtime.Gosched()
	rw.RUnlock()
}

func write() {
	rw.Lock()
	rw.Unlock()
}

func await() {
	mutex.Lock()
	for !open {
		cond.Wait()
	}
	mutex.Unlock()
}

func choose() {
	for {
		select {
		case <-a:
		case b <- 7:
		case <-stop:
			return
		}
	}
}

func untilStop() {
	<-stop
}

func main() {
	start(echo)
	for i := 0; i < 5; i++ {
		a <- i
		<-b
	}
	close(a)
	<-b
	wg.Wait()

	start(produce)
	start(consume)
	wg.Wait()

	mutex.Lock()
	for i := 0; i < 3; i++ {
		start(lock)
	}
	runtime.Gosched()
	mutex.Unlock()
	wg.Wait()

	start(read)
	start(write)
	start(read)
	rw.RLock()
	runtime.Gosched()
	rw.RUnlock()
	wg.Wait()

	for i := 0; i < 4; i++ {
		start(await)
	}
	runtime.Gosched()
	cond.Signal()
	mutex.Lock()
	open = true
	mutex.Unlock()
	cond.Broadcast()
	wg.Wait()

	a, b, full = make(chan int), make(chan int), make(chan int)
	start(choose)
	start(untilStop)
	start(untilStop)
	a <- 1
	<-b
	a <- 2
	close(stop)
	wg.Wait()

	time.Sleep(2 * time.Millisecond)
	<-time.After(2 * time.Millisecond)
	select {
	case <-time.After(2 * time.Millisecond):
	case <-full:
	}
	runtime.Gosched()
}
