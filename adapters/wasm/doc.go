// Package wasm will be a channels.Channel whose logic is a sandboxed guest: the
// same queue, order, receipts and capabilities as a native adapter. Nothing of
// it exists yet, and no configuration can name it.
package wasm
