// The chat page. What the person writes is kept in the browser's storage until
// the gateway has said that it is durable, and is posted again with the same
// key until then, so that nothing is lost or doubled on the way.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const chat = $("chat"), list = $("messages"), scroll = $("scroll"), text = $("text"), form = $("composer");
  const line = $("line"), typing = $("typing"), older = $("older"), down = $("down"), hints = $("hints"), welcome = $("welcome");
  const attach = $("attach"), chooser = $("choose"), attached = $("attached");
  const maxBytes = Number(chat.dataset.max), maxFile = Number(chat.dataset.maxFile), maxFiles = Number(chat.dataset.maxFiles);
  const storage = "gatehouse-chat-unsent";
  let rev = Number(chat.dataset.rev);

  // --- messages on the page ---

  const byID = (id) => list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  const toEnd = () => { scroll.scrollTop = scroll.scrollHeight; };

  function element(html) {
    const t = document.createElement("template");
    t.innerHTML = html;
    return t.content.firstElementChild;
  }

  // dress adds what is the browser's own: its time zone, and the day.
  function dress(root) {
    for (const t of root.querySelectorAll("time:not([data-dressed])")) {
      const at = new Date(t.dateTime);
      const today = new Date().toDateString() === at.toDateString();
      t.textContent = at.toLocaleString([], today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
      t.dataset.dressed = "";
    }
  }

  // place puts a message where it belongs, in place of what it was before.
  function place(m) {
    const follow = atEnd();
    rev = Math.max(rev, m.rev);
    const old = byID(m.id);
    if (old && Number(old.dataset.rev || 0) >= m.rev) return;
    const li = element(m.item);
    dress(li);
    if (m.from === "bot") endDraft(m.id);
    old?.remove();
    // What has no seq is waiting or growing, and stands below what is settled.
    const next = [...list.children].find((x) => !x.dataset.seq || Number(x.dataset.seq) > m.seq);
    list.insertBefore(li, next || null);
    welcome.hidden = true;
    if (m.from === "bot") quiet();
    if (follow || m.from === "member") toEnd(); else down.hidden = false;
  }

  // --- what comes from the gateway ---

  let source = null, retry = 500, offline = null;

  function connect() {
    source?.close();
    source = new EventSource(`/chat/api/stream?as=page&after=${rev}`);
    source.addEventListener("ready", () => { retry = 500; online(); flush(); });
    source.addEventListener("message", (e) => place(JSON.parse(e.data)));
    source.addEventListener("draft", (e) => draft(JSON.parse(e.data)));
    source.addEventListener("typing", (e) => busy(JSON.parse(e.data).for));
    source.addEventListener("pressed", (e) => pressed(JSON.parse(e.data)));
    source.onerror = () => {
      endDraft(null);
      quiet();
      offline ??= setTimeout(() => tell("Reconnecting… What you write is kept and sent as soon as the gateway is back."), 1500);
      if (source.readyState !== EventSource.CLOSED) return; // the browser connects again by itself
      source.close();
      setTimeout(check, retry);
      retry = Math.min(retry * 2, 8000);
    };
  }

  // check finds out why a stream was refused.
  async function check() {
    try {
      const r = await fetch("/chat/api/commands");
      if (r.status === 401) { location.href = "/login"; return; }
    } catch { /* still away */ }
    connect();
  }

  function online() {
    clearTimeout(offline);
    offline = null;
    tell("");
  }

  let told = null;
  function tell(what, forMs) {
    clearTimeout(told);
    line.textContent = what;
    line.hidden = !what;
    if (what && forMs) told = setTimeout(() => tell(""), forMs);
  }

  function draft(d) {
    const follow = atEnd();
    const li = list.querySelector(".draft");
    const next = element(d.item);
    if (li) li.replaceWith(next);
    else list.insertBefore(next, [...list.children].find((x) => x.classList.contains("waiting")) || null);
    quiet();
    if (follow) toEnd();
  }

  // endDraft takes the draft away that a message ends; null: whatever there is.
  function endDraft(id) {
    for (const li of list.querySelectorAll(".draft")) {
      const key = li.dataset.draft;
      if (id === null || id === key || id.startsWith(key + "/")) li.remove();
    }
  }

  let typingEnd = null;
  function busy(ms) {
    clearTimeout(typingEnd);
    typingEnd = setTimeout(quiet, ms);
    if (list.querySelector(".draft")) return;
    const follow = atEnd();
    typing.hidden = false;
    if (follow) toEnd();
  }
  function quiet() {
    clearTimeout(typingEnd);
    typing.hidden = true;
  }

  // --- what the person writes ---

  const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  const unsent = () => { try { return JSON.parse(localStorage.getItem(storage)) || []; } catch { return []; } };
  const keep = (all) => { try { localStorage.setItem(storage, JSON.stringify(all)); } catch { /* private mode: kept on the page alone */ } };
  let queue = unsent();

  function remember(one) { queue.push(one); keep([...unsent().filter((x) => x.key !== one.key), one]); }
  function forget(key) { queue = queue.filter((x) => x.key !== key); keep(unsent().filter((x) => x.key !== key)); }

  function showWaiting(one) {
    if (byID(one.key)) return;
    const li = $("pending").content.firstElementChild.cloneNode(true);
    li.dataset.id = one.key;
    const what = [one.text, ...(one.names || [])].filter(Boolean).join("\n");
    li.querySelector(".bubble").append(Object.assign(document.createElement("p"), { className: "literal", textContent: what }));
    li.querySelector(".meta").textContent = "Sending…";
    list.append(li);
    welcome.hidden = true;
    toEnd();
  }

  let flushing = false, again = null;

  // flush posts what is unsent, one after the other, until nothing is.
  async function flush() {
    if (flushing) return;
    flushing = true;
    clearTimeout(again);
    while (queue.length) {
      const one = queue[0];
      const got = await post("/chat/api/messages?as=page", { key: one.key, text: one.text, files: one.files });
      if (got.ok) {
        forget(one.key);
        place(got.body);
      } else if (got.final) {
        forget(one.key);
        const li = byID(one.key);
        if (li) { li.classList.add("failed"); li.querySelector(".meta").textContent = got.why; }
        if (!text.value) { text.value = one.text; grow(); }
      } else {
        again = setTimeout(flush, 1500); // or sooner, when the stream is back
        break;
      }
    }
    flushing = false;
  }

  async function post(path, body) {
    try {
      const r = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
      const answer = await r.json().catch(() => ({}));
      if (r.ok) return { ok: true, body: answer };
      if (r.status === 401) { location.href = "/login"; return {}; }
      return { final: r.status >= 400 && r.status < 500, why: answer.error || "The gateway did not take it." };
    } catch {
      return {};
    }
  }

  // --- files ---

  // What is chosen, dropped or pasted goes to the gateway at once; the message
  // that is written meanwhile names it.
  let uploads = [];
  let sendWhenDone = false;
  const readable = (n) => (n < 1000 ? `${n} bytes` : n < 1 << 20 ? `${Math.ceil(n / 1024)} KB` : `${Number((n / (1 << 20)).toPrecision(3))} MB`);

  function add(files) {
    for (const f of files) {
      if (f.size > maxFile) { tell(`${f.name} has ${readable(f.size)}. A file may have ${readable(maxFile)}.`, 8000); continue; }
      if (uploads.length >= maxFiles) { tell(`A message has at most ${maxFiles} files. Send these first.`, 8000); break; }
      const up = { key: newKey(), file: f, name: f.name || "picture.png", done: false, failed: "" };
      uploads.push(up);
      up.li = chip(up);
      attached.append(up.li);
      upload(up, 0);
    }
    attached.hidden = !uploads.length;
    text.focus();
  }

  function chip(up) {
    const li = document.createElement("li");
    const bar = Object.assign(document.createElement("progress"), { max: 100, value: 0 });
    const away = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "×" });
    away.setAttribute("aria-label", `Remove ${up.name}`);
    away.addEventListener("click", () => remove(up));
    li.append(Object.assign(document.createElement("span"), { textContent: up.name }),
      Object.assign(document.createElement("small"), { textContent: readable(up.file.size) }), bar, away);
    return li;
  }

  function remove(up) {
    up.gone = true;
    up.request?.abort();
    up.li.remove();
    uploads = uploads.filter((x) => x !== up);
    attached.hidden = !uploads.length;
    settle();
  }

  function upload(up, tries) {
    const x = new XMLHttpRequest(); // which tells how far it is
    up.request = x;
    x.open("POST", `/chat/api/files?key=${up.key}&name=${encodeURIComponent(up.name)}`);
    x.setRequestHeader("Content-Type", up.file.type || "application/octet-stream");
    x.upload.onprogress = (e) => { if (e.lengthComputable) up.li.querySelector("progress").value = 100 * e.loaded / e.total; };
    x.onload = () => {
      if (x.status === 200) { up.done = true; up.li.classList.add("done"); settle(); return; }
      if (x.status === 401) { location.href = "/login"; return; }
      let why = "";
      try { why = JSON.parse(x.responseText).error; } catch { /* a proxy's page */ }
      if (x.status < 500) fail(up, why || "The gateway did not take it."); else later(up, tries);
    };
    x.onerror = () => later(up, tries);
    x.send(up.file);
  }

  // later tries again, for about a minute, while the gateway may be away.
  function later(up, tries) {
    if (up.gone) return;
    if (tries >= 8) { fail(up, "The gateway could not be reached."); return; }
    setTimeout(() => { if (!up.gone) upload(up, tries + 1); }, Math.min(500 * 2 ** tries, 15000));
  }

  function fail(up, why) {
    up.failed = why;
    up.li.classList.add("failed");
    tell(`${up.name}: ${why}`, 8000);
    settle();
  }

  // settle sends the message that waited for its files.
  function settle() {
    if (!sendWhenDone) return;
    if (uploads.some((u) => u.failed)) { sendWhenDone = false; return; }
    if (uploads.every((u) => u.done)) send();
  }

  attach.addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => { add([...chooser.files]); chooser.value = ""; });
  const carriesFiles = (e) => [...(e.dataTransfer?.types || [])].includes("Files");
  chat.addEventListener("dragover", (e) => { if (carriesFiles(e)) { e.preventDefault(); chat.classList.add("dropping"); } });
  chat.addEventListener("dragleave", (e) => { if (!chat.contains(e.relatedTarget)) chat.classList.remove("dropping"); });
  chat.addEventListener("drop", (e) => {
    if (!carriesFiles(e)) return;
    e.preventDefault();
    chat.classList.remove("dropping");
    add([...e.dataTransfer.files]);
  });
  text.addEventListener("paste", (e) => {
    const files = [...(e.clipboardData?.files || [])];
    if (files.length) { e.preventDefault(); add(files); }
  });

  function send() {
    const value = text.value.trim();
    sendWhenDone = false;
    if (!value && !uploads.length) return;
    if (uploads.some((u) => u.failed)) { tell("A file could not be sent. Remove it, or attach it again.", 6000); return; }
    if (uploads.some((u) => !u.done)) {
      sendWhenDone = true;
      tell("The message goes out as soon as its files are there.", 4000);
      return;
    }
    if (new TextEncoder().encode(value).length > maxBytes) {
      tell("This is too long for one message. Send it in parts.", 6000);
      return;
    }
    const one = { key: newKey(), text: value };
    if (uploads.length) {
      one.files = uploads.map((u) => u.key);
      one.names = uploads.map((u) => u.name);
      uploads = [];
      attached.replaceChildren();
      attached.hidden = true;
    }
    text.value = "";
    grow();
    suggest();
    remember(one);
    showWaiting(one);
    flush();
  }

  form.addEventListener("submit", (e) => { e.preventDefault(); send(); text.focus(); });
  text.addEventListener("keydown", (e) => {
    if (!hints.hidden && ["ArrowDown", "ArrowUp", "Tab", "Escape"].includes(e.key)) { choose(e); return; }
    if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
    if (matchMedia("(pointer: coarse)").matches) return; // on a phone, Enter makes a new line
    e.preventDefault();
    send();
  });

  function grow() {
    text.style.height = "auto"; // set by script, which the policy allows
    text.style.height = `${Math.min(text.scrollHeight, 220)}px`;
  }
  text.addEventListener("input", () => { grow(); suggest(); });

  // --- commands ---

  let commands = [], picked = -1;
  fetch("/chat/api/commands").then((r) => (r.ok ? r.json() : [])).then((all) => { commands = all; }).catch(() => {});

  function suggest() {
    const typed = /^\/([a-z0-9_-]*)$/i.exec(text.value);
    const some = typed ? commands.filter((c) => c.name.startsWith(typed[1].toLowerCase())) : [];
    hints.replaceChildren(...some.map((c) => {
      const li = document.createElement("li");
      li.setAttribute("role", "option");
      li.dataset.name = c.name;
      const name = Object.assign(document.createElement("strong"), { textContent: `/${c.name}${c.args ? " " + c.args : ""}` });
      const help = Object.assign(document.createElement("span"), { textContent: c.help });
      li.append(name, help);
      return li;
    }));
    picked = -1;
    hints.hidden = !some.length;
  }

  function choose(e) {
    const all = [...hints.children];
    if (e.key === "Escape") { hints.hidden = true; return; }
    e.preventDefault();
    if (e.key === "Tab") { fill(all[Math.max(picked, 0)]); return; }
    picked = (picked + (e.key === "ArrowDown" ? 1 : -1) + all.length) % all.length;
    all.forEach((li, i) => li.setAttribute("aria-selected", String(i === picked)));
    text.value = "/" + all[picked].dataset.name;
  }
  function fill(li) {
    text.value = "/" + li.dataset.name + " ";
    hints.hidden = true;
    text.focus();
  }
  hints.addEventListener("click", (e) => { const li = e.target.closest("li"); if (li) fill(li); });

  // --- buttons ---

  const presses = new Map();
  list.addEventListener("click", async (e) => {
    const b = e.target.closest("button[data-press]");
    if (!b || b.disabled) return;
    const key = newKey();
    presses.set(key, b);
    b.disabled = true;
    const body = { key, id: b.closest("[data-id]").dataset.id, data: b.dataset.press };
    let got = await post("/chat/api/press", body);
    for (let i = 0; i < 5 && !got.ok && !got.final; i++) {
      await new Promise((done) => setTimeout(done, 1000));
      got = await post("/chat/api/press", body);
    }
    if (!got.ok) { pressed({ key }); tell(got.why || "The gateway could not be reached.", 6000); }
    else setTimeout(() => pressed({ key }), 5000);
  });
  function pressed(p) {
    const b = presses.get(p.key);
    if (b) b.disabled = false;
    presses.delete(p.key);
    if (p.text) tell(p.text, 6000);
  }

  // --- the past ---

  older.addEventListener("click", async () => {
    const first = list.querySelector("[data-seq]");
    if (!first) return;
    older.disabled = true;
    try {
      const r = await fetch(`/chat/api/messages?as=page&limit=60&before=${first.dataset.seq}`);
      if (!r.ok) return;
      const page = await r.json();
      const from = scroll.scrollHeight - scroll.scrollTop;
      for (const m of page.messages) {
        const li = element(m.item);
        dress(li);
        list.insertBefore(li, first);
      }
      scroll.scrollTop = scroll.scrollHeight - from;
      older.hidden = !page.more;
    } finally { older.disabled = false; }
  });

  let stick = true; // the window may change its size; whoever reads the end goes on doing so
  scroll.addEventListener("scroll", () => { stick = atEnd(); if (stick) down.hidden = true; });
  new ResizeObserver(() => { if (stick) toEnd(); }).observe(scroll);
  list.addEventListener("load", () => { if (stick) toEnd(); }, true); // pictures come later
  down.addEventListener("click", () => { toEnd(); down.hidden = true; });
  addEventListener("online", () => { if (source.readyState === EventSource.CLOSED) connect(); });
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (e) => { if (e.persisted) connect(); });

  dress(list);
  queue.forEach(showWaiting);
  toEnd();
  connect();
})();
