//go:build !nowhatsapp

// Package whatsapptest emulates WhatsApp for linked devices, in the manner of
// net/http/httptest: the WebSocket with its Noise handshake, linking by QR code
// and by phone code, Signal sessions with people's phones, groups, media, and
// the queue of what a device has not acknowledged. whatsmeow speaks to it
// unchanged, by way of a base URL and the key that signs the server's
// certificate. docs/whatsapp-emulator.md says where it differs from WhatsApp.
//
//	wa := whatsapptest.NewServer(t)
//	wa.Scan(code)               // the owner's phone links the device
//	alice := wa.Person("Alice")
//	wa.Say(alice, "", "hello")  // a direct message
package whatsapptest
