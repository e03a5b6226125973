package local

import "math"

// turn rotates a vector, the same way each time: angles between vectors stay.
// Places that are zero in many texts, as those of the meaning are outside of
// English, would say nothing by their sign, and the signs are what a search
// looks through first. After it, each place has a part of all others.
//
// It flips signs, mixes blocks of 128 places by Hadamard's matrix, moves places
// between the blocks, and does so again.
func turn(v []float32) {
	const block = 128
	var moved [length]float32
	seed := uint64(0x9e3779b97f4a7c15)
	for range 2 {
		for i := range v {
			seed ^= seed << 13
			seed ^= seed >> 7
			seed ^= seed << 17
			if seed&1 == 1 {
				v[i] = -v[i]
			}
		}
		for at := 0; at < len(v); at += block {
			hadamard(v[at : at+block])
		}
		// 5 has no factor in common with 384, so each place gets another one.
		for i, x := range v {
			moved[i*5%length] = x
		}
		copy(v, moved[:])
	}
}

// hadamard multiplies by Hadamard's matrix, scaled so that lengths stay.
func hadamard(v []float32) {
	for half := 1; half < len(v); half *= 2 {
		for at := 0; at < len(v); at += 2 * half {
			for i := at; i < at+half; i++ {
				v[i], v[i+half] = v[i]+v[i+half], v[i]-v[i+half]
			}
		}
	}
	by := float32(1 / math.Sqrt(float64(len(v))))
	for i := range v {
		v[i] *= by
	}
}
