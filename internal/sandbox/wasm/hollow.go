package wasm

import "crypto/sha256"

// WithoutCode is the same module with a trap in the place of each function's code.
// All else that it declares, has and names is there, so that machine code that was
// made of the whole module fits it. A sum of the whole module makes two that
// differ in their code alone two different modules without it.
func (r Rewritten) WithoutCode() Rewritten {
	sum := sha256.Sum256(r.Binary)
	e := &encoder{out: append([]byte(nil), magic...)}
	in := &reader{b: r.Binary, at: len(magic)}
	for in.more() {
		id := in.byte()
		content := in.bytes(in.u32())
		e.section(id, func() {
			if id != secCode {
				e.byte(content...)
				return
			}
			n := (&reader{b: content}).u32()
			e.u32(n)
			for range n {
				e.byte(3, 0, opUnreachable, opEnd)
			}
		})
	}
	e.section(secCustom, func() {
		e.name(Reserved + "hollow")
		e.byte(sum[:]...)
	})
	r.Binary, r.Hollow = e.out, true
	return r
}
