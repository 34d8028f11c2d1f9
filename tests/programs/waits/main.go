// waits - goroutines that wait, one after the other, each for something whose address the program tells itself.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type wait struct {
	What   string
	Object uint64
	Cause  string // of the wake, when no goroutine is it
	Detail uint64
}

type waiter struct {
	G     uint64
	Waits []wait
}

var list []waiter

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, _ := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	return id
}

func address(pointer unsafe.Pointer) uint64 {
	return uint64(uintptr(pointer))
}

func of(c interface{}) uint64 {
	return address((*[2]unsafe.Pointer)(unsafe.Pointer(&c))[1])
}

var dump = make([]byte, 1<<20)

// Until goroutine g waits for the reason.
func blocked(g uint64, reason string) {
	head := fmt.Sprintf("goroutine %d [%s", g, reason)
	for !strings.Contains(string(dump[:runtime.Stack(dump, true)]), head) {
		time.Sleep(100 * time.Microsecond)
	}
}

// Runs block in a goroutine of its own, wakes it when it waits for the reason (nil: nobody has to), and until it is done.
func each(reason string, block, wake func(), waits ...wait) {
	var g, done uint64
	go func() {
		atomic.StoreUint64(&g, goid())
		block()
		atomic.StoreUint64(&done, 1)
	}()
	for atomic.LoadUint64(&g) == 0 {
		time.Sleep(100 * time.Microsecond)
	}
	if wake != nil {
		blocked(g, reason)
		wake()
	}
	for atomic.LoadUint64(&done) == 0 {
		time.Sleep(100 * time.Microsecond)
	}
	list = append(list, waiter{g, waits})
}

func descriptor(c syscall.RawConn) uint64 {
	var number uint64
	c.Control(func(fd uintptr) { number = uint64(fd) })
	return number
}

func channels() {
	c := make(chan int)
	each("chan receive", func() { <-c }, func() { c <- 1 }, wait{"chan", of(c), "", 0})
	each("chan send", func() { c <- 1 }, func() { <-c }, wait{"chan", of(c), "", 0})
	for _, count := range []int{2, 3, 8, 12} {
		var list [12]chan int
		var waits []wait
		for i := 0; i < count; i++ {
			list[i] = make(chan int)
		}
		// The runtime locks them by address, which is the order of its list.
		for i := range list {
			for j := i + 1; list[i] != nil && j < count; j++ {
				if of(list[j]) < of(list[i]) {
					list[i], list[j] = list[j], list[i]
				}
			}
		}
		for i := 0; i < count && i < 8; i++ {
			waits = append(waits, wait{"chan", of(list[i]), "", 0})
		}
		waits = append(waits, wait{"select", uint64(count), "", 0})
		each("select", func() {
			select {
			case <-list[0]:
			case list[1] <- 1:
			case <-list[2]:
			case <-list[3]:
			case <-list[4]:
			case <-list[5]:
			case <-list[6]:
			case <-list[7]:
			case <-list[8]:
			case <-list[9]:
			case <-list[10]:
			case <-list[11]:
			}
		}, func() { <-list[1] }, waits...)
	}
	timer := time.NewTimer(20 * time.Millisecond)
	each("", func() { <-timer.C }, nil, wait{"chan", of(timer.C), "timer", 0})
}

func locks(newer func(int) bool) {
	var mutex sync.Mutex
	var both sync.RWMutex
	var group sync.WaitGroup
	sema := "semaphore"
	is := func(minor int, what string, base unsafe.Pointer, offset uint64) wait {
		if newer(minor) {
			return wait{what, address(base), "", 0}
		}
		return wait{sema, address(base) + offset, "", 0}
	}
	reason := func(minor int, text string) string {
		if newer(minor) {
			return text
		}
		return "semacquire"
	}
	mutex.Lock()
	each(reason(20, "sync.Mutex.Lock"), func() { mutex.Lock(); mutex.Unlock() }, mutex.Unlock, is(20, "mutex", unsafe.Pointer(&mutex), 4))
	both.Lock()
	each(reason(20, "sync.RWMutex.RLock"), func() { both.RLock(); both.RUnlock() }, both.Unlock, is(20, "rwmutex", unsafe.Pointer(&both), 12))
	both.RLock()
	each(reason(20, "sync.RWMutex.Lock"), func() { both.Lock(); both.Unlock() }, both.RUnlock, is(20, "rwmutex", unsafe.Pointer(&both), 8))
	group.Add(1)
	each(reason(24, "sync.WaitGroup.Wait"), group.Wait, group.Done, is(24, "waitgroup", unsafe.Pointer(&group), 8))

	cond := sync.NewCond(&mutex)
	each("sync.Cond.Wait", func() { mutex.Lock(); cond.Wait(); mutex.Unlock() }, func() { mutex.Lock(); mutex.Unlock(); cond.Signal() },
		wait{"cond", address(unsafe.Pointer(cond)), "", 0})
}

