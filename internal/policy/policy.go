// Package policy will decide whether an effect may happen: by the effect's
// class, by how far the turn's content is to be trusted, and by who asks. The
// gate is deterministic; what a model says has no part in it.
package policy
