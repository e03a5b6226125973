package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is one run of a binary. It never outlives its test.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when it has ended
	err  error         // how; read after done
}

// launch starts a binary.
func launch(t testing.TB, path string, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), log: &tail{}, done: make(chan struct{})} //nolint:gosec,noctx // a binary of ours, ended by its test
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := spawn(p.cmd); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Term asks the process to end and returns how it did. It is killed when it
// takes longer than the gateway's own patience.
func (p *process) Term() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-time.After(time.Minute):
		p.Kill()
		return errors.New("it had not ended a minute after SIGTERM")
	}
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// diedOf reports whether the process, which has ended, died of the signal.
func (p *process) diedOf(sig syscall.Signal) bool {
	ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == sig
}

// How much of a process's output a failing test shows, and how much is kept for
// those that look for something in it, in bytes.
const (
	shownLog = 24 << 10
	keptLog  = 16 << 20
)

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if len(l.text) > 2*keptLog {
		l.text = append(l.text[:0], l.text[len(l.text)-keptLog:]...)
	}
	return len(b), nil
}

// String is the end of the output.
func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text) > shownLog {
		return "...\n" + string(l.text[len(l.text)-shownLog:])
	}
	return string(l.text)
}

// lines are all whole lines of the output: the last one may be half written.
func (l *tail) lines() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text[:bytes.LastIndexByte(l.text, '\n')+1])
}

func (l *tail) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text, []byte(s))
}

// racy reports whether the race detector spoke.
func (l *tail) racy() bool { return l.contains("WARNING: DATA RACE") }

// bare is an environment without the configuration of whoever runs the tests.
func bare(home string, more ...string) []string {
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), fmt.Sprintf("TMPDIR=%s", os.TempDir())}
	return append(env, more...)
}
