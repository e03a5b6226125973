// Package slacktest is a Slack on loopback, in the manner of net/http/httptest:
// teams with people and channels, the Web API that a bot uses, the Events API
// with its signatures, and Socket Mode.
//
// A test says what people do (Channel.Say, Channel.Press, ...), looks at what
// the bot did (Channel.Transcript, Server.Delivered), and lets things go wrong
// (Server.Fail, Server.Disconnect, ...). Where it differs from the platform is
// written in docs/slack-emulator.md.
package slacktest
