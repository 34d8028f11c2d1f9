// stress - does everything that is hard on a tracer at once; its output is one hash, the same in every run.
// With an argument: again and again until its input ends, and the hash is to be the same each time.
//
// Mutexes, channels, select, deep recursion (stacks are copied), sleeps, files, sockets, child processes,
// recovered panics (a nil dereference among them), timers, a collector that never rests, loops that must be
// preempted by a signal, and threads that end.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const workers = 24

func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 29
	return x
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

//go:noinline
func deep(n int, x uint64) uint64 {
	var pad [96]byte
	pad[n%len(pad)] = byte(x)
	if n == 0 {
		return mix(x + uint64(pad[0]))
	}
	return deep(n-1, x+1) ^ uint64(pad[n%len(pad)])
}

//go:noinline
func nilPanic(p *uint64) (x uint64) {
	defer func() {
		if recover() != nil {
			x = 7
		}
	}()
	return *p
}

func locks(id uint64) uint64 {
	var mu sync.RWMutex
	var group sync.WaitGroup
	var sum uint64
	for i := uint64(0); i < 4; i++ {
		group.Add(1)
		go func(i uint64) {
			defer group.Done()
			for k := uint64(0); k < 50; k++ {
				mu.Lock()
				sum += mix(id + i*k)
				mu.Unlock()
				mu.RLock()
				_ = sum
				mu.RUnlock()
			}
		}(i)
	}
	group.Wait()
	return sum
}

func channels(id uint64) uint64 {
	a, b, quit := make(chan uint64), make(chan uint64, 3), make(chan bool)
	go func() {
		for i := uint64(0); i < 100; i++ {
			a <- mix(id + i)
			b <- mix(id - i)
		}
		close(quit)
	}()
	sum, left := uint64(0), true
	for left {
		select {
		case x := <-a:
			sum += x
		case x := <-b:
			sum += 3 * x
		case <-quit:
			left = false
		}
	}
	for len(b) > 0 {
		sum += 3 * <-b
	}
	return sum
}

func files(id uint64, dir string) uint64 {
	name := filepath.Join(dir, fmt.Sprint(id))
	var data bytes.Buffer
	for i := uint64(0); i < 500; i++ {
		check(binary.Write(&data, binary.LittleEndian, mix(id+i)))
	}
	check(os.WriteFile(name, data.Bytes(), 0o600))
	back, err := os.ReadFile(name)
	check(err)
	sum := sha256.Sum256(back)
	check(os.Remove(name))
	return binary.LittleEndian.Uint64(sum[:])
}

func sockets(id uint64, address string) uint64 {
	conn, err := net.Dial("unix", address)
	check(err)
	defer conn.Close()
	in := bufio.NewReader(conn)
	sum := uint64(0)
	for i := uint64(0); i < 20; i++ {
		fmt.Fprintf(conn, "%d\n", mix(id*i))
		var x uint64
		_, err := fmt.Fscanln(in, &x)
		check(err)
		sum += x
	}
	return sum
}

func serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}

func child(id uint64) uint64 {
	out, err := exec.Command("/bin/echo", fmt.Sprint(id)).Output()
	check(err)
	sum := sha256.Sum256(out)
	return binary.LittleEndian.Uint64(sum[:])
}

func timers(id uint64) uint64 {
	var fired uint64
	done := make(chan bool)
	time.AfterFunc(100*time.Microsecond, func() { atomic.AddUint64(&fired, 1); close(done) })
	stopped := time.NewTimer(time.Hour)
	ticker := time.NewTicker(50 * time.Microsecond)
	for i := 0; i < 3; i++ {
		<-ticker.C
	}
	ticker.Stop()
	stopped.Stop()
	time.Sleep(time.Duration(id%7) * 10 * time.Microsecond)
	<-done
	return atomic.LoadUint64(&fired)
}

// spin has no call inside: only a signal can take its P away.
func spin(id uint64) uint64 {
	x := id
	for i := 0; i < 3000000; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

func garbage(id uint64) uint64 {
	keep := make(map[uint64][]uint64)
	for i := uint64(0); i < 200; i++ {
		keep[i%17] = append(make([]uint64, 0, 64+i), mix(id+i))
	}
	sum := uint64(0)
	for _, v := range keep {
		sum += v[0]
	}
	return sum
}

func thread(id uint64) uint64 {
	out := make(chan uint64)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		out <- mix(id)
	}()
	return <-out
}

func once(dir, address string) []byte {
	results := make([]uint64, workers)
	var group sync.WaitGroup
	for w := range results {
		group.Add(1)
		go func(w int) {
			defer group.Done()
			id, sum := uint64(w), uint64(0)
			for round := uint64(0); round < 4; round++ {
				sum = mix(sum + deep(200+100*int(round), id))
				sum = mix(sum + locks(id))
				sum = mix(sum + channels(id+round))
				sum = mix(sum + files(id, dir))
				sum = mix(sum + sockets(id, address))
				sum = mix(sum + timers(id))
				sum = mix(sum + nilPanic(nil))
				sum = mix(sum + garbage(id))
				sum = mix(sum + thread(id))
				runtime.Gosched()
			}
			sum = mix(sum + spin(id))
			if w%8 == 0 {
				sum = mix(sum + child(id))
			}
			results[w] = sum
		}(w)
	}
	group.Wait()
	sort.Slice(results, func(i, k int) bool { return results[i] < results[k] })
	hash := sha256.New()
	check(binary.Write(hash, binary.LittleEndian, results))
	return hash.Sum(nil)
}

func main() {
	debug.SetGCPercent(5)
	dir, err := os.MkdirTemp("", "stress")
	check(err)
	defer os.RemoveAll(dir)
	address := filepath.Join(dir, "socket")
	listener, err := net.Listen("unix", address)
	check(err)
	go serve(listener)

	var ended uint32
	if len(os.Args) > 1 {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			atomic.StoreUint32(&ended, 1)
		}()
	}
	sum := once(dir, address)
	for len(os.Args) > 1 && atomic.LoadUint32(&ended) == 0 {
		if again := once(dir, address); !bytes.Equal(again, sum) {
			panic(fmt.Sprintf("%x instead of %x", again, sum))
		}
	}
	listener.Close()
	fmt.Printf("%x\n", sum)
}
