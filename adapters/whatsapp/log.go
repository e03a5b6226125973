//go:build !nowhatsapp

package whatsapp

import (
	"fmt"
	"log/slog"

	waLog "go.mau.fi/whatsmeow/util/log"
)

// quiet passes on what whatsmeow warns of, for who looks for a fault. What it
// says beyond that can hold what people wrote, and is dropped.
type quiet struct{ to *slog.Logger }

var _ waLog.Logger = quiet{}

// Warnf implements waLog.Logger.
func (q quiet) Warnf(msg string, args ...any) { q.to.Debug("whatsmeow warns", "err", clip(msg, args)) }

// Errorf implements waLog.Logger.
func (q quiet) Errorf(msg string, args ...any) {
	q.to.Debug("whatsmeow reports", "err", clip(msg, args))
}

// Infof implements waLog.Logger.
func (quiet) Infof(string, ...any) {}

// Debugf implements waLog.Logger.
func (quiet) Debugf(string, ...any) {}

// Sub implements waLog.Logger.
func (q quiet) Sub(string) waLog.Logger { return q }

// clip bounds a line: some hold whole stanzas.
func clip(msg string, args []any) string {
	const longest = 200
	s := fmt.Sprintf(msg, args...)
	if len(s) > longest {
		s = s[:longest]
	}
	return s
}
