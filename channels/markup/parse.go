package markup

import (
	"strings"

	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// blockParser is shared by all calls of Parse. goldmark keeps what belongs to
// one document in a context of its own, so it may be used concurrently.
var blockParser = newParser()

// newParser assembles CommonMark with tables, strikethrough, task lists and
// bare links. The parsers for HTML are left out on purpose: without them a tag
// is text like any other, which is how it is to be shown.
func newParser() parser.Parser {
	return parser.NewParser(
		parser.WithBlockParsers(
			util.Prioritized(parser.NewSetextHeadingParser(), 100),
			util.Prioritized(parser.NewThematicBreakParser(), 200),
			util.Prioritized(parser.NewListParser(), 300),
			util.Prioritized(parser.NewListItemParser(), 400),
			util.Prioritized(parser.NewCodeBlockParser(), 500),
			util.Prioritized(parser.NewATXHeadingParser(), 600),
			util.Prioritized(parser.NewFencedCodeBlockParser(), 700),
			util.Prioritized(parser.NewBlockquoteParser(), 800),
			util.Prioritized(parser.NewParagraphParser(), 1000),
		),
		parser.WithInlineParsers(
			util.Prioritized(extension.NewTaskCheckBoxParser(), 0),
			util.Prioritized(parser.NewCodeSpanParser(), 100),
			util.Prioritized(parser.NewLinkParser(), 200),
			util.Prioritized(parser.NewAutoLinkParser(), 300),
			util.Prioritized(parser.NewEmphasisParser(), 500),
			util.Prioritized(extension.NewStrikethroughParser(), 500),
			util.Prioritized(extension.NewLinkifyParser(), 999),
		),
		parser.WithParagraphTransformers(
			util.Prioritized(parser.LinkReferenceParagraphTransformer, 100),
			util.Prioritized(extension.NewTableParagraphTransformer(), 200),
		),
		parser.WithASTTransformers(
			util.Prioritized(extension.NewTableASTTransformer(), 0),
		),
	)
}

// Parse reads CommonMark with tables, strikethrough, task lists and bare links.
// Every text is a document, also one that breaks off in the middle, so there is
// no error. Raw HTML is text. A link to "mention:ID" is a [Mention].
//
// The tree is normal: texts are merged, styles are neither empty, doubled nor
// next to an equal one, and white space at their edges stands outside. Nesting
// deeper than 40 levels is flattened to text. Time and memory are bounded by
// the length of the input; input that would make the parser exceed that (ten
// thousands of open brackets in one paragraph) is shown as [Plain] text.
//
// Parse is safe for concurrent use.
func Parse(markdown string) Node {
	src := clean(markdown)
	if n, ok := parseFast(src); ok {
		return n
	}
	src, ok := guard(src)
	if !ok {
		return Plain(src)
	}
	return parseFull(src)
}

// parseFull runs the real parser. A panic in it would take a whole gateway
// down because of one message, so the message is shown as it is instead.
func parseFull(src string) (n Node) {
	defer func() {
		if recover() != nil {
			n = Plain(src)
		}
	}()
	b := []byte(src)
	root := blockParser.Parse(text.NewReader(b))
	c := converter{src: src, bytes: b, budget: max(len(src), minReferenceBudget)}
	return Node{Kind: Document, Children: c.blocks(root, 1)}
}

// parseFast handles text without any markup, which is what most short replies
// are: paragraphs of lines. It reports false whenever a byte might mean
// something, and never has to be right about what.
func parseFast(src string) (Node, bool) {
	if !plainBytes(src) {
		return Node{}, false
	}
	src = strings.TrimRight(strings.TrimLeft(src, "\n"), " \n")
	doc := Node{Kind: Document}
	if src == "" {
		return doc, true
	}
	blocks := 1 + strings.Count(src, "\n\n")
	doc.Children = make([]Node, 0, blocks)
	inlines := make([]Node, 0, blocks) // one backing array for all paragraphs
	for src != "" {
		var para string
		para, src, _ = strings.Cut(src, "\n\n")
		src = strings.TrimLeft(src, "\n")
		if !plainLines(para) {
			return Node{}, false
		}
		i := len(inlines)
		inlines = append(inlines, Node{Kind: Text, Literal: para})
		doc.Children = append(doc.Children, Node{Kind: Paragraph, Children: inlines[i : i+1 : i+1]})
	}
	return doc, true
}

// suspect holds the bytes that can start markup within a line.
var suspect = func() (t [256]bool) {
	for _, c := range []byte("\\`*_~[]<&|@\t\r\x00") {
		t[c] = true
	}
	return t
}()

func plainBytes(s string) bool {
	for i := range len(s) {
		if suspect[s[i]] {
			return false
		}
	}
	return !strings.Contains(s, "://") && !strings.Contains(s, "www.")
}

// plainLines reports whether no line of a paragraph can start a block, is
// indented, or ends in a space.
func plainLines(para string) bool {
	for para != "" {
		var line string
		line, para, _ = strings.Cut(para, "\n")
		if line == "" || line[len(line)-1] == ' ' {
			return false
		}
		switch c := line[0]; {
		case c >= '0' && c <= '9':
			if rest := strings.TrimLeft(line, "0123456789"); rest == "" || rest[0] == '.' || rest[0] == ')' {
				return false
			}
		case strings.IndexByte(" -+=#>:", c) >= 0:
			return false
		}
	}
	return true
}
