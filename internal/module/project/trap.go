package project

import (
	"debug/dwarf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// TrapPlace finds the first place in the author's own sources among offsets in the
// code section of the module that was built last, such as "main.c:45, in send";
// "" when there is none. Compilers say it: in the module itself, or in a map
// beside it.
func TrapPlace(dir string, offsets []uint32) string {
	if len(offsets) == 0 {
		return ""
	}
	file := filepath.Join(dir, "build", "module.wasm")
	module, err := os.ReadFile(file) //nolint:gosec // the author's own
	if err != nil {
		return ""
	}
	custom, code := sections(module)
	lines := custom.lines()
	written, _ := os.ReadFile(file + ".map") //nolint:gosec // as the module; there is none in most languages
	var m sourceMap
	if written != nil && json.Unmarshal(written, &m) != nil {
		written = nil
	}
	for _, at := range offsets {
		found := ""
		switch {
		case lines != nil:
			found = lineAt(dir, lines, uint64(at))
		case written != nil:
			found = m.place(1, code+int(at)+1)
			if name, _, _ := strings.Cut(found, ":"); own(dir, name) == "" {
				found = ""
			}
		}
		if found != "" {
			return found
		}
	}
	return ""
}

// debugSections are the custom sections of a module, by their names.
type debugSections map[string][]byte

// sections takes a module apart as far as debug information wants it: code is
// where the content of the code section begins.
func sections(module []byte) (custom debugSections, code int) {
	const header, codeSection = 8, 10
	custom = debugSections{}
	for at := header; at < len(module); {
		id := module[at]
		n, width := binary.Uvarint(module[at+1:])
		from := at + 1 + width
		if width <= 0 || n > uint64(len(module)-from) { //nolint:gosec // from is within the module
			return custom, code
		}
		content := module[from : from+int(n)] //nolint:gosec // it was held to the length
		switch id {
		case codeSection:
			code = from
		case 0:
			if long, width := binary.Uvarint(content); width > 0 && long <= uint64(len(content)-width) { //nolint:gosec // width is within the content
				custom[string(content[width:width+int(long)])] = content[width+int(long):] //nolint:gosec // it was held to the length
			}
		}
		at = from + len(content)
	}
	return custom, code
}

// lines reads the debug information that compilers of C and Rust write; nil: there is none.
func (s debugSections) lines() *dwarf.Data {
	if s[".debug_info"] == nil {
		return nil
	}
	d, err := dwarf.New(s[".debug_abbrev"], nil, nil, s[".debug_info"], s[".debug_line"], nil, s[".debug_ranges"], s[".debug_str"])
	if err != nil {
		return nil
	}
	for _, name := range []string{".debug_addr", ".debug_line_str", ".debug_str_offsets", ".debug_rnglists"} {
		if d.AddSection(name, s[name]) != nil {
			return nil
		}
	}
	return d
}

// lineAt is the place of an instruction in a source of the author's, with the
// function; "" where it is somebody else's.
func lineAt(dir string, d *dwarf.Data, pc uint64) string {
	r := d.Reader()
	unit, err := r.SeekPC(pc)
	if err != nil {
		return ""
	}
	lines, err := d.LineReader(unit)
	if err != nil || lines == nil {
		return ""
	}
	var at dwarf.LineEntry
	if lines.SeekPC(pc, &at) != nil || at.File == nil {
		return ""
	}
	chain := inlined(d, r, pc)
	calls := append([]call{{at.File.Name, at.Line}}, chain.calls(lines.Files())...)
	for i, c := range calls {
		file := own(dir, c.file)
		if file == "" || c.line == 0 {
			continue
		}
		if i < len(chain) {
			if name := nameOf(d, chain[i]); name != "" {
				return fmt.Sprintf("%s:%d, in %s", file, c.line, name)
			}
		}
		return fmt.Sprintf("%s:%d", file, c.line)
	}
	return ""
}

// call is a place of a source.
type call struct {
	file string
	line int
}

// functions are those that the compiler put into each other, innermost first; the
// last one is a function of the module.
type functions []*dwarf.Entry

// inlined finds the functions around an instruction below a unit.
func inlined(d *dwarf.Data, r *dwarf.Reader, pc uint64) functions {
	var found functions
	for {
		e, err := r.Next()
		if err != nil || e == nil || e.Tag == dwarf.TagCompileUnit {
			return found
		}
		if e.Tag != dwarf.TagSubprogram && e.Tag != dwarf.TagInlinedSubroutine {
			continue
		}
		ranges, err := d.Ranges(e)
		if err != nil {
			return found
		}
		for _, r := range ranges {
			if r[0] <= pc && pc < r[1] {
				found = append(functions{e}, found...)
				break
			}
		}
	}
}

// calls are the places from which the functions were called that were put into
// others.
func (f functions) calls(files []*dwarf.LineFile) []call {
	var all []call
	for _, e := range f {
		file, ok := e.Val(dwarf.AttrCallFile).(int64)
		line, _ := e.Val(dwarf.AttrCallLine).(int64)
		if !ok || file < 0 || int(file) >= len(files) || files[file] == nil {
			break
		}
		all = append(all, call{files[file].Name, int(line)})
	}
	return all
}

// nameOf is what the author calls a function.
func nameOf(d *dwarf.Data, e *dwarf.Entry) string {
	const most = 4 // references: of a copy to the function, and of that to its declaration
	for range most {
		if name, ok := e.Val(dwarf.AttrName).(string); ok {
			return name
		}
		to, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			if to, ok = e.Val(dwarf.AttrSpecification).(dwarf.Offset); !ok {
				return ""
			}
		}
		r := d.Reader()
		r.Seek(to)
		var err error
		if e, err = r.Next(); err != nil || e == nil {
			return ""
		}
	}
	return ""
}
