// recorders - pairs of goroutines play ping-pong under Go's own flight recorder, or under none: bench/recorders.py compares.
//
//	recorders MODE SECONDS FILE MIN_AGE_MS MAX_BYTES     MODE: plain, or go
//
// A snapshot is written in the middle. Prints: ns for a round trip, ms that the caller of the snapshot was held up, the
// longest round trip in ms while it was written.
package main

import (
	"fmt"
	"os"
	"runtime/trace"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const pairs = 4

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	if err != nil {
		panic(err)
	}
	return n
}

func main() {
	half := time.Duration(number(2)) * time.Second / 2
	var recorder *trace.FlightRecorder
	if os.Args[1] == "go" {
		recorder = trace.NewFlightRecorder(trace.FlightRecorderConfig{
			MinAge: time.Duration(number(4)) * time.Millisecond, MaxBytes: uint64(number(5))})
		if err := recorder.Start(); err != nil {
			panic(err)
		}
	}
	var stop, during atomic.Bool
	var trips, longest atomic.Int64
	var all sync.WaitGroup
	for i := 0; i < pairs; i++ {
		ping, pong := make(chan bool), make(chan bool)
		all.Add(2)
		go func() {
			defer all.Done()
			for range ping {
				pong <- true
			}
		}()
		go func() {
			defer all.Done()
			count := int64(0)
			for ; !stop.Load(); count++ {
				if !during.Load() {
					ping <- true
					<-pong
					continue
				}
				begin := time.Now()
				ping <- true
				<-pong
				if took := int64(time.Since(begin)); took > longest.Load() {
					longest.Store(took)
				}
			}
			close(ping)
			trips.Add(count)
		}()
	}
	fmt.Println("ready")
	begin := time.Now()
	time.Sleep(half)
	var pause time.Duration
	during.Store(true)
	fmt.Println("now")
	if recorder != nil {
		file, err := os.Create(os.Args[3])
		if err != nil {
			panic(err)
		}
		asked := time.Now()
		if _, err := recorder.WriteTo(file); err != nil {
			panic(err)
		}
		pause = time.Since(asked)
	} else {
		time.Sleep(100 * time.Millisecond)
	}
	during.Store(false)
	time.Sleep(half)
	stop.Store(true)
	took := time.Since(begin)
	all.Wait()
	fmt.Println(took.Nanoseconds()/trips.Load(), pause.Seconds()*1e3, float64(longest.Load())/1e6)
}
