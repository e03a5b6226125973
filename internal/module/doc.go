// Package module reads and writes the packages in which guests are shipped: a
// manifest that says what a guest wants, the WebAssembly module, and the
// publisher's signature over both.
//
// A manifest grants nothing. What a guest may do is what its manifest asks for
// and the operator granted, within the limits of package sandbox.
package module
