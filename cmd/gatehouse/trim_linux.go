package main

import (
	"bufio"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dropStart gives back the memory that only the start has used: the heap's free
// pages, and the pages of the program's own file. Starting runs through the
// initialisation of every library once, and the kernel maps the neighbours of
// each page as well; what is needed again is mapped again from its cache. Without
// this, four fifths of an idle gateway's resident memory are code that never
// runs again.
func dropStart() {
	debug.FreeOSMemory()
	if !fixedAddresses() {
		return
	}
	for _, m := range codeMappings() {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED) // else it stays mapped
	}
}

// fixedAddresses reports whether the program was linked to run where it lies. In
// any other, pages of the file that can only be read now have been written to
// when it was loaded, and would lose that.
func fixedAddresses() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-buildmode" {
			return s.Value == "exe"
		}
	}
	return false
}

type mapping struct{ start, end uintptr }

// codeMappings are the parts of the program's file that are mapped and cannot be
// written to.
func codeMappings() []mapping {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil
	}
	defer maps.Close() //nolint:errcheck // it was only read
	var found []mapping
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "r-xp" && f[1] != "r--p" || strings.Join(f[5:], " ") != exe {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil && start < end {
			found = append(found, mapping{uintptr(start), uintptr(end)})
		}
	}
	return found
}
