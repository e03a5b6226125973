package vector

import (
	"math/bits"
	"slices"
	"sync"
)

// Signs holds the bits of many vectors of one length in memory, by the unit that
// each belongs to, and their codes as well while there is room for all of them.
// Its methods may be called concurrently.
type Signs struct {
	dimensions int
	words      int // of 64 bits, for each vector

	mu    sync.RWMutex
	room  int  // bytes of codes that may still be held
	bare  bool // there was no room for all codes: none is held
	units map[int64]*block
}

// block has the vectors of one unit: ids[i] has bits[i*words:], and the code of
// its length at codes[i*length:].
type block struct {
	ids   []int64
	bits  []uint64
	codes []byte
}

// NewSigns makes an empty set for vectors of some length, which holds their codes
// until these have more than some bytes.
func NewSigns(dimensions, most int) *Signs {
	return &Signs{dimensions: dimensions, words: (dimensions + 63) / 64, room: most, units: map[int64]*block{}}
}

// Reserve makes room for the vectors of a unit that is not there yet, so that
// nothing has to grow while they are loaded.
func (s *Signs) Reserve(unit int64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &block{ids: make([]int64, 0, n), bits: make([]uint64, 0, n*s.words)}
	if bytes := n * Length(s.dimensions); !s.bare && bytes <= s.room {
		b.codes = make([]byte, 0, bytes)
	}
	s.units[unit] = b
}

// Add puts a vector in; one with a known id of the unit is put in its place.
func (s *Signs) Add(unit, id int64, c Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(unit, id)
	s.push(unit, id, c)
}

// Load puts in a vector that is known not to be there.
func (s *Signs) Load(unit, id int64, c Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(unit, id, c)
}

func (s *Signs) push(unit, id int64, c Code) {
	if c.Dimensions() != s.dimensions {
		return
	}
	b := s.units[unit]
	if b == nil {
		b = &block{}
		s.units[unit] = b
	}
	b.ids = append(b.ids, id)
	b.bits = c.Signs(b.bits)
	if s.room -= len(c); s.room < 0 && !s.bare {
		s.bare = true
		for _, b := range s.units {
			b.codes = nil
		}
	}
	if !s.bare {
		b.codes = append(b.codes, c...)
	}
}

// Remove takes a vector out.
func (s *Signs) Remove(unit, id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(unit, id)
}

func (s *Signs) remove(unit, id int64) {
	b := s.units[unit]
	if b == nil {
		return
	}
	last, length := len(b.ids)-1, Length(s.dimensions)
	for i := last; i >= 0; i-- { // what is removed is mostly young
		if b.ids[i] != id {
			continue
		}
		b.ids[i] = b.ids[last]
		copy(b.bits[i*s.words:(i+1)*s.words], b.bits[last*s.words:])
		b.ids, b.bits = b.ids[:last], b.bits[:last*s.words]
		s.room += length
		if !s.bare {
			copy(b.codes[i*length:(i+1)*length], b.codes[last*length:])
			b.codes = b.codes[:last*length]
		}
		return
	}
}

// wider is how many more are looked at by their bits alone than are returned.
const wider = 8

// Near is a vector that may be near.
type Near struct {
	ID     int64
	Cosine float64 // where the codes are held
}

