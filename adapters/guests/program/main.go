//go:build wasip1

// Package main is all guests that are shipped as one program: most of what each
// is made of is the same. The argument in its manifest says which one it is. It
// is compiled for wasip1 alone; make guests does it.
package main

import (
	"os"

	"github.com/gatehouse-chat/gatehouse/adapters/guests/slack"
	"github.com/gatehouse-chat/gatehouse/adapters/guests/telegram"
	"github.com/gatehouse-chat/gatehouse/channels/guest"
)

//go:wasmexport gw1_handle
func handle(op, n uint32) int32 { return guest.Handle(op, n, bot) }

var bot = chosen()

func main() {}

// chosen is the adapter that the manifest names. One that is none refuses
// everything.
func chosen() guest.Bot {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "slack":
			return slack.Bot()
		case "telegram":
			return telegram.Bot()
		}
	}
	return guest.Bot{}
}
