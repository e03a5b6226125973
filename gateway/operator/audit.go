package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/gateway/identity"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// maxEntries bounds what one call lists of the audit log.
const maxEntries = 1000

// AuditEntries lists the last entries of the audit log that a query selects,
// oldest first; most 0 means 100.
func (p *Operator) AuditEntries(ctx context.Context, by scope.Scope, q audit.Query, most int) ([]audit.Entry, error) {
	if err := p.allow(by); err != nil {
		return nil, err
	}
	if most <= 0 {
		most = 100
	}
	return p.o.Audit.Last(ctx, q, min(most, maxEntries))
}

// ReadAudit yields all entries of the audit log that a query selects.
func (p *Operator) ReadAudit(ctx context.Context, by scope.Scope, q audit.Query) (iter.Seq2[audit.Entry, error], error) {
	if err := p.allow(by); err != nil {
		return nil, err
	}
	if err := p.o.Audit.Keep(ctx, audit.Entry{Kind: audit.Record, Do: "exported", By: by.Principal()}); err != nil {
		return nil, err
	}
	return p.o.Audit.Read(ctx, q), nil
}

// Audited is what a check of the audit log found.
type Audited struct {
	audit.Report
	Fault  string `json:"fault,omitempty"`  // where and how it was tampered with
	Public string `json:"public,omitempty"` // the key that checks the signatures of the checkpoints
	File   string `json:"file,omitempty"`   // where the checkpoints are
}

// VerifyAudit checks the audit log against its own chain and the checkpoints.
func (p *Operator) VerifyAudit(ctx context.Context, by scope.Scope) (Audited, error) {
	if err := p.allow(by); err != nil {
		return Audited{}, err
	}
	out := Audited{File: p.o.AuditFile}
	if s := p.o.Audit.Signer(); s != nil {
		out.Public = s.Public()
	}
	var marks io.Reader
	if p.o.AuditFile != "" {
		f, err := os.Open(p.o.AuditFile)
		switch {
		case errors.Is(err, os.ErrNotExist): // none was made yet
		case err != nil:
			return Audited{}, fmt.Errorf("read the checkpoints: %w", err)
		default:
			defer f.Close() //nolint:errcheck // it was only read
			marks = f
		}
	}
	rep, err := p.o.Audit.Verify(ctx, marks)
	out.Report = rep
	if errors.Is(err, audit.ErrTampered) {
		out.Fault, err = err.Error(), nil
	}
	return out, err
}

// did records a change by somebody in charge, or the attempt at one. What was
// done stands, whatever becomes of its record: then err says that it is missing.
func (p *Operator) did(ctx context.Context, by scope.Scope, what, on string, err *error) {
	e := audit.Entry{Kind: audit.Admin, Do: what, By: by.Principal(), On: on}
	if *err != nil {
		e.Err = (*err).Error()
		if missing := (identity.Unknown{}); errors.As(*err, &missing) {
			e.Err = missing.Short() // a record needs no advice
		}
	}
	if missing := p.o.Audit.Keep(context.WithoutCancel(ctx), e); missing != nil {
		*err = errors.Join(*err, missing)
	}
}

func numbers(seqs []int64) string { return strings.Trim(fmt.Sprint(seqs), "[]") }
