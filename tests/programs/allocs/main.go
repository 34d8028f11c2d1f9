// allocs - allocates what it tells: between two runtime.ReadMemStats objects of known sizes, tiny ones, large ones, by several
// goroutines. Prints how many and how many bytes the runtime has counted.
//
//	allocs          a known piece of work between two ReadMemStats
//	allocs late     the same, by goroutines whose ids a record of one cell has no room for
//	allocs pairs N  two types of the same size class by turns, N times: a sample must not see one of them alone
package main

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

type red struct {
	p *int
	n [5]int
}
type blue struct {
	p *int
	n [5]int
}
type small struct{ a, b int64 } // 16 bytes, no pointers
type tiny struct{ a int32 }

var (
	reds   *red
	blues  *blue
	smalls *small
	tinies *tiny
	bytes_ []byte
	words  []*int
)

// 5 + 3 allocations in a round; each size is a size class, but for the tiny ones.
func work(rounds int) {
	for i := 0; i < rounds; i++ {
		reds = &red{}
		blues = &blue{}
		smalls = &small{}
		bytes_ = make([]byte, 1024)
		words = make([]*int, 64)
		if i%16 == 0 {
			bytes_ = make([]byte, 65536)
			tinies = &tiny{}
			tinies = &tiny{}
		}
	}
}

func pairs(n int) {
	for i := 0; i < n; i++ {
		reds = &red{}
		blues = &blue{}
	}
}

func main() {
	if len(os.Args) > 2 {
		n, _ := strconv.Atoi(os.Args[2])
		pairs(n)
		var all runtime.MemStats
		runtime.ReadMemStats(&all)
		json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"mallocs": all.Mallocs, "bytes": all.TotalAlloc, "pair_bytes": n * 96})
		return
	}
	debug.SetGCPercent(-1)
	const others = 3
	start, done := make(chan bool), make(chan bool)
	for i := 0; len(os.Args) > 1 && i < 1<<15; i++ {
		go func() { done <- true }()
		<-done
	}
	for i := 0; i < others; i++ {
		go func() {
			for range start {
				work(400)
				done <- true
			}
		}()
	}
	all := func() {
		for i := 0; i < others; i++ {
			start <- true
		}
		for i := 0; i < others; i++ {
			<-done
		}
	}
	all() // what is made once is made here
	var before, middle, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work(1000)
	runtime.ReadMemStats(&middle)
	all()
	runtime.ReadMemStats(&after)
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"mallocs": middle.Mallocs - before.Mallocs, "bytes": middle.TotalAlloc - before.TotalAlloc,
		"mallocs_all": after.Mallocs - middle.Mallocs,
	})
}
