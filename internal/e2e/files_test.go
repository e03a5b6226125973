package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-chat/gatehouse/adapters/console/consoleclient"
	"github.com/gatehouse-chat/gatehouse/adapters/console/wire"
	"github.com/gatehouse-chat/gatehouse/adapters/telegram/telegramtest"
	"github.com/gatehouse-chat/gatehouse/agent/agenttest"
	"github.com/gatehouse-chat/gatehouse/internal/failpoint"
)

// withFile echoes, closed as a whole answer is, and attaches a file to each.
func withFile(r *agenttest.Request) agenttest.Answer {
	said := r.Asked()
	if len(r.Results()) == 0 {
		text, _ := json.Marshal(said) // texts encode
		args, _ := json.Marshal(map[string]string{"name": "answer.txt", "text": string(text)})
		return agenttest.Use("call_"+strconv.Itoa(r.N), "send_file", string(args))
	}
	all := r.Messages()
	for i := len(all) - 1; i >= 0; i-- {
		if len(all[i].Calls) == 0 {
			continue
		}
		var args struct{ Text string }
		var first []string
		if json.Unmarshal(all[i].Calls[0].Args, &args) == nil && json.Unmarshal([]byte(args.Text), &first) == nil {
			said = append(first, said...)
		}
		break
	}
	return agenttest.Say("echo: " + strings.Join(said, " | ") + closing)
}

var attachmentID = regexp.MustCompile(`\[\w+ ([0-9a-f]{8}): `)

// sendBack attaches what the person sent.
func sendBack(r *agenttest.Request) agenttest.Answer {
	if got := r.Results(); len(got) > 0 {
		return agenttest.Say("There you are. " + got[0])
	}
	m := attachmentID.FindStringSubmatch(strings.Join(r.Asked(), "\n"))
	if m == nil {
		return agenttest.Echo(r)
	}
	return agenttest.Use("call_"+strconv.Itoa(r.N), "send_file", `{"attachment":"`+m[1]+`"}`)
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// peak is the most memory that a process has had, in MiB.
func (p *process) peak(t *testing.T) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Logf("not measured, for the memory of a running process is read from /proc: %v", err)
		return 0
	}
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// sentFiles are the documents that a chat got.
func sentFiles(log telegramtest.Log, chat int64) []telegramtest.File {
	var all []telegramtest.File
	for _, d := range log.In(chat).Of(telegramtest.Sent) {
		all = append(all, d.Files...)
	}
	return all
}

// TestLargeFileThereAndBack: 20 MB come in and go out again, byte for byte,
// and are never whole in the gateway's memory.
func TestLargeFileThereAndBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{binary: release(t), script: sendBack, agent: []string{"tools: [files]"}, channel: []string{`allow: ["7"]`}})
	r.up()
	u, chat := r.person(7)
	chat.Say(u, "hello")
	r.awaitText(chat, "echo: hello")
	before := r.proc.peak(t)
	content := noise(20 << 20)
	for i := range 3 {
		content[0] = byte(i)
		chat.Document(u, "backup.bin", "application/octet-stream", bytes.Clone(content), telegramtest.WithCaption("keep this"))
		log := r.await("the file", func(log telegramtest.Log) bool { return len(sentFiles(log, chat.ID())) > i })
		got := sentFiles(log, chat.ID())[i]
		if !bytes.Equal(got.Bytes, content) || got.Name != "backup.bin" {
			t.Fatalf("%s with %d bytes came back", got.Name, len(got.Bytes))
		}
	}
	r.awaitText(chat, "There you are.")
	if grown := r.proc.peak(t) - before; grown > 20 {
		t.Errorf("the gateway needed %.0f MiB more than before", grown)
	}
	var kept int
	err := filepath.WalkDir(filepath.Join(r.data(), "blobs"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			kept++
		}
		return err
	})
	if err != nil || kept != 3 {
		t.Errorf("%d files are kept, %v; want 3", kept, err)
	}
}

