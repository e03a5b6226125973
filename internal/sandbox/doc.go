// Package sandbox will run WASM guests: checked, metered, and each call in an
// instance of its own. It will be the only importer of the WASM runtime.
package sandbox
