// Package telegramtest emulates the Telegram Bot API on a loopback port, in
// the manner of net/http/httptest: a bot under test talks to it over HTTP as
// it would to api.telegram.org, and the test plays the people on the other
// side.
//
//	srv := telegramtest.NewServer(t)
//	ada := srv.User(1001, "Ada")
//	chat := srv.Private(ada)
//	chat.Say(ada, "hello")
//	// the bot, pointed at srv.URL() with srv.Token(), answers
//	err := srv.Wait(ctx, func(log telegramtest.Log) bool { return len(log) == 1 })
//
// What the bot does is kept in a [Log]: every send, edit, deletion, reaction
// and chat action that took effect, in order, with plain text, entities,
// keyboard and the bytes of its files. A call that was answered with an error
// leaves no trace there; one whose answer was lost on the way does, since the
// person has seen it.
//
// [Server.Fail] makes calls fail in scripted ways, [Server.SetLimits] turns on
// the platform's rate limits, and [Server.Control] opens the same powers to
// another process, which is how cmd/telegramtest outlives the bot it tests.
//
// Error texts, entity parsing, long polling and the webhook schedule follow the
// published Bot API server; docs/telegram-emulator.md lists where the emulator
// departs from it.
package telegramtest
