package channels

import (
	"context"
	"io"
)

// Keeper is a [Host] that keeps files, found by a type assertion. A channel
// needs it whose platform is the gateway itself, so that nobody else has what
// people send and are sent. What is kept stays as long as a [Write] names it in
// Files, and for some hours in any case.
type Keeper interface {
	// Keep takes in what r gives, at most limit bytes, and returns f with its
	// Blob, and with the size and type that it turned out to have. It blocks
	// until the content is durable. A content that is larger is an [*Error]
	// whose Kind is Rejected.
	Keep(ctx context.Context, f File, r io.Reader, limit int64) (File, error)
	// Kept reads a file from the start. Whoever asks has to know that the one
	// who wants it may read it. A content that was damaged ends with an error in
	// the place of io.EOF. The caller closes it.
	Kept(ctx context.Context, f File) (io.ReadCloser, error)
}
