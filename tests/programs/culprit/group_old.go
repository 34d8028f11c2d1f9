//go:build !go1.25

package main

// group runs all of them at once, and gives them the time they take.
func group(functions ...func()) {
	for _, f := range functions {
		go f()
	}
	pause(500)
}
