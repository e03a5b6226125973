package wasm

import (
	"context"
	"errors"

	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// specOf is a manifest's proof in the words of the package proof.
func specOf(v module.Verify) proof.Spec {
	return proof.Spec{
		Kind: proof.Kind(v.Kind), Secret: v.Secret, Header: v.Name, Prefix: v.Prefix, Encoding: v.Encoding, Hash: v.Hash,
		Stamp: v.Stamp, Signs: v.Signs, Within: v.Within, PublicKey: v.PublicKey,
	}
}

// proofFaults lists what is wrong with a manifest's proof, whatever the
// operator will write.
func (t *terms) proofFaults(v module.Verify) []proof.Fault {
	s := specOf(v)
	if s.Kind == proof.JWT {
		return []proof.Fault{{Path: "kind", Text: "jwt is not for modules: they cannot name an issuer's keys"}}
	}
	if isVariable(v.PublicKey) {
		if !t.stored(variable(v.PublicKey)) {
			return []proof.Fault{{Path: "public_key", Text: "names no key of config_schema"}}
		}
		s.PublicKey = noKey
	}
	return s.Faults()
}

// noKey has the form of a public key.
const noKey = "0000000000000000000000000000000000000000000000000000000000000000"

// checker makes the proof of a webhook with what the operator wrote.
func (t *terms) checker(v module.Verify, refs map[string]string, keys map[string]any) (*proof.Checker, error) {
	s := specOf(v)
	if ref, ok := refs[v.Secret]; ok {
		s.Secret = ref
	}
	if isVariable(v.PublicKey) {
		s.PublicKey, _ = keys[variable(v.PublicKey)].(string)
	}
	return proof.New(s, nil)
}

var errNoVerifier = errors.New("this host checks no requests")

// genuine reports whether a request is the platform's: by a secret that the
// operator stored, which the host knows alone, or by the channel's own.
func (c *channel) genuine(ctx context.Context, at int, r proof.Request) error {
	check, v := c.s.proofs[at], c.g.pkg.Manifest.Webhooks[at].Verify
	if _, stored := c.s.refs[v.Secret]; stored || v.Secret == "" {
		host, ok := c.h.(proof.Verifier)
		if !ok {
			return errNoVerifier
		}
		return host.Verify(ctx, check, r)
	}
	own, err := c.own(v.Secret)
	if err != nil {
		return err
	}
	return check.Check(ctx, [][]byte{[]byte(own)}, r)
}
