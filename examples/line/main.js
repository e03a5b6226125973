// A channel for LINE, https://developers.line.biz/en/reference/messaging-api/:
// the platform calls a webhook, and messages are answered with the event's reply
// token, or pushed when that has ended.

const base = (call, key) => call.config[key].replace(/\/$/, "");

// api makes a request. The host puts the token in.
function api(call, method, path, body, more = {}) {
  const { headers, ...rest } = more;
  return gw.http({ method, url: base(call, "base_url") + path, headers: { "content-type": "application/json", ...headers }, ...rest }, body ?? "");
}

function read(text) {
  try { return JSON.parse(text) ?? {}; } catch { return {}; }
}

// check is what a status means for what happens next. Where a request cannot be
// made again without harm, 5xx says nothing of whether it was carried out.
function check(r, again) {
  const said = read(r.text);
  if (r.status >= 200 && r.status < 300) return said;
  const text = `status ${r.status}`, message = String(said.message ?? "");
  switch (r.status) {
    case 401: throw new gw.Failure("unauthorized", text);
    case 404: case 410: throw new gw.Failure("gone", text);
    case 429:
      if (/monthly limit/i.test(message)) throw new gw.Failure("closed", "the month's messages are used up");
      throw new gw.Failure("rate_limited", text, Number(r.headers["retry-after"] ?? 1) * 1000);
    case 400: throw new gw.Failure(/failed to send/i.test(message) ? "gone" : "rejected", text);
  }
  throw new gw.Failure(r.status < 500 ? "rejected" : again ? "transient" : "ambiguous", text);
}

// register tells the platform where its calls go, if it does not know that yet.
function register(call) {
  const path = "/v2/bot/channel/webhook/endpoint", now = api(call, "GET", path, "", { repeatable: true });
  const known = now.status === 404 ? {} : check(now, true);
  if (known.endpoint !== call.public) check(api(call, "PUT", path, { endpoint: call.public }, { repeatable: true }), true);
  return known.active;
}

function identity(call) {
  const me = check(api(call, "GET", "/v2/bot/info", "", { repeatable: true }), true);
  return { user: me.userId, name: me.displayName, handle: String(me.basicId ?? "").replace(/^@/, "") };
}

const place = (source) => source?.groupId ?? source?.roomId ?? source?.userId;

// told asks for what is nice to know: without an answer within a moment it is left.
function told(call, path) {
  try {
    const r = api(call, "GET", path, "", { repeatable: true, timeout_ms: 700 });
    return r.status === 200 ? read(r.text) : {};
  } catch { return {}; }
}

// names asks for the names of people and groups, each once in a call, and not for
// many.
function names(call) {
  const known = new Map();
  const ask = (path) => {
    if (!known.has(path) && known.size < 8) known.set(path, told(call, path));
    return known.get(path) ?? {};
  };
  return {
    person({ userId, groupId, roomId }) {
      const id = encodeURIComponent(userId);
      const p = ask(groupId ? `/v2/bot/group/${groupId}/member/${id}` : roomId ? `/v2/bot/room/${roomId}/member/${id}` : `/v2/bot/profile/${id}`);
      return { id: userId, name: p.displayName, lang: p.language };
    },
    group: (id) => ask(`/v2/bot/group/${id}/summary`).groupName,
  };
}

const kinds = { image: "photo", video: "video", audio: "voice", file: "document" };
const endings = { image: ".jpg", video: ".mp4", audio: ".m4a" };

// attached are the files of a message. What stands elsewhere is a link.
function attached(m) {
  if (!kinds[m.type]) return {};
  if (m.contentProvider?.type === "external") return { text: m.contentProvider.originalContentUrl };
  return { files: [{ kind: kinds[m.type], name: m.fileName ?? m.type + endings[m.type], size: m.fileSize, ref: `${m.type}/${m.id}` }], group: m.imageSet?.id };
}

function spoken(m) {
  switch (m.type) {
    case "text": return m.text;
    case "location": return [m.title, m.address, `https://maps.google.com/?q=${m.latitude},${m.longitude}`].filter(Boolean).join("\n");
    case "sticker": return `(sticker: ${m.text ?? m.keywords?.join(", ") ?? m.stickerId})`;
  }
}

