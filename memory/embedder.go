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

// UsualWeight is how much the best hit of an embedder weighs beside the best by
// words, where those leave all open. docs/memory-quality.md says on which sets it
// was chosen.
const UsualWeight = 8

// Weighed is an embedder that knows how much its best hit is worth for a question,
// such as one that does not know everything it may be asked.
type Weighed interface {
	// Weight stands for UsualWeight with this question: the more of it the embedder knows
	// the meaning of, the more. It is above 0.
	Weight(question string) float64
}
