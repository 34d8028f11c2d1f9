// quiet - threads that say little beside two goroutines that never rest: quiet THREADS TURNS NAPS
//
// Each thread has one goroutine, which is woken NAPS times, by hand and in turn, and sleeps in between. TURNS are those of
// a ping-pong before each nap.
// quiet crowd, quiet wait: crowd.go.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	if err != nil {
		panic(err)
	}
	return n
}

func pingpong(turns int) {
	ping, pong := make(chan bool), make(chan bool)
	go func() {
		for range ping {
			pong <- true
		}
		close(pong)
	}()
	for i := 0; i < turns; i++ {
		ping <- true
		<-pong
	}
	close(ping)
	<-pong
}

func main() {
	switch os.Args[1] {
	case "crowd":
		crowd()
		return
	case "wait":
		wait()
		return
	}
	threads, turns, naps := number(1), number(2), number(3)
	wake := make([]chan bool, threads)
	slept := make(chan bool)
	for i := range wake {
		i := i
		wake[i] = make(chan bool)
		go func() {
			runtime.LockOSThread()
			slept <- true
			for range wake[i] {
				slept <- true
			}
		}()
		<-slept
	}
	for nap := 0; nap < naps; nap++ {
		pingpong(turns)
		for i := range wake {
			wake[i] <- true
			<-slept
		}
	}
	pingpong(turns)
	fmt.Println("end")
}
