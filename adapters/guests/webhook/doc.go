// Package webhook is the adapter for webhooks as a guest: the templates of the
// native adapter's codec, and its answers. The host checks the proofs and signs
// the callbacks, so that the guest sees no secret and nothing that is not proved.
package webhook
