// Package guest will be the kit for authors of WASM guests in Go: the gw1
// interface in Go's own terms.
package guest
