package pgserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	role = "gatehouse"
	// template is the cluster that initdb made, from which each start copies.
	template     = "srv/template"
	passwordFile = "srv/password"

	startTimeout = time.Minute
	pingTimeout  = 2 * time.Second
)

// settings make the server fast and forgetful: its data ends with the run.
// Shared memory is mapped from files because a chroot has no /dev/shm.
var settings = []string{
	"fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
	"checkpoint_timeout=1h", "max_wal_size=4GB",
	"dynamic_shared_memory_type=mmap", "jit=off",
	"max_connections=300", "shared_buffers=128MB",
	"listen_addresses=127.0.0.1", "unix_socket_directories=",
	"logging_collector=off", "log_timezone=UTC", "timezone=UTC",
}

// initialise makes the template cluster in a tree, with a random password
// for its only role, so that other users of the machine stay out.
func initialise(ctx context.Context, tree string) error {
	if err := writeOwned(filepath.Join(tree, passwordFile), rand.Text()); err != nil {
		return err
	}
	cmd, err := inside(ctx, tree, binDir+"/initdb",
		"--pgdata=/"+template, "--username="+role, "--pwfile=/"+passwordFile, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync",
		"--set=scram_iterations=1") // the password is random: stretching it would only cost each connection
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// cluster is a running server with data of its own.
type cluster struct {
	cmd  *exec.Cmd
	data string // outside the chroot
	url  string
	done chan struct{} // closed when the server has ended
	end  error         // how it ended; read it after done
}

// start runs a server on a copy of the template. The caller must stop it, on
// the same thread: the server is told to end when the thread that started it
// ends.
func start(ctx context.Context, tree string) (*cluster, error) {
	password, err := os.ReadFile(filepath.Join(tree, passwordFile))
	if err != nil {
		return nil, fmt.Errorf("server password: %w", err)
	}
	data, err := copyTemplate(tree)
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	args := []string{"-D", "/srv/" + filepath.Base(data), "-p", strconv.Itoa(port)}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	cmd, err := inside(context.WithoutCancel(ctx), tree, binDir+"/postgres", args...)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	c := &cluster{cmd: cmd, data: data, done: make(chan struct{}), url: (&url.URL{
		Scheme: "postgres", User: url.UserPassword(role, strings.TrimSpace(string(password))),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/postgres",
	}).String()}
	go func() {
		c.end = cmd.Wait()
		close(c.done)
	}()
	if err := c.ready(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// ready blocks until the server answers.
func (c *cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ping(ctx, c.url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-c.done:
			return fmt.Errorf("postgres ended at its start, see its log: %w", c.end)
		case <-tick.C:
		}
	}
}

// stop ends the server without a checkpoint and removes its data.
func (c *cluster) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGQUIT)
	<-c.done
	_ = os.RemoveAll(c.data)
}

// copyTemplate makes the data folder of a new server. What a killed
// supervisor left behind goes: the caller holds the supervisor's lock.
func copyTemplate(tree string) (string, error) {
	srv := filepath.Join(tree, "srv")
	stale, err := filepath.Glob(filepath.Join(srv, "run-*"))
	if err != nil {
		return "", fmt.Errorf("server data: %w", err)
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return "", fmt.Errorf("server data: %w", err)
		}
	}
	data, err := os.MkdirTemp(srv, "run-")
	if err != nil {
		return "", fmt.Errorf("server data: %w", err)
	}
	if err := os.CopyFS(data, os.DirFS(filepath.Join(tree, template))); err != nil {
		return "", fmt.Errorf("server data: %w", err)
	}
	err = filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if entry.IsDir() {
			mode = 0o700
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
		return own(path)
	})
	if err != nil {
		return "", fmt.Errorf("server data: %w", err)
	}
	return data, nil
}

func writeOwned(path, text string) error {
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("server tree: %w", err)
	}
	return own(path)
}

// freePort asks the kernel for a port. Somebody else may take it before
// Postgres does; then the start fails and the next one gets another.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func ping(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return conn.Close(ctx)
}
