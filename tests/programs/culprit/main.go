// culprit has a fault that is known: its report must name it first. tests/analysis/culprit.c tells the same in C.
//
//	culprit STORY [FACTOR]
//
// Each story has a decoy: goroutines that wait much and cost nothing, and a lesser fault. FACTOR (default 1) makes the pauses longer.
// The stories whose name ends in 2 are the same with other names and numbers.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

var factor = 1.0

func pause(ms float64) { time.Sleep(time.Duration(ms * factor * float64(time.Millisecond))) }

var sink uint64

// spin keeps the CPU for about so many µs.
func spin(us int) {
	end := time.Now().Add(time.Duration(us) * time.Microsecond)
	for time.Now().Before(end) {
		for i := 0; i < 200; i++ {
			sink += uint64(i)
		}
	}
}

// decoys: idle workers, a janitor, a listener that nobody calls, a lock that is waited for now and then.
func decoys(stop chan struct{}) {
	jobs := make(chan int)
	for i := 0; i < 20; i++ {
		go idleWorker(jobs)
	}
	go janitor(stop)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		go accept(listener)
	}
	var small sync.Mutex
	go smallLock(&small, 20)
	go smallLock(&small, 31)
	for i := 0; i < 20; i++ {
		jobs <- i
	}
}

func idleWorker(jobs chan int) {
	for range jobs {
		pause(0.1)
	}
}

func janitor(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func accept(listener net.Listener) {
	for {
		if _, err := listener.Accept(); err != nil {
			return
		}
	}
}

func smallLock(m *sync.Mutex, ms float64) {
	for {
		m.Lock()
		pause(0.3)
		m.Unlock()
		pause(ms)
	}
}

// ---- lock convoy: short work under one lock, many goroutines

var table struct {
	sync.Mutex
	entries [64]int
}

func updateTable(n int) {
	table.Lock()
	table.entries[n%64]++
	spin(150)
	table.Unlock()
}

func convoyWorker(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 150; i++ {
		updateTable(i)
		pause(0.1)
	}
}

var ledger struct {
	sync.RWMutex
	sum int
}

func bookEntry(n int) {
	ledger.Lock()
	ledger.sum += n
	spin(300)
	ledger.Unlock()
}

func clerk(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 60; i++ {
		bookEntry(i)
	}
}

func many(n int, f func(*sync.WaitGroup)) {
	var wg sync.WaitGroup
	wg.Add(n)
	for i := 0; i < n; i++ {
		go f(&wg)
	}
	wg.Wait()
}

// ---- goroutines of one wrapper: those who wait, who keeps them waiting, and who has nothing to do with it

var shelf sync.Mutex

func packer() {
	for i := 0; i < 40; i++ {
		shelf.Lock()
		sink++
		shelf.Unlock()
		pause(1)
	}
}

func auditor() {
	for i := 0; i < 12; i++ {
		shelf.Lock()
		pause(15)
		shelf.Unlock()
		pause(3)
	}
}

func courier() {
	for i := 0; i < 20; i++ {
		pause(8)
	}
}

// ---- a holder that loses its CPU: the same work under a lock each time, whatever the clock says

var index struct {
	sync.Mutex
	words [64]uint64
}

func work(rounds int) (sum uint64) {
	for i := 0; i < rounds; i++ {
		sum = sum*6364136223846793005 + uint64(i)
	}
	return sum
}

// So long that a thread which shares its CPU is taken away again and again meanwhile.
func rebuildIndex(n int) {
	index.Lock()
	index.words[n%64] += work(8000000)
	index.Unlock()
}

func indexer(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 4; i++ {
		rebuildIndex(i)
		pause(2)
	}
}

var epoch struct {
	sync.RWMutex
	seals uint64
}

// More than twice what the quota gives for a period.
func sealEpoch() {
	epoch.Lock()
	epoch.seals += work(24000000)
	epoch.Unlock()
}

func sealer(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 3; i++ {
		sealEpoch()
		pause(1)
	}
}

// ---- a slow fsync under a lock

type journal struct {
	mu   sync.Mutex
	file *os.File
}

var log = new(journal)

func (j *journal) appendRecord(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(j.file, "record %d\n", n)
	j.flush()
}

// flush stands for a slow disk: so often that it takes about 4 ms wherever it runs.
func (j *journal) flush() {
	for end := time.Now().Add(time.Duration(4*factor) * time.Millisecond); time.Now().Before(end); {
		j.file.WriteAt(block[:], 4096)
		j.file.Sync()
	}
}

// appendOutside is the same after the change: the lock is held for the record alone.
func (j *journal) appendOutside(n int) {
	j.mu.Lock()
	fmt.Fprintf(j.file, "record %d\n", n)
	j.mu.Unlock()
	j.flush()
}

func writerOutside(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 12; i++ {
		log.appendOutside(i)
		pause(1)
	}
}

var block [256 << 10]byte

func writer(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 12; i++ {
		log.appendRecord(i)
		pause(1)
	}
}

func openLog() {
	file, err := os.CreateTemp(os.Getenv("CULPRIT_DIR"), "culprit")
	if err != nil {
		panic(err)
	}
	os.Remove(file.Name())
	log.file = file
}

// ---- a channel without a buffer, and a slow reader

func produceRows(out chan int, wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 25; i++ {
		out <- i
	}
}

func consumeRows(in chan int) {
	for range in {
		pause(3)
	}
}

func emitMetrics(out chan int, wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 40; i++ {
		out <- i
	}
}

func uploadMetrics(in chan int) {
	for range in {
		pause(1)
	}
}

// ---- too few Ps

var computing sync.WaitGroup

// compute starts f itself, without a wrapper around it: what only runs has no stack that tells its name.
func compute(n int, f func()) {
	computing.Add(n)
	for i := 0; i < n; i++ {
		go f()
	}
	computing.Wait()
}

func crunch() {
	defer computing.Done()
	for i := 0; i < 40; i++ {
		spin(1500)
		runtime.Gosched()
	}
}

func hashBlocks() {
	defer computing.Done()
	for i := 0; i < 15; i++ {
		spin(3000)
	}
}

// ---- the garbage collector's assists

type node struct {
	left, right *node
	data        [4]uint64
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: tree(depth - 1), right: tree(depth - 1)}
}

