package local_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/memory"
	"github.com/gatehouse-chat/gatehouse/memory/embed/local"
)

func open(t testing.TB) *local.Embedder {
	t.Helper()
	e, err := local.New()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func vectors(t testing.TB, e memory.Embedder, texts ...string) [][]float32 {
	t.Helper()
	v, err := e.Embed(t.Context(), memory.ForPassage, texts)
	if err != nil {
		t.Fatal(err)
	}
	if len(v) != len(texts) {
		t.Fatalf("%d vectors of %d texts", len(v), len(texts))
	}
	return v
}

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// Each question is nearer to what answers it than to any other answer.
func TestNearness(t *testing.T) {
	pairs := [][2]string{
		{"where did I leave my car?", "The vehicle is parked behind the station."},
		{"what does the doctor say about my knee", "Physician: the joint needs surgery, pain will remain for weeks."},
		{"which wine did we drink", "The bottle of red at dinner was a Rioja from 2019."},
		{"programming language for the server", "The backend software is written in Go."},
		{"Wie heißt das Kündigungsschreiben?", "Das Schreiben zur Kündigung heisst brief.pdf"},
		{"¿dónde están las llaves?", "La llave está debajo de la maceta."},
		{"梅雨とは何か", "梅雨は、春から夏にかけての雨の多い時期である。"},
		{"图书馆几点开门", "市图书馆每天早上九点开门。"},
		{"где лежат документы", "Документ лежит в синей папке."},
	}
	e := open(t)
	var answers []string
	for _, p := range pairs {
		answers = append(answers, p[1])
	}
	known := vectors(t, e, answers...)
	for i, p := range pairs {
		question := vectors(t, e, p[0])[0]
		best := 0
		for j := range known {
			if cosine(question, known[j]) > cosine(question, known[best]) {
				best = j
			}
		}
		if best != i {
			t.Errorf("%q is nearest to %q (%.2f), not to %q (%.2f)",
				p[0], answers[best], cosine(question, known[best]), answers[i], cosine(question, known[i]))
		}
	}
}

func TestVectors(t *testing.T) {
	e := open(t)
	texts := []string{"The garden is green.", "Ｔｈｅ ｇａｒｄｅｎ ｉｓ ｇｒｅｅｎ。", "", "... --- 👍", "x", "庭", "\xff\xfe"}
	got := vectors(t, e, texts...)
	if diff := cmp.Diff(got[0], got[1]); diff != "" {
		t.Errorf("forms of width differ: %s", diff)
	}
	if diff := cmp.Diff(got, vectors(t, e, texts...)); diff != "" {
		t.Errorf("the same texts, other vectors: %s", diff)
	}
	for i, v := range got {
		if words := i != 2 && i != 3 && i != 6; words != (v != nil) {
			t.Errorf("%q: a vector %t, want %t", texts[i], v != nil, words)
		}
		if v == nil {
			continue
		}
		if len(v) != e.Dimensions() {
			t.Errorf("%q has %d dimensions", texts[i], len(v))
		}
		if l := math.Sqrt(cosine(v, v)); math.Abs(l-1) > 1e-5 {
			t.Errorf("%q has length %v", texts[i], l)
		}
	}
}

// The first thing that a search looks at is the signs: texts that share words
// share signs, in languages whose words the embedder does not know as well.
func TestSignsTellTextsApart(t *testing.T) {
	e := open(t)
	v := vectors(t, e,
		"市图书馆每天早上九点开门", "图书馆几点开门", "狗喜欢在花园里玩球", // the second is near the first
		"die Bibliothek öffnet um neun", "wann öffnet die Bibliothek", "Hunde spielen gern Ball",
	)
	same := func(a, b []float32) (n int) {
		for i := range a {
			if (a[i] < 0) == (b[i] < 0) {
				n++
			}
		}
		return n
	}
	for i := 0; i < len(v); i += 3 {
		near, far := same(v[i], v[i+1]), same(v[i], v[i+2])
		if near < far+30 || far > 230 {
			t.Errorf("text %d shares %d signs with what is near and %d of 384 with what is not", i, near, far)
		}
	}
}

// A change of what makes a vector must change the model's name: vectors that
// are stored would else be compared with others.
func TestTheNameStandsForTheVectors(t *testing.T) {
	e := open(t)
	v := vectors(t, e, "The garden of 花园 is verde")[0]
	got := []float32{v[0], v[99], v[100], v[383]}
	want := []float32{0.037617743, 0.056515355, -0.078704797, 0.026674805}
	near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-5 })
	if diff := cmp.Diff(want, got, near); diff != "" || e.Model() != "local/words-and-spelling/1/384" {
		t.Errorf("%s makes other vectors than it did; give it another name\n%s", e.Model(), diff)
	}
}

func TestEmbedEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t).Embed(ctx, memory.ForQuery, []string{"a"}); err == nil {
		t.Error("no error after the end")
	}
}

func FuzzEmbed(f *testing.F) {
	e := open(f)
	for _, s := range []string{"The garden", "庭は緑", "e\u0301\u0301", "\xff", "ﷺ", strings.Repeat("a", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, x := range vectors(t, e, s)[0] {
			if math.IsNaN(float64(x)) || math.Abs(float64(x)) > 1.0001 {
				t.Fatalf("%v in a vector", x)
			}
		}
	})
}

func BenchmarkEmbed(b *testing.B) {
	e := open(b)
	text := strings.Repeat("The garden behind the house has apple trees and a well that nobody has used since 1987. ", 10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		vectors(b, e, text)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		open(b)
	}
}

// What the embedder says weighs by how much of the question it knows the meaning of.
func TestWeight(t *testing.T) {
	e := open(t)
	english := e.Weight("where did I leave my car")
	mixed := e.Weight("Frühstücksgewohnheiten der Nachbarin: tea")
	for _, question := range []string{"図書館は何時に開くか", "图书馆几点开门", "", "?!"} {
		if weight := e.Weight(question); weight <= 0 || weight >= mixed {
			t.Errorf("%q: weighs %v, and %v where one word is known", question, weight, mixed)
		}
	}
	if english <= mixed {
		t.Errorf("says %v in English, and %v where one word is known", english, mixed)
	}
}
