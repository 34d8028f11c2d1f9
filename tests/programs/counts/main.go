// counts - a program that knows its own story exactly, and prints it as JSON on stdout.
//
// Each worker does one thing that blocks, n times. The main goroutine wakes it only after the runtime itself
// (a dump of all stacks) says that the worker is parked, so every operation blocks exactly once, at any
// GOMAXPROCS; and the text of the reason comes from the runtime, not from a list. The collector is off.
package main

import (
	"encoding/json"
	"flag"
	"os"
	"os/signal"
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
	G        uint64            `json:"g"`
	Name     string            `json:"name"`
	Parent   uint64            `json:"parent"`
	Start    string            `json:"start,omitempty"` // "" when the story does not say
	Blocks   map[string]uint64 `json:"blocks"`          // by reason
	Wakes    map[uint64]uint64 `json:"wakes"`           // by goroutine; 0 is the scheduler itself
	Yields   uint64            `json:"yields"`
	Syscalls uint64            `json:"syscalls"`
	Ended    bool              `json:"ended"`
	Exact    bool              `json:"exact"` // all of the above; false: only blocks and wakes
}

type story struct {
	Main     uint64   `json:"main"`
	Workers  []worker `json:"workers"`
	Spawner  uint64   `json:"spawner"`
	Children []uint64 `json:"children"`
	Threads  uint64   `json:"threads_ended"` // threads that ended with the goroutine locked to them
	Procs    int      `json:"gomaxprocs"`
	Version  string   `json:"version"`
	Created  int      `json:"threads_created"` // at least
}

var (
	told   story
	self   uint64
	dump   = make([]byte, 1<<20)
	rounds = flag.Uint64("n", 40, "how often each worker blocks")
	spawns = flag.Int("spawn", 3000, "how many short goroutines")
	ending = flag.Int("threads", 8, "how many threads end with their goroutine")
)

func init() { runtime.LockOSThread() }

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, err := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}

// pause lets others run: at first at once, then with a rest, so that waiting makes few events.
func pause(tries int) {
	if tries < 10 {
		runtime.Gosched()
	} else {
		time.Sleep(50 * time.Microsecond)
	}
}

// status is what the runtime says about a goroutine: "running", "runnable", a reason to wait, or "" when it is gone.
func status(id uint64) string {
	n := runtime.Stack(dump, true)
	for n == len(dump) {
		dump = make([]byte, 2*len(dump))
		n = runtime.Stack(dump, true)
	}
	text := "\n" + string(dump[:n])
	key := "\ngoroutine " + strconv.FormatUint(id, 10) + " "
	at := strings.Index(text, key)
	if at < 0 {
		return ""
	}
	text = text[at:]
	text = text[strings.IndexByte(text, '[')+1:]
	text = text[:strings.IndexByte(text, ']')]
	if comma := strings.IndexByte(text, ','); comma >= 0 {
		text = text[:comma]
	}
	return text
}

// parked waits until the goroutine waits, and says on what.
func parked(id uint64) string {
	for i := 0; ; i++ {
		switch text := status(id); text {
		case "running", "runnable", "syscall", "copystack", "preempted", "idle", "dead", "":
			pause(i)
		default:
			return text
		}
	}
}

func gone(id uint64) {
	for i := 0; status(id) != ""; i++ {
		pause(i)
	}
}

