package wasm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-chat/gatehouse/channels"
	"github.com/gatehouse-chat/gatehouse/internal/module"
	"github.com/gatehouse-chat/gatehouse/internal/sandbox"
)

// Options of a driver. The zero value opens packages from files and compiles
// them anew at each start.
type Options struct {
	// CacheDir keeps compiled modules; "": nothing is kept.
	CacheDir string
	// Shipped returns the package that is part of the program; nil: there are none.
	Shipped func(name string) ([]byte, error)
	// Names are those that Shipped knows, for messages.
	Names []string
	// Installed finds what the operator installed under a name; nil: nothing is known
	// of that here, and sections with an unknown name are not checked further.
	Installed func(ctx context.Context, name string) (Installed, error)
	// Trust knows the publishers that were revoked; nil: none was.
	Trust module.Trust
	// OnTrial is for the authors of modules: faults say where in a module they
	// happened, and a call has a minute by the clock (see trialWall).
	OnTrial bool
	// Watch bounds how long a guest may let its host wait between two polls; 0:
	// as long as it says.
	Watch time.Duration
}

// Driver opens channels whose logic is a guest. All of them share one sandbox,
// and those of one module its compiled code. Its methods may be called
// concurrently.
type Driver struct {
	o Options

	mu      sync.Mutex
	box     *sandbox.Sandbox  // made by the first Run
	shipped map[string]*guest // by name
	known   map[string]*guest // installed ones, by the sum of their packages
	faults  map[Fault]int64
	starts  map[string]Starts   // by the sum of the package
	begun   int                 // loadings
	loaded  map[string]*loading // by the sum of the package
}

var _ channels.Driver = (*Driver)(nil)

// Installed is a module that the operator installed.
type Installed struct {
	Sum    string // of the package
	Barred string // why it must not run; "": it may
	Open   func(ctx context.Context) ([]byte, error)
}

// guest is a package with what the host makes of its manifest.
type guest struct {
	pkg    *module.Package
	terms  *terms
	barred string // why it must not run; "": it may
}

// Fault is how a guest failed, for counting.
type Fault struct{ Module, Kind string }

// Failures counts the faults of all guests since the process began.
func (d *Driver) Failures() map[Fault]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.faults)
}

func (d *Driver) count(f *sandbox.Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[Fault{f.Module, string(f.Kind)}]++
}

// loading is a module that is loaded once.
type loading struct {
	id    string // of the module
	since int    // how many were begun before it
	users int    // channels that run; the driver's lock guards it
	mu    sync.Mutex
	m     *sandbox.Module
	// A module that fails at its start fails again: it is not tried anew before
	// its pause is over.
	strikes strikes
	err     error
}

// NewDriver makes a driver. Close gives back what its channels used.
func NewDriver(o Options) *Driver {
	return &Driver{o: o, shipped: map[string]*guest{}, known: map[string]*guest{}, loaded: map[string]*loading{}, faults: map[Fault]int64{}, starts: map[string]Starts{}}
}

const driverName = "wasm"

// Name implements channels.Driver.
func (*Driver) Name() string { return driverName }

const ownSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["module"],
  "properties": {
    "module": {
      "type": "string",
      "description": "The guest: the name of a module that is installed or part of the program, such as telegram, or the path of a package file. The other keys are the module's own."
    },
    "publisher": {
      "type": "string",
      "description": "The key that signed the package, such as ed25519:abc. Needed for a package file, which is refused when anybody else signed it."
    }
  }
}
`

// Schema implements channels.Driver. It has the keys of every module; For knows
// those of one.
func (*Driver) Schema() []byte { return []byte(ownSchema) }

// Check implements channels.Driver. It reads the package's file.
func (d *Driver) Check(cfg json.RawMessage) []channels.Fault {
	m, faults := d.find(cfg)
	if m == nil {
		return faults
	}
	return (&modular{d, m}).Check(cfg)
}

// Open implements channels.Driver. It reads the package's file.
func (d *Driver) Open(ctx context.Context, h channels.Host, cfg json.RawMessage) (channels.Channel, error) {
	if _, faults := d.find(cfg); len(faults) > 0 {
		return nil, faultsError(h.ID(), faults)
	}
	return d.For(cfg).Open(ctx, h, cfg)
}

// For is the driver as the module of this section has it: with its keys in the
// schema, and the hosts that its manifest names. Channels of a module that is not
// there wait for it. It is d itself where the section has faults.
func (d *Driver) For(cfg json.RawMessage) channels.Driver {
	m, faults := d.find(cfg)
	switch {
	case m != nil:
		return &modular{d, m}
	case len(faults) > 0:
		return d
	}
	var s struct {
		Module string `json:"module"`
	}
	_ = json.Unmarshal(cfg, &s) // find has read it
	return absent{d.nowhere(s.Module)}
}

// find opens the package that a section names.
func (d *Driver) find(cfg json.RawMessage) (*guest, []channels.Fault) {
	g, faults := d.module(cfg)
	if g != nil && g.pkg.Manifest.Tool != nil {
		return nil, []channels.Fault{{Path: "module", Text: "is a tool and no channel; name it under agent.tools, as module:" + g.pkg.Manifest.ID}}
	}
	return g, faults
}

func (d *Driver) module(cfg json.RawMessage) (*guest, []channels.Fault) {
	var s struct {
		Module    any `json:"module"`
		Publisher any `json:"publisher"`
	}
	if json.Unmarshal(cfg, &s) != nil {
		return nil, []channels.Fault{{Text: "the section must be a mapping of keys to values"}}
	}
	name, _ := s.Module.(string)
	publisher, _ := s.Publisher.(string)
	switch {
	case name == "":
		return nil, []channels.Fault{{Path: "module", Text: "is missing: the name of a module that is installed or part of the program (" +
			cmp.Or(strings.Join(d.o.Names, ", "), "none") + "), or the path of a package file"}}
	case !strings.ContainsAny(name, `/\.`):
		return d.named(name)
	}
	g, err := openFile(name)
	if err != nil {
		return nil, []channels.Fault{{Path: "module", Text: err.Error()}}
	}
	switch signer := g.pkg.Publisher; {
	case signer == nil:
		return nil, []channels.Fault{{Path: "module", Text: "the package is not signed; sign it and name the key under publisher"}}
	case publisher == "":
		return nil, []channels.Fault{{Path: "publisher", Text: fmt.Sprintf("is missing: the package is signed by %s; write that here if you trust it", signer)}}
	case signer.String() != publisher:
		return nil, []channels.Fault{{Path: "publisher", Text: fmt.Sprintf("is not who signed the package, which is %s", signer)}}
	}
	return d.standing(g)
}

func openFile(path string) (*guest, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("the package cannot be read: %w", err)
	}
	return open(b)
}

func open(b []byte) (*guest, error) {
	p, err := module.Open(b)
	if err != nil {
		return nil, err
	}
	t, err := newTerms(p.Manifest)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", p.Manifest.ID, err)
	}
	return &guest{pkg: p, terms: t}, nil
}

// load makes a module ready, once for all channels that run it. Compiling a
// large one takes seconds.
func (d *Driver) load(ctx context.Context, p *module.Package) (*sandbox.Module, error) {
	l, box, err := d.entry(ctx, p)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m != nil {
		return l.m, nil
	}
	if l.strikes.pause() > 0 {
		return nil, l.err
	}
	cfg := (&guest{pkg: p}).config()
	if d.o.OnTrial {
		cfg.Limits.Wall = max(cfg.Limits.Wall, trialWall)
	}
	l.m, l.err = box.Load(ctx, p.Module, cfg)
	var f *sandbox.Fault
	if errors.As(l.err, &f) {
		d.count(f)
		l.strikes.rest()
	}
	return l.m, l.err
}

func (d *Driver) entry(ctx context.Context, p *module.Package) (*loading, *sandbox.Sandbox, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.box == nil {
		var err error
		if d.box, err = sandbox.New(context.WithoutCancel(ctx), sandbox.Options{CacheDir: d.o.CacheDir, Places: d.o.OnTrial}); err != nil {
			return nil, nil, err
		}
	}
	l := d.loaded[p.Sum]
	if l == nil {
		d.begun++
		l = &loading{id: p.Manifest.ID, since: d.begun}
		d.loaded[p.Sum] = l
	}
	return l, d.box, nil
}

// hold counts a channel that runs on a module. The function that it returns ends
// that, and gives the code back if the module was replaced and nobody runs on it
// any more.
func (d *Driver) hold(ctx context.Context, p *module.Package) (release func(), err error) {
	l, _, err := d.entry(ctx, p)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l.users++
	return func() {
		d.mu.Lock()
		l.users--
		replaced := l.users == 0 && d.loaded[p.Sum] == l && slices.ContainsFunc(slices.Collect(maps.Values(d.loaded)), func(x *loading) bool {
			return x.id == l.id && x.since > l.since
		})
		if replaced {
			delete(d.loaded, p.Sum)
			delete(d.known, p.Sum)
		}
		d.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if replaced && l.m != nil {
			l.m.Close(context.WithoutCancel(ctx))
		}
	}, nil
}

// Close gives back the compiled code. No channel may be in use any more.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.box == nil {
		return nil
	}
	err := d.box.Close(context.Background())
	d.box = nil
	clear(d.loaded)
	return err
}

func faultsError(id channels.ID, faults []channels.Fault) error {
	var errs []error
	for _, f := range faults {
		errs = append(errs, fmt.Errorf("%s %s", f.Path, f.Text)) //nolint:err113 // for people
	}
	return fmt.Errorf("wasm channel %s: %w", id, errors.Join(errs...))
}
