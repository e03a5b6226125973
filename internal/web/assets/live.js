// A list that is fetched anew every few seconds stays as it is while somebody
// presses a button in it, has gone there with the keyboard or was asked something:
// the button would be another one when it is let go, the question gone.
"use strict";
addEventListener("htmx:beforeSwap", (e) => {
  if (e.target.matches("[data-live]") && e.target.querySelector(":active, :focus-visible, details[open]")) {
    e.detail.shouldSwap = false;
  }
});
