package discord

import "sync"

// deferrals are the interactions whose first answer is under way, by the hash
// of their token: a reply that overtakes it would be refused.
type deferrals struct {
	mu sync.Mutex
	at map[string]chan struct{}
}

// begin notes that the first answer is under way until end is called.
func (d *deferrals) begin(token string) (end func()) {
	done := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil {
		d.at = map[string]chan struct{}{}
	}
	d.at[token] = done
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.at, token)
		close(done)
	}
}

// over is closed when no first answer is under way; nil when none is.
func (d *deferrals) over(token string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[token]
}
