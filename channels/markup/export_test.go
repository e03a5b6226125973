package markup

// ParseFull is Parse without its short cut for plain text.
func ParseFull(src string) Node { return parseFull(clean(src)) }
