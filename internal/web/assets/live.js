// A list that is fetched anew every few seconds stays as it is while somebody
// presses a button in it, or has gone there with the keyboard: the button would be
// another one when it is let go.
"use strict";
addEventListener("htmx:beforeSwap", (e) => {
  if (e.target.matches("[data-live]") && e.target.querySelector(":active, :focus-visible")) {
    e.detail.shouldSwap = false;
  }
});
