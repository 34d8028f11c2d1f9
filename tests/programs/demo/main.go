// demo - a pipeline with one slow stage: requests come in, are parsed by four goroutines, checked by one (the slow one, behind a
// mutex), and written. In the trace one sees who waits for whom.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"sync"
	"time"
)

type request struct {
	number int
	sum    [32]byte
}

var (
	ledger sync.Mutex
	total  int
)

func produce(out chan<- request) {
	for i := 0; i < 2000; i++ {
		if i%50 == 0 {
			time.Sleep(500 * time.Microsecond)
		}
		out <- request{number: i}
	}
	close(out)
}

func parse(in <-chan request, out chan<- request) {
	for r := range in {
		data := []byte(fmt.Sprint(r.number))
		for k := 0; k < 20; k++ {
			r.sum = sha256.Sum256(append(data, r.sum[:]...))
		}
		ledger.Lock()
		total += int(r.sum[0])
		ledger.Unlock()
		out <- r
	}
}

func check(in <-chan request, out chan<- request) {
	for r := range in {
		ledger.Lock()
		for k := 0; k < 60; k++ { // too long under a lock
			r.sum = sha256.Sum256(r.sum[:])
		}
		ledger.Unlock()
		out <- r
	}
	close(out)
}

func main() {
	incoming, parsed, checked := make(chan request), make(chan request, 8), make(chan request)
	go produce(incoming)
	var parsers sync.WaitGroup
	for i := 0; i < 4; i++ {
		parsers.Add(1)
		go func() {
			defer parsers.Done()
			parse(incoming, parsed)
		}()
	}
	go func() {
		parsers.Wait()
		close(parsed)
	}()
	go check(parsed, checked)
	file, err := os.CreateTemp("", "demo")
	if err != nil {
		panic(err)
	}
	defer os.Remove(file.Name())
	count := 0
	for r := range checked {
		fmt.Fprintf(file, "%d %x\n", r.number, r.sum)
		count++
	}
	fmt.Println(count, "requests,", total)
}
