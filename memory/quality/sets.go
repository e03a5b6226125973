package quality

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Set is a public collection.
type Set struct {
	Name     string
	Language string
	Licence  string
	Files    []File
	read     func(files [][]byte) (Collection, error)
}

// File is one file of a set, and where it comes from.
type File struct {
	Name, URL, SHA256 string
}

// Collection is a set that was read.
type Collection struct {
	Passages  map[string]string
	Questions []Question
}

// Question asks for the passages that its grades name.
type Question struct {
	ID, Text string
	Grades   Grades
}

// Where the files come from, each at one commit.
const (
	xquad = "https://raw.githubusercontent.com/google-deepmind/xquad/7d30520c717524000f0d9d2f9c10a069acd9d285/"
	jglue = "https://raw.githubusercontent.com/yahoojapan/JGLUE/6f071c09316baae89c3d083a90985b4b1cb9968c/datasets/jsquad-v1.3/"
	cmrc  = "https://raw.githubusercontent.com/ymcui/cmrc2018/c0eb1b6ba219847457e6af3180da722bbeb656af/squad-style-data/"
	cran  = "https://raw.githubusercontent.com/valinsogna/IR_BIM_model/27499e342860ec4b42928f94c57a5c3b56b0a832/data/cran/"
	cisi  = "https://raw.githubusercontent.com/PsychoProg/tf-idf/beee251dd1356ee4ffb453ac60cf8f9112840f5d/"
	bySA  = "CC BY-SA 4.0"
	free  = "none stated; given out for research by the University of Glasgow"
)

// Sets are all sets that were tried. Settings were chosen with all of them in
// sight; docs/memory-quality.md says which on which.
func Sets() []Set {
	squadOf := func(name, language, licence, from, file, sum string) Set {
		return Set{
			Name: name, Language: language, Licence: licence, read: squad,
			Files: []File{{file, from + file, sum}},
		}
	}
	return []Set{
		{
			Name: "Cranfield", Language: "English", Licence: free, read: cranfield, Files: []File{
				{"cran.all.1400", cran + "cran.all.1400", "b234544b6ceccd131520df4a3cb6d42aee6576eb577933d047e722bbfe7b0b09"},
				{"cran.qry", cran + "cran.qry", "99578ceb88941ef89c14faf7c63c23776a376d8fba319b990f01d0c601d8b03f"},
				{"cranqrel", cran + "cranqrel", "92e54b58dac0b980152178f350d892fae66c8a239b8a11715b835fb8d2f6bc0e"},
			},
		},
		squadOf("XQuAD es", "Spanish", bySA, xquad, "xquad.es.json", "dcbae93ec3a9f4b9e78fd834a171d6f96c1a875e10e15b7530b7e4ef4971e37e"),
		squadOf("CMRC 2018 dev", "Chinese", bySA, cmrc, "cmrc2018_dev.json", "e9ff74231f05c230c6fa88b84441ee334d97234cbb610991cd94b82db00c7f1f"),
		{
			Name: "CISI", Language: "English", Licence: free, read: cisiSet, Files: []File{
				{"CISI.ALL", cisi + "CISI.ALL", "c751e11dcdce83a572a4fcfd67eea453bdb9ecfd7bc93c21e50fc792ba8fb9a0"},
				{"CISI.QRY", cisi + "CISI.QRY", "b72de0e0cb8aa5c93ac988e5be0400cc18949d0a94913a248783a37dd97d5470"},
				{"CISI.REL", cisi + "CISI.REL", "f7396c92586c61953ccb7ae99ad8d3ac749ac3b989041fc93a9e311568f58997"},
			},
		},
		squadOf("XQuAD en", "English", bySA, xquad, "xquad.en.json", "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29"),
		squadOf("XQuAD de", "German", bySA, xquad, "xquad.de.json", "990b5d746746ed65ed4702ea5f35f99ffa4e2f1c390c07d003642acd937916f9"),
		squadOf("XQuAD zh", "Chinese", bySA, xquad, "xquad.zh.json", "691d0b3359bc6b8faa8de931dfdfe21d50a65861ae348e32a0d1a0190b0c8835"),
		squadOf("JSQuAD v1.3 valid", "Japanese", bySA, jglue, "valid-v1.3.json", "fb0a57a35281ff03bbe7f0e878cff5b577985fbe6fcb242e7e8ddb63d1c0ab11"),
	}
}

