//go:build !go1.25

package main

import "os"

func flight(path string) { os.Exit(3) }
