// preempt - loops without a call in them, more than there are Ps, while the collector wants to look at their stacks.
package main

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, _ := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	return id
}

// Whether a loop runs just when the collector looks for its stack is chance.
const collections = 12

func main() {
	debug.SetGCPercent(-1)
	spinners := 2 * runtime.GOMAXPROCS(0)
	ids := make([]uint64, spinners)
	var stop, ready int64
	var group sync.WaitGroup
	for i := range ids {
		group.Add(1)
		go func(id *uint64) {
			defer group.Done()
			*id = goid()
			atomic.AddInt64(&ready, 1)
			x := *id
			for atomic.LoadInt64(&stop) == 0 {
				x = x*6364136223846793005 + 1442695040888963407
			}
			*id += 0 * x
		}(&ids[i])
	}
	for atomic.LoadInt64(&ready) < int64(spinners) {
		runtime.Gosched()
	}
	for i := 0; i < collections; i++ {
		runtime.GC()
	}
	atomic.StoreInt64(&stop, 1)
	group.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"spinners": ids, "collections": collections})
}
