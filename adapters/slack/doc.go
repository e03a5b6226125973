// Package slack is the channel for Slack: Socket Mode and the Events API,
// threads, Block Kit, slash commands, and installation into several teams.
//
// It owns its sockets and its webhook: an event is acknowledged only after
// Sink.Accept has returned nil. What a payload means and how a part is written
// is in the package codec, which is pure. Requests go out through the host's
// client, because the platform's answer, and whether a request can have reached
// it at all, decide what happens next; the SDK lends its types, and drives the
// emulator in a test.
package slack
