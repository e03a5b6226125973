package porttest_test

import (
	"net"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

func TestKeptPortsAreApart(t *testing.T) {
	seen := map[string]bool{}
	for range 300 {
		addr := porttest.Keep(t)
		if seen[addr] {
			t.Fatalf("%s was given away twice", addr)
		}
		seen[addr] = true
	}
}

// TestAKeptPortCanBeUsed: again and again, and by nobody who asks for any port.
func TestAKeptPortCanBeUsed(t *testing.T) {
	addr := porttest.Keep(t)
	for range 100 {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		other, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if got := other.Addr().String(); got == addr {
			t.Errorf("the system gave %s to somebody else", got)
		}
		_ = other.Close()
	}
}

func TestWhichPortsNobodyIsGiven(t *testing.T) {
	for _, tt := range []struct {
		name       string
		text       string
		first, num int
	}{
		{"Linux", "32768\t60999\n", 20000, 12000},
		{"no Linux", "", 20000, 12000},
		{"from within", "25000 60999", 20000, 5000},
		{"from below", "1024 50000", 50001, 15535},
		{"all", "1024 65535", 20000, 12000},
		{"below", "1024 15000", 20000, 12000},
		{"garbage", "x y", 20000, 12000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if first, n := porttest.Unasked(tt.text); first != tt.first || n != tt.num {
				t.Errorf("%d from %d on, want %d from %d on", n, first, tt.num, tt.first)
			}
		})
	}
}
