// Package module will read the packages in which guests are shipped: manifest,
// signature, and what a guest asks to be granted.
package module
