package ingest

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// decode makes UTF-8 of a text: by its mark, else as it is, else as its kind
// and its bytes suggest.
func decode(text []byte, mime string) (string, error) {
	if len(text) >= 2 && (text[0] == 0xff && text[1] == 0xfe || text[0] == 0xfe && text[1] == 0xff) {
		out, _, err := transform.Bytes(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder(), text)
		return string(out), err
	}
	if utf8.Valid(text) {
		return strings.TrimPrefix(string(text), "\ufeff"), nil
	}
	e, _, _ := charset.DetermineEncoding(text[:min(len(text), 4096)], mime)
	if mime == "" {
		e = guess(text)
	}
	out, _, err := transform.Bytes(e.NewDecoder(), text)
	return string(out), err
}

// readText takes a text as it is. Source code is fenced, so that it is cut
// between lines.
func readText(s *source) (Document, error) {
	text, err := decode(s.file, "")
	if err != nil {
		return Document{}, ErrBroken
	}
	text = lines(text)
	if lang, ok := languages[ext(s.name)]; ok {
		text = fenced(lang, text)
	}
	return Document{Text: text}, nil
}

// languages are the kinds of source code and data that are fenced.
var languages = map[string]string{
	".go": "go", ".py": "python", ".js": "javascript", ".ts": "typescript", ".rs": "rust", ".c": "c", ".h": "c",
	".cc": "cpp", ".cpp": "cpp", ".hpp": "cpp", ".java": "java", ".kt": "kotlin", ".rb": "ruby", ".php": "php",
	".cs": "csharp", ".swift": "swift", ".sh": "sh", ".sql": "sql", ".lua": "lua", ".css": "css", ".json": "json",
	".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".xml": "xml", ".ini": "ini", ".tf": "hcl", ".proto": "proto",
}

// fenced puts a text between fences that are longer than any in it.
func fenced(lang, text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + lang + "\n" + strings.TrimRight(text, "\n") + "\n" + fence
}

// readMarkdown takes Markdown as it is; its title is its first heading, or what
// its front matter says.
func readMarkdown(s *source) (Document, error) {
	text, err := decode(s.file, "")
	if err != nil {
		return Document{}, ErrBroken
	}
	text = lines(text)
	title, text := frontMatter(text)
	for l := range strings.SplitSeq(text, "\n") {
		if title != "" {
			break
		}
		if h, ok := strings.CutPrefix(l, "# "); ok {
			title = strings.TrimSpace(strings.TrimRight(strings.TrimSpace(h), "#"))
		}
	}
	return Document{Title: title, Text: text}, nil
}

// frontMatter takes the lines between two --- at the beginning off a text.
func frontMatter(text string) (title, rest string) {
	body, ok := strings.CutPrefix(text, "---\n")
	if !ok {
		return "", text
	}
	head, rest, ok := strings.Cut(body, "\n---\n")
	if !ok || len(head) > 4096 {
		return "", text
	}
	for l := range strings.SplitSeq(head, "\n") {
		if v, ok := strings.CutPrefix(l, "title:"); ok {
			title = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return title, rest
}

// lines makes all ends of lines one kind.
func lines(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}
