// natsload asks a NATS server as fast as it answers: each connection publishes a message to a subject that only it listens to, and
// waits for it before the next one. For server.py.
//
//	natsload ADDRESS CONNECTIONS DURATION     prints: messages a second, p99 in ms, errors
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

const payload = 128

// One connection, until the end: how long each message took.
func run(address string, number int, end time.Time) (took []time.Duration, err error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(end.Add(10 * time.Second))
	in := bufio.NewReader(c)
	if _, err = in.ReadString('\n'); err != nil { // INFO
		return nil, err
	}
	subject := fmt.Sprintf("load.%d", number)
	fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\n", subject)
	message := []byte(fmt.Sprintf("PUB %s %d\r\n%s\r\n", subject, payload, make([]byte, payload)))
	want := fmt.Sprintf("MSG %s 1 %d\r\n", subject, payload)
	body := make([]byte, payload+2)
	for time.Now().Before(end) {
		begin := time.Now()
		if _, err = c.Write(message); err != nil {
			return took, err
		}
		line, err := in.ReadString('\n')
		for err == nil && line == "PING\r\n" {
			c.Write([]byte("PONG\r\n"))
			line, err = in.ReadString('\n')
		}
		if err != nil {
			return took, err
		}
		if line != want {
			return took, fmt.Errorf("%q instead of %q", line, want)
		}
		for at := 0; at < len(body); {
			n, err := in.Read(body[at:])
			if err != nil {
				return took, err
			}
			at += n
		}
		took = append(took, time.Since(begin))
	}
	return took, nil
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: natsload ADDRESS CONNECTIONS DURATION")
		os.Exit(2)
	}
	connections, err := strconv.Atoi(os.Args[2])
	duration, err2 := time.ParseDuration(os.Args[3])
	if err != nil || err2 != nil || connections < 1 || duration <= 0 {
		fmt.Fprintln(os.Stderr, "usage: natsload ADDRESS CONNECTIONS DURATION")
		os.Exit(2)
	}
	var all []time.Duration
	var errors int
	var mutex sync.Mutex
	var group sync.WaitGroup
	begin := time.Now()
	for i := 0; i < connections; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			took, err := run(os.Args[1], i, begin.Add(duration))
			mutex.Lock()
			defer mutex.Unlock()
			all = append(all, took...)
			if err != nil {
				errors++
				fmt.Fprintln(os.Stderr, "natsload:", err)
			}
		}(i)
	}
	group.Wait()
	seconds := time.Since(begin).Seconds()
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	p99 := time.Duration(0)
	if len(all) > 0 {
		p99 = all[len(all)*99/100]
	}
	fmt.Printf("%.1f %.4f %d\n", float64(len(all))/seconds, p99.Seconds()*1000, errors)
}
