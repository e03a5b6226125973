package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestDropStart: the program goes on, with far less of its file in memory.
func TestDropStart(t *testing.T) {
	if !fixedAddresses() {
		t.Fatal("this test binary was not linked as the product is, with -buildmode=exe")
	}
	before := residentFile(t)
	dropStart()
	after := residentFile(t)
	if len(codeMappings()) == 0 || after > before/2 {
		t.Errorf("%d KiB of the file were in memory, %d KiB are still; mappings: %v", before, after, codeMappings())
	}
}

// residentFile is how much of files the process has mapped in memory, in KiB.
func residentFile(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if !found || err != nil {
		t.Fatal("the kernel does not say how much of files is in memory")
	}
	return n
}
