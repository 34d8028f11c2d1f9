// self - prints what a program can see of itself and what its starter could have changed by accident: arguments, environment,
// descriptors, signal dispositions, limits, terminal. The same with and without gtrace, byte for byte.
package main

import (
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"syscall"
	"unsafe"
)

func main() {
	fmt.Printf("args %q\n", os.Args)
	env := os.Environ()
	sort.Strings(env)
	fmt.Printf("env %q\n", env)
	dir, _ := os.Getwd()
	fmt.Println("dir", dir)
	mask := syscall.Umask(0)
	syscall.Umask(mask)
	fmt.Printf("umask %#o\n", mask)

	// Descriptors, with the one that reads the list left out.
	f, _ := os.Open("/proc/self/fd")
	names, _ := f.Readdirnames(-1)
	own := fmt.Sprint(f.Fd())
	f.Close()
	sort.Strings(names)
	for _, name := range names {
		if name == own {
			continue
		}
		target, err := os.Readlink("/proc/self/fd/" + name)
		if err != nil || strings.Contains(target, "eventpoll") || strings.Contains(target, "eventfd") {
			continue // the runtime's own
		}
		if at := strings.Index(target, ":["); at >= 0 {
			target = target[:at]
		}
		var flags, status uintptr
		n := uintptr(0)
		fmt.Sscan(name, &n)
		flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, n, syscall.F_GETFD, 0)
		status, _, _ = syscall.Syscall(syscall.SYS_FCNTL, n, syscall.F_GETFL, 0)
		fmt.Println("fd", name, target, flags, status)
	}
	for n := uintptr(0); n < 3; n++ {
		var t syscall.Termios
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, n, syscall.TCGETS, uintptr(unsafe.Pointer(&t)))
		fmt.Println("tty", n, e == 0)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		for _, key := range []string{"Name", "Uid", "Gid", "SigQ", "SigBlk", "SigIgn", "SigCgt", "ShdPnd", "SigPnd", "Cap", "NoNewPrivs", "Seccomp:", "Cpus_allowed:", "TracerPid:"} {
			if strings.HasPrefix(line, key) && (key != "TracerPid:" || os.Getenv("SELF_TRACER") != "") && key != "SigQ" {
				fmt.Println(line)
			}
		}
	}
	limits, _ := os.ReadFile("/proc/self/limits")
	fmt.Print(string(limits))
	exe, _ := os.Readlink("/proc/self/exe")
	fmt.Println("exe", exe)
	adj, _ := os.ReadFile("/proc/self/oom_score_adj")
	fmt.Print("oom ", string(adj))
	personality, _ := os.ReadFile("/proc/self/personality")
	fmt.Print("personality ", string(personality))
	if len(os.Args) > 1 && os.Args[1] == "stdin" {
		text, _ := io.ReadAll(os.Stdin)
		fmt.Printf("stdin %q\n", text)
		fmt.Fprintln(os.Stderr, "to stderr")
	}
}
