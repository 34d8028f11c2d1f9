// midway - goroutines that were there before somebody looked, and numbers what they do while he does.
//
// Every worker is woken n times in each of three phases, only when the runtime itself says that it is parked. Between the phases
// the program says so ("phase 1") and waits for a line. At the end it tells, as JSON, what each worker did in a phase.
// Others make noise all the time: goroutines that come and go, hand over, yield, sleep, and call the kernel.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type worker struct {
	G      uint64 `json:"g"`
	Name   string `json:"name"`
	Reason string `json:"reason"` // what it waits on, as the runtime says
	Woken  uint64 `json:"woken"`  // in each phase; by main

	wake func()
	done *uint64
}

type story struct {
	Main     uint64    `json:"main"`
	Workers  []*worker `json:"workers"`
	Children []uint64  `json:"children"` // of main, in the second phase
	Idle     []uint64  `json:"idle"`     // goroutines that wait for ever
	Ended    bool      `json:"ended"`
}

var (
	told   story
	dump   = make([]byte, 1<<20)
	rounds = flag.Uint64("n", 20, "how often each worker is woken in a phase")
	idle   = flag.Int("idle", 50, "goroutines that wait for ever")
	noise  = flag.Int("noise", 3, "goroutines of each kind that make noise")
	gc     = flag.Bool("gc", false, "collect garbage, too")
)

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, err := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}

// states is what the runtime says of every goroutine.
func states() map[uint64]string {
	n := runtime.Stack(dump, true)
	for n == len(dump) {
		dump = make([]byte, 2*len(dump))
		n = runtime.Stack(dump, true)
	}
	out := map[uint64]string{}
	for _, part := range strings.Split(string(dump[:n]), "\n\n") {
		part = strings.TrimPrefix(part, "goroutine ")
		id, err := strconv.ParseUint(part[:strings.IndexByte(part, ' ')], 10, 64)
		if err != nil {
			panic(err)
		}
		text := part[strings.IndexByte(part, '[')+1:]
		text = text[:strings.IndexByte(text, ']')]
		if comma := strings.IndexByte(text, ','); comma >= 0 {
			text = text[:comma]
		}
		out[id] = text
	}
	return out
}

func waits(text string) bool {
	switch text {
	case "running", "runnable", "syscall", "copystack", "preempted", "idle", "dead", "":
		return false
	}
	return true
}

// allParked waits until every worker is.
func allParked() {
	for {
		seen, missing := states(), 0
		for _, w := range told.Workers {
			if waits(seen[w.G]) {
				w.Reason = seen[w.G]
			} else {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func add(name string, block, wake func()) {
	w := &worker{Name: name, Woken: *rounds, wake: wake, done: new(uint64)}
	id := make(chan uint64)
	go func() {
		id <- goid()
		for {
			block()
			atomic.AddUint64(w.done, 1)
		}
	}()
	w.G = <-id
	told.Workers = append(told.Workers, w)
}

func workers() {
	for i := 0; i < 3; i++ {
		c, d := make(chan int), make(chan int)
		add("receive", func() { <-c }, func() { c <- 1 })
		add("send", func() { d <- 1 }, func() { <-d })
		a, b, turn := make(chan int), make(chan int), 0
		add("select", func() {
			select {
			case <-a:
			case <-b:
			}
		}, func() {
			if turn++; turn%2 == 0 {
				a <- 1
			} else {
				b <- 1
			}
		})
		cond := sync.NewCond(&sync.Mutex{})
		add("cond", func() { cond.L.Lock(); cond.Wait(); cond.L.Unlock() }, func() { cond.Signal() })
		var locked chan int = make(chan int)
		first := true
		add("locked to a thread", func() {
			if first {
				runtime.LockOSThread()
				first = false
			}
			<-locked
		}, func() { locked <- 1 })
	}
}

func phase() {
	for i := uint64(0); i < *rounds; i++ {
		allParked()
		for _, w := range told.Workers {
			before := atomic.LoadUint64(w.done)
			w.wake()
			for atomic.LoadUint64(w.done) == before {
				time.Sleep(20 * time.Microsecond)
			}
		}
	}
	allParked()
}

func noises() {
	for i := 0; i < *noise; i++ {
		a, b := make(chan int), make(chan int)
		go func() {
			for n := range a {
				b <- n
			}
		}()
		go func() {
			for n := 0; ; n++ {
				a <- n
				<-b
				if n%8 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
			}
		}()
		go func() {
			for n := 0; ; n++ {
				runtime.Gosched()
				if n%16 == 0 {
					time.Sleep(300 * time.Microsecond)
				}
			}
		}()
		go func() {
			for n := 0; ; n++ {
				syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
				if n%16 == 0 {
					time.Sleep(200 * time.Microsecond)
				}
			}
		}()
		go func() {
			for {
				done := make(chan int, 8)
				for k := 0; k < 8; k++ {
					go func() { done <- len(make([]byte, 4096)) }()
				}
				for k := 0; k < 8; k++ {
					<-done
				}
				time.Sleep(time.Millisecond)
			}
		}()
		go func() {
			for {
				for n := 0; n < 300000; n++ {
					dummy[n%len(dummy)]++
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
}

var dummy [64]int32

func main() {
	flag.Parse()
	if !*gc {
		debug.SetGCPercent(-1)
	}
	told.Main = goid()
	input := bufio.NewReader(os.Stdin)
	never := make(chan int)
	for i := 0; i < *idle; i++ {
		id := make(chan uint64)
		go func() {
			id <- goid()
			<-never
		}()
		told.Idle = append(told.Idle, <-id)
	}
	workers()
	noises()
	for i := 1; i <= 3; i++ {
		phase()
		fmt.Fprintf(os.Stderr, "phase %d\n", i)
		if i == 3 {
			break
		}
		if _, err := input.ReadString('\n'); err != nil {
			return
		}
		if i == 1 {
			for k := 0; k < 20; k++ {
				id := make(chan uint64)
				go func() { id <- goid() }()
				told.Children = append(told.Children, <-id)
			}
		}
	}
	told.Ended = true
	if err := json.NewEncoder(os.Stdout).Encode(&told); err != nil {
		panic(err)
	}
}
