// Package wasm is the driver of channels whose logic is a sandboxed guest: the
// same queue, order, receipts and capabilities as a native adapter.
//
// The guest decides what an update means and how a part is written. Everything
// else is the host's: it keeps the connection, makes the requests that the
// manifest lists and puts the credentials in, holds the state and commits it
// together with the events that it belongs to, verifies webhooks, streams files
// and classifies what a lost request may have done. A guest that fails takes
// nothing down but its own call; one that keeps failing is left alone for a
// while.
package wasm
