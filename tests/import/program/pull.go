//go:build go1.23

package main

import "iter"

func coroutines() {
	next, stop := iter.Pull(func(yield func(int) bool) {
		for i := 0; i < 100 && yield(i); i++ {
		}
	})
	for i := 0; i < 50; i++ {
		next()
	}
	stop()
}