// tell runs block() n times in a goroutine of its own; wake(i) is called when it is parked for the i-th time.
func tell(name string, block, wake func(i uint64), by uint64, locked bool) {
	var id, done uint64
	go func() {
		if locked {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		atomic.StoreUint64(&id, goid())
		for i := uint64(0); i < *rounds; i++ {
			block(i)
			atomic.AddUint64(&done, 1)
		}
	}()
	for i := 0; atomic.LoadUint64(&id) == 0; i++ {
		pause(i)
	}
	blocks := map[string]uint64{}
	for i := uint64(0); i < *rounds; i++ {
		blocks[parked(id)]++
		wake(i)
		for k := 0; atomic.LoadUint64(&done) != i+1; k++ {
			pause(k)
		}
	}
	gone(id)
	told.Workers = append(told.Workers, worker{G: id, Name: name, Parent: self, Blocks: blocks,
		Wakes: map[uint64]uint64{by: *rounds}, Ended: true, Exact: name != "io"})
}

// alone runs a goroutine that needs nobody to go on.
func alone(name string, run func(), w worker) {
	var id uint64
	go func() {
		atomic.StoreUint64(&id, goid())
		run()
	}()
	for i := 0; atomic.LoadUint64(&id) == 0; i++ {
		pause(i)
	}
	gone(id)
	w.G, w.Name, w.Parent, w.Ended, w.Exact = id, name, self, true, true
	if w.Blocks == nil {
		w.Blocks, w.Wakes = map[string]uint64{}, map[uint64]uint64{}
	}
	told.Workers = append(told.Workers, w)
}

// forever starts a goroutine that blocks once and never goes on.
func forever(name string, block func()) {
	var id uint64
	go func() {
		atomic.StoreUint64(&id, goid())
		block()
	}()
	for i := 0; atomic.LoadUint64(&id) == 0; i++ {
		pause(i)
	}
	told.Workers = append(told.Workers, worker{G: id, Name: name, Parent: self,
		Blocks: map[string]uint64{parked(id): 1}, Wakes: map[uint64]uint64{}, Exact: true})
}

func channels() {
	n := *rounds
	c := make(chan int)
	tell("receive", func(uint64) { <-c }, func(uint64) { c <- 1 }, self, false)
	tell("send", func(uint64) { c <- 1 }, func(uint64) { <-c }, self, false)
	tell("locked to a thread", func(uint64) { <-c }, func(uint64) { c <- 1 }, self, true)
	full := make(chan int, 1)
	full <- 0
	tell("send to a full buffer", func(uint64) { full <- 1 }, func(uint64) { <-full }, self, false)
	closing := make([]chan int, n)
	for i := range closing {
		closing[i] = make(chan int)
	}
	tell("receive until close", func(i uint64) { <-closing[i] }, func(i uint64) { close(closing[i]) }, self, false)
	a, b := make(chan int), make(chan int)
	tell("select", func(uint64) {
		select {
		case <-a:
		case <-b:
		}
	}, func(i uint64) {
		if i%2 == 0 {
			a <- 1
		} else {
			b <- 1
		}
	}, self, false)
	var none chan int
	forever("receive from nil", func() { <-none })
	forever("send to nil", func() { none <- 1 })
	forever("empty select", func() { select {} })
}

func locks() {
	n := *rounds
	mutexes, readers, writers, groups := make([]sync.Mutex, n), make([]sync.RWMutex, n), make([]sync.RWMutex, n), make([]sync.WaitGroup, n)
	for i := range mutexes {
		mutexes[i].Lock()
		readers[i].Lock()
		writers[i].RLock()
		groups[i].Add(1)
	}
	tell("mutex", func(i uint64) { mutexes[i].Lock(); mutexes[i].Unlock() }, func(i uint64) { mutexes[i].Unlock() }, self, false)
	tell("read lock", func(i uint64) { readers[i].RLock(); readers[i].RUnlock() }, func(i uint64) { readers[i].Unlock() }, self, false)
	tell("write lock", func(i uint64) { writers[i].Lock(); writers[i].Unlock() }, func(i uint64) { writers[i].RUnlock() }, self, false)
	tell("wait group", func(i uint64) { groups[i].Wait() }, func(i uint64) { groups[i].Done() }, self, false)
	cond := sync.NewCond(&sync.Mutex{})
	tell("cond", func(uint64) { cond.L.Lock(); cond.Wait(); cond.L.Unlock() }, func(uint64) { cond.Signal() }, self, false)
}

func input() {
	read, write, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	var in, out [1]byte
	tell("io", func(uint64) { read.Read(in[:]) }, func(uint64) { write.Write(out[:]) }, 0, false)
}

func loners() {
	n := *rounds
	alone("sleep", func() {
		for i := uint64(0); i < n; i++ {
			time.Sleep(200 * time.Microsecond)
		}
	}, worker{Blocks: map[string]uint64{"sleep": n}, Wakes: map[uint64]uint64{0: n}})
	alone("yield", func() {
		for i := uint64(0); i < 10*n; i++ {
			runtime.Gosched()
		}
	}, worker{Yields: 10 * n})
	alone("syscall", func() {
		for i := uint64(0); i < 10*n; i++ {
			syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
		}
	}, worker{Syscalls: 10 * n})
}

// spawn makes short goroutines from one parent; they end in three ways.
func spawn() {
	var id, left uint64
	children := make([]uint64, *spawns)
	go func() {
		atomic.StoreUint64(&id, goid())
		for i := range children {
			i := i
			atomic.AddUint64(&left, 1)
			go func() {
				defer atomic.AddUint64(&left, ^uint64(0))
				children[i] = goid()
				switch i % 3 {
				case 1:
					runtime.Goexit()
				case 2:
					defer func() { recover() }()
					var nothing *worker
					nothing.G = 1
				}
			}()
			for i := 0; atomic.LoadUint64(&left) > 64; i++ {
				pause(i)
			}
		}
		for i := 0; atomic.LoadUint64(&left) > 0; i++ {
			pause(i)
		}
	}()
	for i := 0; atomic.LoadUint64(&id) == 0; i++ {
		pause(i)
	}
	gone(id)
	for i := 0; runtime.NumGoroutine() > 4; i++ {
		pause(i) // main and the three of forever(); a child has still to end after its last deferred call
	}
	told.Spawner, told.Children = id, children
}

func threadCount() int {
	dir, err := os.ReadDir("/proc/self/task")
	if err != nil {
		panic(err)
	}
	return len(dir)
}

// threads ends threads: a goroutine that ends while it is locked takes its thread along. The main goroutine sits on
// the main thread meanwhile, which never ends.
func threads() {
	for i := 0; i < *ending; i++ {
		var tid int64
		go func() {
			runtime.LockOSThread()
			atomic.StoreInt64(&tid, int64(syscall.Gettid()))
		}()
		for atomic.LoadInt64(&tid) == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		path := "/proc/self/task/" + strconv.FormatInt(tid, 10)
		for {
			if _, err := os.Stat(path); err != nil {
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	told.Threads = uint64(*ending)
	runtime.UnlockOSThread() // of init
}

// signals: os/signal's own goroutine sleeps in the runtime as if in a system call that blocks.
func signals() {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR1)
	loop := uint64(0)
	for loop == 0 {
		n := runtime.Stack(dump, true)
		for _, part := range strings.Split(string(dump[:n]), "\n\n") {
			if strings.Contains(part, "os/signal.loop") && strings.Contains(part, "[syscall") {
				text := strings.TrimPrefix(part, "goroutine ")
				loop, _ = strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
			}
		}
		runtime.Gosched()
	}
	for i := uint64(0); i < *rounds; i++ {
		for i := 0; status(loop) != "syscall"; i++ {
			pause(i)
		}
		syscall.Kill(syscall.Getpid(), syscall.SIGUSR1)
		<-got
	}
	for i := 0; status(loop) != "syscall"; i++ {
		pause(i)
	}
	told.Workers = append(told.Workers, worker{G: loop, Name: "signals", Parent: self, Blocks: map[string]uint64{},
		Wakes: map[uint64]uint64{}, Syscalls: *rounds + 1})
}

func main() {
	flag.Parse()
	debug.SetGCPercent(-1)
	self = goid()
	told.Main, told.Procs, told.Version = self, runtime.GOMAXPROCS(0), runtime.Version()
	threads()
	channels()
	spawn()
	locks()
	loners()
	input()
	signals()
	told.Created = threadCount()
	if err := json.NewEncoder(os.Stdout).Encode(&told); err != nil {
		panic(err)
	}
}
