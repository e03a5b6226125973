package wasm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/wasm"
	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/channels/channeltest"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
	. "github.com/gatehouse-chat/gatehouse/internal/sandbox/wasmtest"
)

// lender is a host that lends files, or does not.
type lender struct {
	*recorder
	lent []string
	err  error
}

func (l *lender) Lend(_ context.Context, p channels.Part, f channels.File, keep time.Duration) (channels.Link, error) {
	l.lent = append(l.lent, fmt.Sprintf("%s %s %s %d for %v", p.Key, f.Name, f.MIME, f.Size, keep))
	return channels.Link{URL: "https://gate.example.org/hooks/test/-/token"}, l.err
}

// links is a guest whose every call makes a file, asks for a link to a handle and
// fails, with the link or with the number of the refusal.
func links(handle string) []byte {
	m := New(2)
	result := m.Import("gw", "result", Types{I32, I32}, Types{I32})
	output := m.Import("gw", "output", Types{I32, I32}, nil)
	call := m.Import("gw", "call", Types{I32, I32, I32}, Types{I64})
	file := sandbox.Payload{Body: []byte("made")}.Encode()
	request := sandbox.Payload{Header: json.RawMessage(`{"handle":"` + handle + `","name":"own.png","mime":"image/png"}`)}.Encode()
	m.Data(0, file)
	m.Data(256, request)
	const slot = 128
	for n := range int32(9) {
		m.Data(1024+slot*n, sandbox.Payload{Header: fmt.Appendf(nil, `{"code":"rejected","message":"refusal -%d"}`, n)}.Encode())
	}
	size := int32(len(sandbox.Payload{Header: []byte(`{"code":"rejected","message":"refusal -0"}`)}.Encode()))
	const i32Mul, i32Sub, i32Wrap, i64Lt = 0x6c, 0x6b, 0xa7, 0x53
	m.Handle(Types{I64},
		I32Const(int32(sandbox.HostAttachmentPut)), I32Const(0), I32Const(int32(len(file))), Call(call), Op(0x1a),
		I32Const(int32(sandbox.HostAttachmentLink)), I32Const(256), I32Const(int32(len(request))), Call(call), LocalTee(2),
		I64Const(0), Op(i64Lt), If(),
		I32Const(1024), LocalGet(2), Op(i32Wrap), I32Const(slot), Op(i32Mul), Op(i32Sub), I32Const(size), Call(output), I32Const(1), Op(0x0f), End(),
		// The link is its header, and so the answer's.
		I32Const(4096), I32Const(4096), Call(result), Op(0x1a), I32Const(4096), LocalGet(2), Op(i32Wrap), Call(output),
		I32Const(1))
	return m.Bytes()
}

// TestLinks: a guest gets links to what it sends, and to what it makes for that,
// and to nothing else; without the manifest's word, or a public address, to
// nothing.
func TestLinks(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{CacheDir: cacheDir(t)})
	t.Cleanup(func() { _ = d.Close() })
	content := func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte("content"))), nil
	}
	part := channels.Part{Key: "k", Files: []channels.File{{Name: "a.mp4", MIME: "video/mp4", Size: 7, Open: content}}}
	const granted, public = `"links":{"hours":24}`, "https://gate.example.org/hooks/test"
	for _, tt := range []struct {
		name, handle, manifest, public string
		err                            error
		lent, refused                  string
	}{
		{name: "a file that goes out", handle: "file0", manifest: granted, public: public, lent: "k a.mp4 video/mp4 7 for 24h0m0s"},
		{name: "its own file", handle: "made0", manifest: granted, public: public, lent: "k own.png image/png 4 for 24h0m0s"},
		{name: "another file", handle: "file1", manifest: granted, public: public, refused: "refusal -7"},
		{name: "a file that is kept", handle: "kept:x", manifest: granted, public: public, refused: "refusal -7"},
		{name: "not in the manifest", handle: "file0", manifest: `"emit":{"rate":1}`, public: public, refused: "refusal -1"},
		{name: "no public address", handle: "file0", manifest: granted, refused: "refusal -5"},
		{name: "the state is away", handle: "file0", manifest: granted, public: public, err: errors.New("the state is away"), refused: "refusal -5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := channeltest.NewHost(t, channeltest.WithPublic(tt.public))
			h := &lender{recorder: &recorder{Host: host}, err: tt.err}
			ch := openGuest(t, d, h, links(tt.handle), tt.manifest)
			for range 2 {
				_, err := ch.Send(t.Context(), part)
				// The host finds neither a code nor a message in a link.
				if err == nil || tt.refused == "" == strings.Contains(err.Error(), "refusal") || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("%v", err)
				}
			}
			if tt.lent != "" && (len(h.lent) != 2 || h.lent[0] != tt.lent) {
				t.Errorf("lent is %q", h.lent)
			}
			if tt.refused == "refusal -5" {
				want, n := "public_url", 0
				if tt.err != nil {
					want = tt.err.Error()
				}
				for _, l := range host.Logs() {
					if strings.Contains(l.String(), "cannot be lent") && strings.Contains(l.String(), want) {
						n++
					}
				}
				if n != 1 {
					t.Errorf("the log says it %d times: %v", n, host.Logs())
				}
			}
			if denied := tt.refused == "refusal -1"; denied != (len(h.refused) > 0) {
				t.Errorf("recorded is %q", h.refused)
			}
		})
	}
}

