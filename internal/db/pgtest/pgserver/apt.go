package pgserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// suite is the Debian release that the packages come from, whichever release
// the machine runs: it is the first with Postgres 17 and pgvector 0.8.
const suite = "trixie"

// packages are the two that are wanted and what they load at run time. The
// dependencies that only set up a system cluster (Perl, ssl-cert, adduser)
// stay out, and so does LLVM: nothing is compiled just in time here.
var packages = []string{
	"postgresql-17", "postgresql-17-pgvector",
	"dash", "libc6", "libc-bin", "libgcc-s1", "libstdc++6", "tzdata",
	"libpq5", "libicu76", "libssl3t64", "libxml2", "liblzma5",
	"libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0",
	"libcom-err2", "libkeyutils1", "libldap2", "libsasl2-2",
	"liblz4-1", "libzstd1", "zlib1g", "libxxhash0",
	"libpam0g", "libaudit1", "libcap-ng0", "libsystemd0", "libcap2",
}

// mirror is one of the machine's own package sources.
type mirror struct {
	uris     []string
	signedBy string // as the source has it: a path, or an embedded key
}

// stanza asks the mirror for our suite, in apt's own format. A source that
// names no keyring leaves it to the machine's trusted ones; one that asks not
// to be verified is not believed.
func (m mirror) stanza() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n", strings.Join(m.uris, " "), suite)
	if m.signedBy != "" {
		fmt.Fprintf(&b, "Signed-By: %s\n", m.signedBy)
	}
	return b.String()
}

// findMirror reads apt's sources under etc for the one that serves the
// machine's own release, which a Debian mirror serves beside ours.
func findMirror(etc, codename string) (mirror, error) {
	files := []string{filepath.Join(etc, "sources.list")}
	for _, pattern := range []string{"*.sources", "*.list"} {
		more, err := filepath.Glob(filepath.Join(etc, "sources.list.d", pattern))
		if err != nil {
			return mirror{}, fmt.Errorf("apt sources: %w", err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return mirror{}, fmt.Errorf("apt sources: %w", err)
		}
		parse := parseList
		if strings.HasSuffix(file, ".sources") {
			parse = parseStanzas
		}
		if m, ok := parse(text, codename); ok {
			return m, nil
		}
	}
	return mirror{}, fmt.Errorf("no apt source for Debian %s under %s", codename, etc)
}

// parseStanzas reads the deb822 form, in which a line that starts with a
// space continues the field before it.
func parseStanzas(text []byte, codename string) (mirror, bool) {
	for block := range strings.SplitSeq(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n\n") {
		fields := map[string]string{}
		last := ""
		for line := range strings.SplitSeq(block, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			if last != "" && strings.HasPrefix(line, " ") {
				fields[last] += "\n" + line
				continue
			}
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				continue
			}
			last = strings.ToLower(strings.TrimSpace(name))
			fields[last] = strings.TrimSpace(value)
		}
		if fields["enabled"] == "no" || !wanted(strings.Fields(fields["types"]), strings.Fields(fields["suites"]), codename) {
			continue
		}
		return mirror{uris: strings.Fields(fields["uris"]), signedBy: fields["signed-by"]}, true
	}
	return mirror{}, false
}

// parseList reads the one-line form: deb [option=value ...] uri suite component...
func parseList(text []byte, codename string) (mirror, bool) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		kind, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		rest = strings.TrimSpace(rest)
		var m mirror
		if options, after, ok := strings.Cut(strings.TrimPrefix(rest, "["), "]"); ok && strings.HasPrefix(rest, "[") {
			for option := range strings.FieldsSeq(options) {
				if path, ok := strings.CutPrefix(option, "signed-by="); ok {
					m.signedBy = path
				}
			}
			rest = after
		}
		fields := strings.Fields(rest)
		if len(fields) < 2 || !wanted([]string{kind}, fields[1:2], codename) {
			continue
		}
		m.uris = fields[:1]
		return m, true
	}
	return mirror{}, false
}

func wanted(types, suites []string, codename string) bool {
	return slices.Contains(types, "deb") && slices.Contains(suites, codename)
}

// apt is an apt of its own: its state, cache and sources lie in dir, and only
// the machine's transport settings, such as a proxy, are taken over.
type apt struct{ dir string }

func newApt(dir string, m mirror) (apt, error) {
	a := apt{dir: dir}
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return apt{}, fmt.Errorf("apt folder: %w", err)
		}
	}
	for name, text := range map[string]string{"state/status": "", "own.sources": m.stanza()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return apt{}, fmt.Errorf("apt folder: %w", err)
		}
	}
	return a, nil
}

// run calls apt-get in the folder sub of its own.
func (a apt) run(ctx context.Context, sub string, args ...string) error {
	options := []string{
		"-q=2",
		"-o", "Dir::State=" + filepath.Join(a.dir, "state"),
		"-o", "Dir::State::status=" + filepath.Join(a.dir, "state/status"),
		"-o", "Dir::Cache=" + filepath.Join(a.dir, "cache"),
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(a.dir, "own.sources"),
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::Etc::preferences=/dev/null",
		"-o", "Dir::Etc::preferencesparts=/dev/null",
		"-o", "APT::Get::AllowUnauthenticated=false",
		"-o", "APT::Update::Error-Mode=any",
		"-o", "APT::Sandbox::User=",
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"-o", "Acquire::Retries=3",
	}
	cmd := exec.CommandContext(ctx, "apt-get", append(options, args...)...)
	cmd.Dir = filepath.Join(a.dir, sub)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// download fetches the packages, which apt verifies against the signed index,
// and returns their files.
func (a apt) download(ctx context.Context) ([]string, error) {
	if err := a.run(ctx, ".", "update"); err != nil {
		return nil, err
	}
	if err := a.run(ctx, "debs", append([]string{"download"}, packages...)...); err != nil {
		return nil, err
	}
	debs, err := filepath.Glob(filepath.Join(a.dir, "debs", "*.deb"))
	if err != nil {
		return nil, fmt.Errorf("downloaded packages: %w", err)
	}
	if len(debs) < len(packages) {
		return nil, fmt.Errorf("apt-get download brought %d of %d packages", len(debs), len(packages))
	}
	return debs, nil
}
