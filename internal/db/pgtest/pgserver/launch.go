package pgserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Command is the program that supervises the server. It is built from source
// on the spot, because a test binary cannot turn itself into a supervisor.
const Command = "github.com/gatehouse-chat/gatehouse/internal/db/pgtest/cmd/pgserver"

// moduleDir is a folder inside the module, for go build: the working
// directory at the start, which a test may leave later.
var moduleDir, _ = os.Getwd()

// report is the one line that a supervisor writes when it knows its fate.
type report struct {
	state
	Busy  bool   `json:"busy,omitempty"`
	Fault string `json:"fault,omitempty"`
}

// launch starts a supervisor in a session of its own, so that an interrupt
// from the terminal does not reach it before its last user, and waits for its
// report. The supervisor inherits nothing but that pipe and a log file: a
// test's own output would otherwise not end while the supervisor lives.
func (p places) launch(ctx context.Context, program string) (state, error) {
	if program == "" {
		built, err := p.build(ctx)
		if err != nil {
			return state{}, err
		}
		defer func() { _ = os.Remove(built) }()
		program = built
	}
	log, err := os.OpenFile(p.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return state{}, fmt.Errorf("server log: %w", err)
	}
	defer func() { _ = log.Close() }()
	hear, tell, err := os.Pipe()
	if err != nil {
		return state{}, fmt.Errorf("pipe to the supervisor: %w", err)
	}
	defer func() { _ = hear.Close() }()

	cmd := exec.Command(program, "supervise") // no context: it outlives this call
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = tell, log
	cmd.SysProcAttr = detached()
	err = cmd.Start()
	_ = tell.Close()
	if err != nil {
		return state{}, fmt.Errorf("start the supervisor: %w", err)
	}
	if err := cmd.Process.Release(); err != nil {
		return state{}, fmt.Errorf("start the supervisor: %w", err)
	}
	return p.await(ctx, hear)
}

// await reads the supervisor's report, until ctx ends.
func (p places) await(ctx context.Context, hear *os.File) (state, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := hear.SetReadDeadline(deadline); err != nil {
			return state{}, fmt.Errorf("pipe to the supervisor: %w", err)
		}
	}
	text, err := io.ReadAll(hear)
	if err != nil {
		return state{}, fmt.Errorf("the server did not start in time, see %s: %w", p.log(), err)
	}
	var r report
	if err := json.Unmarshal(bytes.TrimSpace(text), &r); err != nil {
		return state{}, fmt.Errorf("the server's supervisor ended without a word, see %s", p.log())
	}
	switch {
	case r.Busy:
		return state{}, errBusy
	case r.Fault != "":
		return state{}, errors.New(r.Fault)
	}
	return r.state, nil
}

// build compiles the supervisor to a name of its own: the program of a
// running one cannot be overwritten. The caller removes it once it runs.
func (p places) build(ctx context.Context) (string, error) {
	f, err := os.CreateTemp(p.dir, "pgserver-")
	if err != nil {
		return "", fmt.Errorf("build the supervisor: %w", err)
	}
	program := f.Name()
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("build the supervisor: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, Command)
	cmd.Dir = moduleDir
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.Remove(program)
		return "", fmt.Errorf("build the supervisor: %w: %s", err, bytes.TrimSpace(out))
	}
	return program, nil
}
