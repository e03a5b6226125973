package wasm

// Charges shows what a function pays at its entry, and later by offset.
func Charges(code []byte) (entry int64, later map[int]int64) {
	entry, rest, _ := charges(code)
	later = map[int]int64{}
	for _, c := range rest {
		later[c.after] += c.units
	}
	return entry, later
}