const command = /^\/([a-z0-9_]+)(?:\s+([^]*))?$/i;

// message is a message's content, and whether the bot is meant by it. A mention of
// the bot in front is not part of what is said.
function message(call, m) {
  const own = m.mention?.mentionees?.find((x) => x.isSelf);
  let text = spoken(m) ?? "";
  if (own?.index === 0) text = text.slice(own.length).trim();
  const sent = JSON.parse(gw.get("sent") ?? "[]"), ours = sent.includes(m.quotedMessageId);
  const addressed = !!own || ours, said = command.exec(text);
  if (said) return { addressed, type: "command", content: { id: m.id, name: said[1].toLowerCase(), args: said[2] ?? "" } };
  const reply_to = m.quotedMessageId && { id: m.quotedMessageId, who: ours ? { id: call.session.user, self: true } : { id: "" } };
  return { addressed, type: "message", content: { id: m.id, text, ...attached(m), ...(reply_to ? { reply_to } : {}) } };
}

const self = (call) => ({ id: call.session.user, self: true });

// contents is what an event says, by its type.
const contents = {
  message: (call, e) => message(call, e.message),
  postback: (call, e) => ({ addressed: true, type: "press", content: { id: "", data: e.postback.data } }),
  unsend: (call, e) => ({ type: "deletion", content: { ids: [e.unsend.messageId] } }),
  follow: (call, e) => ({ type: "joined", content: { members: [{ id: e.source.userId }] } }),
  unfollow: (call) => ({ type: "left", content: { members: [self(call)] } }),
  join: (call) => ({ type: "joined", who: self(call), content: { members: [self(call)] } }),
  leave: (call) => ({ type: "left", who: self(call), content: { members: [self(call)] } }),
  memberJoined: (call, e) => ({ type: "joined", who: { id: e.joined.members[0].userId }, content: { members: e.joined.members.map((m) => ({ id: m.userId })) } }),
  memberLeft: (call, e) => ({ type: "left", who: { id: e.left.members[0].userId }, content: { members: e.left.members.map((m) => ({ id: m.userId })) } }),
};

// The platform promises a minute for a reply token.
const replyFor = 50_000;

function event(call, e, look) {
  const what = contents[e.type]?.(call, e);
  if (!what || e.mode === "standby" || !e.webhookEventId || !place(e.source)) return;
  const direct = e.source.type === "user", asks = e.type === "message" || e.type === "postback";
  if (!what.who && !e.source.userId) return gw.log(`an event of type ${e.type} does not say who it is from: that person has not agreed to it`);
  const account = call.session.user;
  gw.emit({
    key: e.webhookEventId, at: new Date(e.timestamp).toISOString(), account,
    where: { channel: call.channel, account, conversation: place(e.source) },
    room: { direct, title: e.source.groupId && asks ? look.group(e.source.groupId) : undefined },
    who: what.who ?? (asks ? look.person(e.source) : { id: e.source.userId }),
    ...what, addressed: direct || !!what.addressed,
    via: e.replyToken && { token: e.replyToken, expires: new Date(e.timestamp + replyFor).toISOString(), uses: 1 },
  });
}

// pieces cuts a text where the platform does, which counts in UTF-16, and never in
// the midst of a character.
function pieces(text) {
  const most = 5000, all = [];
  while (text.length > most) {
    const n = /[\ud800-\udbff]/.test(text[most - 1]) ? most - 1 : most;
    all.push(text.slice(0, n));
    text = text.slice(n);
  }
  return [...all, text];
}

const cut = (text, n) => [...text].reduce((s, c) => (s + c).length > n ? s : s + c, "");

// picture is what a film shows before it is played, and a large picture before it
// is opened: a grey one of 240 x 240, in PNG.
const picture = "iVBORw0KGgoAAAANSUhEUgAAAPAAAADwAQMAAAAEm3vRAAAABlBMVEWKj5jJzdOu/ufbAAAALElEQVR42u3JQREAAAQAMA30b6kBbw24276LAADgg+yltNZaa631rQYA4KYBag2rjetUffIAAAAASUVORK5CYII=";

