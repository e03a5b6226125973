package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gatehouse-chat/gatehouse/config"
	"github.com/gatehouse-chat/gatehouse/vault"
	"github.com/gatehouse-chat/gatehouse/vault/egress"
	"github.com/gatehouse-chat/gatehouse/vault/kek"
)

// manner is how a process waits and what it logs: a gateway, or a command.
type manner struct {
	log func(config.Log, io.Writer) *slog.Logger
	// keyring: how long the system's keyring is waited for.
	keyring func(*slog.Logger) kek.Patience
}

// asGateway waits for the keyring for as long as it takes: at the start of a
// session the person may be about to unlock it.
func asGateway() manner {
	return manner{newLogger, func(log *slog.Logger) kek.Patience {
		return kek.Patience{Say: func(text string) { log.Warn("the vault's key", "err", text) }}
	}}
}

// keyringFor is how long a command waits for the keyring.
const keyringFor = 30 * time.Second

// asCommand waits a while, with a word to the person who called it.
func asCommand() manner {
	return manner{quietLogger, func(*slog.Logger) kek.Patience {
		return kek.Patience{Most: keyringFor, Say: func(text string) { fmt.Fprintln(os.Stderr, "gatehouse:", text) }}
	}}
}

// keySource makes the source of the vault's key that a configuration names. run
// keeps it alive while the gateway runs; nil when there is nothing to do.
func keySource(k config.Key, data string, gate *egress.Gate, log *slog.Logger, p kek.Patience) (source vault.KeySource, run func(context.Context) error, err error) {
	marks := vault.NewMarks(k.State, data)
	ring := func(text vault.KeyText) vault.KeySource {
		return vault.Source{Wrapper: vault.NewRing(text), Watermark: marks}
	}
	switch k.Source {
	case config.KeyFile:
		return ring(vault.NewFile(k.Path, data)), nil, nil
	case config.KeyPassphrase:
		return ring(vault.NewLocked(vault.NewFile(k.Path, data), askPassphrase)), nil, nil
	case config.KeyCredential:
		folder, _ := getenv("CREDENTIALS_DIRECTORY")
		return ring(vault.Credential{Folder: folder, Name: k.Name}), nil, nil
	case config.KeyKeyring:
		return ring(kek.NewKeyring(k.Name, p)), nil, nil
	case config.KeyTransit:
		client, err := transitClient(k, gate)
		if err != nil {
			return nil, nil, err
		}
		t := &kek.Transit{
			Address: k.Address, Mount: k.Mount, Name: k.Name, Log: log, Client: client,
			Token: func(context.Context) (string, error) { return readToken(k.TokenFile) },
		}
		return vault.Source{Wrapper: t, Watermark: marks}, t.Run, nil
	}
	return nil, nil, fmt.Errorf("there is no source %q of a key", k.Source)
}

// transitClient reaches the server that the configuration names, and no other.
func transitClient(k config.Key, gate *egress.Gate) (*http.Client, error) {
	to, err := egress.ParseDestination(k.Address)
	if err != nil {
		return nil, fmt.Errorf("the address of the key's server: %w", err)
	}
	return gate.Client(egress.Policy{
		Name: "the vault's key", Allow: []egress.Destination{to}, Operator: []string{hostPort(k.Address)}, MaxResponse: 1 << 20,
	}), nil
}

// exchanges makes the clients that ask for access tokens: each reaches the
// address that its secret names and no other, and none within private networks but
// where the configuration lets requests with the secret go there.
func exchanges(gate *egress.Gate, inside near) func(workspace, secret, tokenURL string) *http.Client {
	return func(workspace, secret, tokenURL string) *http.Client {
		p := egress.Policy{Name: "access tokens", MaxResponse: 64 << 10, Inside: inside.of(workspace, secret)}
		if to, err := egress.ParseDestination(tokenURL); err == nil {
			p.Allow = []egress.Destination{to}
		}
		return gate.Client(p)
	}
}

// readToken reads a token from a file that others cannot read.
func readToken(path string) (string, error) {
	text, err := vault.NewFile(path, "").Load(context.Background())
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(text)), nil
}

// passphraseName is the credential of systemd that holds the passphrase, and
// passphraseFD the environment's variable that names an open file with it.
const (
	passphraseName = "gatehouse-passphrase"
	passphraseFD   = "GATEHOUSE_PASSPHRASE_FD"
)

var errNoPassphrase = errors.New("nobody can be asked here: start it on a terminal, pass the credential " + passphraseName +
	" from systemd, or an open file with " + passphraseFD)

// askPassphrase gets the passphrase of the vault's key: from systemd, from an
// open file, or from the person at the terminal. It is never taken from the
// environment or the arguments, which others can see.
func askPassphrase(ctx context.Context, fresh bool) ([]byte, error) {
	if folder, ok := getenv("CREDENTIALS_DIRECTORY"); ok {
		text, err := vault.Credential{Folder: folder, Name: passphraseName}.Load(ctx)
		if !errors.Is(err, vault.ErrNoKey) {
			return bytes.TrimRight(text, "\r\n"), err
		}
	}
	if fd, ok := getenv(passphraseFD); ok && fd != "" {
		return passphraseFrom(fd)
	}
	if !isTerminal(os.Stdin) {
		return nil, errNoPassphrase
	}
	first, err := promptHidden(ctx, os.Stderr, os.Stdin, "Passphrase of the vault's key (it is not shown): ")
	if err != nil || !fresh {
		return first, err
	}
	again, err := promptHidden(ctx, os.Stderr, os.Stdin, "Once more: ")
	if err != nil {
		return nil, err
	}
	defer clear(again)
	if !bytes.Equal(first, again) {
		clear(first)
		return nil, errors.New("the two are not the same")
	}
	return first, nil
}

// maxPassphrase bounds what is read from an open file, in bytes.
const maxPassphrase = 4 << 10

// passphraseFrom reads an open file of this process.
func passphraseFrom(fd string) ([]byte, error) {
	n, err := strconv.ParseUint(fd, 10, 16)
	if err != nil || n < 3 {
		return nil, fmt.Errorf("%s is not the number of an open file from 3 on", passphraseFD)
	}
	f := os.NewFile(uintptr(n), filepath.Join("fd", fd))
	if f == nil {
		return nil, fmt.Errorf("%s names no open file", passphraseFD)
	}
	defer f.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(f, maxPassphrase))
	if err != nil {
		return nil, fmt.Errorf("read the passphrase from %s: %w", passphraseFD, err)
	}
	return bytes.TrimRight(text, "\r\n"), nil
}
