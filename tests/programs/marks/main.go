// marks - tasks, regions and messages of runtime/trace, by several goroutines, with or without Go's tracer (into the file named
// first). Prints what each goroutine did.
//
//	marks [FILE]
//	marks wait      waits for a line before, and for another one after
//	marks slow TIME a region that takes so long
//	marks odd FILE  regions that are ended twice, elsewhere, and while Go's tracer was turned on after their begin
//	marks stw N     the world is stopped, while a loop of N rounds cannot be
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"runtime"
	"runtime/trace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type story struct {
	G     uint64     `json:"g"`
	Marks [][]string `json:"marks"`
}

var (
	mu      sync.Mutex
	stories []*story
	sink    int
)

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, _ := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	return id
}

func (s *story) tell(words ...string) { s.Marks = append(s.Marks, words) }

//go:noinline
func deferred(s *story, ctx context.Context, name string) {
	s.tell("begin", name)
	defer s.tell("end", name)
	defer trace.StartRegion(ctx, name).End()
	runtime.Gosched()
}

func act(ctx context.Context, n int) {
	s := &story{G: goid()}
	mu.Lock()
	stories = append(stories, s)
	mu.Unlock()
	// Texts that are garbage a moment later.
	name := func(what string, i int) string { return what + strings.Repeat("x", i%50) + strconv.Itoa(i) }
	for i := 0; i < n; i++ {
		outer := name("task", i)
		s.tell("task", outer)
		own, task := trace.NewTask(ctx, outer)
		s.tell("begin", "outer")
		region := trace.StartRegion(own, "outer")
		s.tell("log", "category", outer+" message")
		trace.Log(own, "category", outer+" message")
		inner, cancel := context.WithCancel(own)
		deferred(s, inner, name("inner", i%7))
		s.tell("begin", "with")
		trace.WithRegion(inner, "with", func() { runtime.Gosched() })
		s.tell("end", "with")
		cancel()
		s.tell("end", "outer")
		region.End()
		if trace.IsEnabled() {
			s.tell("log", "formatted", outer+" is 7")
		} else { // then Logf formats nothing
			s.tell("log", "formatted", "%s is %d")
		}
		trace.Logf(inner, "formatted", "%s is %d", outer, 7)
		s.tell("log", "", "nothing")
		trace.Log(context.Background(), "", "nothing")
		s.tell("task end", outer)
		task.End()
	}
}

//go:noinline
func deep(r *trace.Region, n int) *trace.Region {
	var room [256]byte
	if n == 0 {
		runtime.GC()
		return r
	}
	room[n%256] = byte(n)
	r = deep(r, n-1)
	sink += int(room[n%256])
	return r
}

// What a program may do to regions that were begun while the tracer was off: all of it as if nobody looked.
func odd(name string) {
	ctx := context.Background()
	type holder struct{ r *trace.Region }
	outer := trace.StartRegion(ctx, "outer")
	kept := &holder{trace.StartRegion(ctx, "kept")}
	copied := *outer
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	grown := make(chan *trace.Region)
	go func() { grown <- deep(kept.r, 500) }() // its stack moves, with the region on it
	moved := <-grown
	println(outer == kept.r, moved == kept.r, outer == nil, copied == trace.Region{}, *outer == copied)
	done := make(chan bool)
	go func() { kept.r.End(); done <- true }()
	<-done
	kept.r.End()
	file, err := os.Create(name)
	if err != nil {
		panic(err)
	}
	if err := trace.Start(file); err != nil {
		panic(err)
	}
	inner := trace.StartRegion(ctx, "inner")
	outer.End() // the tracer must not hear of it: it would end the inner one
	nameless := trace.StartRegion(ctx, "")
	runtime.Gosched()
	nameless.End()
	inner.End()
	trace.Stop()
	outer.End()
	println("done")
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "odd" {
		odd(os.Args[2])
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "slow" {
		d, err := time.ParseDuration(os.Args[2])
		if err != nil {
			panic(err)
		}
		region := trace.StartRegion(context.Background(), "slow")
		time.Sleep(d)
		region.End()
		json.NewEncoder(os.Stdout).Encode(goid())
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "stw" {
		n, _ := strconv.Atoi(os.Args[2])
		var running, ended int32
		go func() {
			atomic.StoreInt32(&running, 1)
			for i := 0; i < n; i++ {
				sink ^= i
			}
			atomic.StoreInt32(&ended, 1)
		}()
		for atomic.LoadInt32(&running) == 0 {
			runtime.Gosched()
		}
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		json.NewEncoder(os.Stdout).Encode(goid())
		return
	}
	line := bufio.NewReader(os.Stdin)
	if len(os.Args) > 1 && os.Args[1] == "wait" {
		println("ready")
		line.ReadString('\n')
	} else if len(os.Args) > 1 {
		file, err := os.Create(os.Args[1])
		if err != nil {
			panic(err)
		}
		if err := trace.Start(file); err != nil {
			panic(err)
		}
		defer trace.Stop()
	}
	parent, task := trace.NewTask(context.Background(), "parent")
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			act(parent, 40)
		}()
	}
	group.Wait()
	task.End()
	if len(os.Args) > 1 && os.Args[1] == "wait" {
		println("done")
		line.ReadString('\n')
	}
	json.NewEncoder(os.Stdout).Encode(stories)
}
