// Takes the secret out of the address, so that it stays in no history, and logs in.
"use strict";
function redeem() {
  const secret = location.hash.slice(1);
  if (!secret) return;
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = secret;
  document.getElementById("login").requestSubmit();
}
addEventListener("DOMContentLoaded", redeem);
addEventListener("hashchange", redeem);
