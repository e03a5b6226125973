package mirror_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/gateway/bus/inprocess"
	"github.com/gatehouse-chat/gatehouse/gateway/bus/internal/mirror"
	"github.com/gatehouse-chat/gatehouse/internal/db/kv"
)

// counted is a store that counts what is read from it.
type counted struct {
	kv.Reader
	reads  int
	before func() // something that happens while a space is being read
}

func (c *counted) Get(ctx context.Context, space, key string) (kv.Entry, error) {
	c.reads++
	return c.Reader.Get(ctx, space, key)
}

func (c *counted) List(ctx context.Context, space, prefix, after string, limit int) ([]kv.Entry, error) {
	c.reads++
	all, err := c.Reader.List(ctx, space, prefix, after, limit)
	if f := c.before; f != nil {
		c.before = nil
		f()
	}
	return all, err
}

type rig struct {
	t      testing.TB
	store  *inprocess.Engine
	behind *counted
	mirror *mirror.Mirror
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, store: inprocess.New(inprocess.Options{})}
	r.behind = &counted{Reader: r.store}
	r.mirror = mirror.New(r.behind)
	r.store.Watch(r.mirror.Apply)
	return r
}

func (r *rig) write(w ...kv.Write) {
	r.t.Helper()
	if err := r.store.Write(context.Background(), w...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) get(space, key string) kv.Entry {
	r.t.Helper()
	e, err := r.mirror.Get(context.Background(), space, key)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// TestSame: whatever is written and read in whatever order, the mirror answers
// as the store does.
func TestSame(t *testing.T) {
	ctx := context.Background()
	key := rapid.StringOfN(rapid.SampledFrom([]rune("ab/é\U0010ffff")), 1, 4, -1)
	prefix := rapid.StringOfN(rapid.SampledFrom([]rune("ab/é\U0010ffff")), 0, 2, -1)
	space := rapid.SampledFrom([]string{"x", "y"})
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		same := func(what string, got, want any, err, wantErr error) {
			if d := cmp.Diff(want, got); d != "" || err != nil || wantErr != nil {
				rt.Fatalf("%s: %v, %v\n%s", what, err, wantErr, d)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				var all []kv.Write
				for range rapid.IntRange(1, 4).Draw(rt, "n") {
					w := kv.Write{Space: space.Draw(rt, "space"), Key: key.Draw(rt, "key")}
					if rapid.IntRange(0, 3).Draw(rt, "delete") > 0 {
						w.Value = []byte(key.Draw(rt, "value"))
					}
					all = append(all, w)
				}
				r.write(all...)
			},
			"get": func(rt *rapid.T) {
				s, k := space.Draw(rt, "space"), key.Draw(rt, "key")
				got, err := r.mirror.Get(ctx, s, k)
				want, wantErr := r.store.Get(ctx, s, k)
				same("get", got, want, err, wantErr)
			},
			"list": func(rt *rapid.T) {
				s, p, a, n := space.Draw(rt, "space"), prefix.Draw(rt, "prefix"), prefix.Draw(rt, "after"), rapid.IntRange(0, 3).Draw(rt, "limit")
				got, err := r.mirror.List(ctx, s, p, a, n)
				want, wantErr := r.store.List(ctx, s, p, a, n)
				same("list", append([]kv.Entry{}, got...), append([]kv.Entry{}, want...), err, wantErr)
			},
			"latest": func(rt *rapid.T) {
				s, p, n := space.Draw(rt, "space"), prefix.Draw(rt, "prefix"), rapid.IntRange(0, 3).Draw(rt, "n")
				got, err := r.mirror.Latest(ctx, s, p, n)
				want, wantErr := r.store.Latest(ctx, s, p, n)
				same("latest", append([]kv.Entry{}, got...), append([]kv.Entry{}, want...), err, wantErr)
			},
		})
	})
}

