// kernel - knows how often its threads gave their CPU up, and which goroutine burns CPU time in which function.
//
//	kernel switches N   two threads, N sleeps each: "thread TID FROM TO VOLUNTARY", FROM and TO two addresses that the thread touches
//	                    first just before and just after the switches that it counts
//	kernel burn MS      "burner G TID": goroutine G takes so much CPU time in main.burn, on that thread
//	kernel shares MS    burns in main.heavy, main.middle and main.light, 6 : 3 : 1, in turns
//	kernel churn N      so many threads come and go, eight at a time: "thread TID" each; then waits for the end of standard input
//	kernel crowd N      so many threads wait in system calls for the end of standard input
//	kernel touch N      one thread touches so many pages for the first time: "ADDRESS N MINOR", MINOR its page faults meanwhile as getrusage tells
//	kernel wait ...     the same, when a line comes on standard input
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

func usage() (u syscall.Rusage) {
	const thread = 1
	if err := syscall.Getrusage(thread, &u); err != nil {
		panic(err)
	}
	return
}

func userTime() time.Duration {
	u := usage()
	return time.Duration(u.Utime.Nano())
}

type pages struct {
	memory []byte
	next   int
}

// mark touches a page for the first time, at an instant at which the thread did not give its CPU up: returns its address, and how
// often the thread had done so by then.
func (p *pages) mark() (uintptr, int64) {
	for {
		place := &p.memory[p.next*os.Getpagesize()]
		p.next++
		before := usage()
		*place = 1
		after := usage()
		if before.Nvcsw == after.Nvcsw && before.Nivcsw == after.Nivcsw {
			return uintptr(unsafe.Pointer(place)), after.Nvcsw
		}
	}
}

func sleeper(n int) string {
	runtime.LockOSThread() // and the thread ends with its goroutine
	memory, err := syscall.Mmap(-1, 0, 256*os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	p := &pages{memory: memory}
	from, before := p.mark()
	nap := syscall.Timespec{Nsec: 100000}
	for i := 0; i < n; i++ {
		syscall.Nanosleep(&nap, nil)
	}
	to, after := p.mark()
	return fmt.Sprintf("thread %d %#x %#x %d", syscall.Gettid(), from, to, after-before)
}

func touch(n int) string {
	const noHugePages = 15
	runtime.LockOSThread()
	memory, err := syscall.Mmap(-1, 0, n*os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err == nil {
		err = syscall.Madvise(memory, noHugePages)
	}
	if err != nil && err != syscall.EINVAL { // a kernel without them
		panic(err)
	}
	before := usage()
	for i := 0; i < n; i++ {
		memory[i*os.Getpagesize()] = 1
	}
	after := usage()
	return fmt.Sprintf("%#x %d %d", uintptr(unsafe.Pointer(&memory[0])), n, after.Minflt-before.Minflt)
}

//go:noinline
func burn(until time.Duration) (sum uint64) {
	for {
		for i := uint64(0); i < 100000; i++ {
			sum = sum*31 + i
		}
		if userTime() >= until {
			return
		}
	}
}

func spin(n int) (sum uint64) {
	for i := 0; i < n; i++ {
		sum = sum*31 + uint64(i)
	}
	return
}

//go:noinline
func heavy() uint64 { return spin(600000) }

//go:noinline
func middle() uint64 { return spin(300000) }

//go:noinline
func light() uint64 { return spin(100000) }

// thread runs f on a thread that ends with it.
func thread(all *sync.WaitGroup, f func()) {
	all.Add(1)
	go func() {
		defer all.Done()
		runtime.LockOSThread()
		f()
	}()
}

func goid() string {
	text := make([]byte, 64)
	return string(bytes.Fields(text[:runtime.Stack(text, false)])[1])
}

func main() {
	args := os.Args[1:]
	if args[0] == "wait" {
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadString('\n')
		args = args[1:]
	}
	var all sync.WaitGroup
	switch args[0] {
	case "switches":
		lines := make(chan string, 2)
		for i := 0; i < 2; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				lines <- sleeper(number(args[1]))
			}()
		}
		all.Wait()
		fmt.Println(<-lines)
		fmt.Println(<-lines)
	case "touch":
		fmt.Println(touch(number(args[1])))
	case "shares":
		runtime.LockOSThread()
		var sum uint64
		for end := userTime() + time.Duration(number(args[1]))*time.Millisecond; userTime() < end; {
			sum += heavy() + middle() + light()
		}
		if sum == 1 {
			fmt.Println("never")
		}
	case "churn":
		tids := make(chan int, number(args[1]))
		for left := number(args[1]); left > 0; left -= 8 {
			for i := 0; i < 8 && i < left; i++ {
				thread(&all, func() { tids <- syscall.Gettid() })
			}
			all.Wait()
		}
		for i := number(args[1]); i > 0; i-- {
			fmt.Println("thread", <-tids)
		}
		fmt.Println("done")
		bufio.NewReader(os.Stdin).ReadString(0)
	case "crowd":
		var pipes [2]int
		if err := syscall.Pipe(pipes[:]); err != nil {
			panic(err)
		}
		var there sync.WaitGroup
		for i := number(args[1]); i > 0; i-- {
			there.Add(1)
			thread(&all, func() {
				there.Done()
				syscall.Read(pipes[0], make([]byte, 1))
			})
		}
		there.Wait()
		fmt.Println("done")
		bufio.NewReader(os.Stdin).ReadString(0)
		syscall.Close(pipes[1])
		all.Wait()
	case "burn":
		all.Add(1)
		go func() {
			defer all.Done()
			runtime.LockOSThread()
			start := userTime()
			fmt.Println("burner", goid(), syscall.Gettid())
			if burn(start+time.Duration(number(args[1]))*time.Millisecond) == 1 {
				fmt.Println("never")
			}
		}()
		all.Wait()
	}
}
