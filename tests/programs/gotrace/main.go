// gotrace - runs Go's own tracer on itself, into the file named first, while several kinds of work go on; prints the ids of
// the goroutines whose whole life lies inside that trace. Two tracers must tell the same story about them.
package main

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/trace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	mu  sync.Mutex
	ids []uint64
)

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, _ := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	return id
}

func start(group *sync.WaitGroup, run func()) {
	group.Add(1)
	go func() {
		defer group.Done()
		id := goid()
		mu.Lock()
		ids = append(ids, id)
		mu.Unlock()
		run()
	}()
}

func main() {
	file, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := trace.Start(file); err != nil {
		panic(err)
	}
	var group sync.WaitGroup
	const n = 300
	for k := 0; k < 3; k++ {
		c, d := make(chan int), make(chan int)
		start(&group, func() {
			for i := 0; i < n; i++ {
				c <- i
				<-d
			}
		})
		start(&group, func() {
			for i := 0; i < n; i++ {
				<-c
				d <- i
			}
		})
		a, b := make(chan int), make(chan int, 2)
		start(&group, func() {
			for i := 0; i < 2*n; i++ {
				select {
				case <-a:
				case <-b:
				}
			}
		})
		start(&group, func() {
			for i := 0; i < n; i++ {
				a <- i
				b <- i
			}
		})
	}
	var lock sync.Mutex
	total := 0
	for k := 0; k < 4; k++ {
		start(&group, func() {
			for i := 0; i < n; i++ {
				lock.Lock()
				total++
				if i%16 == 0 {
					runtime.Gosched()
				}
				lock.Unlock()
			}
		})
	}
	start(&group, func() {
		for i := 0; i < 40; i++ {
			time.Sleep(100 * time.Microsecond)
		}
	})
	start(&group, func() {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
	})
	cond := sync.NewCond(&sync.Mutex{})
	turn := 0
	for k := 0; k < 2; k++ {
		k := k
		start(&group, func() {
			for i := 0; i < 100; i++ {
				cond.L.Lock()
				for turn%2 != k {
					cond.Wait()
				}
				turn++
				cond.L.Unlock()
				cond.Signal()
			}
		})
	}
	read, write, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	start(&group, func() {
		var b [1]byte
		for i := 0; i < 50; i++ {
			read.Read(b[:])
		}
	})
	start(&group, func() {
		for i := 0; i < 50; i++ {
			write.Write([]byte{1})
			time.Sleep(50 * time.Microsecond)
		}
	})
	start(&group, func() {
		for i := 0; i < n; i++ {
			syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
		}
	})
	// Their Ps are taken away; which one each has afterwards its next call shows.
	for k := 0; k < 3; k++ {
		start(&group, func() {
			for i := 0; i < 60; i++ {
				pause := syscall.Timespec{Nsec: int64(20+i%8*40) * 1000}
				syscall.Nanosleep(&pause, nil)
				syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
			}
		})
	}
	var stop int32
	for k := 0; k < 2; k++ {
		start(&group, func() {
			for atomic.LoadInt32(&stop) == 0 {
			}
		})
	}
	for i := 0; i < 3; i++ {
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	atomic.StoreInt32(&stop, 1)
	group.Wait()
	// The last goroutine ends after its last deferred call: give each the time to leave before the trace ends.
	for runtime.NumGoroutine() > 2 {
		runtime.Gosched()
	}
	trace.Stop()
	if err := file.Close(); err != nil {
		panic(err)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"goroutines": ids})
}
