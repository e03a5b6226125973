//go:build wasip1

// Command lookup is a guest of kind tool that does what its argument says, good
// and bad.
package main

import (
	"encoding/json"
	"errors"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
)

func main() {}

//go:wasmexport gw1_handle
func handle(op, n uint32) int32 { return guest.Handle(op, n, guest.Bot{Execute: execute}) }

func execute(c *guest.Call) (wire.Out, error) {
	var args struct{ What, URL string }
	if err := json.Unmarshal(c.Args, &args); err != nil {
		return wire.Out{}, err
	}
	switch args.What {
	case "get":
		resp, body, err := c.Do(wire.Request{URL: args.URL}, nil)
		if err != nil {
			return wire.Out{}, guest.Errorf(channels.Transient, err.Error())
		}
		if resp.Status != 200 {
			return wire.Out{}, guest.Errorf(channels.Rejected, "another status")
		}
		return wire.Out{Text: "found " + string(body)}, nil
	case "loop":
		for {
		}
	case "grow":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
		}
	case "trap":
		var m map[string]int
		m["x"] = 1
	case "emit":
		return wire.Out{Text: "emitted"}, c.Emit(channels.Event{Key: "k", Content: channels.Message{ID: "m", Text: "hello"}})
	case "state":
		_, err := c.Get("x")
		return wire.Out{Text: "read"}, err
	case "flood":
		for {
			_, _, _ = c.Do(wire.Request{URL: "https://nowhere.example/"}, nil)
		}
	}
	return wire.Out{}, errors.New("nobody knows how to do that")
}
