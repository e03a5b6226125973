// Package markup is the one intermediate form of formatted text.
//
// What the agent writes is CommonMark with tables and strikethrough. [Parse]
// turns it into one tree of [Node], and [Draft] does so while it is still being
// written; [Split] cuts the tree so that each piece fits a platform's limit, and
// [Head] takes only its beginning; a [Dialect] renders a piece for a platform.
// A mention is written as a link to "mention:ID". Splitting
// happens on the tree and never on rendered text, so that an entity, a code
// fence, an emoji or a grapheme cluster is never cut in two.
package markup

// Kind says what a [Node] is. The set is closed.
type Kind string

// Blocks.
const (
	Document  Kind = "document"
	Paragraph Kind = "paragraph"
	Heading   Kind = "heading" // Level 1 to 6
	CodeBlock Kind = "code_block"
	Quote     Kind = "quote"
	List      Kind = "list" // Ordered, Start
	Item      Kind = "item" // Task, Checked
	Table     Kind = "table"
	Row       Kind = "row"  // the first row of a table is its head
	Cell      Kind = "cell" // Align
	Rule      Kind = "rule"
)

// Inlines.
const (
	Text    Kind = "text"
	Strong  Kind = "strong"
	Emph    Kind = "emph"
	Strike  Kind = "strike"
	Code    Kind = "code"
	Link    Kind = "link"    // URL
	Image   Kind = "image"   // URL; rendered as a link, never fetched
	Mention Kind = "mention" // URL holds the platform's immutable user id
	Break   Kind = "break"   // a hard line break
)

// Node is one element of the tree. Leaves (Text, Code, CodeBlock) carry
// Literal; the others carry Children. The zero Node is an empty text.
type Node struct {
	Kind    Kind   `json:"kind"`
	Literal string `json:"literal,omitempty"`
	URL     string `json:"url,omitempty"`
	Lang    string `json:"lang,omitempty"`  // CodeBlock: the fence's info word
	Align   string `json:"align,omitempty"` // Cell: left, center, right or ""
	Level   int    `json:"level,omitempty"`
	Start   int    `json:"start,omitempty"`
	Ordered bool   `json:"ordered,omitempty"`
	Tight   bool   `json:"tight,omitempty"`
	Task    bool   `json:"task,omitempty"`
	Checked bool   `json:"checked,omitempty"`
	// Continued marks an Item whose beginning is in an earlier piece: it is
	// indented like its siblings but shows no marker, and counts as a number.
	Continued bool   `json:"continued,omitempty"`
	Children  []Node `json:"children,omitempty"`
}

// Plain makes a document of one paragraph that shows text literally, line
// breaks kept, whatever markup it seems to contain. Control characters and
// invalid UTF-8 are cleaned as in [Parse].
func Plain(text string) Node {
	return Node{Kind: Document, Children: []Node{{Kind: Paragraph, Children: []Node{{Kind: Text, Literal: clean(text)}}}}}
}
