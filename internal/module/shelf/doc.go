// Package shelf keeps what an operator has decided about guests: the modules
// that are installed, with the versions before the one in use, and the
// publishers whose signatures count.
//
// Everything lies in the durable state. A change is one commit, so that a crash
// at any moment leaves the module as it was or as it was to be, and nothing in
// between.
package shelf
