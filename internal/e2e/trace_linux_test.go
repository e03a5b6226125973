package e2e_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gatehouse-chat/gatehouse/internal/porttest"
)

// outward are the system calls by which a process says where something goes.
var outward = []uint32{unix.SYS_CONNECT, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG}

// Variables by which the test's own binary is another program; see tracedMain.
const (
	traceVariable = "GATEHOUSE_E2E_TRACE"
	dialVariable  = "GATEHOUSE_E2E_DIAL"
)

// tracedMain is what the test's binary does in place of the tests when a test
// has asked for it: it becomes a program whose outward calls the kernel holds up
// for the tracer, or one that dials.
func tracedMain() {
	path := os.Getenv(traceVariable)
	if addr := os.Getenv(dialVariable); path == "" && addr != "" {
		dialAround(addr)
	}
	if path == "" {
		return
	}
	env := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, traceVariable+"=") })
	err := holdUp()
	if err == nil {
		err = syscall.Exec(path, append([]string{path}, os.Args[1:]...), env) //nolint:gosec // what the test names
	}
	fmt.Fprintln(os.Stderr, "trace:", err)
	os.Exit(1)
}

// dialAround connects in the ways that a library might.
func dialAround(addr string) {
	for _, network := range []string{"tcp", "udp"} {
		if c, err := net.Dial(network, addr); err == nil {
			_ = c.Close()
		}
	}
	if c, err := net.ListenPacket("udp", "127.0.0.1:0"); err == nil {
		_, _ = c.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
		_ = c.Close()
	}
	os.Exit(0)
}

// holdUp has the kernel stop this thread, and what it becomes, at each outward
// call, for the tracer to see.
func holdUp() error {
	runtime.LockOSThread()
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // the number of the call
	for i, nr := range outward {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: uint8(len(outward) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// traffic notes where a process and its children connect and send to.
type traffic struct {
	mu  sync.Mutex
	all map[netip.AddrPort]int
}

func (w *traffic) note(b []byte) {
	var to netip.AddrPort
	switch family := len(b) >= 2; {
	case family && binary.NativeEndian.Uint16(b) == unix.AF_INET && len(b) >= 8:
		to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:]))
	case family && binary.NativeEndian.Uint16(b) == unix.AF_INET6 && len(b) >= 24:
		to = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), binary.BigEndian.Uint16(b[2:]))
	default: // a file's socket, or the kernel itself
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[netip.AddrPort]int{}
	}
	w.all[to]++
}

// seen is how often each address was connected or sent to.
func (w *traffic) seen() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]int{}
	for to, n := range w.all {
		all[to.String()] = n
	}
	return all
}

// skipTrace leaves out what traces a process, on the word of whoever runs it.
const skipTrace = "GATEHOUSE_TEST_TRACE"

// launch starts a binary as launch does, and notes where it goes.
func (w *traffic) launch(t testing.TB, path string, env []string, args ...string) *process {
	t.Helper()
	if os.Getenv(skipTrace) == "skip" {
		t.Skipf("left out by %s=skip", skipTrace)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self, args...), log: &tail{}, done: make(chan struct{})} //nolint:gosec,noctx // the test itself, ended by the test
	p.cmd.Env = append(slices.Clone(env), traceVariable+"="+path)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel's tracer is a thread, and this one ends with the goroutine
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = w.follow(p.cmd.Process.Pid)
		_ = p.cmd.Wait() // for its output alone: how it ended is known
		close(p.done)
	}()
	switch err := <-started; {
	case errors.Is(err, syscall.EPERM):
		t.Fatalf("this system lets no process be traced; allow it (docker run --cap-add=SYS_PTRACE), or set %s=skip to go without", skipTrace)
	case err != nil:
		t.Fatalf("start %s: %v", path, err)
	}
	t.Cleanup(p.Kill)
	return p
}

// follow traces a process that stands at its first instruction until it ends, and
// returns how it did.
func (w *traffic) follow(pid int) error {
	var ws unix.WaitStatus
	if _, err := wait(pid, &ws); err != nil {
		return err
	}
	const options = unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
		unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	for tid := pid; ; {
		pass := 0
		switch {
		case ws.Exited() && tid == pid && ws.ExitStatus() == 0:
			return nil
		case (ws.Exited() || ws.Signaled()) && tid == pid:
			return fmt.Errorf("status %d, signal %v", ws.ExitStatus(), ws.Signal())
		case ws.Stopped() && ws.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
			w.look(tid)
		case ws.Stopped() && ws.StopSignal() != unix.SIGTRAP && ws.StopSignal() != unix.SIGSTOP: // those are the tracer's own
			pass = int(ws.StopSignal())
		}
		if ws.Stopped() {
			_ = unix.PtraceCont(tid, pass) // it may have been killed since
		}
		var err error
		if tid, err = wait(-1, &ws); err != nil {
			return fmt.Errorf("trace: %w", err)
		}
	}
}

// wait waits for a child or tracee of this very thread.
func wait(pid int, ws *unix.WaitStatus) (int, error) {
	for {
		tid, err := unix.Wait4(pid, ws, unix.WALL|unix.WNOTHREAD, nil)
		if !errors.Is(err, unix.EINTR) {
			return tid, err
		}
	}
}

// syscallInfo is what the kernel says of a call at which a thread was stopped;
// struct ptrace_syscall_info.
type syscallInfo struct {
	_    [24]byte
	nr   uint64
	args [6]uint64
	_    [8]byte
}

// look notes the address of an outward call.
func (w *traffic) look(tid int) {
	const getSyscallInfo = 0x420e
	var info syscallInfo
	if _, _, err := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0); err != 0 {
		return // it was killed
	}
	addr, size := info.args[1], info.args[2]
	switch info.nr {
	case unix.SYS_SENDTO:
		addr, size = info.args[4], info.args[5]
	case unix.SYS_SENDMSG, unix.SYS_SENDMMSG: // of several messages, the first
		head := make([]byte, 12)
		if n, err := unix.PtracePeekData(tid, uintptr(info.args[1]), head); err != nil || n < len(head) {
			return
		}
		addr, size = binary.NativeEndian.Uint64(head), uint64(binary.NativeEndian.Uint32(head[8:]))
	}
	if addr == 0 || size == 0 {
		return // the socket is connected
	}
	b := make([]byte, min(size, 128))
	if n, err := unix.PtracePeekData(tid, uintptr(addr), b); err == nil {
		w.note(b[:n])
	}
}

// TestTheTraceSeesEachWay: what connects or sends is noted, whatever the protocol,
// and what does neither is not.
func TestTheTraceSeesEachWay(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w, to := &traffic{}, porttest.Keep(t)
	p := w.launch(t, self, bare(t.TempDir(), dialVariable+"="+to))
	<-p.done
	if got := w.seen(); p.err != nil || len(got) != 1 || got[to] != 3 {
		t.Errorf("got %v, want %s thrice; %v\n%s", got, to, p.err, p.log)
	}
}
