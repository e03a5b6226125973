// Package telegram is the Telegram adapter as a guest: the codec that the native
// adapter uses, and the little around it that says which request to make when.
package telegram
