// gcstory - makes the collector work in every way, while Go's own tracer records into the file named first: two tracers must tell
// the same cycles, stops of the world, assists, sweeps and sizes. Prints what the runtime counts of itself meanwhile.
//
//	gcstory FILE
//	gcstory wait    without Go's tracer; waits for a line before, and for another one after
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
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

	pieces [16][]byte
	live   *node
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

// What a cycle left is swept by who needs memory, not by who is told to pay for it: the heap is so large that there is time for
// that, and the collector is off when the cycle ends.
func needs() {
	for i := 0; i < 200000; i++ {
		live = &node{next: live}
	}
	for round := 0; round < 3; round++ {
		debug.SetGCPercent(60)
		for cycles := metric("/gc/cycles/total:gc-cycles"); metric("/gc/cycles/total:gc-cycles") == cycles; {
			churn(round%4, 10)
		}
		debug.SetGCPercent(-1)
		for i := 0; i < 300; i++ {
			churn(round%4, 1)
			large[i%8] = make([]byte, 40000+i*100)
			pieces[i%len(pieces)] = make([]byte, 100+i*5)
		}
	}
	live = nil
}

// So much stack that the goroutine's is 64 KiB, until it may go on.
func deep(n int, ready, end chan bool) byte {
	var frame [1000]byte
	if n > 0 {
		return deep(n-1, ready, end) + frame[n]
	}
	ready <- true
	<-end
	return frame[0]
}

func metric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

func main() {
	wait := os.Args[1] == "wait"
	line := bufio.NewReader(os.Stdin)
	debug.SetGCPercent(20)
	if wait {
		println("ready")
		line.ReadString('\n')
	} else {
		file, err := os.Create(os.Args[1])
		if err != nil {
			panic(err)
		}
		if err := trace.Start(file); err != nil {
			panic(err)
		}
		defer file.Close()
		defer trace.Stop()
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
	needs()
	debug.SetGCPercent(50)
	const deeps = 20
	ready, end := make(chan bool), make(chan bool)
	for i := 0; i < deeps; i++ {
		go deep(40, ready, end)
	}
	for i := 0; i < deeps; i++ {
		<-ready
	}
	runtime.GC()
	live, goal := metric("/gc/heap/live:bytes"), metric("/gc/heap/goal:bytes")
	runtime.ReadMemStats(&after)
	close(end)
	if wait {
		println("done")
		line.ReadString('\n')
	}
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"cycles":      after.NumGC - before.NumGC,
		"cycles_all":  after.NumGC,
		"stacks":      after.StackInuse,
		"deep_stacks": deeps * 65536,
		"live":        live,
		"goal":        goal,
		"next":        after.NextGC,
	})
}
