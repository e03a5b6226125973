// Package sample is code whose tests notice some mistakes, and some not.
package sample

// Limit is a constant expression, in which nothing is changed.
const Limit = 2 * (3 + 4)

// Clamp is tested at its bounds, and its second condition never.
func Clamp(x, low, high int) int {
	if x < low || x > high && high > 0 {
		return low
	}
	return x
}

// Sum is tested well.
func Sum(all []int) (sum int) {
	for i := 0; i < len(all); i++ {
		sum += all[i]
	}
	return sum
}

// Distance is not tested at all.
func Distance(a, b float64) float64 { return -(a - b) }
