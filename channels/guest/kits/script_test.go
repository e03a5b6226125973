package kits_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/channels/guest/kits"
)

// engine is bytes with a place for a script, in the size that the real one has.
func engine() []byte {
	slot := append([]byte("gw1 script slot:"), make([]byte, 512<<10-16)...)
	return bytes.Join([][]byte{[]byte("before "), slot, []byte(" after")}, nil)
}

func TestScript(t *testing.T) {
	const text = "export default {}"
	out, err := kits.Script(engine(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Join([][]byte{[]byte("before " + text), make([]byte, 512<<10-len(text)), []byte(" after")}, nil)
	if !bytes.Equal(out, want) {
		t.Errorf("%d bytes that begin with %q", len(out), out[:40])
	}
	for name, script := range map[string][]byte{
		"too long": []byte(strings.Repeat("x", 512<<10)), "no UTF-8": {0xff}, "a zero byte": []byte("a\x00b"),
	} {
		if _, err := kits.Script(engine(), script); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := kits.Script(out, []byte(text)); err == nil {
		t.Error("an engine with a script got another")
	}
}

// TestFiles: what the README of a kit would promise is embedded.
func TestFiles(t *testing.T) {
	for _, file := range []string{"rust/src/gw1.rs", "c/gw1.h", "as/assembly/gw1.ts", "js/echo.js"} {
		if _, err := fs.Stat(kits.Files(), file); err != nil {
			t.Error(err)
		}
	}
}
