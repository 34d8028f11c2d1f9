// calls - system calls whose numbers, arguments, results and errors the program tells itself.
//
//	calls told N        one goroutine makes calls, N rounds of them, and prints each
//	calls slow          calls that last, among many that do not
//	calls files FILE    writes to a file for some time; prints its descriptor
//	calls loop          calls, waits and timers until standard input ends
//	calls children N    starts N processes, one after the other
//	calls work          waits for a line, then does what makes the runtime call the kernel
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type call struct {
	Number, Arg0, Arg2, Result, Errno uint64
	Raw                               bool
}

var list []call

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, _ := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	return id
}

func note(raw bool, number, a, c, result uintptr, errno syscall.Errno) uintptr {
	one := call{Number: uint64(number), Arg0: uint64(a), Arg2: uint64(c), Raw: raw, Errno: uint64(errno)}
	if errno == 0 {
		one.Result = uint64(result)
	}
	list = append(list, one)
	return result
}

//go:noinline
func blocking(number, a, b, c uintptr) uintptr {
	r, _, errno := syscall.Syscall(number, a, b, c)
	return note(false, number, a, c, r, errno)
}

//go:noinline
func raw(number, a, b, c uintptr) uintptr {
	r, _, errno := syscall.RawSyscall(number, a, b, c)
	return note(true, number, a, c, r, errno)
}

//go:noinline
func blocking6(number, a, b, c, d, e, f uintptr) uintptr {
	r, _, errno := syscall.Syscall6(number, a, b, c, d, e, f)
	return note(false, number, a, c, r, errno)
}

var buffer [4096]byte

func at(text string) uintptr {
	bytes := append([]byte(text), 0)
	return uintptr(unsafe.Pointer(&bytes[0]))
}

func told(times int) {
	folder, err := os.MkdirTemp("", "calls")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	file, missing, inner := at(folder+"/file"), at(folder+"/missing"), at(folder+"/inner")
	here := ^uintptr(99) // AT_FDCWD
	done := make(chan uint64)
	go func() {
		runtime.LockOSThread()
		for i := 0; i < times; i++ {
			fd := blocking6(syscall.SYS_OPENAT, here, file, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0644, 0, 0)
			data := uintptr(unsafe.Pointer(&buffer[0]))
			blocking6(syscall.SYS_PWRITE64, fd, data, 100+uintptr(i), 5, 0, 0)
			blocking6(syscall.SYS_PREAD64, fd, data, 4096, 50, 0, 0)
			blocking(syscall.SYS_LSEEK, fd, 7, 0)
			raw(syscall.SYS_GETPPID, 1, 2, 3)
			blocking6(syscall.SYS_OPENAT, here, missing, syscall.O_RDONLY, 0, 0, 0) // ENOENT
			blocking(syscall.SYS_MKDIRAT, here, inner, 0755)
			blocking(syscall.SYS_MKDIRAT, here, inner, 0755) // EEXIST
			blocking(syscall.SYS_UNLINKAT, here, inner, 0x200)
			blocking(syscall.SYS_FTRUNCATE, fd, 10, 0)
			raw(syscall.SYS_GETPGID, 0, 0, 0)
			raw(syscall.SYS_GETPRIORITY, 99, 0, 0) // EINVAL
			other := blocking(syscall.SYS_DUP, fd, 0, 0)
			blocking(syscall.SYS_FDATASYNC, 9999, 0, 0) // EBADF
			blocking(syscall.SYS_CLOSE, other, 0, 0)
			blocking(syscall.SYS_CLOSE, fd, 0, 0)
		}
		done <- goid()
	}()
	g := <-done
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"g": g, "calls": list})
}

func slow() {
	const rests, quick = 5, 2000
	done := make(chan uint64)
	go func() {
		for i := 0; i < rests; i++ {
			for j := 0; j < quick; j++ {
				syscall.Syscall(syscall.SYS_GETPGID, 0, 0, 0)
			}
			pause := syscall.Timespec{Nsec: 40 * 1000 * 1000}
			blocking(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, uintptr(i))
		}
		done <- goid()
	}()
	g := <-done
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"g": g, "calls": list, "quick": rests * quick})
}

