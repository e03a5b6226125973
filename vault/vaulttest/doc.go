// Package vaulttest holds what every durable state under a vault must pass, and
// what tests of other packages need: a state in memory whose process can die
// at any write, and a key in a temporary folder.
package vaulttest
