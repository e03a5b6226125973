package ingest

import (
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// glyph is the text of a glyph's name: a letter, a letter with an accent, a
// number or a mark by its name, or what "uni" and "u" say in hexadecimal.
func glyph(name string) string {
	name, _, _ = strings.Cut(name, ".") // "a.sc" is a small capital
	if parts := strings.Split(name, "_"); len(parts) > 1 && len(parts) < 6 {
		out := ""
		for _, p := range parts {
			out += glyph(p) // "f_i" is a ligature
		}
		return out
	}
	if text, ok := marks[name]; ok {
		return text
	}
	if len(name) == 1 {
		return name
	}
	for _, lead := range []string{"uni", "u"} {
		hex, ok := strings.CutPrefix(name, lead)
		if n, err := strconv.ParseUint(hex, 16, 21); ok && len(hex) >= 4 && err == nil {
			return string(rune(n))
		}
	}
	for accent, mark := range accents {
		if base, ok := strings.CutSuffix(name, accent); ok && len(base) == 1 {
			return norm.NFC.String(base + mark)
		}
	}
	return ""
}

// accents are combining marks by the end of a letter's name.
var accents = map[string]string{
	"acute": "\u0301", "grave": "\u0300", "circumflex": "\u0302", "dieresis": "\u0308", "tilde": "\u0303", "ring": "\u030a",
	"caron": "\u030c", "cedilla": "\u0327", "breve": "\u0306", "macron": "\u0304", "ogonek": "\u0328", "dotaccent": "\u0307",
	"hungarumlaut": "\u030b", "commaaccent": "\u0326",
}

// marks are what is named otherwise.
var marks = map[string]string{
	"space": " ", "nbspace": " ", "exclam": "!", "quotedbl": `"`, "numbersign": "#", "dollar": "$", "percent": "%", "ampersand": "&",
	"quotesingle": "'", "quoteright": "’", "quoteleft": "‘", "parenleft": "(", "parenright": ")", "asterisk": "*", "plus": "+",
	"comma": ",", "hyphen": "-", "minus": "−", "period": ".", "slash": "/", "colon": ":", "semicolon": ";", "less": "<", "equal": "=",
	"greater": ">", "question": "?", "at": "@", "bracketleft": "[", "backslash": `\`, "bracketright": "]", "asciicircum": "^",
	"underscore": "_", "grave": "`", "braceleft": "{", "bar": "|", "braceright": "}", "asciitilde": "~", "bullet": "•", "endash": "–",
	"emdash": "—", "ellipsis": "…", "quotedblleft": "“", "quotedblright": "”", "quotesinglbase": "‚", "quotedblbase": "„",
	"guillemotleft": "«", "guillemotright": "»", "guilsinglleft": "‹", "guilsinglright": "›", "dagger": "†", "daggerdbl": "‡",
	"section": "§", "paragraph": "¶", "degree": "°", "plusminus": "±", "multiply": "×", "divide": "÷", "mu": "µ", "Euro": "€",
	"sterling": "£", "yen": "¥", "cent": "¢", "copyright": "©", "registered": "®", "trademark": "™", "germandbls": "ß", "ae": "æ",
	"AE": "Æ", "oe": "œ", "OE": "Œ", "oslash": "ø", "Oslash": "Ø", "eth": "ð", "Eth": "Ð", "thorn": "þ", "Thorn": "Þ",
	"dotlessi": "ı", "lslash": "ł", "Lslash": "Ł", "fi": "fi", "fl": "fl", "ff": "ff", "ffi": "ffi", "ffl": "ffl", "zero": "0",
	"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
	"exclamdown": "¡", "questiondown": "¿", "periodcentered": "·", "arrowright": "→", "arrowleft": "←", "lessequal": "≤",
	"greaterequal": "≥", "notequal": "≠", "infinity": "∞", "summation": "∑", "integral": "∫", "radical": "√", "partialdiff": "∂",
	"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "theta": "θ", "lambda": "λ", "pi": "π", "sigma": "σ",
	"phi": "φ", "omega": "ω", "Delta": "Δ", "Omega": "Ω", "Sigma": "Σ",
}
