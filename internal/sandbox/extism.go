package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"log/slog"

	"github.com/tetratelabs/wazero/api"
)

// Guests made with Extism's kits import their functions from "extism:host/env"
// and export one function for each operation, under the operation's name, ()
// -> i32. Here the host answers these functions itself, under the same limits
// and permissions as gw1. Input and output are payloads as everywhere.

// extismModule is where such guests import from.
const extismModule = "extism:host/env"

// arena is the memory outside of the guest's own in which these kits exchange
// blocks with their host. It lives for one call.
type arena struct {
	bytes  []byte
	blocks map[uint64]uint64 // lengths, by address
	input  uint64
	status int32
	header []byte // of the last response
	failed []byte
}

// arenaBase keeps address 0 free, which means "nothing".
const arenaBase = 64

// blockCost bounds how many blocks there can be for the fuel of a call.
const blockCost = 64

func (a *arena) begin(input []byte) {
	*a = arena{bytes: make([]byte, arenaBase, arenaBase+len(input)+1024), blocks: map[uint64]uint64{}}
	a.input = a.add(input)
}

// add makes a block.
func (a *arena) add(b []byte) uint64 {
	at := uint64(len(a.bytes))
	a.bytes = append(a.bytes, b...)
	a.bytes = append(a.bytes, make([]byte, 8-len(b)%8)...)
	a.blocks[at] = uint64(len(b))
	return at
}

// part refers to some bytes of the arena; it is the guest's fault if there are
// no such bytes.
func (a *arena) part(at, n uint64) []byte {
	if size := uint64(len(a.bytes)); at < arenaBase || at > size || n > size-at {
		panic(stopf(KindRange, "wants %d bytes at %d of its exchange, which has %d", n, at, size))
	}
	return a.bytes[at : at+n]
}

// block is a whole block; one that does not exist is empty.
func (a *arena) block(at uint64) []byte {
	n, ok := a.blocks[at]
	if !ok {
		return nil
	}
	return a.part(at, n)
}

// allocate makes an empty block, if the call may have one more.
func (c *call) allocate(n uint64) uint64 {
	most := uint64(c.lim.Response) //nolint:gosec // not negative
	if n > most || uint64(len(c.extism.bytes))+n > 4*most {
		panic(stopf(KindOutput, "exchanges more than %d bytes with its host", 4*most))
	}
	c.charge(blockCost + int(n)) //nolint:gosec // at most the limit
	return c.extism.add(make([]byte, n))
}

func extismFuncs() []hostFunc {
	none, l := types(""), types("l")
	funcs := []hostFunc{
		{"input_length", none, l, func(c *call, _ memory, s []uint64) { s[0] = c.extism.blocks[c.extism.input] }},
		{"input_offset", none, l, func(c *call, _ memory, s []uint64) { s[0] = c.extism.input }},
		{"input_load_u8", l, types("i"), func(c *call, _ memory, s []uint64) { s[0] = uint64(c.extism.inputPart(s[0], 1)[0]) }},
		{"input_load_u64", l, l, func(c *call, _ memory, s []uint64) {
			s[0] = binary.LittleEndian.Uint64(c.extism.inputPart(s[0], 8))
		}},
		{"alloc", l, l, func(c *call, _ memory, s []uint64) { s[0] = c.allocate(s[0]) }},
		{"free", l, none, func(c *call, _ memory, s []uint64) { delete(c.extism.blocks, s[0]) }},
		{"length", l, l, func(c *call, _ memory, s []uint64) { s[0] = c.extism.blocks[s[0]] }},
		{"length_unsafe", l, l, func(c *call, _ memory, s []uint64) { s[0] = c.extism.blocks[s[0]] }},
		{"load_u8", l, types("i"), func(c *call, _ memory, s []uint64) { s[0] = uint64(c.extism.part(s[0], 1)[0]) }},
		{"load_u64", l, l, func(c *call, _ memory, s []uint64) { s[0] = binary.LittleEndian.Uint64(c.extism.part(s[0], 8)) }},
		{"store_u8", types("li"), none, func(c *call, _ memory, s []uint64) { c.extism.part(s[0], 1)[0] = byte(s[1]) }}, //nolint:gosec // the low byte
		{"store_u64", types("ll"), none, func(c *call, _ memory, s []uint64) {
			binary.LittleEndian.PutUint64(c.extism.part(s[0], 8), s[1])
		}},
		{"output_set", types("ll"), none, func(c *call, _ memory, s []uint64) { c.setOutput(c.extism.part(s[0], s[1])) }},
		{"error_set", l, none, func(c *call, _ memory, s []uint64) { c.setError(c.extism.block(s[0])) }},
		{"error_get", none, l, func(_ *call, _ memory, s []uint64) { s[0] = 0 }},
		{"config_get", l, l, func(_ *call, _ memory, s []uint64) { s[0] = 0 }},
		{"var_get", l, l, func(c *call, _ memory, s []uint64) { s[0] = c.extismGet(s[0]) }},
		{"var_set", types("ll"), none, func(c *call, _ memory, s []uint64) { c.extismPut(s[0], s[1]) }},
		{"http_request", types("ll"), l, func(c *call, _ memory, s []uint64) { s[0] = c.extismHTTP(s[0], s[1]) }},
		{"http_status_code", none, types("i"), func(c *call, _ memory, s []uint64) { s[0] = api.EncodeI32(c.extism.status) }},
		{"http_headers", none, l, func(c *call, _ memory, s []uint64) { s[0] = c.lend(c.extism.header) }},
		{"get_log_level", none, types("i"), func(_ *call, _ memory, s []uint64) { s[0] = 0 }},
	}
	for name, level := range map[string]slog.Level{
		"log_trace": slog.LevelDebug, "log_debug": slog.LevelDebug, "log_info": slog.LevelInfo, "log_warn": slog.LevelWarn, "log_error": slog.LevelError,
	} {
		funcs = append(funcs, hostFunc{name, l, none, func(c *call, _ memory, s []uint64) { c.log(level, c.extism.block(s[0])) }})
	}
	return funcs
}

