package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// skipDisk leaves the test of a full disk out, on the word of whoever runs it.
const skipDisk = "GATEHOUSE_TEST_FULLDISK"

// TestFullDisk: when nothing more can be kept, nothing more is acknowledged, and
// the log says why; when there is room again, everything is answered once.
func TestFullDisk(t *testing.T) {
	if os.Getenv(skipDisk) == "skip" {
		t.Skipf("left out by %s=skip", skipDisk)
	}
	data := smallDisk(t, 16<<20)
	r := newRig(t, settings{data: filepath.Join(data, "gatehouse"), script: closed(nil)})
	r.up()
	said := ledger{}
	say := func(id int64, text string) {
		u, chat := r.person(id)
		said[chat.ID()] = append(said[chat.ID()], text)
		chat.Say(u, text)
	}
	say(1001, "while there is room")
	r.awaitText(r.bot.Private(r.bot.User(1001, "")), "while there is room")
	filler := fill(t, data)
	for i := range int64(60) { // one in each chat, so that no answer is split
		say(1002+i, fmt.Sprintf("%s%d", strings.Repeat("on a full disk, ", 80), i))
	}
	const complaint = "cannot keep what came in"
	if !eventually(patience, func() bool { return r.proc.log.contains(complaint) }) {
		t.Fatalf("the log does not complain\n%s", r.proc.log)
	}
	if !r.proc.running() {
		t.Fatalf("the gateway has ended\n%s", r.proc.log)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if !eventually(patience, func() bool {
		f := judge(said, r.bot.Delivered())
		return len(f.Faults) == 0
	}) {
		t.Errorf("%+v", judge(said, r.bot.Delivered()))
	}
	r.term()
	if f := judge(said, r.bot.Delivered()); f.Repeated+f.Doubted > 0 {
		t.Errorf("what had arrived while nothing could be kept was repeated: %+v", f)
	}
}

// smallDisk mounts a file system of that many bytes for the test.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("gatehouse-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		t.Fatalf("mount a small file system: %v\nthe test of a full disk needs root; run it as root, or leave it out with %s=skip", err, skipDisk)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room that is left and returns the file that holds it.
func fill(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			return name
		}
	}
}
