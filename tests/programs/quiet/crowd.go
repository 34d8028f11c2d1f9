package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// quiet crowd GOROUTINES THREADS: so many goroutines come and go all the time, so many threads sleep, until standard input ends.
func crowd() {
	goroutines, threads := number(2), number(3)
	var over atomic.Bool
	ready := make(chan bool)
	for i := 0; i < threads; i++ {
		go func() {
			runtime.LockOSThread()
			ready <- true
			select {}
		}()
		<-ready
	}
	fmt.Println("ready")
	go func() {
		os.Stdin.Read(make([]byte, 1))
		over.Store(true)
	}()
	var done atomic.Int64
	for begun := int64(0); !over.Load(); {
		for ; begun-done.Load() < int64(goroutines); begun++ {
			go func() {
				runtime.Gosched()
				done.Add(1)
			}()
		}
		runtime.Gosched()
	}
}

// quiet wait GOROUTINES [THREADS]: so many wait for ever, and so many threads sleep, until standard input ends.
func wait() {
	for i := 0; len(os.Args) > 3 && i < number(3); i++ {
		locked := make(chan bool)
		go func() {
			runtime.LockOSThread()
			locked <- true
			select {}
		}()
		<-locked
	}
	for i := 0; i < number(2); i++ {
		go func() { select {} }()
	}
	time.Sleep(100 * time.Millisecond)
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
}
