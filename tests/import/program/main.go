// A program that Go's own tracer traces: program MODE FILE [SECONDS].
//
//	rich    all that the tracer tells of: channels, locks, files, processes, garbage, marks, CPU samples
//	panic   ends by a panic while it is traced
//	kill    kills itself while it is traced
//	flight  the flight recorder's window (Go 1.25)
//	tiny    a few events
//	long    what fills a trace quickly
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"sync"
	"syscall"
	"time"
)

var sink [][]byte

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func channels() {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for v := range ping {
			pong <- v
		}
		close(pong)
	}()
	for i := 0; i < 300; i++ {
		ping <- i
		<-pong
	}
	close(ping)
	<-pong
	done := make(chan struct{})
	for i := 0; i < 4; i++ {
		go func() {
			select {
			case <-done:
			case <-time.After(time.Hour):
			}
		}()
	}
	time.Sleep(2 * time.Millisecond)
	close(done)
}

func locks() {
	var mutex sync.Mutex
	var group sync.WaitGroup
	cond := sync.NewCond(&sync.Mutex{})
	ready := false
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			cond.L.Lock()
			for !ready {
				cond.Wait()
			}
			cond.L.Unlock()
			for j := 0; j < 200; j++ {
				mutex.Lock()
				runtime.Gosched()
				mutex.Unlock()
			}
		}()
	}
	time.Sleep(time.Millisecond)
	cond.L.Lock()
	ready = true
	cond.L.Unlock()
	cond.Broadcast()
	group.Wait()
}

func files() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		c, err := listener.Accept()
		must(err)
		io.Copy(c, c)
		c.Close()
	}()
	c, err := net.Dial("tcp", listener.Addr().String())
	must(err)
	buffer := make([]byte, 8)
	for i := 0; i < 50; i++ {
		c.Write(buffer)
		io.ReadFull(c, buffer)
	}
	c.Close()
	listener.Close()
	exec.Command("true").Run()
	go func() {
		runtime.LockOSThread()
		for i := 0; i < 3; i++ {
			t := syscall.Timespec{Nsec: 3e6}
			syscall.Nanosleep(&t, nil)
		}
	}()
	for i := 0; i < 100; i++ {
		syscall.Getppid()
	}
}

func garbage() {
	for i := 0; i < 3000; i++ {
		sink = append(sink, make([]byte, 4096))
		if len(sink) > 500 {
			sink = nil
		}
	}
	runtime.GC()
	debug.SetGCPercent(50)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 1)
	runtime.GOMAXPROCS(n)
	finish := time.Now().Add(30 * time.Millisecond)
	for time.Now().Before(finish) {
	}
}

func marks() {
	ctx, outer := trace.NewTask(context.Background(), "outer \"quoted\" \x01 ü")
	ctx2, inner := trace.NewTask(ctx, "inner")
	trace.WithRegion(ctx2, "region", func() {
		defer trace.StartRegion(ctx, "nested").End()
		trace.Log(ctx, "key", "a value\twith\nlines")
		trace.Logf(ctx2, "", "%d", 42)
	})
	inner.End()
	outer.End()
}

func everything(rounds int) {
	for i := 0; i < rounds; i++ {
		channels()
		locks()
		files()
		garbage()
		marks()
		coroutines()
	}
}

func long(seconds int) {
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			ping, pong := make(chan int), make(chan int)
			go func() {
				for v := range ping {
					pong <- v
				}
			}()
			for time.Now().Before(end) {
				for j := 0; j < 100; j++ {
					ping <- j
					<-pong
				}
			}
			close(ping)
		}()
	}
	group.Wait()
}

func main() {
	mode, path, seconds := os.Args[1], os.Args[2], 1
	if len(os.Args) > 3 {
		n, err := strconv.Atoi(os.Args[3])
		must(err)
		seconds = n
	}
	if mode == "flight" {
		flight(path)
		return
	}
	go func() { // there before the trace, and in a region
		defer trace.StartRegion(context.Background(), "before").End()
		time.Sleep(20 * time.Millisecond)
	}()
	f, err := os.Create(path)
	must(err)
	if mode == "rich" {
		must(pprof.StartCPUProfile(io.Discard))
		defer pprof.StopCPUProfile()
	}
	time.Sleep(time.Millisecond)
	must(trace.Start(f))
	if mode == "tiny" {
		marks()
		coroutines()
		syscall.Getppid()
	} else if mode == "long" {
		long(seconds)
	} else {
		everything(1)
	}
	if mode == "panic" {
		panic("as it should")
	}
	if mode == "kill" {
		time.Sleep(1200 * time.Millisecond) // beyond a generation's end
		channels()
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	trace.Stop()
	must(f.Close())
}