func descriptors() {
	read, write, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	raw, _ := read.SyscallConn()
	in := descriptor(raw)
	data := make([]byte, 1<<20)
	each("IO wait", func() { read.Read(data[:1]) }, func() { write.Write(data[:1]) }, wait{"fd read", in, "netpoll", in})

	raw, _ = write.SyscallConn()
	out := descriptor(raw)
	raw.Control(func(fd uintptr) {
		for { // until it is full
			if n, err := syscall.Write(int(fd), data[:65536]); n <= 0 || err != nil {
				break
			}
		}
	})
	each("IO wait", func() { write.Write(data[:1]) }, func() {
		raw, _ := read.SyscallConn()
		raw.Control(func(fd uintptr) { syscall.Read(int(fd), data) })
	}, wait{"fd write", out, "netpoll", out})
	read.SetReadDeadline(time.Now().Add(time.Hour))
	for n := 1; n > 0; {
		raw, _ := read.SyscallConn()
		raw.Control(func(fd uintptr) { n, _ = syscall.Read(int(fd), data) })
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	raw, _ = listener.(*net.TCPListener).SyscallConn()
	at := descriptor(raw)
	each("IO wait", func() { listener.Accept() }, func() {
		fd, _ := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		port := listener.Addr().(*net.TCPAddr).Port
		syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}, wait{"fd read", at, "netpoll", at})

	each("", func() {
		read.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		read.Read(data[:1])
	}, nil, wait{"fd read", in, "deadline", in})
	// By another goroutine: no cause.
	each("IO wait", func() {
		read.SetReadDeadline(time.Time{})
		read.Read(data[:1])
	}, func() { read.SetReadDeadline(time.Now().Add(-time.Second)) }, wait{"fd read", in, "", 0})
}

func timers() map[string]interface{} {
	const set, stopped, fired = 40, 30, 10
	var g uint64
	var addresses []uint64
	done := make(chan bool)
	go func() {
		g = goid()
		for i := 0; i < set; i++ {
			timer := time.AfterFunc(time.Hour, func() {})
			addresses = append(addresses, address(unsafe.Pointer(timer)))
			if i < stopped && !timer.Stop() {
				panic("stop")
			}
			if i >= stopped {
				defer timer.Stop()
			}
		}
		done <- true
	}()
	<-done
	var short []uint64
	for i := 0; i < fired; i++ {
		timer := time.AfterFunc(time.Millisecond, func() { done <- true })
		short = append(short, address(unsafe.Pointer(timer)))
		<-done
		defer runtime.KeepAlive(timer)
	}
	return map[string]interface{}{"g": g, "timers": addresses, "stopped": set, "fired": short}
}

var sink []byte

// A cycle of the collector; runtime.GC would yield some ten thousand times while it waits.
func collect() {
	var stats runtime.MemStats
	debug.SetGCPercent(10)
	for stats.NumGC == 0 {
		sink = make([]byte, 1<<20)
		time.Sleep(100 * time.Microsecond)
		runtime.ReadMemStats(&stats)
	}
}

func main() {
	debug.SetGCPercent(-1)
	version := strings.SplitN(strings.TrimPrefix(runtime.Version(), "go1."), ".", 2)[0]
	minor, _ := strconv.Atoi(version)
	newer := func(least int) bool { return minor >= least }
	channels()
	locks(newer)
	descriptors()
	for _, pause := range []time.Duration{1, 1000, 3 * time.Millisecond, 12345678} {
		each("", func() { time.Sleep(pause) }, nil, wait{"sleep", uint64(pause), "timer", 0})
	}
	told := timers()
	collect()
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"waiters": list, "timers": told})
}
