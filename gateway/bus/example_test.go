package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-chat/gatehouse/gateway/bus"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
)

// The way of a message through the bus: it is published, leased, and settled in
// one commit with its reply. A worker that is late changes nothing.
func Example() {
	ctx := context.Background()
	engine := inprocess.New(inprocess.Options{})
	defer engine.Close()

	hello := bus.Record{Queue: bus.Inbox, Channel: "support", Key: "update/1", Order: "anna", Body: json.RawMessage(`"hello"`)}
	for range 2 { // the platform delivers twice; a key is accepted once
		if err := engine.Publish(ctx, bus.Batch{Records: []bus.Record{hello}}); err != nil {
			fmt.Println(err)
		}
	}

	leases, err := engine.Lease(ctx, bus.Want{Queue: bus.Inbox, For: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	lease := leases[0]
	fmt.Printf("%d record: %s\n", len(lease.Records), lease.Records[0].Body)

	done := bus.Outcome{
		Verdicts: map[string]bus.Verdict{"update/1": {Fate: bus.Ack}},
		Emit:     []bus.Record{{Queue: bus.Outbox, Channel: "support", Key: "update/1/0", Order: "anna", Body: json.RawMessage(`"Hello, Anna."`)}},
	}
	fmt.Println(engine.Settle(ctx, lease, done))
	fmt.Println(errors.Is(engine.Settle(ctx, lease, done), bus.ErrLeaseLost))

	out, err := engine.Lease(ctx, bus.Want{Queue: bus.Outbox, NoWait: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("to send: %s\n", out[0].Records[0].Body)
	// Output:
	// 1 record: "hello"
	// <nil>
	// true
	// to send: "Hello, Anna."
}
