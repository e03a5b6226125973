//go:build wasip1

package main

import (
	"os"

	"github.com/gatehouse-chat/gatehouse/adapters/guests/discord"
	"github.com/gatehouse-chat/gatehouse/adapters/guests/slack"
	"github.com/gatehouse-chat/gatehouse/adapters/guests/telegram"
	"github.com/gatehouse-chat/gatehouse/adapters/guests/webhook"
	cloud "github.com/gatehouse-chat/gatehouse/adapters/guests/whatsapp-cloud"
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
		case "whatsapp-cloud":
			return cloud.Bot()
		case "discord":
			return discord.Bot()
		case "slack":
			return slack.Bot()
		case "telegram":
			return telegram.Bot()
		case "webhook":
			return webhook.Bot()
		}
	}
	return guest.Bot{}
}