function decoded(base64) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", out = [];
  let bits = 0, held = 0;
  for (const c of base64.replace(/=+$/, "")) {
    held = (held << 6) | letters.indexOf(c);
    if ((bits += 6) >= 8) out.push((held >> (bits -= 8)) & 255);
  }
  return new Uint8Array(out);
}

const word = (b, at) => ((b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]) >>> 0;

// box finds a box of an MP4 in a part of one; what it holds, or nothing.
function box(b, name) {
  for (let at = 0; at + 8 <= b.length;) {
    const size = word(b, at), is = String.fromCharCode(...b.subarray(at + 4, at + 8));
    if (is === name) return b.subarray(at + 8, at + size);
    if (size < 8) return;
    at += size;
  }
}

// lasts is the length of a recording in milliseconds, as the platform wants to know
// it; nothing where that cannot be read in the first 2 MiB.
function lasts({ handle, mime, size }) {
  const b = gw.read(handle, 2 << 20);
  const head = box(box(b, "moov") ?? new Uint8Array(0), "mvhd");
  if (head) {
    const long = head[0] === 1 ? 8 : 0, scale = word(head, 12 + long), length = word(head, 16 + 2 * long - (long ? 4 : 0));
    return scale && length ? Math.round((length / scale) * 1000) : undefined;
  }
  return mime === "audio/mpeg" ? mp3(b, size) : undefined;
}

