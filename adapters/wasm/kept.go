package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/guest/wire"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// A guest keeps a file under a key where its platform takes one only later, such
// as when somebody has agreed to get it. The content lies with the gateway's
// files, for as long as the key is there.

const (
	filePrefix = "file/" // of the host's state; never a guest's own key
	keptHandle = "kept:"
	mostKept   = 64 // files of a channel
)

func fileKey(prefix, key string) string { return filePrefix + prefix + key }

var errKept = errors.New("it keeps too many files, or this host keeps none")

// writes are what a kv_put stores.
func (h *call) writes(ctx context.Context, e sandbox.Effect) ([]channels.Write, error) {
	kv := h.c.g.pkg.Manifest.KV
	var k wire.Key
	if json.Unmarshal(e.In.Header, &k) != nil || climbs(k.Key) {
		return nil, errEffect
	}
	w := channels.Write{Key: stateKey(kv.Prefix, k.Key)}
	file := channels.Write{Key: fileKey(kv.Prefix, k.Key)}
	switch {
	case k.Delete:
		was, err := h.c.h.State().Get(ctx, file.Key)
		if err != nil || was == nil {
			return []channels.Write{w}, err
		}
		return []channels.Write{w, file}, nil
	case k.File != "":
		file, err := h.keepFile(ctx, file.Key, k.File)
		return []channels.Write{file}, err
	}
	w.Value = append([]byte{}, e.In.Body...)
	return []channels.Write{w}, nil
}

// keepFile hands the content of a file of this call to the gateway.
func (h *call) keepFile(ctx context.Context, key, handle string) (channels.Write, error) {
	w := channels.Write{Key: key}
	keeper, ok := h.c.h.(channels.Keeper)
	if !ok {
		return w, errKept
	}
	others, err := h.c.h.State().List(ctx, filePrefix, "", mostKept)
	if err != nil || len(others) >= mostKept {
		return w, errors.Join(err, errKept)
	}
	content, err := h.content(ctx, handle)
	if err != nil {
		return w, fmt.Errorf("a file that is to be kept: %w", err)
	}
	defer func() { _ = content.Close() }()
	f := h.files[handle]
	f.Open = nil
	if f, err = keeper.Keep(ctx, f, content, max(h.c.s.features.MaxFile, h.c.s.features.MaxFetch)); err != nil {
		return w, err
	}
	w.Files = []channels.File{f}
	w.Value, err = json.Marshal(f)
	return w, err
}

// kept finds a file that was kept earlier, by its handle.
func (h *call) kept(ctx context.Context, handle string) (f channels.File, ok bool) {
	key, is := strings.CutPrefix(handle, keptHandle)
	kv := h.c.g.pkg.Manifest.KV
	if !is || kv == nil {
		return f, false
	}
	v, err := h.c.h.State().Get(ctx, fileKey(kv.Prefix, key))
	return f, err == nil && v != nil && json.Unmarshal(v, &f) == nil
}

// openKept reads one from the start.
func (h *call) openKept(ctx context.Context, f channels.File) (io.ReadCloser, error) {
	keeper, ok := h.c.h.(channels.Keeper)
	if !ok {
		return nil, errKept
	}
	return keeper.Kept(ctx, f)
}
