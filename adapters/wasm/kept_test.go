package wasm_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/channels/markup"
)

// TestKeptFiles: a file that a guest keeps is there when it is wanted, after a
// crash as well, until the guest gives it up; and there is an end to how many.
func TestKeptFiles(t *testing.T) {
	d := newTalkDriver(t)
	b := newHub(t)
	x := b.start(t, d, channeltest.Snapshot{}, nil)
	b.wait(t, "connection", func() bool { return len(b.conns) == 1 })
	content := bytes.Repeat([]byte("a file. "), 1<<16)
	send := func(text string, files ...channels.File) {
		t.Helper()
		if _, err := x.ch.Send(t.Context(), channels.Part{Key: text, Body: markup.Plain(text), Files: files}); err != nil {
			t.Fatal(err)
		}
	}
	send("keep it", channels.File{Name: "x", Size: int64(len(content)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}})
	if b.upload.Len() > 0 {
		t.Fatal("it was uploaded at once")
	}
	snap := x.host.Crash()
	x.stop()
	if err := <-x.done; err != nil {
		t.Errorf("Run returned %v", err)
	}
	x = b.start(t, d, snap, nil)
	b.wait(t, "connection", func() bool { return len(b.conns) == 2 })
	send("what was kept")
	if !bytes.Equal(b.upload.Bytes(), content) {
		t.Errorf("%d bytes were uploaded, want %d", b.upload.Len(), len(content))
	}
	left, err := x.host.State().List(t.Context(), "file/", "", 0)
	if err != nil || len(left) != 0 {
		t.Errorf("still kept: %v, %v", left, err)
	}
	x.end(t)
}
