// Package guests will hold the sources of the guests that are shipped, and the
// kits for authors who write theirs in other languages than Go.
package guests
