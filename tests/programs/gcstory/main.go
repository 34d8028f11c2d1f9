// gcstory - makes the collector work in every way, while Go's own tracer records into the file named first: two tracers must tell
// the same cycles, stops of the world, assists, sweeps and sizes. Prints what the runtime counts of itself meanwhile.
package main

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/trace"
	"sync"
)

type node struct {
	next *node
	fill [5]uintptr
}

var (
	keep  [64]*node
	large [8][]byte
)

// Garbage and a live list; assists, sweeps, refills.
func churn(slot, n int) {
	for i := 0; i < n; i++ {
		head := &node{}
		for j := 0; j < 100; j++ {
			head = &node{next: head}
		}
		if i%8 == 0 {
			keep[slot*8+i/8%8] = head
		}
		if i%64 == 0 {
			large[slot] = make([]byte, 100000)
		}
	}
}

func main() {
	file, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	debug.SetGCPercent(20)
	if err := trace.Start(file); err != nil {
		panic(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var group sync.WaitGroup
	for slot := 0; slot < 4; slot++ {
		slot := slot
		group.Add(1)
		go func() {
			defer group.Done()
			churn(slot, 300)
		}()
	}
	group.Wait()
	runtime.GC()
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(procs + 1)
	runtime.GOMAXPROCS(procs)
	records := make([]runtime.StackRecord, 64)
	runtime.GoroutineProfile(records)
	runtime.Stack(make([]byte, 4096), true)
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(1 << 30)
	runtime.GC()
	runtime.ReadMemStats(&after)
	trace.Stop()
	if err := file.Close(); err != nil {
		panic(err)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"cycles":     after.NumGC - before.NumGC,
		"cycles_all": after.NumGC,
		"stacks":     after.StackInuse,
	})
}
