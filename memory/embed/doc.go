// Package embed will turn text into vectors for memory: by a model that needs
// no service, or by an endpoint.
package embed

import "context"

// Embedder turns texts into vectors of one model.
type Embedder interface {
	// Model names the model, its dimensions and its version. Vectors of
	// different models are never compared.
	Model() Model
	// Embed returns one unit vector for each text, in order.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// Model identifies what made a vector.
type Model struct {
	Name       string
	Version    string
	Dimensions int
}