// TestNoLinksWithoutASend: what is not sent is not lent.
func TestNoLinksWithoutASend(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{CacheDir: cacheDir(t)})
	t.Cleanup(func() { _ = d.Close() })
	h := &lender{recorder: &recorder{Host: channeltest.NewHost(t, channeltest.WithPublic("https://gate.example.org/hooks/test"))}}
	ch := openGuest(t, d, h, links("made0"), `"links":{"hours":24},"features":{"abilities":["probe"]}`)
	prober, ok := channels.As[channels.Prober](ch)
	if !ok {
		t.Fatal("it cannot be probed")
	}
	if _, err := prober.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "refusal -7") || len(h.lent) != 0 {
		t.Errorf("%v, lent is %q", err, h.lent)
	}
}

// growing is a guest that in each send puts 100 KiB more into one file, again and
// again, asks for a link after each, and fails with the number of the refusal.
func growing() []byte {
	m := New(4)
	output := m.Import("gw", "output", Types{I32, I32}, nil)
	call := m.Import("gw", "call", Types{I32, I32, I32}, Types{I64})
	first := sandbox.Payload{Body: make([]byte, 100<<10)}.Encode()
	more := sandbox.Payload{Header: json.RawMessage(`{"handle":"made0"}`), Body: make([]byte, 100<<10)}.Encode()
	link := sandbox.Payload{Header: json.RawMessage(`{"handle":"made0","name":"a.png","mime":"image/png"}`)}.Encode()
	const atFirst, atMore, atLink, atSaid = 0, 104 << 10, 208 << 10, 209 << 10
	m.Data(atFirst, first)
	m.Data(atMore, more)
	m.Data(atLink, link)
	const slot = 128
	for n := range int32(9) {
		m.Data(atSaid+slot*n, sandbox.Payload{Header: fmt.Appendf(nil, `{"code":"rejected","message":"refusal -%d"}`, n)}.Encode())
	}
	size := int32(len(sandbox.Payload{Header: []byte(`{"code":"rejected","message":"refusal -0"}`)}.Encode()))
	const i32Mul, i32Sub, i32Wrap, i64Lt, drop = 0x6c, 0x6b, 0xa7, 0x53, 0x1a
	body := [][]byte{I32Const(int32(sandbox.HostAttachmentPut)), I32Const(atFirst), I32Const(int32(len(first))), Call(call), Op(drop)}
	for range 10 {
		body = append(body,
			I32Const(int32(sandbox.HostAttachmentLink)), I32Const(atLink), I32Const(int32(len(link))), Call(call), LocalTee(2),
			I64Const(0), Op(i64Lt), If(),
			I32Const(atSaid), LocalGet(2), Op(i32Wrap), I32Const(slot), Op(i32Mul), Op(i32Sub), I32Const(size), Call(output), I32Const(1), Op(0x0f), End(),
			I32Const(int32(sandbox.HostAttachmentPut)), I32Const(atMore), I32Const(int32(len(more))), Call(call), Op(drop))
	}
	m.Handle(Types{I64}, append(body, I32Const(1))...)
	return m.Bytes()
}

// TestLinksToAGrowingFile: what is kept to be lent in one call is no more than what
// a call may put.
func TestLinksToAGrowingFile(t *testing.T) {
	d := wasm.NewDriver(wasm.Options{CacheDir: cacheDir(t)})
	t.Cleanup(func() { _ = d.Close() })
	h := &lender{recorder: &recorder{Host: channeltest.NewHost(t, channeltest.WithPublic("https://gate.example.org/hooks/test"))}}
	ch := openGuest(t, d, h, growing(), `"links":{"hours":24}`)
	_, err := ch.Send(t.Context(), channels.Part{Key: "k"})
	if want := fmt.Sprintf("refusal %d", sandbox.TooLarge); err == nil || !strings.Contains(err.Error(), want) || len(h.lent) != 8 { // 3.6 MB; the ninth would make it 4.6
		t.Errorf("%v, want %s; lent is %q", err, want, h.lent)
	}
}
