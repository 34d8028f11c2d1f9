// stalls says "ready", and then stands still: who has the lock waits for a group that is never done, another for the lock.
package main

import (
	"fmt"
	"sync"
	"time"
)

var (
	lock sync.Mutex
	all  sync.WaitGroup
)

func locks() {
	lock.Lock()
	all.Done()
}

func naps() {
	time.Sleep(time.Hour)
}

func main() {
	lock.Lock()
	all.Add(1)
	go locks()
	go naps()
	time.Sleep(20 * time.Millisecond)
	fmt.Println("ready")
	all.Wait()
}
