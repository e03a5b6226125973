package vault

import (
	"context"
	"errors"
)

// Seal encrypts plain for other packages that keep something confidential in
// the database. The result can be opened in the same workspace and under the
// same domain only, such as "via" or "console/session"; it is 69 bytes longer
// than plain. It is not protected against being replaced by an older one that
// was sealed under the same domain: put what must not be exchanged, such as the
// row's key, into domain.
func (s *Store) Seal(ctx context.Context, workspace, domain string, plain []byte) ([]byte, error) {
	if domain == "" {
		return nil, errNoDomain
	}
	sh, err := s.ensure(ctx, workspace)
	if err != nil {
		return nil, err
	}
	return sh.keys.now.seal(domainSeal, plain, workspace, domain)
}

// Open decrypts what Seal made; ErrCorrupt when it was made of anything else,
// for another workspace or under another domain. The caller clears the result.
func (s *Store) Open(_ context.Context, workspace, domain string, sealed []byte) ([]byte, error) {
	sh := s.shelf(workspace)
	if sh == nil || domain == "" {
		return nil, ErrCorrupt
	}
	return sh.keys.open(domainSeal, sealed, workspace, domain)
}

// Derive returns 32 bytes that are the same after every restart and known to
// nobody without the workspace's key, such as the token that a platform must
// show on its webhooks. Different purposes give unrelated bytes; the parts of a
// purpose are kept apart, so that ("a", "bc") and ("ab", "c") differ.
func (s *Store) Derive(ctx context.Context, workspace string, purpose ...string) ([]byte, error) {
	if len(purpose) == 0 {
		return nil, errNoDomain
	}
	sh, err := s.ensure(ctx, workspace)
	if err != nil {
		return nil, err
	}
	return sh.keys.derive(append([]string{workspace}, purpose...)...)
}

var errNoDomain = errors.New("say what it is for: the domain or purpose is empty")
