package vector_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-chat/gatehouse/memory/internal/vector"
)

func unit(r *rand.Rand, n int) []float32 {
	v, square := make([]float32, n), 0.0
	for i := range v {
		v[i] = float32(r.NormFloat64())
		square += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(square))
	}
	return v
}

func idsOf(near []vector.Near) []int64 {
	var out []int64
	for _, c := range near {
		out = append(out, c.ID)
	}
	return out
}

func dot(a, b []float32) (s float64) {
	for i := range a {
		s += float64(a[i]) * float64(b[i])
	}
	return s
}

func TestCodesKeepTheCosine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
	for _, n := range []int{1, 63, 64, 65, 384, 1536} {
		for range 20 {
			a, b := unit(r, n), unit(r, n)
			if got, want := vector.Encode(b).Cosine(a), dot(a, b); math.Abs(got-want) > 0.01 {
				t.Errorf("%d dimensions: %v, want %v", n, got, want)
			}
			if got := vector.Encode(a).Cosine(a); got < 0.999 {
				t.Errorf("%d dimensions: with itself %v", n, got)
			}
		}
	}
}

func TestOddCodes(t *testing.T) {
	zero := vector.Encode(make([]float32, 8))
	if zero.Dimensions() != 8 || zero.Cosine(make([]float32, 8)) != 0 {
		t.Errorf("zero: %v", zero)
	}
	if c := vector.Encode(nil); c != nil || c.Dimensions() != 0 || c.Cosine([]float32{1}) != 0 || len(c.Signs(nil)) != 0 {
		t.Errorf("nothing: %v", c)
	}
	if got := vector.Code("abc").Cosine([]float32{1}); got != 0 {
		t.Errorf("too short: %v", got)
	}
}

// TestSignsFindTheNearest: among the candidates are nearly all of the nearest.
func TestSignsFindTheNearest(t *testing.T) {
	for _, n := range []int{64, 100, 384} {
		r := rand.New(rand.NewPCG(3, uint64(n))) //nolint:gosec // the same in each run
		signs := vector.NewSigns(n, 1<<30)
		centre := unit(r, n)
		vectors := map[int64][]float32{}
		for i := range int64(2000) {
			v := unit(r, n)
			for j := range v { // so that some are near
				v[j] += centre[j] * float32(i%4) / 2
			}
			vectors[i] = v
			signs.Add(i%3, i, vector.Encode(v))
		}
		type scored struct {
			id  int64
			dot float64
		}
		var all []scored
		for id, v := range vectors {
			if id%3 != 1 {
				all = append(all, scored{id, vector.Encode(v).Cosine(centre)})
			}
		}
		slices.SortFunc(all, func(a, b scored) int {
			if a.dot > b.dot {
				return -1
			}
			return 1
		})
		wanted := 200 * max(1, 300/n) // fewer bits tell less
		near, compared := signs.Nearest([]int64{0, 2}, centre, wanted)
		if !compared {
			t.Error("the codes are not held")
		}
		got := idsOf(near)
		for _, c := range near {
			if want := vector.Encode(vectors[c.ID]).Cosine(centre); c.Cosine != want {
				t.Errorf("%d has %v, want %v", c.ID, c.Cosine, want)
			}
		}
		if len(got) != wanted {
			t.Errorf("%d candidates", len(got))
		}
		missed := 0
		for _, s := range all[:10] {
			if !slices.Contains(got, s.id) {
				missed++
			}
		}
		if missed > 0 {
			t.Errorf("%d dimensions: %d of the nearest 10 are missed", n, missed)
		}
		if slices.ContainsFunc(got, func(id int64) bool { return id%3 == 1 }) {
			t.Error("candidates of another unit")
		}
	}
}

// TestSignsAreASet: whatever is added, replaced and removed, what is there is
// found, and nothing else.
func TestSignsAreASet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		room := rapid.SampledFrom([]int{0, 300, 1 << 20}).Draw(rt, "room")
		signs, most := vector.NewSigns(70, room), 0
		codes := map[[2]int64]vector.Code{}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1)) //nolint:gosec // a test
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			unitID, id := rapid.Int64Range(1, 3).Draw(rt, "unit"), rapid.Int64Range(1, 9).Draw(rt, "id")
			if rapid.Bool().Draw(rt, "add") {
				codes[[2]int64{unitID, id}] = vector.Encode(unit(r, 70))
				signs.Add(unitID, id, codes[[2]int64{unitID, id}])
				most = max(most, len(codes))
			} else {
				signs.Remove(unitID, id)
				delete(codes, [2]int64{unitID, id})
			}
		}
		for u := range int64(3) {
			query := unit(r, 70)
			near, compared := signs.Nearest([]int64{u + 1}, query, 100)
			if compared && most*(4+70) > room {
				rt.Fatalf("codes of %d vectors are held in %d bytes", most, room)
			}
			for _, c := range near {
				if want := codes[[2]int64{u + 1, c.ID}].Cosine(query); compared && c.Cosine != want {
					rt.Fatalf("%d has %v, want %v", c.ID, c.Cosine, want)
				}
			}
			got := idsOf(near)
			slices.Sort(got)
			var want []int64
			for id := range int64(9) {
				if codes[[2]int64{u + 1, id + 1}] != nil {
					want = append(want, id+1)
				}
			}
			if !slices.Equal(got, want) {
				rt.Fatalf("unit %d has %v, want %v", u+1, got, want)
			}
		}
	})
}
