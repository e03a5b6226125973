package memory

import "context"

// Embedder turns texts into vectors of one model. Its methods may be called
// concurrently.
type Embedder interface {
	// Model names the model, its dimensions and its version, such as
	// "potion-base-8M/1/256". It never changes while the process runs. Vectors of
	// different models are never compared.
	Model() string
	// Dimensions is the length of a vector; 0 says that this embedder makes none,
	// and everything is found by its words alone.
	Dimensions() int
	// Embed returns one vector of unit length for each text, in order. A text in
	// which the model knows no word gives a nil vector. It blocks until done, or
	// until ctx ends.
	Embed(ctx context.Context, kind EmbedKind, texts []string) ([][]float32, error)
}

// EmbedKind says what a text is for: some models see questions and what answers
// them differently. The set is closed.
type EmbedKind string

// The kinds of texts.
const (
	ForQuery   EmbedKind = "query"
	ForPassage EmbedKind = "passage"
)

// Modest is an embedder that knows less of a text than its words say. Its hits
// add to what the words find, and lead where the words leave much open.
type Modest interface {
	// Say is how much its best hit for a question weighs beside the best by words,
	// where the words leave all open: more, the more of the question it knows the
	// meaning of. It is above 0.
	Say(question string) float64
}
