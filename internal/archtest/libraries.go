package archtest

import (
	"slices"
	"strings"
)

// library keeps third-party packages inside the packages that wrap them.
type library struct {
	paths []string // import paths; each stands for what lies under it, too
	homes []string // patterns of folders, as in the import table
	why   string
}

var libraries = []library{
	{[]string{"github.com/go-telegram/bot"}, []string{"adapters/telegram"}, "a platform's SDK belongs to its adapter"},
	{[]string{"github.com/slack-go/slack"}, []string{"adapters/slack"}, "a platform's SDK belongs to its adapter"},
	{[]string{"github.com/bwmarrin/discordgo"}, []string{"adapters/discord"}, "a platform's SDK belongs to its adapter"},
	{[]string{"go.mau.fi/whatsmeow", "go.mau.fi/libsignal"}, []string{"adapters/whatsapp"}, "a platform's SDK belongs to its adapter"},
	{
		[]string{"github.com/openai/openai-go", "github.com/anthropics/anthropic-sdk-go"},
		[]string{"agent/provider"},
		"a model's SDK belongs to its provider",
	},
	{[]string{"github.com/go-jose/go-jose"}, []string{"internal/jwks", "gateway/login", "channels/proof"}, "signed tokens are checked in one place"},
	{[]string{"github.com/standard-webhooks/standard-webhooks"}, []string{"channels/proof", "adapters/webhook/webhooktest"}, "signed requests are checked in one place"},
	{[]string{"filippo.io/age"}, []string{"vault/backup", "cmd/gatehouse"}, "backups are encrypted in one place; the command line reads recipients"},
	{[]string{"github.com/zalando/go-keyring"}, []string{"vault/kek"}, "the keyring holds the vault's key and nothing else"},
	{[]string{"github.com/cedar-policy/cedar-go"}, []string{"internal/policy"}, "rules are compiled and decided in one place"},
	{[]string{"github.com/tetratelabs/wazero"}, []string{"internal/sandbox"}, "only the sandbox runs guests"},
	{
		[]string{
			"database/sql", "github.com/jackc/pgx", "github.com/jackc/pgconn", "modernc.org/sqlite",
			"github.com/pressly/goose", "github.com/pgvector/pgvector-go",
		},
		[]string{"internal/db", "migrations"},
		"SQL lives in packages named sqlite or postgres",
	},
}

// engines are the folder names that say that SQL is inside.
var engines = []string{"sqlite", "postgres"}

func (l library) holds(importPath string) bool {
	return slices.ContainsFunc(l.paths, func(p string) bool { return within(importPath, p) })
}

func (l library) atHome(dir string) bool {
	for _, home := range l.homes {
		if _, ok := matches(dir, home); ok {
			return true
		}
	}
	return l.paths[0] == "database/sql" &&
		slices.ContainsFunc(strings.Split(dir, "/"), func(e string) bool { return slices.Contains(engines, e) })
}

// checkLibraries keeps each library at home. Tests that put the whole together
// (internal/e2e) may drive it with any client.
func checkLibraries(f *file) []Violation {
	const rule = "libraries"
	if within(f.dir, "internal/e2e") {
		return nil
	}
	var found []Violation
	for _, i := range f.imports {
		for _, l := range libraries {
			if l.holds(i.path) && !l.atHome(f.dir) {
				found = append(found, f.atLine(i.line, rule, "%s: %s", i.path, l.why))
			}
		}
	}
	return found
}

// impure are the packages by which a codec would reach the world. A codec
// turns bytes into events and back; the same source is compiled to WASM, where
// net/http, imported for a constant, would add 2 MB to each guest.
var impure = []string{
	"net", "net/http", "os", "os/exec", "io/ioutil", "log", "log/slog", "crypto/rand", "math/rand", "math/rand/v2", "sync",
	"context", "syscall", "database/sql",
}

// checkCodecs keeps codecs pure.
func checkCodecs(f *file) []Violation {
	const rule = "codec"
	if f.test || !strings.HasPrefix(f.dir, "adapters/") || !slices.Contains(strings.Split(f.dir, "/"), "codec") {
		return nil
	}
	var found []Violation
	for _, i := range f.imports {
		sdk := slices.ContainsFunc(libraries, func(l library) bool { return l.holds(i.path) })
		if sdk || slices.Contains(impure, i.path) {
			found = append(found, f.atLine(i.line, rule, "%s: a codec is pure: no I/O, clock, context, SDK or secret", i.path))
		}
	}
	return append(found, f.uses(rule, "a codec is pure: the time comes as an argument",
		symbol{"time", "Now"}, symbol{"time", "Since"}, symbol{"time", "Until"}, symbol{"time", "Sleep"})...)
}
