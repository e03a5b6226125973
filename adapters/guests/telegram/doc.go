//go:build wasip1

// Package main is the Telegram adapter as a guest: the codec that the native
// adapter uses, compiled to WASM, and the little around it that says which
// request to make when. It is compiled for wasip1 alone; make guests does it.
package main
