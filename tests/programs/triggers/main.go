// triggers does one thing that a trigger waits for, on purpose and once, and prints the goroutine that it happens to: triggers WHAT.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func goid() uint64 {
	var text [64]byte
	fields := bytes.Fields(text[:runtime.Stack(text[:], false)])
	id, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}

// A little of everything but of what is waited for, none of it long.
func chatter(rounds int) {
	var all sync.WaitGroup
	ping, pong := make(chan int), make(chan int)
	go func() {
		for i := range ping {
			pong <- i
		}
		close(pong)
	}()
	for i := 0; i < rounds; i++ {
		all.Add(1)
		go func() {
			runtime.Gosched()
			all.Done()
		}()
		ping <- i
		<-pong
	}
	close(ping)
	<-pong
	all.Wait()
}

// As long as it takes, by polling: the one who waits for it stays out of long waits itself.
func wait(done chan uint64) {
	for {
		select {
		case id := <-done:
			fmt.Println(id)
			return
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

func blocked() {
	var lock sync.Mutex
	done := make(chan uint64, 1)
	lock.Lock()
	go func() {
		lock.Lock()
		done <- goid()
	}()
	time.Sleep(300 * time.Millisecond)
	lock.Unlock()
	wait(done)
}

func call() {
	done := make(chan uint64, 1)
	go func() {
		nap := syscall.NsecToTimespec(300 * 1000 * 1000)
		for syscall.Nanosleep(&nap, &nap) == syscall.EINTR {
		}
		done <- goid()
	}()
	wait(done)
}

// A spinner that calls nothing keeps the only P: GOMAXPROCS=1 GODEBUG=asyncpreemptoff=1.
var spun int

func starved() {
	done := make(chan uint64, 1)
	go func() {
		done <- goid()
	}()
	for i := 0; i < 2000000000; i++ {
		spun += i
	}
	wait(done)
}

func many(count int) {
	stop := make(chan bool)
	var all sync.WaitGroup
	for i := 0; i < count; i++ {
		all.Add(1)
		go func() {
			<-stop
			all.Done()
		}()
	}
	fmt.Println(runtime.NumGoroutine())
	close(stop)
	all.Wait()
}

func main() {
	chatter(200)
	what := "nothing"
	if len(os.Args) > 1 {
		what = os.Args[1]
	}
	switch what {
	case "blocked":
		blocked()
	case "syscall":
		call()
	case "starved":
		starved()
	case "many":
		many(10001)
	case "exit":
		os.Exit(3)
	case "killed":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	chatter(200)
}
