package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/gateway"
	"github.com/gatehouse-chat/gatehouse/gateway/blob"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/open"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/sealed"
)

// openContent opens what people and models wrote: the files, and the engine that
// encrypts and decrypts, where the configuration asks for it or something is
// still encrypted. Otherwise the engine stays what it is, and nothing is paid.
func (a *app) openContent(ctx context.Context) error {
	on := a.cfg.Encrypt == config.EncryptContent
	needed, err := sealed.Needed(ctx, a.engine, on)
	if err != nil {
		return err
	}
	var files *blob.Seal
	if needed {
		is, owner := gateway.Content()
		a.content = sealed.New(a.engine, sealed.Options{Seals: a.vault, On: on, Home: workspace, Content: is, Owner: owner, Log: a.log})
		a.engine = a.content
		files = &blob.Seal{Seals: a.vault, On: on, Workspace: workspace}
	}
	if open.IsPostgres(a.cfg.Store) {
		return nil
	}
	// A file in the embedded database would hold up every commit behind it.
	folder, err := blob.NewFolder(filepath.Join(a.cfg.Data, "blobs"), time.Now, files)
	if err != nil {
		return err
	}
	a.blobs, a.convertFiles = folder, folder.Convert
	return nil
}

// convertContent brings what is stored into the form that the configuration
// asks for.
func (a *app) convertContent(ctx context.Context) error {
	if a.content == nil {
		return nil
	}
	return a.content.Run(ctx, a.convertFiles)
}

// shredders forget a workspace: its key first.
func (a *app) shredders() []gateway.Shredder {
	if a.content == nil {
		return []gateway.Shredder{a.vault}
	}
	return []gateway.Shredder{a.vault, a.content}
}
