package telegramtest

import "slices"

// nest brings entities into the shape the platform stores: styles may cross
// anything, are joined where they touch and cut where
// another entity begins; code and pre hold nothing else;
// links, mentions and their like do not overlap; quotes do not nest.
func nest(list []Entity) []Entity {
	if len(list) == 0 {
		return nil
	}
	var styles, solid, quotes []Entity
	for _, e := range list {
		switch {
		case e.Length <= 0:
		case isStyle(e.Type):
			styles = append(styles, e)
		case isQuote(e.Type):
			quotes = append(quotes, e)
		default:
			solid = append(solid, e)
		}
	}
	solid = apart(solid)
	quotes = apart(quotes)
	solid = dropCrossing(solid, quotes)
	outer := slices.Concat(solid, quotes)
	sortEntities(outer)
	out := slices.Concat(outer, splitStyles(styles, outer))
	sortEntities(out)
	return out
}

func isStyle(kind string) bool {
	switch kind {
	case "bold", "italic", "underline", "strikethrough", "spoiler":
		return true
	}
	return false
}

func isQuote(kind string) bool {
	return kind == "blockquote" || kind == "expandable_blockquote"
}

func isPre(kind string) bool { return kind == "pre" || kind == "code" }

// apart keeps the first of entities that overlap.
func apart(list []Entity) []Entity {
	sortEntities(list)
	out := list[:0:0]
	for _, e := range list {
		if len(out) == 0 || out[len(out)-1].end() <= e.Offset {
			out = append(out, e)
		}
	}
	return out
}

// dropCrossing removes the entities that stand neither in a quote nor outside.
func dropCrossing(list, quotes []Entity) []Entity {
	out := list[:0:0]
	for _, e := range list {
		crosses := false
		for _, quote := range quotes {
			crosses = crosses || (e.overlaps(quote) && !quote.contains(e))
		}
		if !crosses {
			out = append(out, e)
		}
	}
	return out
}

// splitStyles joins runs of a style that touch, cuts them where another style
// begins and at the borders of outer entities, and takes them out of code.
func splitStyles(styles, outer []Entity) []Entity {
	var runs, out []Entity
	for _, kind := range []string{"bold", "italic", "underline", "strikethrough", "spoiler"} {
		runs = append(runs, joined(styles, kind)...)
	}
	borders := make([]int, 0, len(runs)+2*len(outer))
	for _, run := range runs {
		borders = append(borders, run.Offset)
	}
	for _, o := range outer {
		borders = append(borders, o.Offset, o.end())
	}
	slices.Sort(borders)
	borders = slices.Compact(borders)
	for _, run := range runs {
		out = append(out, cutAt(run, borders, outer)...)
	}
	return out
}

func joined(styles []Entity, kind string) []Entity {
	var own []Entity
	for _, e := range styles {
		if e.Type == kind {
			own = append(own, e)
		}
	}
	sortEntities(own)
	out := own[:0:0]
	for _, e := range own {
		if n := len(out); n > 0 && e.Offset <= out[n-1].end() {
			out[n-1].Length = max(out[n-1].end(), e.end()) - out[n-1].Offset
			continue
		}
		out = append(out, e)
	}
	return out
}

// cutAt splits run at each border that lies inside it, and leaves out the pieces
// that lie in code.
func cutAt(run Entity, borders []int, outer []Entity) []Entity {
	var out []Entity
	next, _ := slices.BinarySearch(borders, run.Offset+1)
	for start := run.Offset; start < run.end(); next++ {
		end := run.end()
		if next < len(borders) {
			end = min(end, borders[next])
		}
		if !inCode(outer, start) {
			out = append(out, Entity{Type: run.Type, Offset: start, Length: end - start})
		}
		start = end
	}
	return out
}

func inCode(outer []Entity, at int) bool {
	return slices.ContainsFunc(outer, func(e Entity) bool { return isPre(e.Type) && e.Offset <= at && at < e.end() })
}

// addFound adds the entities found in the text, except where they would overlap
// a link, a mention or code, or cross the border of a quote.
func addFound(list, found []Entity) []Entity {
	if len(found) == 0 {
		return list
	}
	out := list
	for _, f := range found {
		if fits(f, list) {
			out = append(out, f)
		}
	}
	return nest(out)
}

func fits(f Entity, list []Entity) bool {
	for _, e := range list {
		switch {
		case !e.overlaps(f) || isStyle(e.Type):
		case isQuote(e.Type) && e.contains(f):
		default:
			return false
		}
	}
	return true
}
