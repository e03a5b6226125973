package cloud

import (
	"context"
	"maps"
	"strings"
	"sync"

	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp/cloud/codec"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// people know the numbers of those whom Meta has named by both a number and an id
// of its own, so that somebody who hides the number stays who they were.
type people struct {
	state channels.State

	mu      sync.Mutex
	numbers map[string]string // what is kept, by id
}

// writes are what of the numbers is not kept yet, for the commit of the events.
func (p *people) writes(numbers map[string]string) []channels.Write {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []channels.Write
	for id, n := range numbers {
		if p.numbers[id] != n {
			out = append(out, codec.NumberWrite(id, n))
		}
	}
	return out
}

// note remembers what was committed.
func (p *people) note(numbers map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.numbers == nil || len(p.numbers) >= maxKnown {
		p.numbers = map[string]string{}
	}
	maps.Copy(p.numbers, numbers)
}

// known are the events with the numbers of those who did not tell theirs now.
func (p *people) known(ctx context.Context, events []channels.Event) ([]channels.Event, error) {
	for i, e := range events {
		id := string(e.Where.Conversation)
		if !codec.Scoped(id) {
			continue
		}
		number, err := p.number(ctx, id)
		if err != nil {
			return nil, err
		}
		if number != "" {
			events[i] = codec.Become(e, number)
		}
	}
	return events, nil
}

// number is what belongs to an id; "" when it was never told, and when two were:
// a number that somebody has given up may be another person's by now.
func (p *people) number(ctx context.Context, id string) (string, error) {
	p.mu.Lock()
	n := p.numbers[id]
	p.mu.Unlock()
	if n != "" {
		return n, nil
	}
	prefix := codec.NumbersOf(id)
	kept, err := p.state.List(ctx, prefix, "", 2)
	if err != nil || len(kept) != 1 {
		return "", err
	}
	n = strings.TrimPrefix(kept[0].Key, prefix)
	p.note(map[string]string{id: n})
	return n, nil
}
