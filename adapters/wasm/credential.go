package wasm

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels/proof"
)

var errSecret = errors.New("a secret cannot be read")

// secret is what stands for a secret of the manifest: the host's placeholder of
// one that the operator stored, or the value of one that is the channel's own.
func (c *channel) secret(ctx context.Context, name string) (string, error) {
	ref, stored := c.s.refs[name]
	if !stored {
		return c.own(name)
	}
	s, err := c.h.Secret(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errSecret, err)
	}
	return s.Reveal(), nil
}

// own is a secret that only this channel knows, in letters that every platform
// takes.
func (c *channel) own(name string) (string, error) {
	v := c.h.Derive(name).Reveal()
	if v == "" {
		return "", errSecret
	}
	sum := sha256.Sum256([]byte(v))
	return hex.EncodeToString(sum[:]), nil
}

// credentials puts secrets where the manifest has them. The guest never sees
// the result.
func (c *channel) credentials(ctx context.Context, fit []grant, u *url.URL, h http.Header, body []byte) ([]byte, error) {
	signer := ""
	for i := range fit {
		g := &fit[i]
		if g.Credential == nil {
			continue
		}
		if g.Credential.In == inSignature {
			signer = g.Credential.Secret
			continue
		}
		v, err := c.secret(ctx, g.Credential.Secret)
		if err != nil {
			return nil, err
		}
		v = strings.Replace(cmp.Or(g.Credential.Template, "{}"), "{}", v, 1)
		switch g.Credential.In {
		case "header":
			h.Set(g.Credential.Name, v)
		case "query":
			query := u.Query()
			query.Set(g.Credential.Name, v)
			u.RawQuery = query.Encode()
		case "path":
			u.Path, u.RawPath = strings.Replace(u.Path, "{"+g.Credential.Secret+"}", v, 1), ""
		case "body":
			if body, err = setAt(body, g.Credential.Pointer, v); err != nil {
				return nil, err
			}
		}
	}
	if signer != "" {
		return body, c.sign(ctx, signer, u, h, body)
	}
	return body, nil
}

// inSignature is where a credential goes that is shown to nobody: it signs the
// request in the manner of Standard Webhooks.
const inSignature = "signature"

// idHeader carries the id of a message that is signed, the same in each
// repetition: the guest's choice. Time and signature are the host's.
const idHeader = "Webhook-Id"

var errNoID = errors.New("a request that is signed needs the header webhook-id")

// sign puts the signature of a body into a request's header.
func (c *channel) sign(ctx context.Context, name string, u *url.URL, h http.Header, body []byte) error {
	host, ok := c.h.(proof.Verifier)
	switch {
	case !ok:
		return errNoVerifier
	case h.Get(idHeader) == "":
		return errNoID
	}
	signed, err := host.Sign(ctx, c.s.refs[name], u.Host, h.Get(idHeader), time.Now(), body)
	if err != nil {
		return fmt.Errorf("%w: %w", errSecret, err)
	}
	maps.Copy(h, signed)
	return nil
}

// signs reports whether a request that some grants cover is signed.
func signs(fit []grant) bool {
	return slices.ContainsFunc(fit, func(g grant) bool { return g.Credential != nil && g.Credential.In == inSignature })
}

var errPointer = errors.New("the body has no place for what is put into it")

// setAt puts a text into an object, at a JSON pointer whose objects are there. A *
// in the pointer stands for each element of a list, of which there may be none, a
// number for one of them.
func setAt(body []byte, pointer, value string) ([]byte, error) {
	var root map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // a float would cut long ids
	if d.Decode(&root) != nil || root == nil || d.More() {
		return nil, errPointer
	}
	names := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if !setWithin(root, names, value) && !slices.Contains(names, "*") {
		return nil, errPointer
	}
	return json.Marshal(root)
}

// setWithin reports whether there was a place.
func setWithin(at any, names []string, value string) (done bool) {
	if list, ok := at.([]any); ok && names[0] == "*" && len(names) > 1 {
		for _, element := range list {
			done = setWithin(element, names[1:], value) || done
		}
		return done
	}
	if list, ok := at.([]any); ok && len(names) > 1 {
		i, err := strconv.ParseUint(names[0], 10, 16)
		return err == nil && i < uint64(len(list)) && setWithin(list[i], names[1:], value)
	}
	object, ok := at.(map[string]any)
	switch {
	case !ok:
		return false
	case len(names) == 1:
		object[names[0]] = value
		return true
	}
	return setWithin(object[names[0]], names[1:], value)
}
