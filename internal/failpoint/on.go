//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Enabled says whether this build can be armed.
const Enabled = true

var (
	armed = sync.OnceValue(parse)
	hits  atomic.Int64
)

type trigger struct {
	name Name
	nth  int64
}

// parse reads the environment once. A name that does not exist ends the process
// with a message: a test that arms it would prove nothing.
func parse() trigger {
	value, set := os.LookupEnv(Env)
	if !set {
		return trigger{}
	}
	name, count, counted := strings.Cut(value, ":")
	t := trigger{name: Name(name), nth: 1}
	var err error
	if counted {
		t.nth, err = strconv.ParseInt(count, 10, 64)
	}
	if err != nil || t.nth < 1 || !slices.Contains(Names(), t.name) {
		fmt.Fprintf(os.Stderr, "%s: no failpoint %q\n", Env, value)
		os.Exit(2)
	}
	return t
}

// Hit kills the process when the environment has armed the name and this is the
// time that it asks for.
func Hit(n Name) {
	t := armed()
	if t.name != n || hits.Add(1) != t.nth {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way; go no further
}
