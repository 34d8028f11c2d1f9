// standing FILE [MORE] waits with goroutines of some kinds, for ever, while two others play ping-pong until the program is ended. FILE gets which
// goroutine is of which kind. MORE of the first kind are not told of.
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

var (
	held sync.Mutex
	told = make(chan string)
)

func tell(kind string) {
	var text [64]byte
	fields := bytes.Fields(text[:runtime.Stack(text[:], false)])
	told <- fmt.Sprintf("%s %s\n", fields[1], kind)
}

func receives() {
	tell("receives")
	<-make(chan int)
}

func selects() {
	tell("selects")
	c := make(chan int)
	select {
	case <-c:
	case c <- 1:
	}
}

func locks() {
	tell("locks")
	held.Lock()
}

func sleeps() {
	tell("sleeps")
	time.Sleep(time.Hour)
}

func joins() {
	var all sync.WaitGroup
	tell("joins")
	all.Add(1)
	all.Wait()
}

// A call that lasts: its M and the goroutine stay in it.
func reads() {
	var pipe [2]int
	var one [1]byte
	tell("reads")
	if err := syscall.Pipe(pipe[:]); err != nil {
		panic(err)
	}
	syscall.Read(pipe[0], one[:])
}

func main() {
	table := ""
	held.Lock()
	for i := 0; i < 3; i++ {
		go receives()
		go selects()
		go locks()
		go sleeps()
		go joins()
		go reads()
	}
	for i := 0; i < 3*6; i++ {
		table += <-told
	}
	if err := os.WriteFile(os.Args[1], []byte(table), 0o600); err != nil {
		panic(err)
	}
	if len(os.Args) > 2 {
		more, _ := strconv.Atoi(os.Args[2])
		for i := 0; i < more; i++ {
			go func() { <-make(chan int) }()
		}
	}
	ping, pong := make(chan int), make(chan int)
	go func() {
		for n := range ping {
			pong <- n
		}
	}()
	for n := 0; ; n++ {
		ping <- n
		<-pong
		if n == 10000 {
			fmt.Println("ready")
		}
		if n%1000 == 0 {
			time.Sleep(5 * time.Millisecond) // the recorder is to keep up
		}
	}
}
