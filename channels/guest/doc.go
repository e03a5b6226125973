// Package guest is the kit for authors of channels that run as WASM guests,
// written in Go. It is compiled for wasip1 alone:
//
//	//go:wasmexport gw1_handle
//	func handle(op, n uint32) int32 { return guest.Handle(op, n, bot) }
//
//	var bot = guest.Bot{Start: start, Poll: poll, Send: send}
//
//	func main() {}
//
// Build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared. A guest
// begins every call as it was after its initialisation: what it learns it keeps
// with [Call.Put], or returns from Start as the session.
package guest
