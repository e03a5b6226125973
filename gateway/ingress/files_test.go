package ingress_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/gatehouse-chat/gatehouse/agent"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// sendsFiles answers with a document and a page that is no picture, and says
// which files it got.
func sendsFiles(document []byte) runner {
	return func(ctx context.Context, t agent.Turn, _ agent.Port) (agent.Result, error) {
		text := ""
		for _, f := range agent.Attachments(&t.Events[0]) {
			got, err := t.Files.Fetch(ctx, f)
			if err != nil {
				return agent.Result{}, err
			}
			text += fmt.Sprintf("%s %s %d. ", got.Kind, got.Name, got.Size)
		}
		if text != "" {
			return reply(text), nil
		}
		out := reply("Here they are.")
		for name, body := range map[string][]byte{"report ä.bin": document, "page.html": []byte("<script>parent.hacked = true</script>")} {
			f, err := t.Files.Keep(ctx, channels.File{Name: name, Open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(body)), nil
			}})
			if err != nil {
				return agent.Result{}, err
			}
			out.Replies[0].Files = append(out.Replies[0].Files, f)
		}
		return out, nil
	}
}

func picture(t *testing.T) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 240, 120))
	for i := range 240 {
		img.Set(i, i/2, color.RGBA{R: uint8(i), G: 120, A: 255}) //nolint:gosec // below 240
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// give makes files on the page and lets an event carry them.
const giveFiles = `(() => {
	const raw = Uint8Array.from(atob(%q), (c) => c.charCodeAt(0));
	const carried = new DataTransfer();
	carried.items.add(new File([raw], %q, {type: "image/png"}));
	%s
	return true;
})()`

// TestBrowserFiles: a picture that was chosen, dropped or pasted stands in the
// chat, also after a reload and a restart, and what comes back is saved as it is.
func TestBrowserFiles(t *testing.T) {
	document := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(document)
	h := newHouse(t, sendsFiles(document))
	b := openTab(t, startBrowser(t))
	b.login(h)
	pic := picture(t)
	path := filepath.Join(t.TempDir(), "drawing.png")
	if err := os.WriteFile(path, pic, 0o600); err != nil {
		t.Fatal(err)
	}
	b.Do("choose a file", chromedp.SetUploadFiles(chromedp.CSS("#choose"), []string{path}))
	b.Until("the upload", `document.querySelector("#attached .done")`)
	b.Looks("chat-attached")
	b.say("look at this")
	b.Sees(fmt.Sprintf("photo drawing.png %d.", len(pic)))
	encoded := base64.StdEncoding.EncodeToString(pic)
	eval[bool](b, fmt.Sprintf(giveFiles, encoded, "dropped.png", `document.getElementById("chat").dispatchEvent(new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true}));`))
	eval[bool](b, fmt.Sprintf(giveFiles, encoded, "pasted.png", `document.getElementById("text").dispatchEvent(new ClipboardEvent("paste", {clipboardData: carried, bubbles: true, cancelable: true}));`))
	b.Click("#composer button[type=submit]") // which waits for the files
	b.Sees(fmt.Sprintf("photo dropped.png %d. photo pasted.png %d.", len(pic), len(pic)))
	shown := `[...document.querySelectorAll("#messages .member img")].filter((i) => i.complete && i.naturalWidth === 240).length === 3`
	b.Until("three pictures", shown)
	b.Do("reload", chromedp.Reload())
	b.Until("three pictures after a reload", shown)
	h.stop()
	h.start()
	b.Do("reload", chromedp.Reload())
	b.Until("three pictures after a restart", shown)
	b.Looks("chat-pictures")

	b.say("send me something")
	b.Until("two files", `document.querySelectorAll("#messages .bot a.file").length === 2`)
	b.Looks("chat-files")
	saved := b.saving()
	for name, want := range map[string][]byte{"report ä.bin": document, "page.html": []byte("<script>parent.hacked = true</script>")} {
		b.Click(fmt.Sprintf(`#messages .bot a.file[download=%q]`, name))
		b.untilSaved(filepath.Join(saved, name), want)
	}
	b.Open(fmt.Sprintf("http://%s%s", h.addr, eval[string](b, `document.querySelector("#messages .member img").getAttribute("src")`)))
	if kind := eval[string](b, "document.contentType"); kind != "image/png" {
		t.Errorf("the picture opens as %s", kind)
	}
}

// TestBrowserFileTooLarge: the page says what is too large before it sends it.
func TestBrowserFileTooLarge(t *testing.T) {
	h := newHouse(t, echo)
	b := openTab(t, startBrowser(t))
	b.login(h)
	path := filepath.Join(t.TempDir(), "film.bin")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 51<<20); err != nil {
		t.Fatal(err)
	}
	b.Do("choose a file", chromedp.SetUploadFiles(chromedp.CSS("#choose"), []string{path}))
	b.Sees("film.bin has 51 MB. A file may have 50 MB.")
	if n := eval[int](b, `document.querySelectorAll("#attached li").length`); n != 0 {
		t.Errorf("%d files are attached", n)
	}
}

// saving lets the browser save what it downloads, in a folder.
func (b *tab) saving() (dir string) {
	b.Helper()
	dir = b.TempDir()
	_, err := chromedp.Call(b.Window(), browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir,
		BrowserContextID: chromedp.FromContext(b.Window()).BrowserContextID,
	})
	if err != nil {
		b.Fatalf("prepare a download: %v", err)
	}
	return dir
}

// untilSaved waits until a file holds these bytes, and no others.
func (b *tab) untilSaved(path string, want []byte) {
	b.Helper()
	end := time.Now().Add(patience)
	var got []byte
	for time.Now().Before(end) {
		if got, _ = os.ReadFile(path); bytes.Equal(got, want) { // the browser makes it when it begins
			return
		}
		eval[bool](b, "new Promise(d => setTimeout(() => d(true), 20))")
	}
	b.Fatalf("%s was saved with %d bytes, or other ones; want %d", filepath.Base(path), len(got), len(want))
}
