// Package discord will connect a channel to Discord: its gateway connection
// with resume, interactions, threads and forum posts. Nothing of it exists yet,
// and no configuration can name it.
package discord
