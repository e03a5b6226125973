package discordtest

import "strings"

// Read is a text as the platform shows it: without marks and escapes. What is
// code is shown as it stands.
func Read(content string) string {
	var b strings.Builder
	for i := 0; i < len(content); {
		rest := content[i:]
		switch {
		case strings.HasPrefix(rest, "```"):
			if end := strings.Index(rest[3:], "```"); end >= 0 {
				inner := rest[3 : 3+end]
				if lang, code, ok := strings.Cut(inner, "\n"); ok && !strings.ContainsAny(lang, " \t") {
					inner = code
				}
				b.WriteString(inner)
				i += end + 6
				continue
			}
			b.WriteString("```")
			i += 3
		case rest[0] == '\\' && len(rest) > 1 && strings.IndexByte(punctuation, rest[1]) >= 0:
			b.WriteByte(rest[1])
			i += 2
		case rest[0] == '`':
			end := strings.IndexByte(rest[1:], '`')
			if end < 0 {
				end = len(rest) - 1
			}
			b.WriteString(rest[1:min(1+end, len(rest))])
			i += end + 2
		case rest[0] == '*' || strings.HasPrefix(rest, "~~") || strings.HasPrefix(rest, "__"):
			i += len(rest) - len(strings.TrimLeft(rest, rest[:1]))
		default:
			b.WriteByte(rest[0])
			i++
		}
	}
	return b.String()
}

const punctuation = "\\*_~`|>[]<#()-.!:@{}+"
