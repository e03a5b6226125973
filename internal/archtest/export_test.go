package archtest

import "io/fs"

// CheckExcusing is Check with a single exception: from goroutine, for path.
func CheckExcusing(root fs.FS, path string) ([]Violation, error) {
	return check(root, []exception{{rule: "goroutine", path: path, why: "it pumps"}})
}
