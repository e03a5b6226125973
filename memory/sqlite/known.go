package sqlite

import (
	"sync"

	"github.com/gatehouse-chat/gatehouse/memory/store"
)

// mostKnown bounds how many units are kept in memory.
const mostKnown = 4096

// known are units as they were read since the last change, those that are not
// there included. Its methods may be called concurrently.
type known struct {
	mu    sync.RWMutex
	age   int // changes so far
	units map[store.Unit]store.Found
}

// all returns the units if every one is known, and the age of what it looked at.
func (k *known) all(units []store.Unit) (found []store.Found, age int, complete bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	found = make([]store.Found, len(units))
	for i, u := range units {
		f, is := k.units[u]
		if !is {
			return nil, k.age, false
		}
		found[i] = f
	}
	return found, k.age, true
}

// keep takes in what was read, unless something has changed since that age.
func (k *known) keep(found []store.Found, age int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age != k.age {
		return
	}
	if k.units == nil || len(k.units)+len(found) > mostKnown {
		k.units = map[store.Unit]store.Found{}
	}
	for _, f := range found {
		k.units[f.Unit] = f
	}
}

func (k *known) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.age++
	clear(k.units)
}
