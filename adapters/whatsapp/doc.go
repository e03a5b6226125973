// Package whatsapp will connect a channel to WhatsApp in two ways: as a linked
// device of a person's phone, and over the Cloud API for businesses. Nothing of
// it exists yet, and no configuration can name it.
package whatsapp
