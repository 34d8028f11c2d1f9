// ender - ends by itself some milliseconds after it is ready, with many threads: an attach may be in the middle of its stop.
// "hooked" before the number: some milliseconds after it found hooks in its own code, with many goroutines: an attach is reading them.
package main

import (
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Where the code of a function of the runtime begins.
func code(name string) *[16]byte {
	for _, step := range []int{16, -16} {
		for at := int(reflect.ValueOf(runtime.GC).Pointer()) &^ 15; ; at += step {
			f := runtime.FuncForPC(uintptr(at))
			if f == nil {
				break
			}
			if f.Name() == name {
				entry := f.Entry()
				return *(**[16]byte)(unsafe.Pointer(&entry))
			}
		}
	}
	panic("there is no " + name)
}

func hooked(after time.Duration) {
	for i := 0; i < 1500; i++ {
		go idle()
	}
	time.Sleep(10 * time.Millisecond)
	c := code("runtime.casgstatus")
	before := *c
	zeros, err := syscall.Open("/dev/zero", syscall.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready\n")
	// In and out of system calls: whoever looks later finds it in another state than the hooks did.
	go func() {
		var b [1]byte
		for *c == before {
			syscall.Read(zeros, b[:])
		}
		for begin := time.Now(); time.Since(begin) < after; {
			syscall.Read(zeros, b[:])
			time.Sleep(100 * time.Microsecond)
		}
		os.Exit(0)
	}()
	select {}
}

func idle() {
	select {}
}

func threads(after time.Duration) {
	runtime.GOMAXPROCS(8)
	var wg sync.WaitGroup
	for i := 0; i < 40; i++ {
		wg.Add(1)
		go func() {
			runtime.LockOSThread()
			wg.Done()
			for {
				time.Sleep(time.Millisecond)
			}
		}()
	}
	wg.Wait()
	os.Stdout.WriteString("ready\n")
	time.Sleep(after)
}

func main() {
	n, _ := strconv.Atoi(os.Args[len(os.Args)-1])
	if os.Args[1] == "hooked" {
		hooked(time.Duration(n) * time.Millisecond)
	}
	threads(time.Duration(n) * time.Millisecond)
}
