//go:build !wasip1

package main

import (
	"fmt"
	"os"
)

// main says what to do instead: elsewhere than in the sandbox there is nothing to
// run.
func main() {
	fmt.Fprintln(os.Stderr, "the guests are compiled for wasip1: make guests")
	os.Exit(2) //nolint:forbidigo // this is main
}
