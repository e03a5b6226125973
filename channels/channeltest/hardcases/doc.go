// Package hardcases works the contracts of channels, gateway/bus and agent
// through the situations that break most designs: a turn that waits for a
// person, a deferred command on two replicas, a guest that holds a connection,
// and a crash between a draft and its final. Each is a compiled fake against
// the contracts alone, so that a change to a contract that no longer carries
// one of them fails here before any adapter or station is written against it.
//
// It holds tests only.
package hardcases
