package pgtest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest"
)

// childVariable makes this test binary run as the child of TestOutcomes.
const childVariable = "GATEHOUSE_PGTEST_CHILD"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOutcomes runs a test that asks for a database in a process of its own,
// because the environment is read once for each process.
func TestOutcomes(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		if err := connect(t, pgtest.DSN(t)).Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	working := pgtest.DSN(t)
	tests := []struct {
		name  string
		env   []string
		fails bool
		says  []string
	}{
		{"a server by its URL", []string{"TEST_POSTGRES_URL=" + working}, false, []string{"--- PASS: TestOutcomes"}},
		{
			"a server that is not there fails, with the remedies",
			[]string{"TEST_POSTGRES_URL=postgres://nobody@127.0.0.1:1/none"},
			true,
			[]string{"--- FAIL: TestOutcomes", "docker run", "TEST_POSTGRES_URL=", "GATEHOUSE_TEST_POSTGRES=skip"},
		},
		{
			"a URL of another form fails, with the form",
			[]string{"TEST_POSTGRES_URL=host=127.0.0.1 dbname=none"},
			true,
			[]string{"--- FAIL: TestOutcomes", "postgres://user:password@host:port/database"},
		},
		{"skipping is said", []string{"GATEHOUSE_TEST_POSTGRES=skip"}, false, []string{"--- SKIP: TestOutcomes", "GATEHOUSE_TEST_POSTGRES=skip"}},
		{
			"anything but skip does not skip",
			[]string{"GATEHOUSE_TEST_POSTGRES=maybe", "TEST_POSTGRES_URL=" + working},
			false,
			[]string{"--- PASS: TestOutcomes"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOutcomes$", "-test.v")
			cmd.Env = append(os.Environ(), childVariable+"=1")
			cmd.Env = append(cmd.Env, test.env...)
			out, err := cmd.CombinedOutput()
			if (err != nil) != test.fails {
				t.Errorf("ended with %v\n%s", err, out)
			}
			for _, text := range test.says {
				if !strings.Contains(string(out), text) {
					t.Errorf("does not say %q:\n%s", text, out)
				}
			}
		})
	}
}