// TestKilledWhileAFileIsSent: the process dies in the midst of an upload, or
// just after it. The file arrives whole, and at most once more, marked.
func TestKilledWhileAFileIsSent(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    failpoint.Name
		times int // that the file arrives
		marks int
	}{
		{"before the call", failpoint.SendBefore, 1, 1}, // which cannot be told from the next
		{"after the call", failpoint.SendAfter, 2, 1},
		{"the file is not named yet", failpoint.BlobBefore, 1, 0},
		{"nothing refers to the file yet", failpoint.BlobAfter, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{binary: armed(t), script: sendBack, agent: []string{"tools: [files]"}, channel: []string{`allow: ["7"]`}})
			r.start(failpoint.Env + "=" + string(c.at))
			u, chat := r.person(7)
			content := noise(3 << 20)
			chat.Document(u, "backup.bin", "application/octet-stream", content)
			select {
			case <-r.proc.done:
			case <-time.After(patience):
				t.Fatalf("%s was not hit", c.at)
			}
			r.up()
			r.await("the file", func(log telegramtest.Log) bool { return len(sentFiles(log, chat.ID())) >= c.times })
			chat.Say(u, "and now?")
			r.awaitText(chat, "echo: and now?")
			log := r.bot.Delivered()
			got := sentFiles(log, chat.ID())
			if len(got) != c.times {
				t.Fatalf("the file came %d times, want %d", len(got), c.times)
			}
			for _, f := range got {
				if !bytes.Equal(f.Bytes, content) {
					t.Errorf("a file has %d bytes, or other ones", len(f.Bytes))
				}
			}
			marks := strings.Count(strings.Join(texts(log), "\n"), "(This may be a repetition")
			if marks != c.marks {
				t.Errorf("%d repetitions are marked, want %d", marks, c.marks)
			}
		})
	}
}

// TestKilledInTheMidstOfAnUpload: what had been sent of the file counts for
// nothing, and the platform gets it whole.
func TestKilledInTheMidstOfAnUpload(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{script: sendBack, agent: []string{"tools: [files]"}, channel: []string{`allow: ["7"]`}})
	r.up()
	u, chat := r.person(7)
	content := noise(20 << 20)
	chat.Document(u, "backup.bin", "application/octet-stream", content)
	if !eventually(patience, func() bool { return len(r.remains().sends) > 0 }) {
		t.Fatal("no send is under way")
	}
	r.kill()
	r.up()
	log := r.await("the file", func(log telegramtest.Log) bool { return len(sentFiles(log, chat.ID())) > 0 })
	got := sentFiles(log, chat.ID())
	for _, f := range got {
		if !bytes.Equal(f.Bytes, content) {
			t.Errorf("a file has %d bytes, or other ones", len(f.Bytes))
		}
	}
	if len(got) > 2 {
		t.Errorf("it came %d times", len(got))
	}
}

// dot is a small picture.
func dot(t *testing.T) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 8, 8))
	img.Set(3, 3, color.RGBA{R: 200, A: 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPicturesAreSeen: a model with vision gets the picture itself, also when
// something is asked about it later; one without gets its name.
func TestPicturesAreSeen(t *testing.T) {
	for _, vision := range []bool{true, false} {
		t.Run(fmt.Sprintf("vision %t", vision), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{})
			r.set.model = fmt.Sprintf(`{provider: compatible, model: scripted, base_url: %q, api_key: "sk-test-123456789", vision: %t}`, r.model.OpenAI(), vision)
			r.configure()
			r.up()
			u, chat := r.person(7)
			picture := dot(t)
			chat.Photo(u, picture, telegramtest.WithCaption("what is it"))
			r.awaitText(chat, "echo: what is it")
			chat.Say(u, "and its colour")
			r.awaitText(chat, "echo: and its colour")
			for i, q := range r.model.Requests() {
				body := string(q.Body)
				if !strings.Contains(body, "[photo ") {
					t.Errorf("request %d does not name the picture", i)
				}
				if seen := strings.Contains(body, "data:image/png;base64,"+base64.StdEncoding.EncodeToString(picture)); seen != vision {
					t.Errorf("request %d shows the picture: %t", i, seen)
				}
			}
		})
	}
}

