// exits - ends in the way its first argument names.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func number(i int) int {
	n, err := strconv.Atoi(os.Args[i])
	if err != nil {
		panic(err)
	}
	return n
}

func main() {
	fmt.Println("begin")
	switch os.Args[1] {
	case "exit":
		os.Exit(number(2))
	case "return":
	case "panic":
		panic("on purpose")
	case "nil":
		var p *int
		*p = 1
	case "deadlock":
		select {}
	case "goexit":
		go func() { time.Sleep(10 * time.Millisecond); os.Exit(5) }()
		runtime.Goexit()
	case "kill": // itself
		signal.Reset()
		syscall.Kill(syscall.Getpid(), syscall.Signal(number(2)))
		time.Sleep(time.Minute) // not select{}: that may be called a deadlock before the signal comes
	case "sleep":
		time.Sleep(time.Duration(number(2)) * time.Millisecond)
	case "threads": // so many at once
		done := make(chan bool)
		for i := 0; i < number(2); i++ {
			go func() {
				runtime.LockOSThread()
				time.Sleep(50 * time.Millisecond)
				done <- true
			}()
		}
		for i := 0; i < number(2); i++ {
			<-done
		}
	case "caught": // says which signal came
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT)
		fmt.Println("ready")
		fmt.Println("got", <-got)
		os.Exit(3)
	case "ticks": // works for so long, and says so at the end
		fmt.Println("ready")
		end := time.Now().Add(time.Duration(number(2)) * time.Millisecond)
		for i := 0; time.Now().Before(end); i++ {
			done := make(chan bool)
			go func() { done <- true }()
			<-done
			if i%1000 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	fmt.Println("end")
}
