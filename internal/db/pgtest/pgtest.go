// Package pgtest gives a test a fresh, empty database on a real Postgres 17
// with pgvector.
//
// The server comes from TEST_POSTGRES_URL where that is set. Otherwise the
// first test process that asks starts one (see [pgserver]), all processes of
// the same run share it, and it stops by itself some seconds after the last
// of them has ended. Where no server can be had the test fails and says what
// would help; it is skipped only where GATEHOUSE_TEST_POSTGRES=skip says so.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-chat/gatehouse/internal/db/pgtest/pgserver"
)

const (
	// urlVariable names a server on which databases may be created, as a URL
	// of a role that may do so.
	urlVariable = "TEST_POSTGRES_URL"
	// modeVariable set to skip leaves out the tests that need Postgres.
	modeVariable = "GATEHOUSE_TEST_POSTGRES"

	statementTimeout = time.Minute
)

const remedy = `
One of these helps:
  - on Debian, with apt-get and dpkg-deb: let the tests bring their own server,
    which needs the network once (make test says more about what went wrong)
  - with Docker:
      docker run --rm -d -p 127.0.0.1:5433:5432 -e POSTGRES_PASSWORD=test pgvector/pgvector:pg17
      export TEST_POSTGRES_URL=postgres://postgres:test@127.0.0.1:5433/postgres
  - with a Postgres 15 or later that has pgvector: point TEST_POSTGRES_URL at it,
    as a role that may create databases
  - to leave these tests out: GATEHOUSE_TEST_POSTGRES=skip`

// lifetime bounds the first start of a server, download included.
const lifetime = 6 * time.Minute

// shared is the server of this process. Nothing closes the reference to it:
// the kernel gives it up when the process ends, however it ends.
var shared = sync.OnceValues(func() (string, error) {
	if given := os.Getenv(urlVariable); given != "" {
		return given, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	defer cancel()
	ref, err := pgserver.Acquire(ctx, "")
	if err != nil {
		return "", err
	}
	return ref.URL, nil
})

// DSN returns the URL of a new, empty database that is dropped, with whatever
// connections it still has, when the test ends. The role in the URL may
// create extensions and roles; roles belong to the whole server, so a test
// that creates one gives it a name of its own.
func DSN(t testing.TB) string {
	t.Helper()
	if os.Getenv(modeVariable) == "skip" {
		t.Skipf("skipped because %s=skip", modeVariable)
	}
	server, err := shared()
	if err != nil {
		t.Fatalf("no Postgres for this test: %v\n%s", err, remedy)
	}
	name := databaseName(t.Name())
	dsn, err := withDatabase(server, name)
	if err != nil {
		t.Fatalf("%s: %v", urlVariable, err)
	}
	if err := execute(server, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a database for this test: %v\n%s", err, remedy)
	}
	t.Cleanup(func() {
		if err := execute(server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the database of this test: %v", err)
		}
	})
	return dsn
}

// execute runs one statement on a connection of its own, so that nothing of
// it is left for a leak check to find.
func execute(server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// databaseName is readable in a server's log, needs no quoting and is unique.
// Postgres cuts names at 63 bytes.
func databaseName(test string) string {
	const readable = 30
	var b strings.Builder
	for _, r := range strings.ToLower(test) {
		if b.Len() == readable {
			break
		}
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			r = '_'
		}
		b.WriteRune(r)
	}
	return "t_" + b.String() + "_" + strings.ToLower(rand.Text())
}

// withDatabase replaces the database in a server's URL.
func withDatabase(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", fmt.Errorf("want a URL of the form postgres://user:password@host:port/database")
	}
	u.Path = "/" + name
	return u.String(), nil
}
