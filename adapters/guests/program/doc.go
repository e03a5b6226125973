// Package main is all guests that are shipped as one program: most of what each
// is made of is the same. The argument in its manifest says which one it is. make
// guests compiles it for wasip1.
package main
