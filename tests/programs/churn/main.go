// churn - threads that come and go: churn COUNT [phases]. Each goroutine is locked to its thread, which ends with it.
// With a second argument it says "ready" after COUNT threads, waits for a line, and makes as many again.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const atOnce = 20

func churn(count int) {
	var group sync.WaitGroup
	places := make(chan bool, atOnce)
	for i := 0; i < count; i++ {
		places <- true
		if i%atOnce == 0 {
			time.Sleep(2 * time.Millisecond) // some thousands a second are enough
		}
		group.Add(1)
		go func() {
			runtime.LockOSThread()
			runtime.Gosched()
			<-places
			group.Done()
		}()
	}
	group.Wait()
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	churn(count)
	if len(os.Args) > 2 {
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadString('\n')
		churn(count)
	}
	fmt.Println("done")
}
