// Package webhook will take messages from any program that can send an HTTP
// request, verified by the signature schemes in common use, and answer in the
// same request or at a callback URL. Nothing of it exists yet, and no
// configuration can name it.
package webhook
