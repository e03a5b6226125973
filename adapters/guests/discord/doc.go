// Package discord is the Discord adapter as a guest: the codec that the native
// adapter uses, and the little around it that says which request to make when.
// The host holds the connection to the gateway; the guest keeps the place in the
// session beside the events, beats with a timer, and reads histories after a
// lost session.
package discord
