// Package porttest gives tests addresses on loopback that stay theirs while
// nobody listens there: for a server that is stopped and started again, and for
// one that another process starts later.
//
// A port that the system chose, of which the listener was closed, is not such an
// address. The system soon gives it to whoever asks for any port, and in a run of
// all tests many do.
package porttest

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// attempts are made before the machine counts as full.
const attempts = 1000

// Keep returns an address on loopback that is the test's until it ends.
func Keep(tb testing.TB) string {
	tb.Helper()
	addr, release, err := Reserve()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)
	return addr
}

// Reserve returns an address on loopback at which nobody listens. Until release
// is called, or the process ends, no other call of Reserve on this machine
// returns it, and the system gives its port to nobody who asks for any.
func Reserve() (addr string, release func(), err error) {
	first, n := unasked(ephemeral())
	for range attempts {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(n))) //nolint:gosec // no secret
		mark, err := net.ListenPacket("udp", addr)                              //nolint:noctx // it does not block
		if err != nil {
			continue // another test's
		}
		l, err := net.Listen("tcp", addr) //nolint:noctx // it does not block
		if err != nil {
			_ = mark.Close()
			continue // a server's
		}
		_ = l.Close()
		return addr, func() { _ = mark.Close() }, nil
	}
	return "", nil, errors.New("no port of loopback is free")
}

// usual are the ports that systems leave to those who name them: those that they
// give away themselves begin at 32768 on Linux and at 49152 elsewhere.
const (
	usualFirst = 20000
	usualLast  = 31999
	highest    = 65535
	fewest     = 1000 // of which it is worth choosing
)

// unasked returns the first of n ports that the system gives to nobody by
// itself, when it gives away those from low to high. Where it gives away nearly
// all of them, there is no better choice than the usual ones.
func unasked(low, high int) (first, n int) {
	switch {
	case low > usualLast, high < usualFirst:
		return usualFirst, usualLast - usualFirst + 1
	case low >= usualFirst+fewest:
		return usualFirst, low - usualFirst
	case highest-high >= fewest:
		return high + 1, highest - high
	}
	return usualFirst, usualLast - usualFirst + 1
}

// ephemeral is the range of ports that the system gives to those who ask for any.
func ephemeral() (low, high int) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usualLast + 1, highest
	}
	return parse(string(text))
}

// parse reads "32768	60999".
func parse(text string) (low, high int) {
	f := strings.Fields(text)
	if len(f) == 2 {
		low, lowErr := strconv.Atoi(f[0])
		high, highErr := strconv.Atoi(f[1])
		if lowErr == nil && highErr == nil {
			return low, high
		}
	}
	return usualLast + 1, highest
}
