package proof

import (
	"bytes"
	"encoding/json"
	"strings"
)

// told compares the secret that stands in the body.
func (c *Checker) told(secrets [][]byte, r Request) error {
	root, ok := object(r.Body)
	if !ok {
		return refuse("its body is no JSON object")
	}
	holder, name := c.spec.holder(root)
	v, ok := holder[name].(string)
	if !ok {
		return refuse("there is no text at %s of its body", c.spec.Pointer)
	}
	if !equal(secrets, v) {
		return refuse("another secret stands at %s of its body", c.spec.Pointer)
	}
	return nil
}

// Conceal is a body that was judged, without what proves it.
func (c *Checker) Conceal(body []byte) []byte {
	if c.spec.Kind != Body {
		return body
	}
	root, _ := object(body)
	if holder, name := c.spec.holder(root); holder != nil {
		delete(holder, name)
	}
	rest, err := json.Marshal(root)
	if err != nil {
		return nil
	}
	return rest
}

// matched wants a claim to say the same as the body.
func (c *Checker) matched(claims map[string]any, body []byte) error {
	claim, pointer, tied := strings.Cut(c.spec.Match, "=")
	if !tied {
		return nil
	}
	root, _ := object(body)
	holder, name := at(root, pointer)
	said, ok := claims[claim].(string)
	there, found := holder[name].(string)
	if !ok || !found || said != there || said == "" {
		return refuse("the token's %s is not what stands at %s of the body", claim, pointer)
	}
	return nil
}

// object reads a body, with its numbers as they are written.
func object(body []byte) (root map[string]any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return root, d.Decode(&root) == nil && root != nil && !d.More()
}

func (s Spec) holder(root map[string]any) (holder map[string]any, name string) {
	return at(root, s.Pointer)
}

// at is the object that holds what a JSON pointer without escapes names, and its
// name there; nil when there is no such object.
func at(root map[string]any, pointer string) (holder map[string]any, name string) {
	names := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for _, name := range names[:len(names)-1] {
		root, _ = root[name].(map[string]any)
	}
	return root, names[len(names)-1]
}
