package pgserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest/pgserver"
)

func TestMirrorIsTheMachinesOwn(t *testing.T) {
	const plain = "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n"
	tests := []struct {
		name  string
		files map[string]string
		want  string // "" where there is no source to use
	}{
		{
			name: "deb822 with a keyring",
			files: map[string]string{"sources.list.d/debian.sources": "# ours\nTypes: deb deb-src\nURIs: http://mirror.example/debian\n" +
				"Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/debian.gpg\n\n" +
				"Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\n"},
			want: plain + "Signed-By: /usr/share/keyrings/debian.gpg\n",
		},
		{
			name: "deb822 with an embedded key",
			files: map[string]string{"sources.list.d/debian.sources": "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n" +
				"Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n"},
			want: plain + "Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n",
		},
		{
			name: "one line with options",
			files: map[string]string{"sources.list": "# deb http://old.example/debian bookworm main\n\n" +
				"deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian bookworm main contrib\n"},
			want: plain + "Signed-By: /usr/share/keyrings/debian.gpg\n",
		},
		{
			name:  "one line without options, in a file of its own",
			files: map[string]string{"sources.list.d/local.list": "deb  http://mirror.example/debian   bookworm main\n"},
			want:  plain,
		},
		{
			name:  "a source that wants to be trusted unverified is verified all the same",
			files: map[string]string{"sources.list": "deb [trusted=yes] http://mirror.example/debian bookworm main\n"},
			want:  plain,
		},
		{
			name: "disabled, of sources only, of another release and of another kind of file",
			files: map[string]string{
				"sources.list.d/a.sources":     "Enabled: no\nTypes: deb\nURIs: http://a.example\nSuites: bookworm\n",
				"sources.list.d/b.sources":     "Types: deb-src\nURIs: http://b.example\nSuites: bookworm\n",
				"sources.list.d/c.list":        "deb http://c.example/debian bookworm-backports main\ndeb-src http://c.example bookworm main\n",
				"sources.list.d/d.list.backup": "deb http://d.example/debian bookworm main\n",
			},
		},
		{name: "nothing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			etc := t.TempDir()
			for name, text := range test.files {
				write(t, filepath.Join(etc, name), text)
			}
			got, err := pgserver.Mirror(etc, "bookworm")
			if (err == nil) != (test.want != "") {
				t.Fatalf("error: %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"debian", "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_CODENAME=bookworm\n", "bookworm"},
		{"quoted", "ID='debian'\nVERSION_CODENAME=\"trixie\"\n", "trixie"},
		{"another system", "ID=fedora\nVERSION_CODENAME=\n", ""},
		{"a relative", "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "os-release")
			write(t, path, test.text)
			got, err := pgserver.Release(path)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("release = %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestKeyNamesTheVersions(t *testing.T) {
	debs := []string{
		"debs/libpq5_17.5-1_amd64.deb",
		"debs/postgresql-17-pgvector_0.8.0-1_amd64.deb",
		"debs/postgresql-17_17.5-1_amd64.deb",
	}
	const want = "postgresql-17_17.5-1_amd64+postgresql-17-pgvector_0.8.0-1_amd64"
	if got := pgserver.Key(debs); got != want {
		t.Errorf("key = %q, want %q", got, want)
	}
}

// TestReferencesShareOneServer also covers that a server is reused while a
// reference lives, which is what keeps the packages of a run on one server.
func TestReferencesShareOneServer(t *testing.T) {
	if os.Getenv("TEST_POSTGRES_URL") != "" || os.Getenv("GATEHOUSE_TEST_POSTGRES") == "skip" {
		t.Skip("skipped because the environment names another server, or none")
	}
	one, err := pgserver.Acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	two, err := pgserver.Acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if one.URL != two.URL {
		t.Error("two references, two servers")
	}
	for _, ref := range []*pgserver.Reference{one, two} {
		if err := ref.Close(); err != nil {
			t.Error(err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