// mp3 reckons with the first frame's bits a second, which most files keep to.
function mp3(b, size) {
  let at = 0;
  if (b[0] === 0x49 && b[1] === 0x44 && b[2] === 0x33) at = 10 + ((b[6] << 21) | (b[7] << 14) | (b[8] << 7) | b[9]); // ID3
  while (at + 4 < b.length && !(b[at] === 0xff && b[at + 1] >> 5 === 7)) at++;
  const rates = (b[at + 1] & 0x18) === 0x18 ? [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320] : [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
  const rate = (b[at + 1] & 6) === 2 ? rates[b[at + 2] >> 4] : 0; // of layer III alone
  return rate ? Math.max(1, Math.round(((size - at) * 8) / rate)) : undefined;
}

const MB = 1 << 20;

const preview = () => gw.link(gw.make(decoded(picture)), { name: "preview.png", mime: "image/png" });

// shown is a file as a message. The platform fetches it from the gateway; what it
// has no message for, people fetch themselves, in their own browser.
function shown(file) {
  const { handle, name = "", mime = "", size = 0 } = file, link = gw.link(handle);
  if (!link) return { type: "text", text: `I could not send “${name}”: LINE fetches files, and cannot reach this gateway for that.` };
  if (/^image\/(jpeg|png)$/.test(mime) && size <= 10 * MB) {
    const small = size <= MB ? link : preview();
    if (small) return { type: "image", originalContentUrl: link.url, previewImageUrl: small.url };
  }
  if (mime === "video/mp4" && size <= 200 * MB) {
    const still = preview();
    if (still) return { type: "video", originalContentUrl: link.url, previewImageUrl: still.url };
  }
  const duration = /^audio\/(mp4|x-m4a|mpeg)$/.test(mime) && size <= 200 * MB ? lasts(file) : undefined;
  if (duration) return { type: "audio", originalContentUrl: link.url, duration };
  const uri = `${link.url}?openExternalBrowser=1`, title = `${name || "A file"} (${Math.max(1, Math.round(size / 1024))} KB)`;
  return { type: "template", altText: cut(`${title}: ${uri}`, 400), template: { type: "buttons", text: cut(title, 160), actions: [{ type: "uri", label: "Open", uri }] } };
}

function messages({ text, buttons = [], files = [] }) {
  const all = [...files.map(shown), ...(text || !files.length ? pieces(text) : []).map((t) => ({ type: "text", text: t }))];
  const items = buttons.map((b) => ({
    type: "action",
    action: b.url ? { type: "uri", label: cut(b.label, 20), uri: b.url } : { type: "postback", label: cut(b.label, 20), data: b.data, displayText: cut(b.label, 300) },
  }));
  if (items.length) all.at(-1).quickReply = { items };
  return all;
}

// retryKey is a UUID that stands for a part: the same for each attempt.
function retryKey(text) {
  const word = (seed) => {
    let h = seed;
    for (const c of text + text) h = Math.imul(h ^ c.codePointAt(0), 0x01000193) ^ (h >>> 13);
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return ((h ^ (h >>> 16)) >>> 0).toString(16).padStart(8, "0");
  };
  const hex = [0x811c9dc5, 0x1b873593, 0x27d4eb2f, 0x165667b1].map(word).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

// delivered keeps the ids of what was sent, so that an answer to it is known.
function delivered(said) {
  const id = said.sentMessages?.at(-1)?.id;
  if (!id) throw new gw.Failure("ambiguous", "the answer has no id");
  const most = 200, sent = JSON.parse(gw.get("sent") ?? "[]");
  gw.put("sent", JSON.stringify([...sent, ...said.sentMessages.map((m) => m.id)].slice(-most)));
  return { receipt: { id } };
}

export default {
  start(call) {
    const me = identity(call);
    if (!call.public) throw new gw.Failure("other", "the gateway has no public_url, without which LINE cannot call it");
    if (call.config.register) register(call);
    return { as: `@${me.handle}`, webhook: true, session: me };
  },

  request(call) {
    const events = read(call.text).events, look = names(call);
    if (!Array.isArray(events)) throw new gw.Failure("rejected", "there are no events in it");
    for (const e of events) {
      try { event(call, e, look); } catch (x) { gw.log(`an event of type ${e?.type} cannot be read: ${x.name}`); }
    }
  },

  send(call) {
    const { key, to, via, silent } = call.part, body = { messages: messages(call.part), notificationDisabled: !!silent };
    if (via?.token) {
      const r = api(call, "POST", "/v2/bot/message/reply", { replyToken: via.token, ...body });
      const ended = r.status === 400 && /reply token/i.test(r.text); // it was used, or a minute has passed
      if (!ended) return delivered(check(r, false));
    }
    const r = api(call, "POST", "/v2/bot/message/push", { to: to.conversation, ...body }, { repeatable: true, headers: { "x-line-retry-key": retryKey(key) } });
    return delivered(r.status === 409 ? read(r.text) : check(r, true)); // 409: it has it already
  },

  // Only people who are alone with the bot see that it is at work.
  typing(call) {
    if (!call.at.conversation.startsWith("U")) return;
    check(api(call, "POST", "/v2/bot/chat/loading/start", { chatId: call.at.conversation, loadingSeconds: 20 }, { repeatable: true }), true);
  },

  fetch(call) {
    const [type, id] = call.file.ref.split("/"), url = `${base(call, "data_url")}/v2/bot/message/${encodeURIComponent(id)}/content`;
    if (type === "video" || type === "audio") {
      const { status } = check(gw.http({ method: "GET", url: `${url}/transcoding`, repeatable: true }), true);
      if (status === "processing") throw new gw.Failure("transient", "the platform prepares the file", 2000);
      if (status === "failed") throw new gw.Failure("rejected", "the platform could not prepare the file");
    }
    const r = gw.http({ method: "GET", url, save: true, repeatable: true, timeout_ms: 60_000 });
    if (r.status === 202) throw new gw.Failure("transient", "the platform prepares the file", 2000);
    if (!r.file) check(r, true);
    return { file: r.file };
  },

  probe(call) {
    const me = identity(call), notes = [];
    if (call.config.register && call.public && register(call) === false) notes.push("Webhooks are switched off: turn on “Use webhook” on the channel's page in the LINE Developers console.");
    return { identity: { account: me.user, name: me.name, handle: me.handle, link: `https://line.me/R/ti/p/%40${me.handle}`, notes } };
  },

  startLink: (call) => ({ link: `https://line.me/R/oaMessage/%40${call.session.handle}/?${encodeURIComponent(`/start ${call.code}`)}` }),
};
