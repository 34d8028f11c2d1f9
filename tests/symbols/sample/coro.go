//go:build go1.23

package main

import "iter"

func coroutines() {
	next, stop := iter.Pull(func(yield func(int) bool) {
		for i := 0; i < 3 && yield(i); i++ {
		}
	})
	defer stop()
	for v, ok := next(); ok; v, ok = next() {
		sink += v
	}
}
