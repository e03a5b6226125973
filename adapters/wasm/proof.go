package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/channels/proof"
	"github.com/gatehouse-chat/gatehouse/internal/module"
)

// proofQuery is the kind for which the secret stands in a parameter of the
// query, as when a platform asks whether an address is ours. It is compared as if
// it stood in a header.
const (
	proofQuery  = "query"
	queryHeader = "X-Gatehouse-Query"
)

// specOf is a manifest's proof in the words of the package proof. fill puts a
// value in the place of what comes from the configuration.
func specOf(v module.Verify, fill func(text string) string) proof.Spec {
	if v.Kind == proofQuery {
		return proof.Spec{Kind: proof.Header, Secret: v.Secret, Header: queryHeader}
	}
	return proof.Spec{
		Kind: proof.Kind(v.Kind), Secret: v.Secret, Header: v.Name, Prefix: v.Prefix, Encoding: v.Encoding, Hash: v.Hash,
		Stamp: v.Stamp, Signs: v.Signs, Within: v.Within, Pointer: v.Pointer, Match: v.Match,
		PublicKey: fill(v.PublicKey), KeysURL: fill(v.KeysURL), Issuer: fill(v.Issuer), Audience: fill(v.Audience),
	}
}

// fromConfig are the values of a manifest's proof that the configuration may
// have, by their names.
func fromConfig(v module.Verify) map[string]string {
	return map[string]string{"public_key": v.PublicKey, "keys_url": v.KeysURL, "issuer": v.Issuer, "audience": v.Audience}
}

// formatProof marks a key of the configuration under which the operator writes a
// whole proof, as in the section of a webhook channel.
const formatProof = "proof"

// chosen is the key under which the operator says how requests are proved; "" when
// the manifest says it.
func chosen(v module.Verify) string {
	if !isVariable(v.Kind) {
		return ""
	}
	return variable(v.Kind)
}

// toldProof is what a guest is told of a proof.
func toldProof(s proof.Spec) wire.Proof {
	return wire.Proof{Kind: string(s.Kind), Stamp: s.Stamp, Signed: s.Signed(), Stamped: s.Stamped()}
}

// proofFaults lists what is wrong with a manifest's proof, whatever the
// operator will write.
func (t *terms) proofFaults(v module.Verify) []proof.Fault {
	if name := chosen(v); name != "" {
		if t.schema.Properties[name].Format != formatProof {
			return []proof.Fault{{Path: "kind", Text: "names no key of config_schema whose format is " + formatProof}}
		}
		return nil
	}
	standIns := map[string]string{}
	for name, text := range fromConfig(v) {
		if !isVariable(text) {
			continue
		}
		if !t.stored(variable(text)) {
			return []proof.Fault{{Path: name, Text: "names no key of config_schema"}}
		}
		standIns[text] = "any"
		switch name {
		case "public_key":
			standIns[text] = noKey
		case "keys_url":
			standIns[text] = "https://keys.example/"
		}
	}
	return specOf(v, func(text string) string {
		if s, ok := standIns[text]; ok {
			return s
		}
		return text
	}).Faults()
}

// noKey has the form of a public key.
const noKey = "0000000000000000000000000000000000000000000000000000000000000000"

// proof is that of a webhook with what the operator wrote. The paths of faults
// are those of the section.
func (t *terms) proof(v module.Verify, refs map[string]string, keys map[string]any) (proof.Spec, []channels.Fault) {
	if name := chosen(v); name != "" {
		raw, _ := json.Marshal(keys[name]) // it came from JSON
		s, wrong := proof.Read(raw)
		var faults []channels.Fault
		for _, f := range wrong {
			faults = append(faults, channels.Fault{Path: strings.TrimSuffix(name+"."+f.Path, "."), Text: f.Text})
		}
		return s, faults
	}
	s := specOf(v, func(text string) string {
		if isVariable(text) {
			text, _ = keys[variable(text)].(string)
		}
		return text
	})
	if ref, ok := refs[v.Secret]; ok {
		s.Secret = ref
	}
	var faults []channels.Fault
	for _, f := range s.Faults() {
		faults = append(faults, channels.Fault{Path: variable(fromConfig(v)[f.Path]), Text: f.Text})
	}
	return s, faults
}

// closed reports whether nobody can call a webhook, because the operator left
// out what proves a call: its secret or its key, or all of it.
func (t *terms) closed(v module.Verify, refs map[string]string, keys map[string]any) bool {
	if name := chosen(v); name != "" {
		return keys[name] == nil
	}
	if ref, stored := refs[v.Secret]; stored && ref == "" {
		return true
	}
	for _, text := range fromConfig(v) {
		if isVariable(text) && keys[variable(text)] == nil {
			return true
		}
	}
	return false
}

// checkers judge the requests to the manifest's webhooks, in their order. client
// fetches the keys of those who sign tokens.
func checkers(specs []proof.Spec, client *http.Client) ([]*proof.Checker, error) {
	var all []*proof.Checker
	for _, s := range specs {
		if s.Kind == "" {
			all = append(all, nil)
			continue
		}
		c, err := proof.New(s, client)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

var errNoVerifier = errors.New("this host checks no requests")

// genuine reports whether a request is the platform's: by a secret that the
// operator stored, which the host knows alone, by the channel's own, or by keys
// that are public.
func (c *channel) genuine(ctx context.Context, at int, r proof.Request, query url.Values) error {
	check, v := c.proofs[at], c.g.pkg.Manifest.Webhooks[at].Verify
	if v.Kind == proofQuery {
		r.Header = http.Header{queryHeader: query[v.Name]}
	}
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
