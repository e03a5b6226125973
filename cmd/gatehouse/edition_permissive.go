//go:build nowhatsapp

package main

import "github.com/gatehouse-chat/gatehouse/channels"

// edition says which of the two builds this is.
const edition = "permissive: without WhatsApp as a linked device (nowhatsapp), and without code under the GPL"

// linkedDevices are the drivers that the permissive build leaves out.
func linkedDevices() []channels.Driver { return nil }
