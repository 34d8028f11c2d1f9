// serverload asks a server over some connections, each of which waits for its answer before it asks again: as fast as the server answers, or
// at a rate that is given. For server.py.
//
// With a rate the moments of asking are fixed beforehand; a request whose moment passes while its connection still waits for an answer is
// counted from that moment on, so a server that stalls cannot hide it by being asked less.
//
//	serverload URL CONNECTIONS DURATION [RATE]     prints: answers a second, p99 in ms, errors
//	    nats://ADDRESS        publishes a message to a subject that only this connection listens to, and waits for it
//	    http://ADDRESS/PATH   GET
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

const payload = 128

// Asks once, and returns when the answer is there.
type asker func() error

func nats(c net.Conn, number int) (asker, error) {
	in := bufio.NewReader(c)
	if _, err := in.ReadString('\n'); err != nil { // INFO
		return nil, err
	}
	subject := fmt.Sprintf("load.%d", number)
	fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\n", subject)
	message := []byte(fmt.Sprintf("PUB %s %d\r\n%s\r\n", subject, payload, make([]byte, payload)))
	want := fmt.Sprintf("MSG %s 1 %d\r\n", subject, payload)
	body := make([]byte, payload+2)
	return func() error {
		if _, err := c.Write(message); err != nil {
			return err
		}
		line, err := in.ReadString('\n')
		for err == nil && line == "PING\r\n" {
			c.Write([]byte("PONG\r\n"))
			line, err = in.ReadString('\n')
		}
		if err != nil {
			return err
		}
		if line != want {
			return fmt.Errorf("%q instead of %q", line, want)
		}
		_, err = io.ReadFull(in, body)
		return err
	}, nil
}

func get(c net.Conn, where *url.URL) (asker, error) {
	in := bufio.NewReader(c)
	request := []byte(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", where.RequestURI(), where.Host))
	return func() error {
		if _, err := c.Write(request); err != nil {
			return err
		}
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err = io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", answer.Status)
		}
		return nil
	}, nil
}

// One connection, from @due until @end: how long each answer took. @every: 0, or the time between its requests.
func run(where *url.URL, number int, due, end time.Time, every time.Duration) (took []time.Duration, err error) {
	c, err := net.Dial("tcp", where.Host)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(end.Add(10 * time.Second))
	var ask asker
	if where.Scheme == "nats" {
		ask, err = nats(c, number)
	} else {
		ask, err = get(c, where)
	}
	for begin := time.Now(); err == nil && begin.Before(end); begin = time.Now() {
		if every > 0 {
			if wait := due.Sub(begin); wait > 0 {
				time.Sleep(wait)
				begin = time.Now() // that a timer is late is not the server's
			} else {
				begin = due
			}
			due = due.Add(every)
		}
		if err = ask(); err == nil {
			took = append(took, time.Since(begin))
		}
	}
	return took, err
}

func main() {
	if len(os.Args) != 4 && len(os.Args) != 5 {
		usage()
	}
	where, err := url.Parse(os.Args[1])
	connections, err2 := strconv.Atoi(os.Args[2])
	duration, err3 := time.ParseDuration(os.Args[3])
	if err != nil || err2 != nil || err3 != nil || (where.Scheme != "nats" && where.Scheme != "http") || connections < 1 || duration <= 0 {
		usage()
	}
	var every time.Duration
	if len(os.Args) == 5 {
		rate, err := strconv.Atoi(os.Args[4])
		if err != nil || rate < 1 {
			usage()
		}
		every = time.Second * time.Duration(connections) / time.Duration(rate)
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
			took, err := run(where, i, begin.Add(every*time.Duration(i)/time.Duration(connections)), begin.Add(duration), every)
			mutex.Lock()
			defer mutex.Unlock()
			all = append(all, took...)
			if err != nil {
				errors++
				fmt.Fprintln(os.Stderr, "serverload:", err)
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

func usage() {
	fmt.Fprintln(os.Stderr, "usage: serverload nats://ADDRESS|http://ADDRESS/PATH CONNECTIONS DURATION [RATE]")
	os.Exit(2)
}
