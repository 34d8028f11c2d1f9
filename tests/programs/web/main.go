// web - a server of net/http, and a client that counts what goes wrong.
//
//	web serve                   prints its address, serves until it is killed
//	web load ADDRESS N          N clients ask without end; a line on stdin ends it: prints requests and errors
package main

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func answer(path string) string {
	h := fnv.New64a()
	for i := 0; i < 50; i++ {
		io.WriteString(h, path)
	}
	return fmt.Sprintf("%s %x\n", path, h.Sum64())
}

func serve() {
	var mutex sync.Mutex
	seen := 0
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		seen++
		slow := seen%64 == 0
		mutex.Unlock()
		if slow {
			time.Sleep(time.Millisecond)
		}
		io.WriteString(w, answer(r.URL.Path))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, nil))
}

func load(address string, clients int) {
	var asked, wrong, ended uint64
	var group sync.WaitGroup
	var first atomic.Value
	for i := 0; i < clients; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
			for n := 0; atomic.LoadUint64(&ended) == 0; n++ {
				path := fmt.Sprintf("/%d/%d", i, n)
				response, err := client.Get("http://" + address + path)
				var body []byte
				if err == nil {
					body, err = io.ReadAll(response.Body)
					response.Body.Close()
				}
				if err == nil && string(body) != answer(path) {
					err = fmt.Errorf("answer %q", body)
				}
				atomic.AddUint64(&asked, 1)
				if err != nil {
					atomic.AddUint64(&wrong, 1)
					first.CompareAndSwap(nil, err.Error())
				}
				if n%100 == 99 {
					client.CloseIdleConnections() // a new connection now and then
				}
				time.Sleep(200 * time.Microsecond)
			}
		}(i)
	}
	bufio.NewReader(os.Stdin).ReadString('\n')
	atomic.StoreUint64(&ended, 1)
	group.Wait()
	fmt.Println(asked, wrong, first.Load())
}

func main() {
	if os.Args[1] == "serve" {
		serve()
	}
	clients, err := strconv.Atoi(os.Args[3])
	if err != nil {
		panic(err)
	}
	load(os.Args[2], clients)
}