// TestReadsOnce: a small space is read once, and what is not in it costs nothing.
func TestReadsOnce(t *testing.T) {
	r := newRig(t)
	r.write(kv.Write{Space: "x", Key: "a", Value: []byte("1")})
	for range 3 {
		if e := r.get("x", "a"); string(e.Value) != "1" {
			t.Fatalf("read %+v", e)
		}
		if e := r.get("x", "b"); e.Version != 0 {
			t.Fatalf("read %+v", e)
		}
	}
	if r.behind.reads != 1 {
		t.Errorf("%d reads", r.behind.reads)
	}
}

// TestChangedWhileRead: what is committed while a space is being read is not
// lost, although what was read does not show it.
func TestChangedWhileRead(t *testing.T) {
	r := newRig(t)
	r.write(kv.Write{Space: "x", Key: "a", Value: []byte("old")})
	r.behind.before = func() { r.write(kv.Write{Space: "x", Key: "a", Value: []byte("new")}) }
	if e := r.get("x", "a"); string(e.Value) != "new" {
		t.Errorf("read %q while it changed", e.Value)
	}
	if e := r.get("x", "a"); string(e.Value) != "new" {
		t.Errorf("read %q later", e.Value)
	}
}

// TestOwnCopies: a reader that spoils what it got, or a writer that goes on to
// use its buffer, changes nothing for others.
func TestOwnCopies(t *testing.T) {
	r := newRig(t)
	r.get("x", "a") // now the space is known
	value := []byte("good")
	r.write(kv.Write{Space: "x", Key: "a", Value: value})
	value[0] = 'f'
	r.get("x", "a").Value[0] = 'm'
	if e := r.get("x", "a"); string(e.Value) != "good" {
		t.Errorf("read %q", e.Value)
	}
}

// TestLarge: a space that has grown too large, in rows or in bytes, is read from
// the store, and rightly.
func TestLarge(t *testing.T) {
	const rows, bytes = 8192, 2 << 20
	for name, fill := range map[string]func(i int) (kv.Write, bool){
		"rows": func(i int) (kv.Write, bool) {
			return kv.Write{Space: "x", Key: fmt.Sprintf("%06d", i), Value: []byte("v")}, i < rows
		},
		"bytes": func(i int) (kv.Write, bool) {
			return kv.Write{Space: "x", Key: fmt.Sprint(i), Value: make([]byte, bytes/8)}, i < 7
		},
	} {
		for _, early := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, known before: %t", name, early), func(t *testing.T) {
				r := newRig(t)
				if early {
					r.get("x", "none")
				}
				var fits []kv.Write
				i := 0
				for w, ok := fill(i); ok; w, ok = fill(i) {
					fits, i = append(fits, w), i+1
				}
				r.write(fits...)
				r.get("x", fits[0].Key)
				reads := r.behind.reads
				r.get("x", fits[0].Key)
				if r.behind.reads != reads {
					t.Fatal("a space that fits is read from the store")
				}
				last, _ := fill(i)
				r.write(last)
				if e := r.get("x", last.Key); e.Version != 1 {
					t.Fatalf("read %+v", e)
				}
				if r.behind.reads == reads {
					t.Error("a space that does not fit is kept in memory")
				}
			})
		}
	}
}

// TestUnasked: a space that changes again and again while nobody asks for it is
// let go, and read anew for whoever asks then; one that is asked for stays.
func TestUnasked(t *testing.T) {
	r := newRig(t)
	const changes = 300 // more than are taken in for nobody
	for _, space := range []string{"asked", "unasked"} {
		r.write(kv.Write{Space: space, Key: "k", Value: []byte("0")})
		r.get(space, "k")
	}
	read := r.behind.reads
	for i := range changes {
		for _, space := range []string{"asked", "unasked"} {
			r.write(kv.Write{Space: space, Key: "k", Value: fmt.Append(nil, i)})
		}
		r.get("asked", "k")
	}
	if n := r.behind.reads - read; n != 0 {
		t.Errorf("a space that is asked for all the time was read %d times", n)
	}
	if got := string(r.get("unasked", "k").Value); got != fmt.Sprint(changes-1) {
		t.Errorf("got %s, which is not the last value", got)
	}
	if n := r.behind.reads - read; n != 1 {
		t.Errorf("the space that nobody had asked for was read %d times, not anew", n)
	}
}
