// hello ends at once, with a status of its own.
package main

import (
	"fmt"
	"os"
)

func main() {
	done := make(chan string)
	go func() { done <- "hello" }()
	fmt.Println(<-done)
	os.Exit(5)
}
