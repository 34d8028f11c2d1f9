// odd does to its own process what programs rarely do, while goroutines work; then it says what it saw.
//
//	odd again N    becomes itself N times, each time with threads that are at work
//	odd WHAT...    each in turn (do, below). It waits for a line of its input after "ready", before the first of them, and after "done"
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "odd: %s: %v\n", what, err)
	os.Exit(1)
}

// Its sum is known.
func work() int {
	const workers, turns = 8, 500
	in, out := make(chan int), make(chan int)
	var group sync.WaitGroup
	for i := 0; i < workers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for v := range in {
				runtime.Gosched()
				out <- v + 1
			}
		}()
	}
	go func() {
		for i := 0; i < turns; i++ {
			in <- i
		}
		close(in)
		group.Wait()
		close(out)
	}()
	sum := 0
	for v := range out {
		sum += v
	}
	return sum
}

func limit(what int, value uint64) {
	if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: value, Max: value}); err != nil {
		fail("setrlimit", err)
	}
}

func statusKiB(key string) uint64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fail("status", err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		var kib uint64
		if n, _ := fmt.Sscanf(line, key+": %d kB", &kib); n == 1 {
			return kib
		}
	}
	return 0
}

// What many programs call before they become daemons: nothing of gtrace's may be among what is closed, nor move what is opened next.
func closeAll() {
	for fd := 3; fd < 1024; fd++ {
		syscall.Close(fd)
	}
	fd, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0)
	if err != nil || fd != 3 {
		fail(fmt.Sprintf("the first descriptor is %d", fd), err)
	}
	syscall.Close(fd)
}

// As daemons begin: itself again in a session of its own, which starts another and ends. The last one, nobody's child, says so.
func daemon() {
	again := func(depth string, out *os.File) {
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), "ODD_DAEMON="+depth)
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		child.Stdout = out
		if err := child.Start(); err != nil {
			fail("start", err)
		}
		if depth == "1" {
			if err := child.Wait(); err != nil {
				fail("wait", err)
			}
		}
	}
	switch os.Getenv("ODD_DAEMON") {
	case "1":
		again("2", os.Stdout)
	case "2":
		work()
		fmt.Print("daemon")
	default:
		read, write, err := os.Pipe()
		if err != nil {
			fail("pipe", err)
		}
		again("1", write)
		write.Close()
		got, err := io.ReadAll(read)
		if string(got) != "daemon" {
			fail(fmt.Sprintf("the daemon said %q", got), err)
		}
		read.Close()
	}
}

func again(times string) {
	left, err := strconv.Atoi(times)
	if err != nil {
		fail("again", err)
	}
	if sum := work(); left == 0 {
		fmt.Println(sum)
		return
	}
	for i := 0; i < 4; i++ {
		go work()
	}
	fail("exec", syscall.Exec("/proc/self/exe", []string{"odd", "again", strconv.Itoa(left - 1)}, os.Environ()))
}

func do(what string) {
	switch what {
	case "close":
		closeAll()
	case "lock":
		before := statusKiB("VmLck")
		if err := syscall.Mlockall(syscall.MCL_CURRENT | syscall.MCL_FUTURE); err != nil {
			fail("mlockall", err)
		}
		fmt.Fprintf(os.Stderr, "locked %d KiB, resident %d KiB\n", statusKiB("VmLck")-before, statusKiB("VmRSS"))
	case "addresses":
		limit(syscall.RLIMIT_AS, (statusKiB("VmSize")+65536)<<10)
	case "files":
		limit(syscall.RLIMIT_NOFILE, 3)
	case "root":
		if err := syscall.Chroot("/proc/self/fdinfo"); err != nil {
			fail("chroot", err)
		}
		syscall.Chdir("/")
	case "user":
		if err := syscall.Setgid(65534); err != nil {
			fail("setgid", err)
		}
		if err := syscall.Setuid(65534); err != nil {
			fail("setuid", err)
		}
	case "undumpable":
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
			fail("prctl", errno)
		}
	case "session":
		syscall.Setsid()
	case "daemon":
		daemon()
	default:
		fail(what, syscall.EINVAL)
	}
}

func main() {
	if os.Getenv("ODD_DAEMON") != "" {
		daemon()
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "again" {
		again(os.Args[2])
		return
	}
	input := bufio.NewReader(os.Stdin)
	line := func() { input.ReadString('\n') }
	sum := work()
	fmt.Fprintln(os.Stderr, "ready")
	line()
	for _, what := range os.Args[1:] {
		do(what)
		if again := work(); again != sum {
			fail(fmt.Sprintf("%s: %d, not %d", what, again, sum), nil)
		}
	}
	fmt.Fprintln(os.Stderr, "done")
	line()
	fmt.Println(work())
}