var heap *node

func parseForest(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 30; i++ {
		tree(12)
	}
}

func decodeBatch(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 60; i++ {
		tree(11)
	}
}

// ---- leaks

func askBackend(answer chan int) {
	pause(1)
	answer <- 1
}

func handle() {
	answer := make(chan int)
	go askBackend(answer)
	select {
	case <-answer:
	case <-time.After(100 * time.Microsecond):
	}
}

func watchSession(done chan struct{}) {
	<-done
}

// ---- a select that nobody serves

type request struct{ reply chan int }

func serveRequests(in chan request, quit chan struct{}) {
	n := 0
	for r := range in {
		n++
		if n == 20 {
			r.reply = make(chan int) // answers into the void
		}
		select {
		case r.reply <- n:
		case <-quit:
			return
		}
	}
}

func client(in chan request) {
	r := request{make(chan int)}
	for i := 0; i < 40; i++ {
		pause(1)
		in <- r
		<-r.reply
	}
}

func pumpEvents(in, out chan int, quit chan struct{}) {
	for {
		v := <-in
		if v == 12 {
			out = nil
		}
		select {
		case out <- v:
		case <-quit:
			return
		}
	}
}

func feeder(in, out chan int) {
	for i := 0; i < 100; i++ {
		in <- i
		<-out
		pause(2)
	}
}

// ---- timers

func pollQueue(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 500; i++ {
		time.Sleep(100 * time.Microsecond)
		sink++
	}
}

func checkDeadline(wg *sync.WaitGroup) {
	defer wg.Done()
	for i := 0; i < 400; i++ {
		<-time.After(150 * time.Microsecond)
	}
}

// ---- two locks, in both orders

var accounts, audit sync.Mutex

func transfer() {
	accounts.Lock()
	pause(5)
	audit.Lock()
}

func reconcile() {
	audit.Lock()
	pause(5)
	accounts.Lock()
}

// ---- no fault

func healthy() {
	var wg sync.WaitGroup
	jobs := make(chan int, 64)
	results := make(chan int, 64)
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range jobs {
				pause(1)
				results <- j
			}
		}()
	}
	go func() {
		for i := 0; i < 60; i++ {
			jobs <- i
			pause(4)
		}
		close(jobs)
		wg.Wait()
		close(results)
	}()
	for range results {
	}
}

func main() {
	if len(os.Args) > 2 {
		factor, _ = strconv.ParseFloat(os.Args[2], 64)
	}
	stop := make(chan struct{})
	decoys(stop)
	switch os.Args[1] {
	case "convoy":
		many(8, convoyWorker)
	case "convoy2":
		many(12, clerk)
	case "groups":
		group(packer, courier, auditor, packer, courier, packer)
	case "preempted":
		many(5, indexer)
	case "preempted2":
		many(4, sealer)
	case "fsync", "fsync2":
		openLog()
		many(map[string]int{"fsync": 6, "fsync2": 9}[os.Args[1]], writer)
	case "outside":
		openLog()
		many(6, writerOutside)
	case "reader":
		rows := make(chan int)
		go consumeRows(rows)
		many(4, func(wg *sync.WaitGroup) { produceRows(rows, wg) })
	case "reader2":
		metrics := make(chan int)
		go uploadMetrics(metrics)
		many(3, func(wg *sync.WaitGroup) { emitMetrics(metrics, wg) })
	case "starved":
		runtime.GOMAXPROCS(1)
		compute(6, crunch)
	case "starved2":
		runtime.GOMAXPROCS(2)
		compute(10, hashBlocks)
	case "gc":
		heap = tree(17)
		debug.SetGCPercent(3)
		many(3, parseForest)
	case "gc2":
		heap = tree(16)
		debug.SetGCPercent(2)
		many(5, decodeBatch)
	case "leak":
		for i := 0; i < 100; i++ {
			handle()
			pause(3)
		}
	case "leak2":
		for i := 0; i < 60; i++ {
			go watchSession(make(chan struct{}))
			pause(4)
		}
	case "select":
		in := make(chan request)
		go serveRequests(in, make(chan struct{}))
		go client(in)
		pause(400)
	case "select2":
		in, out := make(chan int), make(chan int)
		go pumpEvents(in, out, make(chan struct{}))
		go feeder(in, out)
		pause(300)
	case "timers":
		many(40, pollQueue)
	case "timers2":
		many(60, checkDeadline)
	case "deadlock":
		go transfer()
		go reconcile()
		pause(200)
	case "healthy":
		healthy()
	default:
		fmt.Fprintln(os.Stderr, "no such story: "+os.Args[1])
		os.Exit(2)
	}
	close(stop)
}
