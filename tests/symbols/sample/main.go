// Sample is the program that the tests of symbols/ and agent/ read. Run without arguments it uses what keeps the
// runtime's functions in the binary. Run with "LO HI STEP" (hexadecimal, link-time) it prints what the runtime itself
// says of these pcs, one frame a line: pc, function, file, line.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"
)

var sink int

func inner(x int) int {
	if x == 42 {
		panic("inner")
	}
	return x * 3
}

func middle(x int) int { return inner(x) + inner(x+1) }

func outer(x int) int {
	sum := 0
	for i := 0; i < x; i++ {
		sum += middle(i)
	}
	return sum
}

// What runtime.CallersFrames says of every pc; not for a PIE, which does not run where it was linked.
func oracle(lo, hi, step uintptr) {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for pc := lo; pc < hi; pc += step {
		frames := runtime.CallersFrames([]uintptr{pc + 1})
		for {
			frame, more := frames.Next()
			fmt.Fprintf(out, "%x\t%s\t%s\t%d\n", pc, frame.Function, frame.File, frame.Line)
			if !more {
				break
			}
		}
	}
}

func number(text string) uintptr {
	value, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		panic(err)
	}
	return uintptr(value)
}

func main() {
	if len(os.Args) == 4 {
		oracle(number(os.Args[1]), number(os.Args[2]), number(os.Args[3]))
		return
	}
	var mutex sync.RWMutex
	var group sync.WaitGroup
	values := make(chan int)
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			mutex.Lock()
			sink += outer(10)
			mutex.Unlock()
			runtime.Gosched()
			values <- 1
		}()
	}
	for i := 0; i < 4; i++ {
		select {
		case <-values:
		case <-time.After(time.Second):
		}
	}
	group.Wait()
	runtime.GC()
	coroutines()
	_ = exec.Command("/bin/true").Run()
	fmt.Println("sample", runtime.Version(), sink)
}
