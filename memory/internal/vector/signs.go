package vector

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
)

// Signs holds the bits of many vectors of one length in memory, by the unit that
// each belongs to. Its methods may be called concurrently.
type Signs struct {
	words int // of 64 bits, for each vector

	mu    sync.RWMutex
	units map[int64]*block
}

// block has the vectors of one unit: ids[i] has bits[i*words:].
type block struct {
	ids  []int64
	bits []uint64
}

// NewSigns makes an empty set for vectors of some length.
func NewSigns(dimensions int) *Signs {
	return &Signs{words: (dimensions + 63) / 64, units: map[int64]*block{}}
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
	b := s.units[unit]
	if b == nil {
		b = &block{}
		s.units[unit] = b
	}
	b.ids = append(b.ids, id)
	b.bits = c.Signs(b.bits)
}

// Remove takes a vector out.
func (s *Signs) Remove(unit, id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(unit, id)
}

// RemoveUnit takes out all of a unit.
func (s *Signs) RemoveUnit(unit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.units, unit)
}

func (s *Signs) remove(unit, id int64) {
	b := s.units[unit]
	if b == nil {
		return
	}
	last := len(b.ids) - 1
	for i := last; i >= 0; i-- { // what is removed is mostly young
		if b.ids[i] != id {
			continue
		}
		b.ids[i] = b.ids[last]
		copy(b.bits[i*s.words:(i+1)*s.words], b.bits[last*s.words:])
		b.ids, b.bits = b.ids[:last], b.bits[:last*s.words]
		return
	}
}

// wider is how many more are looked at by their bits alone than are returned.
const wider = 8

// Nearest returns n ids, or fewer, in no order: of those whose bits differ least
// from the query's, the ones that the query itself points to the most.
func (s *Signs) Nearest(units []int64, query []float32, n int) []int64 {
	code := Encode(query).Signs(make([]uint64, 0, s.words))
	if len(code) != s.words || n <= 0 {
		return nil
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
	return s.refine(s.within(units, distances, uint16(limit), min(total, wider*n)), query, n)
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

// candidate is a vector's id and its bits.
type candidate struct {
	id    int64
	bits  []uint64
	score float32
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
		for i, id := range b.ids {
			if d := distances[at+i]; d < limit {
				out = append(out, candidate{id: id, bits: b.bits[i*s.words : (i+1)*s.words]})
			} else if d == limit && len(edge) < room {
				edge = append(edge, candidate{id: id, bits: b.bits[i*s.words : (i+1)*s.words]})
			}
		}
		at += len(b.ids)
	}
	return append(out, edge[:min(len(edge), max(0, room-len(out)))]...)
}

// refine keeps the n candidates to which the query points the most: it is
// multiplied with their signs, eight at a time by a table.
func (s *Signs) refine(all []candidate, query []float32, n int) []int64 {
	if len(all) > n {
		tables := tablesOf(query, s.words*8)
		for i := range all {
			all[i].score = tables.dot(all[i].bits)
		}
		slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
		all = all[:n]
	}
	out := make([]int64, len(all))
	for i, c := range all {
		out[i] = c.id
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