// The descriptors stay open while the collector looks at them.
func files() {
	out, err := os.OpenFile(os.Args[2], os.O_RDWR|os.O_CREATE, 0644)
	if err != nil {
		panic(err)
	}
	for i := 0; i < 100; i++ {
		out.WriteString("x")
		time.Sleep(3 * time.Millisecond)
	}
	fmt.Println(out.Fd())
}

// Calls, waits and timers all the time, each looked after; until standard input ends.
func loop() {
	file, err := os.CreateTemp("", "calls")
	if err != nil {
		panic(err)
	}
	os.Remove(file.Name())
	var stop uint32
	ended := make(chan int)
	for i := 0; i < 4; i++ {
		go func(i int) {
			count := 0
			for ; atomic.LoadUint32(&stop) == 0; count++ {
				if n, _, errno := syscall.Syscall6(syscall.SYS_PWRITE64, file.Fd(), uintptr(unsafe.Pointer(&buffer[0])), uintptr(i+1), 0, 0, 0); n != uintptr(i+1) || errno != 0 {
					panic("pwrite")
				}
				if n, _, errno := syscall.RawSyscall(syscall.SYS_LSEEK, 9999, 0, 0); n != ^uintptr(0) || errno != syscall.EBADF {
					panic("lseek")
				}
				answer := make(chan int)
				go func() { answer <- i }()
				select {
				case n := <-answer:
					if n != i {
						panic("answer")
					}
				case <-time.After(time.Hour):
					panic("time")
				}
				time.Sleep(200 * time.Microsecond)
			}
			ended <- count
		}(i)
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	atomic.StoreUint32(&stop, 1)
	for i := 0; i < 4; i++ {
		if <-ended == 0 {
			panic("nothing was done")
		}
	}
	fmt.Println("done")
}

func children(count int) {
	for i := 0; i < count; i++ {
		text, err := exec.Command("/bin/echo", strconv.Itoa(i)).Output()
		if err != nil {
			panic(err)
		}
		os.Stdout.Write(text)
	}
	// A child that shares nothing with us: nor may it write where our threads record.
	command := exec.Command("/bin/true")
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	for i := 0; i < count; i++ {
		if command.Run() != nil { // not allowed here: then not
			break
		}
		command = exec.Command("/bin/true")
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	}
}

// Threads that come, go and sleep, the heap, signals, children: each has the runtime's own calls behind it.
func work() {
	debug.SetGCPercent(20)
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	read, write, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	answers := make(chan int)
	go func() {
		buffer := make([]byte, 8)
		for n := 0; n < 20; {
			got, _ := read.Read(buffer)
			n += got
		}
		answers <- 1
	}()
	for i := 0; i < 4; i++ {
		go func() {
			runtime.LockOSThread() // and ends so: its thread does too
			pause := syscall.Timespec{Nsec: 2 * 1000 * 1000}
			syscall.Syscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
			answers <- 1
		}()
		go func() {
			var kept [][]byte
			for j := 0; j < 200; j++ {
				kept = append(kept, make([]byte, 40000))
			}
			for begin := time.Now(); time.Since(begin) < 15*time.Millisecond; { // long enough to be preempted
			}
			answers <- len(kept) / 200
		}()
	}
	for i := 0; i < 20; i++ {
		time.Sleep(300 * time.Microsecond)
		write.Write([]byte{1})
	}
	for i := 0; i < 9; i++ {
		<-answers
	}
	for i := 0; i < 2; i++ {
		if text, err := exec.Command("/bin/echo", "child").Output(); err != nil || string(text) != "child\n" {
			panic("child")
		}
	}
	time.Sleep(15 * time.Millisecond) // sysmon has gone to sleep
	print("done\n")
}

func main() {
	count := 1
	if len(os.Args) > 2 {
		count, _ = strconv.Atoi(os.Args[2])
	}
	switch os.Args[1] {
	case "told":
		debug.SetGCPercent(-1)
		told(count)
	case "slow":
		slow()
	case "files":
		files()
	case "loop":
		loop()
	case "children":
		children(count)
	case "work":
		work()
	}
}
