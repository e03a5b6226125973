// Package slack will connect a channel to Slack: Socket Mode and the Events
// API, threads, Block Kit, slash commands, and installation into several
// workspaces. Nothing of it exists yet, and no configuration can name it.
package slack