// TestTextsAndWhatFails: a small text is read; what cannot be fetched is said,
// and its caption is answered.
func TestTextsAndWhatFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	r.up()
	u, chat := r.person(7)
	chat.Document(u, "notes.txt", "text/plain", []byte("the password is in the cellar"), telegramtest.WithCaption("read this"))
	if got := r.awaitText(chat, "read this"); !strings.Contains(got, "the password is in the cellar") {
		t.Errorf("the model read %q", got)
	}
	r.bot.Fail("getFile", telegramtest.BadRequest("file is too big"))
	chat.Document(u, "gone.txt", "text/plain", []byte("never seen"), telegramtest.WithCaption("and this"))
	got := r.awaitText(chat, "and this")
	if !strings.Contains(got, "I could not open the document “gone.txt”.") || strings.Contains(got, "never seen") {
		t.Errorf("the answer is %q", got)
	}
}

// TestVoiceIsWrittenDown: a voice note is fetched from the platform, written
// down by the model that is named for it, and answered as if it had been typed.
// Where nobody can listen, its sender is told so.
func TestVoiceIsWrittenDown(t *testing.T) {
	for name, listener := range map[string]bool{"with a listener": true, "without one": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{})
			if listener {
				model := fmt.Sprintf(`{provider: compatible, model: %%s, base_url: %q, api_key: "sk-test-123456789"}`, r.model.OpenAI())
				r.set.model = fmt.Sprintf(model+"\n  listener: "+model, "scripted", "whisper-1")
				r.set.agent = []string{"transcribe: listener"}
				r.configure()
			}
			r.up()
			u, chat := r.person(7)
			recording := append([]byte("OggS\x00\x02OpusHead"), noise(300_000)...)
			chat.Voice(u, recording, 12)
			chat.Say(u, "did you hear it")
			got := r.awaitText(chat, "did you hear it")
			answers := strings.Join(texts(r.bot.Delivered()), "\n")
			if heard := strings.Contains(answers, agenttest.Heard(recording)); heard != listener {
				t.Errorf("written down: %t, want %t; the answers are %q and %q", heard, listener, answers, got)
			}
		})
	}
}

// console speaks for the owner over the socket in the data folder.
func (r *rig) console() *consoleclient.Client {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(r.data(), "admin.sock"))
	}}
	r.t.Cleanup(t.CloseIdleConnections)
	return &consoleclient.Client{HTTP: &http.Client{Transport: t}, Base: "http://gatehouse"}
}

// TestConsoleCarriesFiles: a file goes from the console to the agent and back,
// and both stand there as they were after the process was killed.
func TestConsoleCarriesFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{script: sendBack, agent: []string{"tools: [files]"}})
	r.up()
	c := r.console()
	content := noise(5 << 20)
	if _, err := c.Upload(t.Context(), "upload-1", "backup.bin", int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	r.kill()
	r.up()
	if _, err := c.Say(t.Context(), "message-1", "send it back", "upload-1"); err != nil {
		t.Fatal(err)
	}
	var files []wire.File
	arrived := func() bool {
		files = nil
		p, err := c.Latest(t.Context(), 0)
		for _, m := range p.Messages {
			files = append(files, m.Files...)
		}
		return err == nil && len(files) == 2
	}
	if !eventually(patience, arrived) {
		t.Fatalf("the chat has %+v\n%s", files, r.proc.log)
	}
	r.kill()
	r.up()
	for _, f := range files {
		body, err := c.File(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, content) || f.Name != "backup.bin" {
			t.Errorf("%s comes back with %d bytes, or other ones: %v", f.Name, len(got), err)
		}
	}
}