// Nearest returns n vectors, or fewer, in no order: of those whose bits differ
// least from the query's, the ones that the query itself points to the most. It
// reports whether they were compared by their codes as well.
func (s *Signs) Nearest(units []int64, query []float32, n int) (near []Near, compared bool) {
	code := Encode(query).Signs(make([]uint64, 0, s.words))
	if len(query) != s.dimensions || n <= 0 {
		return nil, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	total := 0
	for _, u := range units {
		if b := s.units[u]; b != nil {
			total += len(b.ids)
		}
	}
	distances := make([]uint16, total)
	count := make([]int, s.words*64+1)
	at := 0
	for _, u := range units {
		if b := s.units[u]; b != nil {
			at += s.measure(b, code, distances[at:], count)
		}
	}
	limit, sum := 0, 0
	for limit < len(count)-1 && sum+count[limit] < wider*n {
		sum += count[limit]
		limit++
	}
	all := s.refine(s.within(units, distances, uint16(limit), min(total, wider*n)), query, n)
	near = make([]Near, len(all))
	length := Length(s.dimensions)
	for i, c := range all {
		near[i].ID = c.in.ids[c.at]
		if !s.bare {
			near[i].Cosine = Code(c.in.codes[c.at*length : (c.at+1)*length]).Cosine(query)
		}
	}
	return near, !s.bare
}

// measure writes the distance of each vector of a block.
func (s *Signs) measure(b *block, query []uint64, distances []uint16, count []int) int {
	if s.words == 6 { // 384 dimensions, the usual size
		q := [6]uint64(query)
		for i := range b.ids {
			v := b.bits[i*6 : i*6+6 : i*6+6]
			d := bits.OnesCount64(v[0]^q[0]) + bits.OnesCount64(v[1]^q[1]) + bits.OnesCount64(v[2]^q[2]) +
				bits.OnesCount64(v[3]^q[3]) + bits.OnesCount64(v[4]^q[4]) + bits.OnesCount64(v[5]^q[5])
			distances[i] = uint16(d) //nolint:gosec // 384 at most
			count[d]++
		}
		return len(b.ids)
	}
	for i := range b.ids {
		d := 0
		for j, w := range b.bits[i*s.words : (i+1)*s.words] {
			d += bits.OnesCount64(w ^ query[j])
		}
		distances[i] = uint16(d)
		count[d]++
	}
	return len(b.ids)
}

// candidate is where a vector stands.
type candidate struct {
	in *block
	at int
}

// within collects what is nearer than the limit, and at the limit as far as there
// is room.
func (s *Signs) within(units []int64, distances []uint16, limit uint16, room int) []candidate {
	out := make([]candidate, 0, room)
	var edge []candidate
	at := 0
	for _, u := range units {
		b := s.units[u]
		if b == nil {
			continue
		}
		for i, d := range distances[at : at+len(b.ids)] {
			if d < limit {
				out = append(out, candidate{in: b, at: i})
			} else if d == limit && len(edge) < room {
				edge = append(edge, candidate{in: b, at: i})
			}
		}
		at += len(b.ids)
	}
	return append(out, edge[:min(len(edge), max(0, room-len(out)))]...)
}

// refine keeps the n candidates to which the query points the most: it is
// multiplied with their signs, eight at a time by a table.
func (s *Signs) refine(all []candidate, query []float32, n int) []candidate {
	if len(all) <= n {
		return all
	}
	tables := tablesOf(query, s.words*8)
	scores := make([]float32, len(all))
	for i, c := range all {
		scores[i] = tables.dot(c.in.bits[c.at*s.words : (c.at+1)*s.words])
	}
	sorted := slices.Clone(scores)
	slices.Sort(sorted)
	least := sorted[len(sorted)-n] // of those that are kept
	out := make([]candidate, 0, n)
	for i, c := range all {
		if scores[i] > least {
			out = append(out, c)
		}
	}
	for i, c := range all {
		if scores[i] == least && len(out) < n {
			out = append(out, c)
		}
	}
	return out
}

// tables hold, for each eight dimensions of a query and each pattern of their
// signs, what they add to the product.
type tables [][256]float32

func tablesOf(query []float32, n int) tables {
	t := make(tables, n)
	for i := range t {
		part := query[min(i*8, len(query)):min(i*8+8, len(query))]
		for _, q := range part {
			t[i][0] -= q
		}
		for pattern := 1; pattern < 256; pattern++ {
			low := bits.TrailingZeros8(uint8(pattern))
			t[i][pattern] = t[i][pattern&(pattern-1)]
			if low < len(part) {
				t[i][pattern] += 2 * part[low]
			}
		}
	}
	return t
}

func (t tables) dot(code []uint64) (sum float32) {
	for i, w := range code {
		for j := range 8 {
			sum += t[i*8+j][w>>(8*j)&0xFF]
		}
	}
	return sum
}
