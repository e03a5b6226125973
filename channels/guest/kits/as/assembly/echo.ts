// A channel for a small chat platform: it polls for messages and sends answers.
import { START, POLL, SEND, EDIT, HTTP, KV_GET, KV_PUT, EMIT, TIMEOUT, UNAVAILABLE, AUTH } from "./gw1";
import { Payload, answer, ask, bare, fail, get, input, items } from "./gw1";

export function gw1_handle(op: u32, n: u32): i32 {
  const call = input(n);
  if (op == START) return answer('{"as":"@echo"}');
  if (op == POLL) return poll(call);
  if (op == SEND || op == EDIT) return send(call);
  return fail("rejected", "this channel does not offer the operation");
}

// A request of the platform: {token} stands for the secret, which the host puts in.
function request(call: Payload, method: string): string {
  const base = bare(get(get(call.header, "config"), "base_url"));
  return `{"method":"POST","url":"${base}/bot{token}/${method}","headers":{"content-type":"application/json"}}`;
}

// What a status means for what happens next; 0: go on.
function check(response: string, body: string): i32 {
  const status = get(response, "status"), wait = get(body, "wait");
  const ms = wait == "" ? 0 : <i32>parseInt(wait) * 1000;
  if (status == "200") return body.startsWith("{") ? 0 : fail("ambiguous", "the answer broke off");
  let code = "ambiguous";
  if (status == "400") code = "format";
  else if (status == "401") code = "unauthorized";
  else if (status == "410") code = "gone";
  else if (status == "413" || status == "422") code = "rejected";
  else if (status == "429") code = "rate_limited";
  else if (status == "503") code = "transient";
  return fail(code, "status " + status, ms);
}

function or(s: string, otherwise: string): string {
  return s == "" ? otherwise : s;
}

// The host makes the long poll and calls again with the response.
function poll(call: Payload): i32 {
  const want = get(call.header, "poll"), response = get(want, "response");
  if (response == "") {
    const offset = or(ask(KV_GET, '{"key":"offset"}').body, "0");
    const wait = get(want, "quick") == "true" ? "0" : "20";
    return answer(`{"request":${request(call, "poll")}}`, `{"offset":${offset},"wait":${wait}}`);
  }
  if (check(response, call.body) != 0) return 1;
  const updates = items(or(get(call.body, "updates"), "[]"));
  for (let i = 0; i < updates.length; i++) {
    const u = updates[i];
    if (get(u, "kind") == '"message"' && ask(EMIT, event(call, u)).refused < 0) return fail("other", "an event was refused");
    ask(KV_PUT, '{"key":"offset"}', (I64.parseInt(get(u, "id")) + 1).toString());
  }
  return answer();
}

function content(id: string, text: string): string {
  if (!text.startsWith("/")) return `"type":"message","content":{"id":${id},"text":"${text}"}`;
  const space = text.indexOf(" ");
  const name = text.substring(1, space < 0 ? text.length : space).toLowerCase();
  return `"type":"command","content":{"id":${id},"name":"${name}","args":"${space < 0 ? "" : text.substring(space + 1)}"}`;
}

function event(call: Payload, u: string): string {
  const id = get(u, "message"), direct = or(get(u, "direct"), "false");
  const meant = direct == "true" ? direct : or(get(u, "mention"), "false");
  return `{"v":1,"key":"message/${bare(id)}","at":${get(u, "at")},"account":"echo","who":${get(u, "from")},` +
    `"room":{"direct":${direct}},"addressed":${meant},` +
    `"where":{"channel":${get(call.header, "channel")},"account":"echo","conversation":${get(u, "chat")}},` +
    content(id, bare(get(u, "text"))) + "}";
}

function send(call: Payload): i32 {
  const part = get(call.header, "part"), old = get(part, "replaces");
  const body = `{"key":${get(part, "key")},"chat":${get(get(part, "to"), "conversation")},"text":${or(get(part, "text"), '""')},` +
    `"plain":${or(get(part, "plain"), "false")},"message":${or(old, '""')}}`;
  const out = ask(HTTP, request(call, old == "" ? "send" : "edit"), body);
  if (out.refused == UNAVAILABLE) return fail("transient", "nothing could be sent");
  if (out.refused == TIMEOUT) return fail("ambiguous", "no answer came");
  if (out.refused == AUTH) return fail("unauthorized", "the credential cannot be used");
  if (out.refused < 0) return fail("rejected", "the host refused the request");
  if (check(out.header, out.body) != 0) return 1;
  return answer(`{"receipt":{"id":${get(out.body, "message")}}}`);
}
