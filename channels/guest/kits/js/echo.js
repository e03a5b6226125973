// A channel for a small chat platform: it polls for messages and sends answers.

// A request of the platform: {token} stands for the secret, which the host puts in.
const request = (call, method) => ({
  method: "POST", url: `${call.config.base_url}/bot{token}/${method}`, headers: { "content-type": "application/json" },
});

const codes = { 400: "format", 401: "unauthorized", 410: "gone", 413: "rejected", 422: "rejected", 429: "rate_limited", 503: "transient" };

// What a status means for what happens next.
function check(status, text) {
  let answer = {};
  try { answer = JSON.parse(text); } catch { /* it broke off */ }
  if (status === 200 && answer && text.startsWith("{")) return answer;
  throw new gw.Failure(codes[status] ?? "ambiguous", `status ${status}`, (answer.wait ?? 0) * 1000);
}

function content(u) {
  if (!u.text?.startsWith("/")) return { type: "message", content: { id: u.message, text: u.text } };
  const [name, ...args] = u.text.slice(1).split(" ");
  return { type: "command", content: { id: u.message, name: name.toLowerCase(), args: args.join(" ") } };
}

export default {
  start: () => ({ as: "@echo" }),

  // The host makes the long poll and calls again with the response.
  poll(call) {
    const response = call.poll.response;
    if (!response) {
      return { request: request(call, "poll"), body: { offset: Number(gw.get("offset") ?? 0), wait: call.poll.quick ? 0 : 20 } };
    }
    for (const u of check(response.status, call.text).updates ?? []) {
      if (u.kind === "message") {
        gw.emit({
          key: `message/${u.message}`, at: u.at, account: "echo", who: u.from, room: { direct: !!u.direct }, addressed: !!(u.direct || u.mention),
          where: { channel: call.channel, account: "echo", conversation: u.chat }, ...content(u),
        });
      }
      gw.put("offset", String(u.id + 1));
    }
  },

  send(call) {
    const { key, to, text = "", plain = false, replaces = "" } = call.part;
    const out = gw.http(request(call, replaces ? "edit" : "send"), { key, chat: to.conversation, text, plain, message: replaces });
    return { receipt: { id: check(out.status, out.text).message } };
  },

  edit(call) { return this.send(call); },
};
