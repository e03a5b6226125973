package discord

import "github.com/gatehouse-chat/gatehouse/channels"

var _ channels.Guided = Driver{}

// Guide implements channels.Guided.
func (Driver) Guide() channels.Guide {
	return channels.Guide{
		Title: "Discord",
		Steps: []string{
			"Open https://discord.com/developers/applications, choose New Application and give it the name of your bot.",
			"On its page Bot, switch on Message Content Intent and save.",
			"On the same page, choose Reset Token and copy the token.",
			"When the channel is there, open the invitation that is shown and choose the server that the bot shall join.",
		},
		Asks: []channels.Ask{{
			Key: "token", Label: "Bot token", Secret: true, Example: "MTQ1NzQ2OTQ4MzcyNjY2ODA0OA.G1…",
			Help: "It goes to the vault, encrypted, and is never shown again.",
		}},
	}
}
