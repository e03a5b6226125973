//go:build !nowhatsapp

package main

import (
	"github.com/gatehouse-chat/gatehouse/adapters/whatsapp"
	"github.com/gatehouse-chat/gatehouse/channels"
)

// edition says which of the two builds this is.
const edition = "full: with WhatsApp as a linked device; it links go.mau.fi/libsignal, so that GPL-3.0 holds for the binary as a whole"

// linkedDevices are the drivers that the permissive build leaves out.
func linkedDevices() []channels.Driver { return []channels.Driver{whatsapp.Driver{}} }
