package cloud

import "github.com/gatehouse-chat/gatehouse/channels"

// Guide implements channels.Guided.
func (Driver) Guide() channels.Guide {
	return channels.Guide{
		Title: "WhatsApp (Cloud API)",
		Steps: []string{
			"You need a `public_url`: Meta calls the gateway, by https with a valid certificate.",
			"Make an app of the kind Business at https://developers.facebook.com/apps and add the product WhatsApp to it.",
			"On the page WhatsApp, API Setup, copy the phone number id and the WhatsApp Business Account id.",
			"At https://business.facebook.com/settings/system-users make a system user, give it the app and the WhatsApp account, and generate a token that does not end, with `whatsapp_business_messaging` and `whatsapp_business_management`. The token on the page API Setup ends after a day.",
			"On the page App settings, Basic, copy the app id and the app secret. The webhook is registered for you.",
		},
		Asks: []channels.Ask{
			{Key: "phone_number_id", Label: "Phone number id", Help: "Digits; not the phone number itself.", Example: "106540352242922"},
			{Key: "token", Label: "Access token", Help: "Of the system user.", Secret: true},
			{Key: "app_secret", Label: "App secret", Help: "Meta signs its webhooks with it.", Secret: true},
			{Key: "app_id", Label: "App id", Help: "With it the webhook is registered by itself.", Optional: true},
			{Key: "business_id", Label: "WhatsApp Business Account id", Help: "With it the account is subscribed by itself.", Optional: true},
			{Key: "template", Label: "Template", Help: "The name of an approved template that is sent when an answer comes more than 24 hours after a person wrote.", Optional: true},
		},
	}
}
