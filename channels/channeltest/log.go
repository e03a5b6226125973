package channeltest

import (
	"context"
	"log/slog"
	"strings"
)

// Line is one line of the log.
type Line struct {
	Level   slog.Level
	Message string
	Attrs   map[string]string // groups joined with dots
}

// capture is the slog.Handler behind Host.Log. It resolves values as a real
// handler does, so that what it holds is what would have been printed.
type capture struct {
	h      *Host
	attrs  map[string]string
	prefix string
}

func (c *capture) Enabled(context.Context, slog.Level) bool { return true }

func (c *capture) Handle(_ context.Context, r slog.Record) error {
	out := Line{Level: r.Level, Message: r.Message, Attrs: make(map[string]string, r.NumAttrs()+len(c.attrs))}
	for k, v := range c.attrs {
		out.Attrs[k] = v
	}
	r.Attrs(func(a slog.Attr) bool {
		collect(out.Attrs, c.prefix, a)
		return true
	})
	c.h.logged(out)
	return nil
}

func (c *capture) WithAttrs(as []slog.Attr) slog.Handler {
	d := *c
	d.attrs = make(map[string]string, len(c.attrs)+len(as))
	for k, v := range c.attrs {
		d.attrs[k] = v
	}
	for _, a := range as {
		collect(d.attrs, c.prefix, a)
	}
	return &d
}

func (c *capture) WithGroup(name string) slog.Handler {
	d := *c
	d.prefix += name + "."
	return &d
}

func collect(into map[string]string, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		into[prefix+a.Key] = v.String()
		return
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, b := range v.Group() {
		collect(into, prefix, b)
	}
}

func (r Line) String() string {
	var b strings.Builder
	b.WriteString(r.Level.String() + " " + r.Message)
	for k, v := range r.Attrs {
		b.WriteString(" " + k + "=" + v)
	}
	return b.String()
}
