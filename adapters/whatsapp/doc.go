// Package whatsapp is the channel that speaks as a linked device of a person's
// phone, through whatsmeow.
//
// whatsmeow does the handshake, the encryption and the wire. What decides
// whether a message is lost is our own: a message is acknowledged to WhatsApp
// only after Sink.Accept has returned nil, what was decrypted and not accepted
// stays in the device's store (package keystore), connections are made and given
// up by Run, and the ids of what is sent derive from Part.Key, so that a repeat
// is shown once.
//
// whatsmeow links a library under the GPL. The build tag nowhatsapp leaves all
// of it out; docs/whatsapp.md says more.
package whatsapp
