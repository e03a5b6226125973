package channels

import "context"

// Offer has a batch accepted and works around what never can be: when the sink
// rejects the batch as a whole, its events are accepted one by one, in order,
// and the state after them, so that one event that cannot be kept holds up no
// other. rejected says why for each such event; the sink has logged and counted
// them. They are done with: acknowledge them like the others.
//
// An error means that something of the batch is not kept yet: offer all of it
// again, not before [RetryAfter].
func Offer(ctx context.Context, sink Sink, b Batch) (rejected []error, err error) {
	err = sink.Accept(ctx, b)
	if KindOf(err) != Rejected || len(b.Events) == 0 {
		return nil, err
	}
	if len(b.Events) == 1 {
		rejected = append(rejected, err)
	} else {
		for _, e := range b.Events {
			err := sink.Accept(ctx, Batch{Events: []Event{e}})
			switch {
			case KindOf(err) == Rejected:
				rejected = append(rejected, err)
			case err != nil:
				return nil, err
			}
		}
	}
	if len(b.State) == 0 {
		return rejected, nil
	}
	return rejected, sink.Accept(ctx, Batch{State: b.State})
}
