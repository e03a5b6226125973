package web

import (
	. "maragu.dev/gomponents"
)

// Icon is a drawing of 24 by 24 in the colour of the text around it. It is for
// the eye alone; the words beside it say the same.
type Icon string

// The icons.
const (
	Gate    Icon = `<path d="M4 20V10a8 8 0 0 1 16 0v10"/><path d="M8 20v-9a4 4 0 0 1 8 0v9"/><path d="M2 20h20"/><path d="M12 7v13"/>`
	Chat    Icon = `<path d="M5 5h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2z"/>`
	Pulse   Icon = `<path d="M3 12h4l3-7 4 14 3-7h4"/>`
	Plug    Icon = `<path d="M9 3v5M15 3v5M6 8h12v3a6 6 0 0 1-12 0z"/><path d="M12 17v4"/>`
	Spark   Icon = `<path d="M12 3l2.2 6.8L21 12l-6.8 2.2L12 21l-2.2-6.8L3 12l6.8-2.2z"/>`
	People  Icon = `<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20a6.5 6.5 0 0 1 13 0"/><path d="M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.2a6.5 6.5 0 0 1 3.5 5.8"/>`
	Tray    Icon = `<path d="M3 13l3-8h12l3 8v6H3z"/><path d="M3 13h5a4 4 0 0 0 8 0h5"/>`
	Key     Icon = `<circle cx="8" cy="15" r="4.5"/><path d="M11.5 11.5L20 3M16 7l3 3"/>`
	Screen  Icon = `<rect x="3" y="4" width="18" height="12" rx="2"/><path d="M8 20h8M12 16v4"/>`
	Leave   Icon = `<path d="M14 4H6v16h8"/><path d="M10 12h11M17 8l4 4-4 4"/>`
	Lines   Icon = `<path d="M4 7h16M4 12h16M4 17h16"/>`
	Send    Icon = `<path d="M12 20V4M5 11l7-7 7 7"/>`
	Check   Icon = `<path d="M4 12.5l5.5 5.5L20 7"/>`
	Warning Icon = `<path d="M12 3.5L2.5 20h19z"/><path d="M12 10v4.5M12 17.2v.3"/>`
	Person  Icon = `<circle cx="12" cy="8" r="4"/><path d="M4.5 20.5a7.5 7.5 0 0 1 15 0"/>`
	Shield  Icon = `<path d="M12 3l7 3v5c0 4.5-3 8-7 10-4-2-7-5.5-7-10V6z"/><path d="M8.8 12l2.4 2.4 4.3-4.8"/>`
	Book    Icon = `<path d="M6 3h13v18H6a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2z"/><path d="M8.5 8h7M8.5 12h7M8.5 16h4"/>`
	Ribbon  Icon = `<path d="M7 3h10a1 1 0 0 1 1 1v17l-6-4.5L6 21V4a1 1 0 0 1 1-1z"/>`
	Cube    Icon = `<path d="M12 3l8 4.5v9L12 21l-8-4.5v-9z"/><path d="M4 7.5l8 4.5 8-4.5M12 12v9"/>`
	House   Icon = `<path d="M4 21V9l8-6 8 6v12z"/><path d="M10 21v-6h4v6"/>`
	Clip    Icon = `<path d="M20 11.5l-8.3 8.3a5.5 5.5 0 0 1-7.8-7.8l8.6-8.6a3.7 3.7 0 0 1 5.2 5.2l-8.5 8.5a1.8 1.8 0 0 1-2.6-2.6l7.7-7.7"/>`
	File    Icon = `<path d="M6 3h8l5 5v13H6z"/><path d="M14 3v5h5"/>`
	Plus    Icon = `<path d="M12 5v14M5 12h14"/>`
)

// Node renders the icon.
func (i Icon) Node() Node {
	return Raw(`<svg class="icon" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" ` +
		`stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">` + string(i) + `</svg>`)
}
