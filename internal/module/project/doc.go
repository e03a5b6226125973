// Package project makes the projects of authors of modules, and builds and packs
// what is in them. It runs compilers, with the author's rights, and nothing that
// they built.
package project