// inputPart is a part of the input, at an offset that the guest gives.
func (a *arena) inputPart(offset, n uint64) []byte {
	if size := a.blocks[a.input]; offset > size || n > size-offset {
		panic(stopf(KindRange, "wants %d bytes at %d of its input, which has %d", n, offset, size))
	}
	return a.part(a.input+offset, n)
}

// lend puts bytes into the arena; no bytes are nothing.
func (c *call) lend(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	at := c.allocate(uint64(len(b)))
	copy(c.extism.block(at), b)
	return at
}

func (c *call) setError(b []byte) {
	const most = 4096
	c.extism.failed = append([]byte(nil), b[:min(len(b), most)]...)
}

// request makes a request as gw's call does; ok is false if it was refused.
// These kits know no refusals: what they can be told is "nothing".
func (c *call) request(op HostOp, header any, body []byte) (Payload, bool) {
	c.count(op)
	c.charge(requestCost + len(body))
	h, err := json.Marshal(header)
	if err != nil {
		return Payload{}, false
	}
	out, refusal := c.answer(op, Payload{h, body}.Encode())
	if refusal != 0 {
		return Payload{}, false
	}
	p, err := DecodePayload(out)
	return p, err == nil
}

func (c *call) extismGet(key uint64) uint64 {
	out, ok := c.request(HostKVGet, keyed{Key: string(c.extism.block(key))}, nil)
	if !ok {
		return 0
	}
	return c.lend(out.Body)
}

func (c *call) extismPut(key, value uint64) {
	h := keyed{Key: string(c.extism.block(key)), Delete: value == 0}
	if _, ok := c.request(HostKVPut, h, c.extism.block(value)); !ok {
		panic(stopf(KindCalls, "may not store a value"))
	}
}

// extismHTTP passes a request on in the form of gw1's: {url, method, headers} are
// the same in both. A refusal is status 0 without a body.
func (c *call) extismHTTP(request, body uint64) uint64 {
	c.extism.status, c.extism.header = 0, nil
	var h struct {
		URL     string            `json:"url"`
		Method  string            `json:"method,omitempty"`
		Headers map[string]string `json:"headers,omitempty"`
	}
	if json.Unmarshal(c.extism.block(request), &h) != nil {
		return 0
	}
	out, ok := c.request(HostHTTP, h, c.extism.block(body))
	if !ok {
		return 0
	}
	var response struct {
		Status  int32           `json:"status"`
		Headers json.RawMessage `json:"headers"`
	}
	if out.Header != nil && json.Unmarshal(out.Header, &response) != nil {
		return 0
	}
	c.extism.status, c.extism.header = response.Status, response.Headers
	return c.lend(out.Body)
}
