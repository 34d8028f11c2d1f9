// syscalls - system calls that last, so that their P is taken away and is missing when they come back.
package main

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, _ := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	return id
}

const sleepers, rounds = 4, 25

func main() {
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(1)
	var ids [sleepers]uint64
	var left int64 = sleepers
	for i := range ids {
		go func(id *uint64) {
			*id = goid()
			for k := 0; k < rounds; k++ {
				pause := syscall.Timespec{Nsec: 1000 * 1000}
				syscall.Syscall(syscall.SYS_NANOSLEEP, uintptr(pointer(&pause)), 0, 0)
			}
			atomic.AddInt64(&left, -1)
		}(&ids[i])
	}
	for atomic.LoadInt64(&left) > 0 { // the one P is always wanted
		for k := 0; k < 1000; k++ {
			atomic.LoadInt64(&left)
		}
		runtime.Gosched()
	}
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"sleepers": ids, "syscalls": rounds})
}
