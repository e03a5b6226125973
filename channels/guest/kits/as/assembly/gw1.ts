// What a guest of Gatehouse says to its host: just enough JSON, and the
// interface gw1. Values of JSON are kept as they stand in the text, with quotes.

@external("gw", "input") declare function gwInput(to: usize, cap: u32): u32;
@external("gw", "result") declare function gwResult(to: usize, cap: u32): u32;
@external("gw", "output") declare function gwOutput(p: usize, n: u32): void;
@external("gw", "call") declare function gwCall(op: u32, p: usize, n: u32): i64;

// What the host asks for, and what it can be asked for.
export const START: u32 = 1, POLL: u32 = 3, SEND: u32 = 4, EDIT: u32 = 5, TOOL_EXECUTE: u32 = 32;
export const HTTP: u32 = 1, KV_GET: u32 = 2, KV_PUT: u32 = 3, EMIT: u32 = 4, LOG: u32 = 5, ATTACHMENT_LINK: u32 = 16;
// Some of its refusals.
export const TIMEOUT: i64 = -4, UNAVAILABLE: i64 = -5, AUTH: i64 = -8;

/** What the compiler calls where it cannot go on: it says where. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  ask(LOG, '{"level":"ERROR"}', `${message ? message : "aborted"} at ${file ? file : "?"}:${line}:${column}`);
  unreachable();
}

/** A header in JSON with a body, both as text; refused is below 0 if the host did not do it. */
export class Payload {
  constructor(public header: string = "{}", public body: string = "", public refused: i64 = 0) {}
}

/** The end of the JSON value that begins at a place in a text. */
function valueEnd(s: string, at: i32): i32 {
  let depth = 0, text = false;
  for (let i = at; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (text && c == 0x5c) i++;
    else if (c == 0x22) text = !text;
    else if (!text && (c == 0x7b || c == 0x5b)) depth++;
    else if (!text && (c == 0x2c || c == 0x7d || c == 0x5d) && (depth == 0 || (c != 0x2c && --depth < 0))) return i;
  }
  return s.length;
}

/** The values of an array; of an object, its names and values in turn. */
export function items(s: string): string[] {
  const all: string[] = [];
  const object = s.startsWith("{");
  for (let at = 1; at < s.length - 1; ) {
    if (object) {
      const open = s.indexOf('"', at), close = open < 0 ? -1 : s.indexOf('"', open + 1);
      const colon = close < 0 ? -1 : s.indexOf(":", close);
      if (colon < 0) break; // it is no object
      all.push(s.substring(open + 1, close));
      at = colon + 1;
    }
    const end = valueEnd(s, at);
    const value = s.substring(at, end).trim();
    if (value.length) all.push(value);
    at = end + 1;
  }
  return all;
}

/** A member of an object as it stands; "" for none. */
export function get(object: string, name: string): string {
  const all = object.startsWith("{") ? items(object) : [];
  for (let i = 0; i + 1 < all.length; i += 2) if (all[i] == name) return all[i + 1];
  return "";
}

/** A text without its quotes; escapes stay. */
export function bare(s: string): string {
  return s.startsWith('"') ? s.substring(1, s.length - 1) : "";
}

function frame(header: string, body: string): ArrayBuffer {
  const h = String.UTF8.encode(header), b = String.UTF8.encode(body);
  const all = new ArrayBuffer(4 + h.byteLength + b.byteLength);
  store<u32>(changetype<usize>(all), h.byteLength);
  memory.copy(changetype<usize>(all) + 4, changetype<usize>(h), h.byteLength);
  memory.copy(changetype<usize>(all) + 4 + h.byteLength, changetype<usize>(b), b.byteLength);
  return all;
}

function unframe(p: usize, n: u32): Payload {
  if (n < 4) return new Payload();
  const h = load<u32>(p);
  return new Payload(String.UTF8.decodeUnsafe(p + 4, h), String.UTF8.decodeUnsafe(p + 4 + h, n - 4 - h));
}

/** Asks the host. */
export function ask(op: u32, header: string, body: string = ""): Payload {
  const request = frame(header, body);
  const n = gwCall(op, changetype<usize>(request), request.byteLength);
  if (n < 0) return new Payload("{}", "", n);
  const to = heap.alloc(<usize>n);
  return unframe(to, gwResult(to, <u32>n));
}

/**
 * Where the platform can fetch a file that goes out, if the manifest has links, as
 * JSON; "" if it cannot. The handle is as it stands in the part's files.
 */
export function fileLink(handle: string): string {
  return get(ask(ATTACHMENT_LINK, `{"handle":${handle}}`).header, "url");
}

/** The input of an operation whose length the host gave. */
export function input(n: u32): Payload {
  const to = heap.alloc(n);
  return unframe(to, gwInput(to, n));
}

export function answer(header: string = "{}", body: string = ""): i32 {
  const all = frame(header, body);
  gwOutput(changetype<usize>(all), all.byteLength);
  return 0;
}

/**
 * Says what happens next: "transient", "rate_limited", "ambiguous", "rejected",
 * "format", "unauthorized", "gone" or "other".
 */
export function fail(code: string, message: string, waitMS: i32 = 0): i32 {
  answer(`{"code":"${code}","message":"${message}","retry_after_ms":${waitMS.toString()}}`);
  return 1;
}
