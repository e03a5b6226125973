package provider

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
)

// preferences say which of the models that a provider lists suits a chat: quick,
// cheap, and of the newest release. They are patterns and not names, because
// names are gone within a year.
var preferences = map[string][]string{
	"openai":     {`^gpt-\d+(\.\d+)?-luna$`, `^gpt-\d+(\.\d+)?-mini$`, `^gpt-\d+(\.\d+)?$`},
	"anthropic":  {`^claude-haiku-\d+(-\d{1,2})?$`, `^claude-haiku-`, `^claude-sonnet-`},
	"gemini":     {`^(models/)?gemini-flash-latest$`, `^(models/)?gemini-\d+(\.\d+)?-flash$`},
	"mistral":    {`^mistral-small-latest$`, `^mistral-medium-latest$`},
	"nearai":     {`^openai/gpt-oss-120b$`, `/gpt-oss-`},
	"openrouter": {`^openai/gpt-\d+(\.\d+)?-luna$`, `^openai/gpt-\d+(\.\d+)?-mini$`, `^anthropic/claude-haiku-[\d.]+$`},
}

// mute models do not converse.
const mute = `(?i)embed|rerank|whisper|tts|audio|speech|transcri|image|imagen|dall-e|sora|veo|moderation|realtime|guard|ocr|minilm|bge-`

// Pick chooses among the models that a provider lists the one to suggest: the
// newest that a preference matches, else the kind's default, else the first
// that converses. It returns the default when nothing is listed.
func Pick(kind string, listed []string) string {
	k, _ := Find(kind)
	silent := regexp.MustCompile(mute)
	speaks := slices.DeleteFunc(slices.Clone(listed), silent.MatchString)
	for _, p := range preferences[kind] {
		pattern := regexp.MustCompile(p)
		best := ""
		for _, name := range speaks {
			if pattern.MatchString(name) && (best == "" || newer(name, best)) {
				best = name
			}
		}
		if best != "" {
			return best
		}
	}
	switch {
	case len(listed) == 0 || slices.Contains(speaks, k.Model):
		return k.Model
	case len(speaks) > 0:
		return speaks[0]
	}
	return listed[0]
}

var number = regexp.MustCompile(`\d+`)

// newer compares the numbers in two names, so that gpt-10 follows gpt-9.
func newer(a, b string) bool {
	return slices.CompareFunc(number.FindAllString(a, -1), number.FindAllString(b, -1), func(x, y string) int {
		m, _ := strconv.Atoi(x) // a number too large is 2^63-1, which is fine
		n, _ := strconv.Atoi(y)
		return cmp.Compare(m, n)
	}) > 0
}
