//go:build go1.25

package main

import "sync"

// group runs all of them at once, by the wrapper that Go has for it.
func group(functions ...func()) {
	var wg sync.WaitGroup
	for _, f := range functions {
		wg.Go(f)
	}
	wg.Wait()
}
