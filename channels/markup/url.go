package markup

import "strings"

// mentionScheme marks a link to a platform account in CommonMark.
const mentionScheme = "mention:"

// safeURL reports whether a link may be offered for a tap: an absolute URL of a
// known harmless scheme and without characters that a URL cannot have.
func safeURL(url string) bool {
	scheme, rest, ok := strings.Cut(url, ":")
	if !ok || rest == "" {
		return false
	}
	switch strings.ToLower(scheme) {
	case "http", "https", "mailto", "tg":
	default:
		return false
	}
	for i := range len(rest) {
		if c := rest[i]; c <= ' ' || c == 0x7f || strings.IndexByte("\"<>\\`", c) >= 0 {
			return false
		}
	}
	return true
}

// encodeURL percent-encodes what may not stand in a URL. It leaves an encoded
// URL as it is.
func encodeURL(url string) string {
	const hex = "0123456789ABCDEF"
	bad := func(c byte) bool { return c <= ' ' || c == 0x7f || strings.IndexByte("\"<>\\`", c) >= 0 }
	n := 0
	for i := range len(url) {
		if bad(url[i]) {
			n++
		}
	}
	if n == 0 {
		return url
	}
	b := make([]byte, 0, len(url)+2*n)
	for i := range len(url) {
		if c := url[i]; bad(c) {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// mentionable reports whether id can be a platform's account id.
func mentionable(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !alnum(c) && strings.IndexByte("@._:+-", c) < 0 {
			return false
		}
	}
	return true
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// shownURL is the part of a URL that a reader would type.
func shownURL(url string) string {
	return strings.TrimPrefix(url, "mailto:")
}

// saysURL reports whether the text of a link is its address.
func saysURL(link *Node) bool {
	if len(link.Children) != 1 || link.Children[0].Kind != Text {
		return false
	}
	text := link.Children[0].Literal
	return text == link.URL || text == shownURL(link.URL)
}
