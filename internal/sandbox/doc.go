// Package sandbox runs guests: WebAssembly modules that nobody has to trust.
//
// [Sandbox.Load] checks a module, puts meters into its code (package wasm),
// compiles it, runs its initialisation once and freezes the memory and the
// variables (package image). [Module.Call] then runs one operation in a new
// instance that begins as this snapshot: what a guest remembers of a message is
// gone with the message. The state that is to stay goes through the host.
//
// A guest has no files, no network, no environment, and no way to wait. All it
// can do is compute, within its [Limits], and ask its [Host]. What it emits and
// stores is held back until its call has ended well ([Result.Effects]).
//
// The package is the only importer of the WebAssembly runtime, wazero. It starts
// no goroutines.
package sandbox
