// Package slack is the Slack adapter as a guest: the codec that the native
// adapter uses, and the little around it that says which request to make when.
// The host holds the socket of Socket Mode, and checks the signatures of the
// Events API.
package slack
