package main

import (
	"syscall"
	"unsafe"
)

func pointer(t *syscall.Timespec) unsafe.Pointer { return unsafe.Pointer(t) }
