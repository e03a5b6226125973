package project_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/internal/module/project"
)

// TestTrapPlace: an offset in the code is a line of the author's own source.
func TestTrapPlace(t *testing.T) {
	c := filepath.Join("testdata", "trap")
	// A module whose code begins behind its tenth byte, and what asc writes beside
	// it: the code's sixth byte is from the library, its eighth from the author's
	// fourth line.
	const module = "\x00asm\x01\x00\x00\x00" + "\x0a\x0b" + "\x01\x0a\x00........"
	mapped := files(t, map[string]string{
		"assembly/index.ts": "", "build/module.wasm": module,
		"build/module.wasm.map": `{"version":3,"sources":["~lib/array.ts","assembly/index.ts"],"mappings":"iBAAA,ECGA"}`,
	})
	kit := files(t, map[string]string{
		"assembly/gw1.ts": "", "build/module.wasm": module,
		"build/module.wasm.map": `{"version":3,"sources":["assembly/gw1.ts"],"mappings":"iBAAA"}`,
	})
	tests := []struct {
		name, dir string
		offsets   []uint32
		want      string
	}{
		{"put into another function", c, []uint32{54}, "main.c:4, in first"},
		{"called", c, []uint32{98, 62}, "main.c:10"},
		{"the caller", c, []uint32{62}, "main.c:16, in gw1_handle"},
		{"outside of the code", c, []uint32{5000}, ""},
		{"outside, and then within", c, []uint32{5000, 98}, "main.c:10"},
		{"a map", mapped, []uint32{9}, "assembly/index.ts:4"},
		{"a map, and the library", mapped, []uint32{7, 9}, "assembly/index.ts:4"},
		{"the library alone", mapped, []uint32{7}, ""},
		{"the kit alone", kit, []uint32{7}, ""},
		{"nothing known", c, nil, ""},
		{"nothing built", t.TempDir(), []uint32{54}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := project.TrapPlace(tt.dir, tt.offsets); got != tt.want {
				t.Errorf("it is at %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzTrapPlace: whatever stands in a module, there is a place or none.
func FuzzTrapPlace(f *testing.F) {
	built, err := os.ReadFile(filepath.Join("testdata", "trap", "build", "module.wasm"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(built, "", uint32(54))
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x0a\x02\x00\x00"), `{"sources":["main.c"],"mappings":"AAAA"}`, uint32(0))
	f.Fuzz(func(t *testing.T, module []byte, written string, at uint32) {
		all := map[string]string{"main.c": "", "build/module.wasm": string(module)}
		if written != "" {
			all["build/module.wasm.map"] = written
		}
		got := project.TrapPlace(files(t, all), []uint32{at, at / 2})
		if got != "" && !strings.HasPrefix(got, "main.c:") {
			t.Errorf("%q is no place of the project", got)
		}
	})
}
