// Package channeltest holds what an adapter is tested with: a fake of
// everything the gateway gives to a channel, and the conformance suite that
// every adapter passes, whatever it is written in.
//
// [Host] and [Sink] are the fakes. They keep what a real gateway would keep
// ([Snapshot] carries it over an emulated crash), let a test hold or fail an
// Accept, and watch the adapter: a secret that becomes visible, an event out of
// order or one that cannot be stored fails the test without being asked for.
//
// [Run] is the suite. An adapter's test gives it a [Suite]: how to open the
// channel against an emulator of its platform, and how to make that platform do
// things. [Loop] is a channel in memory that passes it, and shows what a suite
// looks like when it is filled in.
//
// Nothing here sleeps. Waiting is always for a condition, with a deadline, and
// works under testing/synctest as well.
package channeltest
