// Package browsertest drives a headless Chromium for the tests of the console's page.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// chromium finds the browser. Where there is none the test fails, unless the
// run was told to go without.
func chromium(t testing.TB) string {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_BROWSER") == "skip" {
		t.Skip("GATEHOUSE_TEST_BROWSER=skip")
	}
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium to test the console with: run `make needs` (on Debian: apt-get install -y chromium), " +
		"or set GATEHOUSE_TEST_BROWSER=skip to go without")
	return ""
}

// Tab is a window of a headless browser of its own, without any past.
type Tab struct {
	testing.TB
	ctx    context.Context //nolint:containedctx // chromedp keeps the browser in it
	faults []string        // what scripts and the content policy complained about
}

// Open opens a tab, which ends with the test and tells it what the page did wrong.
func Open(t testing.TB, browser context.Context) *Tab { //nolint:revive // the test comes first
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &Tab{TB: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	messages := chromedp.Console(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.heard(m)
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
		for _, f := range b.faults {
			t.Errorf("the browser complains: %s", f)
		}
	})
	b.Size(1280, 860)
	return b
}

// heard keeps what is a mistake of the page; a gateway that is away is none.
func (b *Tab) heard(m chromedp.ConsoleMessage) {
	if m.IsException() || strings.Contains(m.Text, "regular expression") || m.Source == "security" || m.Source == "violation" || strings.Contains(m.Text, "Content Security Policy") {
		b.faults = append(b.faults, m.String())
	}
}

// Start starts Chromium, which ends with the test. Its folder is chromedp's
// own: processes of the browser that outlive it write there still, for which
// chromedp waits and a test's folder does not.
func Start(t testing.TB) context.Context {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption(nil),
		chromedp.ExecPath(chromium(t)),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-extensions", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.WSURLReadTimeout(90*time.Second),
		chromedp.Env("LC_ALL=C.UTF-8"), // or a download's name loses its letters where no locale is set
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// Patience is how long a page may take, on a machine that is busy.
const Patience = 90 * time.Second

// Window is the context by which chromedp finds the tab.
func (b *Tab) Window() context.Context { return b.ctx }

// Do performs steps, of which the error would say what they were for.
func (b *Tab) Do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

// Open goes to an address.
func (b *Tab) Open(url string) { b.Helper(); b.Do("open "+url, chromedp.Navigate(url)) }

// Size changes the window, in pixels.
func (b *Tab) Size(w, h int64) { b.Helper(); b.Do("resize", chromedp.EmulateViewport(w, h)) }

// Dark is what the person prefers.
func (b *Tab) Dark(on bool) {
	b.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.Fatalf("choose %s: %v", scheme, err)
	}
}

// Click clicks what is visible, or will be.
func (b *Tab) Click(sel string) {
	b.Helper()
	b.Do("click "+sel, chromedp.Click(chromedp.CSS(sel), chromedp.NodeVisible))
}

// Hold presses a button with the mouse, and lets it go when meanwhile is over.
func (b *Tab) Hold(sel string, meanwhile func()) {
	b.Helper()
	b.Do("find "+sel, chromedp.ScrollIntoView(chromedp.CSS(sel)))
	at := Eval[[]float64](b, fmt.Sprintf("(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector(%q).getBoundingClientRect())", sel))
	mouse := func(what input.DispatchMouseEventType) {
		b.Helper()
		_, err := chromedp.Call(b.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: what, X: at[0], Y: at[1], Button: "left", ClickCount: 1})
		if err != nil {
			b.Fatalf("%s %s: %v", what, sel, err)
		}
	}
	mouse("mousePressed")
	meanwhile()
	mouse("mouseReleased")
}

// Write puts a text into a field, in place of what it holds.
func (b *Tab) Write(sel, text string) {
	b.Helper()
	b.Do("find "+sel, chromedp.WaitVisible(chromedp.CSS(sel)))
	Eval[bool](b, fmt.Sprintf("(document.querySelector(%q).value = '', true)", sel))
	b.Do("write into "+sel, chromedp.SendKeys(chromedp.CSS(sel), text))
}

// Eval evaluates an expression on the page.
func Eval[T any](b *Tab, js string) (v T) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("evaluate %s: %v", js, err)
	}
	return v
}

// Until waits for a condition on the page. A page that is being left answers
// nothing; the next one does.
func (b *Tab) Until(what, js string) {
	b.Helper()
	end := time.Now().Add(Patience)
	for time.Now().Before(end) {
		ctx, cancel := context.WithTimeout(b.ctx, Patience)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("new Promise(d => setTimeout(() => d(Boolean("+js+")), 20))", chromedp.EvalAwaitPromise))
		cancel()
		if err == nil && ok {
			return
		}
	}
	b.Shot("failure")
	b.Fatalf("waiting for %s; the page says:\n%s", what, Eval[string](b, "document.body.innerText"))
}

// Sees waits until the page shows a text.
func (b *Tab) Sees(text string) {
	b.Helper()
	b.Until(fmt.Sprintf("the text %q", text), fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// Shot keeps a picture where GATEHOUSE_SCREENSHOTS names a folder.
func (b *Tab) Shot(name string) {
	b.Helper()
	dir := os.Getenv("GATEHOUSE_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		b.Fatal(err)
	}
}

// Looks takes pictures in all manners and checks the width of a phone.
func (b *Tab) Looks(name string) {
	b.Helper()
	b.Size(360, 740)
	if over := Eval[int](b, "document.scrollingElement.scrollWidth - innerWidth"); over > 0 {
		b.Errorf("%s is %d pixels too wide for a phone", name, over)
	}
	b.Shot(name + "-phone")
	b.Size(1280, 860)
	b.Shot(name + "-light")
	b.Dark(true)
	b.Shot(name + "-dark")
	b.Dark(false)
}
