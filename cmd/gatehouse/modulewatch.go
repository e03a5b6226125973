package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/gateway/audit"
	"github.com/gatehouse-chat/gatehouse/internal/module/shelf"
	"github.com/gatehouse-chat/gatehouse/internal/scope"
)

// attendEvery is how often the installed modules are looked at.
const attendEvery = 2 * time.Second

// brokenAfter is how many starts in a row a version has that never worked,
// before the one before it is put back.
const brokenAfter = 3

// attendModules follows what is installed until ctx ends: another process may
// have upgraded a module, and a new version may break when its channels start.
func (a *app) attendModules(ctx context.Context) error {
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	known := ""
	for {
		if seen, err := a.attend(ctx, known); err == nil {
			known = seen
		} else if ctx.Err() == nil {
			a.log.Warn("the installed modules cannot be looked at", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// attend looks once, and returns what is installed as one text.
func (a *app) attend(ctx context.Context, known string) (string, error) {
	all, err := a.shelf.List(ctx)
	if err != nil {
		return "", err
	}
	if seen := standing(all); seen != known {
		if known == "" { // the channels were opened with it
			return seen, nil
		}
		a.log.Info("the installed modules have changed, and the channels follow")
		return seen, a.settings.Renew(ctx)
	}
	starts := a.guests.Starts()
	for _, m := range all {
		if err := a.noteWorking(ctx, m, starts); err != nil {
			return "", err
		}
	}
	for _, m := range all { // with what is noted now
		if err := a.judge(ctx, m, starts[m.Current.Sum]); err != nil {
			return "", err
		}
	}
	return known, nil
}

// noteWorking notes which versions have worked. One that was replaced meanwhile
// is the one to go back to.
func (a *app) noteWorking(ctx context.Context, m shelf.Module, starts map[string]wasm.Starts) error {
	for sum, s := range starts {
		if known, worked := m.Works(sum); s.Succeeded && known && !worked {
			if err := a.shelf.Worked(ctx, m.ID, sum); err != nil {
				return err
			}
		}
	}
	return nil
}

// standing is what is in use, and whether it may run.
func standing(all []shelf.Module) string {
	var b strings.Builder
	b.WriteString("installed:")
	for _, m := range all {
		fmt.Fprintf(&b, " %s=%s %t", m.ID, m.Current.Sum, m.Quarantined != "")
	}
	return b.String()
}

// judge takes a version back that never worked.
func (a *app) judge(ctx context.Context, m shelf.Module, s wasm.Starts) error {
	if m.Current.Worked || s.Succeeded || s.Faults < brokenAfter {
		return nil
	}
	why := s.Err.Error()
	back, err := a.shelf.TakeBack(ctx, m.ID, m.Current.Sum, why)
	if err != nil || back.Current.Sum == m.Current.Sum { // there is no other
		return err
	}
	a.log.Error("a new version of a module broke at its start, and the version before is put back",
		"module", m.ID, "version", m.Current.Version, "back", back.Current.Version, "err", why)
	a.audit.Record(audit.Entry{
		Kind: audit.Admin, Do: "module rolled back", By: scope.Principal{Workspace: workspace, Member: "gateway", Role: scope.Service},
		On: m.ID + " " + back.Current.Version, Err: "version " + m.Current.Version + " broke at its start",
	})
	return a.settings.Renew(ctx)
}
