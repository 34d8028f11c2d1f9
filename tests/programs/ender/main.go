// ender - ends by itself some milliseconds after it is ready, with many threads: an attach may be in the middle of its stop.
package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

func main() {
	n, _ := strconv.Atoi(os.Args[1])
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
	time.Sleep(time.Duration(n) * time.Millisecond)
}
