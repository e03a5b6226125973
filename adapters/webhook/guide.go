package webhook

import "github.com/gatehouse-chat/gatehouse/channels"

// Guide implements channels.Guided. The kinds that need more than a secret are
// written into the configuration by hand.
func (Driver) Guide() channels.Guide {
	return channels.Guide{
		Title: "Webhook",
		Steps: []string{
			"Requests go to the path `/hooks/` and the channel's name, below `public_url`, or below the address under `listen`.",
			"See what becomes of a request before you send it: `gatehouse webhook test NAME --file payload.json`.",
		},
		Asks: []channels.Ask{
			{
				Key: "verify.kind", Label: "Proof", Help: "How a request proves whose it is.",
				Choices: []string{"bearer", "github", "standard-webhooks", "stripe", "slack", "meta"},
			},
			{
				Key: "verify.secret", Label: "Secret", Secret: true,
				Help: "What the sender signs with, or shows as its token: the platform's pages call it secret, signing secret (Stripe, Slack) or app secret (Meta). For bearer and GitHub make up a long one.",
			},
			{Key: "verify_token", Label: "Verify token", Help: "What you enter beside the callback URL on the app's page; make up a long one.", Secret: true, Only: "verify.kind=meta"},
			{Key: "message", Label: "Message", Help: "A template of what the agent reads; without one it reads `message`, `text` or the whole payload.", Example: "{{ .action }}: {{ .issue.title }}", Optional: true},
			{Key: "conversation", Label: "Conversation", Help: "A template: requests with the same text are one conversation.", Example: "{{ .repository.full_name }}", Optional: true},
			{Key: "callback_url", Label: "Callback", Help: "Where answers are sent; without one they are for those who wait with `?wait=30s`.", Example: "https://example.org/answers", Optional: true},
			{Key: "callback_secret", Label: "Callback's secret", Help: "What answers are signed with: `whsec_` and a base64 text of 24 bytes. Needed with a callback.", Secret: true, Optional: true},
		},
	}
}
