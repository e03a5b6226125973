// What every script finds: the object gw. It is part of the engine.
((native, globals) => {
  const refusals = { "-5": ["transient", "nothing could be sent"], "-4": ["ambiguous", "no answer came"], "-8": ["unauthorized", "the credential cannot be used"] };
  const names = {
    1: "start", 2: "request", 3: "poll", 4: "send", 5: "edit", 6: "react", 7: "typing", 8: "shutdown", 9: "delete", 10: "fetch",
    11: "reconcile", 12: "probe", 13: "commands", 14: "answer", 15: "startLink", 32: "execute", 33: "schema",
    48: "open", 49: "messages", 50: "closed", 51: "timer",
  };
  const payload = ([header, bytes]) => Object.defineProperty(
    { header: JSON.parse(header || "{}"), bytes: new Uint8Array(bytes) }, "text", { get() { return native.decode(bytes); } });

  class Failure extends Error {
    constructor(code, message, waitMS = 0) { super(message); Object.assign(this, { code, waitMS }); }
  }
  // ask asks the host; below 0 is its refusal.
  const ask = (op, header = {}, body = "") => {
    const out = native.ask(op, JSON.stringify(header), body);
    return typeof out === "number" ? out : payload(out);
  };
  const must = (out, what) => { if (typeof out === "number") throw new Failure("other", `${what}: refused with ${out}`); return out; };
  globals.gw = Object.freeze({
    ask, Failure,
    // http makes a request: {status, headers, bytes, text, json}.
    http(request, body = "") {
      const out = ask(1, request, typeof body === "object" && !ArrayBuffer.isView(body) ? JSON.stringify(body) : body);
      if (typeof out === "number") throw new Failure(...(refusals[out] ?? ["rejected", `the host refused the request: ${out}`]));
      return Object.assign(Object.create({ get json() { return JSON.parse(out.text); }, get text() { return out.text; } }), out.header, { bytes: out.bytes });
    },
    get(key) { const out = ask(2, { key }); return typeof out === "number" ? undefined : out.text; },
    put(key, value) { must(ask(3, { key, delete: value === undefined }, value ?? ""), "put"); },
    emit(event) { must(ask(4, { v: 1, ...event }), "emit"); },
    log(...text) { ask(5, { level: "INFO" }, text.map(String).join(" ")); },
    random(bytes) { return must(ask(7, { bytes }), "random").bytes; },
    say(message, header = {}) { must(ask(11, header, typeof message === "string" ? message : JSON.stringify(message)), "say"); },
    // read is the next part of a file; empty at its end.
    read(handle, bytes = 0) { return must(ask(14, { handle, bytes }), "read").bytes; },
    // make makes a file of bytes, or adds to one, and gives its handle.
    make(bytes, handle = "") { return must(ask(9, { handle }, bytes), "make").header.file; },
    // link is where the platform can fetch a file: {url, until}; undefined where it cannot.
    link(handle, more = {}) { const out = ask(16, { handle, ...more }); return typeof out === "number" ? undefined : out.header; },
    hangUp() { must(ask(12), "hangUp"); },
    timer(name, afterMS, everyMS = 0) { must(ask(13, { name, after_ms: afterMS, every_ms: everyMS }), "timer"); },
  });
  globals.console = Object.freeze({ log: gw.log, error: gw.log, warn: gw.log, info: gw.log });

  // What a snapshot has frozen must not be anybody's secret.
  let pool = new Uint8Array(0), used = 0;
  Math.random = () => {
    if (used + 7 > pool.length) [pool, used] = [gw.random(4095), 0];
    let n = pool[used++] % 32;
    for (let i = 0; i < 6; i++) n = n * 256 + pool[used++];
    return n / 2 ** 53;
  };

  // What is no Error has no stack: then the operation's own line has to do.
  const code = (e, f) => e instanceof Failure ? { code: e.code, message: e.message, retry_after_ms: e.waitMS }
    : { code: "other", message: `${e}\n${e?.stack ?? `    at ${f.name} (${f.fileName}:${f.lineNumber}) or below: throw new Error(...) says where`}`.trim() };
  globals.handle = (bot, op, header, bytes) => {
    used = pool.length;
    const call = payload([header, bytes]), f = bot[names[op]];
    if (!f) return [1, JSON.stringify({ code: "rejected", message: "this module does not offer the operation" }), ""];
    try {
      const out = native.wait(f.call(bot, { ...call.header, bytes: call.bytes, get text() { return call.text; }, get json() { return JSON.parse(call.text); } })) ?? {};
      const { body = "", ...rest } = out;
      return [0, JSON.stringify(rest), typeof body === "object" && !ArrayBuffer.isView(body) ? JSON.stringify(body) : body];
    } catch (e) {
      return [1, JSON.stringify(code(e, f)), ""];
    }
  };
})
