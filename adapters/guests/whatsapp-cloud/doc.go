// Package cloud is the adapter for the WhatsApp Cloud API as a guest: the codec
// that the native adapter uses, and the little around it that says which request
// to make when. The host checks Meta's signatures, and the token with which Meta
// asks whether the address is ours.
package cloud