// Open reads a set's files out of a folder, and refuses files that are not those
// that were measured.
func (s Set) Open(dir string) (Collection, error) {
	var files [][]byte
	for _, f := range s.Files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name)) //nolint:gosec // the folder that was asked for
		if err != nil {
			return Collection{}, fmt.Errorf("%s: %w; it is at %s", s.Name, err, f.URL)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != f.SHA256 {
			return Collection{}, fmt.Errorf("%s: %s is another version than the one that was measured", s.Name, f.Name)
		}
		files = append(files, b)
	}
	return s.read(files)
}

// squad reads questions on paragraphs: the paragraph that a question was asked
// on answers it.
func squad(files [][]byte) (Collection, error) {
	var all struct {
		Data []struct {
			Paragraphs []struct {
				Context string
				QAs     []struct{ ID, Question string }
			}
		}
	}
	c := Collection{Passages: map[string]string{}}
	if err := json.Unmarshal(files[0], &all); err != nil {
		return c, err
	}
	for i, d := range all.Data {
		for j, p := range d.Paragraphs {
			id := fmt.Sprintf("%d-%d", i, j)
			// JSQuAD puts the article's title in front, which would give the answer away.
			if _, text, ok := strings.Cut(p.Context, "[SEP]"); ok {
				p.Context = text
			}
			c.Passages[id] = strings.TrimSpace(p.Context)
			for _, q := range p.QAs {
				c.Questions = append(c.Questions, Question{ID: q.ID, Text: q.Question, Grades: Grades{id: 1}})
			}
		}
	}
	return c, nil
}

// smart reads the format of the SMART system: records that begin with .I, of
// fields that begin with a dot and a letter.
func smart(file []byte) (ids []string, fields map[string]map[byte]string) {
	fields = map[string]map[byte]string{}
	id, field := "", byte(0)
	for l := range strings.Lines(strings.ToValidUTF8(string(file), " ")) {
		switch head := strings.TrimSpace(l); {
		case strings.HasPrefix(l, ".I"):
			id, field = strings.TrimLeft(strings.TrimSpace(head[2:]), "0"), 0
			ids = append(ids, id)
			fields[id] = map[byte]string{}
		case len(head) == 2 && l[0] == '.' && head[1] >= 'A' && head[1] <= 'Z':
			field = head[1]
		case id != "" && field != 0:
			fields[id][field] += l
		}
	}
	return ids, fields
}

// cranfield reads 1400 abstracts. Its judgements count the questions in their
// order, whatever number each has, and say 1 for the best and 4 for the least.
func cranfield(files [][]byte) (Collection, error) {
	c := Collection{Passages: map[string]string{}}
	ids, passages := smart(files[0])
	for _, id := range ids {
		c.Passages[id] = strings.TrimSpace(passages[id]['W'])
	}
	ids, questions := smart(files[1])
	for i, id := range ids {
		c.Questions = append(c.Questions, Question{ID: strconv.Itoa(i + 1), Text: strings.TrimSpace(questions[id]['W'])})
	}
	return c, judge(&c, files[2], func(columns []string) float64 {
		code, err := strconv.Atoi(columns[2])
		if err != nil || code < 1 || code > 4 {
			return 0
		}
		return float64(5 - code)
	})
}

// cisiSet reads 1460 abstracts. What is judged at all answers the question.
func cisiSet(files [][]byte) (Collection, error) {
	c := Collection{Passages: map[string]string{}}
	ids, passages := smart(files[0])
	for _, id := range ids {
		c.Passages[id] = strings.TrimSpace(passages[id]['T'] + "\n" + passages[id]['W'])
	}
	ids, questions := smart(files[1])
	for _, id := range ids {
		c.Questions = append(c.Questions, Question{ID: id, Text: strings.TrimSpace(questions[id]['W'])})
	}
	return c, judge(&c, files[2], func([]string) float64 { return 1 })
}

// judge reads lines of a question, a passage and more, and drops the questions
// that nothing answers.
func judge(c *Collection, file []byte, grade func(columns []string) float64) error {
	grades := map[string]Grades{}
	for l := range strings.Lines(string(file)) {
		columns := strings.Fields(l)
		if len(columns) < 3 {
			continue
		}
		q, passage := columns[0], columns[1]
		if c.Passages[passage] == "" {
			continue
		}
		if grades[q] == nil {
			grades[q] = Grades{}
		}
		grades[q][passage] = grade(columns)
	}
	var asked []Question
	for _, q := range c.Questions {
		if q.Grades = grades[q.ID]; len(q.Grades) > 0 {
			asked = append(asked, q)
		}
	}
	if c.Questions = asked; len(asked) == 0 {
		return errors.New("no question has an answer")
	}
	return nil
}
