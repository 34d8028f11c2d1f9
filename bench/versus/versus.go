// versus.go - one operation of Go's runtime, as often as said; versus.c is the same for ours.
package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	contenders = 8
	batch      = 1000
)

var (
	count int
	all   sync.WaitGroup
	late  []int64
)

func tell(name string, value float64) { fmt.Printf("%s %.2f\n", name, value) }

func tellSorted() {
	slices.Sort(late)
	tell("p50", float64(late[count/2]))
	tell("p99", float64(late[count*99/100]))
}

func each(begin time.Time, n int) float64 { return float64(time.Since(begin)) / float64(n) }

func yields() {
	begin := time.Now()
	for range 2 {
		all.Add(1)
		go func() {
			for i := 0; i < count/2; i++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
	tell("ns", each(begin, count))
}

func spawn() {
	begin := time.Now()
	for i := 0; i < count/batch; i++ {
		all.Add(batch)
		for range batch {
			go all.Done()
		}
		all.Wait()
	}
	tell("ns", each(begin, count/batch*batch))
}

func pingpong() {
	there, back := make(chan int), make(chan int)
	go func() {
		for i := 0; i < count; i++ {
			back <- <-there
		}
	}()
	begin := time.Now()
	for i := 0; i < count; i++ {
		there <- i
		<-back
	}
	tell("ns", each(begin, count))
}

func buffered() {
	begin := time.Now()
	c := make(chan int, 128)
	go func() {
		for i := 0; i < count; i++ {
			c <- i
		}
	}()
	for i := 0; i < count; i++ {
		<-c
	}
	tell("ns", each(begin, count))
}

func contention() {
	var mutex sync.Mutex
	counter := 0
	begin := time.Now()
	all.Add(contenders)
	for range contenders {
		go func() {
			for i := 0; i < count/contenders; i++ {
				mutex.Lock()
				counter++
				mutex.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	tell("ns", each(begin, count))
}

func sleeps() {
	for i := range late {
		begin := time.Now()
		time.Sleep(100 * time.Microsecond)
		late[i] = int64(time.Since(begin) - 100*time.Microsecond)
	}
	tellSorted()
}

func sleepers() {
	all.Add(count)
	for i := range late {
		go func() {
			wanted := time.Second/2 + time.Duration(uint64(i)*2654435761%1000000000)
			begin := time.Now()
			time.Sleep(wanted)
			late[i] = int64(time.Since(begin) - wanted)
			all.Done()
		}()
	}
	all.Wait()
	tellSorted()
}

func preempt() {
	var stop atomic.Bool
	go func() {
		for !stop.Load() {
		}
	}()
	for i := range late {
		begin := time.Now()
		runtime.Gosched()
		late[i] = int64(time.Since(begin))
	}
	stop.Store(true)
	tellSorted()
}

func resident() int {
	text, _ := os.ReadFile("/proc/self/status")
	kb := 0
	for _, line := range bytes.Split(text, []byte("\n")) {
		if fields := bytes.Fields(line); len(fields) == 3 && (string(fields[0]) == "VmRSS:" || string(fields[0]) == "VmPTE:") {
			n, _ := strconv.Atoi(string(fields[1]))
			kb += n
		}
	}
	return kb * 1024
}

func idle() {
	before := resident()
	begin := time.Now()
	c := make(chan int)
	all.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			<-c
			all.Done()
		}()
		if i%1000 == 999 {
			runtime.Gosched()
		}
	}
	runtime.Gosched()
	tell("start_ns", each(begin, count))
	tell("bytes", float64(resident()-before)/float64(count))
	begin = time.Now()
	close(c)
	all.Wait()
	tell("wake_ns", each(begin, count))
}

// With and without in turns, and the best of each: the difference is small.
func syscalls() {
	const turns = 50
	n := count/turns + 1
	raw, ours := time.Hour, time.Hour
	for range turns {
		begin := time.Now()
		for i := 0; i < n; i++ {
			syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0)
		}
		middle := time.Now()
		for i := 0; i < n; i++ {
			syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
		}
		raw, ours = min(raw, middle.Sub(begin)), min(ours, time.Since(middle))
	}
	tell("raw_ns", float64(raw)/float64(n))
	tell("over_ns", float64(ours-raw)/float64(n))
}

func echo() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	tell("port", float64(listener.Addr().(*net.TCPAddr).Port))
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer conn.Close()
			buffer := make([]byte, 4096)
			for {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				if _, err := conn.Write(buffer[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func main() {
	ops := map[string]func(){"yield": yields, "spawn": spawn, "pingpong": pingpong, "buffered": buffered, "mutex": contention,
		"sleep": sleeps, "sleepers": sleepers, "preempt": preempt, "idle": idle, "syscall": syscalls, "echo": echo}
	if len(os.Args) > 2 {
		count, _ = strconv.Atoi(os.Args[2])
	}
	if len(os.Args) < 3 || count < 1 || ops[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: versus OP COUNT")
		os.Exit(2)
	}
	late = make([]int64, count)
	ops[os.Args[1]]()
}
