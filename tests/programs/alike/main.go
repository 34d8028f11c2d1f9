// alike - stacks that look alike: goroutines come to the same place by many ways whose frames have equal sizes, at equal depths, and wait
// and call the kernel there. Each keeps what runtime.Callers says of it.
//
// A goroutine does that, goes deep, so that Go moves its stack, does it again there, comes back and does it by another way. Some do so for
// each line that comes ("ready", "done"). At the end a line for each: its id, and for each place the return addresses.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	drivers = 4
	each    = 200 // goroutines of each driver, for each line
	seen    = 32  // frames of each
)

type told struct {
	g      uint64
	stacks [][seen]uintptr
}

func goid() uint64 {
	var line [64]byte
	text := strings.TrimPrefix(string(line[:runtime.Stack(line[:], false)]), "goroutine ")
	id, err := strconv.ParseUint(text[:strings.IndexByte(text, ' ')], 10, 64)
	if err != nil {
		panic(err)
	}
	return id
}

//go:noinline
func leaf(t *told) int {
	var pcs [seen]uintptr
	runtime.Callers(2, pcs[:]) // from leaf's caller on
	t.stacks = append(t.stacks, pcs)
	time.Sleep(1)
	syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
	return len(t.stacks)
}

// left and right are the same but for their names: so are their frames.
//
//go:noinline
func left(way uint64, n int, t *told) int {
	var room [6]uint64
	room[n%6] = way
	if n == 0 {
		return leaf(t) + int(room[way%6])
	}
	switch way & 3 {
	case 0:
		return left(way>>2, n-1, t) + int(room[n%6])
	case 1:
		return right(way>>2, n-1, t) + int(room[n%5])
	case 2:
		return left(way>>2, n-1, t) - int(room[n%4])
	}
	return right(way>>2, n-1, t) - int(room[n%3])
}

//go:noinline
func right(way uint64, n int, t *told) int {
	var room [6]uint64
	room[n%6] = way
	if n == 0 {
		return leaf(t) + int(room[way%6])
	}
	switch way & 3 {
	case 0:
		return left(way>>2, n-1, t) + int(room[n%6])
	case 1:
		return right(way>>2, n-1, t) + int(room[n%5])
	case 2:
		return left(way>>2, n-1, t) - int(room[n%4])
	}
	return right(way>>2, n-1, t) - int(room[n%3])
}

// deep comes to the same places with a stack that was moved on the way.
//
//go:noinline
func deep(n int, way uint64, t *told) int {
	var room [16]uint64
	room[n%16] = way
	if n == 0 {
		return left(way, int(way%7), t) + int(room[way%16])
	}
	return deep(n-1, way, t) + int(room[n%15])
}

func one(way uint64, t *told) {
	t.g = goid()
	sum := left(way, int(way>>8%9), t)
	sum += left(way>>1, int(way>>8%9), t) // as deep, by another way
	sum += deep(int(way>>16%64), way>>3, t)
	sum += left(way>>5, int(way>>8%9), t)
	if way>>24%8 == 0 {
		waste = make([]byte, sum&1023+1024)
	}
}

var waste []byte

func main() {
	var all [drivers][]*told
	fmt.Fprintln(os.Stderr, "ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Fprintln(os.Stderr, "done") {
		var over sync.WaitGroup
		for d := range all {
			over.Add(1)
			go func(d int) {
				defer over.Done()
				random := rand.New(rand.NewSource(int64(d)))
				for i := 0; i < each; i++ {
					t, done, way := &told{}, make(chan bool), random.Uint64()&masks[random.Intn(len(masks))]
					go func() { // without an argument: no wrapper, which runtime.Callers does not tell
						one(way, t)
						close(done)
					}()
					<-done
					all[d] = append(all[d], t)
				}
			}(d)
		}
		over.Wait()
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, list := range all {
		for _, t := range list {
			fmt.Fprint(out, t.g)
			for _, pcs := range t.stacks {
				fmt.Fprint(out, " ")
				for i, pc := range pcs {
					if pc == 0 {
						break
					}
					if i > 0 {
						fmt.Fprint(out, ",")
					}
					fmt.Fprintf(out, "%x", pc)
				}
			}
			fmt.Fprintln(out)
		}
	}
}

// Few ways, which come again and again, and many.
var masks = []uint64{0x103ff, 0x10f0f, 1<<62 - 1}
