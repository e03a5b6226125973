// A channel for a small chat platform: it polls for messages and sends answers.
// Texts are passed on as they stand in the JSON, so that nothing is decoded.
#include "gw1.h"

// request is a request of the platform: {token} stands for the secret, which the host puts in.
static str request(payload c, str method) {
    return JOIN(S("{\"method\":\"POST\",\"url\":\""), bare(get(get(c.header, S("config")), S("base_url"))), S("/bot{token}/"), method,
                S("\",\"headers\":{\"content-type\":\"application/json\"}}"));
}

// check is what a status means for what happens next; 0: go on.
static int check(str response, str body) {
    unsigned wait = number(get(body, S("wait"))) * 1000;
    str status = get(response, S("status"));
    str message = JOIN(S("status "), status);
    switch (number(status)) {
    case 200: if (body.n && *body.p == '{') return 0; return fail(S("ambiguous"), S("the answer broke off"), 0);
    case 400: return fail(S("format"), message, wait);
    case 401: return fail(S("unauthorized"), message, wait);
    case 410: return fail(S("gone"), message, wait);
    case 413: case 422: return fail(S("rejected"), message, wait);
    case 429: return fail(S("rate_limited"), message, wait);
    case 503: return fail(S("transient"), message, wait);
    }
    return fail(S("ambiguous"), message, wait);
}

static str or(str s, str otherwise) { return s.p ? s : otherwise; }

static str lower(str s) {
    char *p = alloc(s.n);
    for (unsigned i = 0; i < s.n; i++) p[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i];
    return (str){p, s.n};
}

static str content(str id, str text) {
    if (text.n < 2 || text.p[0] != '/') return JOIN(S("\"type\":\"message\",\"content\":{\"id\":"), id, S(",\"text\":\""), text, S("\"}"));
    unsigned n = 1;
    while (n < text.n && text.p[n] != ' ') n++;
    str args = n < text.n ? (str){text.p + n + 1, text.n - n - 1} : S("");
    return JOIN(S("\"type\":\"command\",\"content\":{\"id\":"), id, S(",\"name\":\""), lower((str){text.p + 1, n - 1}), S("\",\"args\":\""), args, S("\"}"));
}

static str event(payload c, str u) {
    str id = get(u, S("message")), direct = or(get(u, S("direct")), S("false"));
    return JOIN(S("{\"v\":1,\"key\":\"message/"), bare(id), S("\",\"at\":"), get(u, S("at")), S(",\"account\":\"echo\",\"who\":"), get(u, S("from")),
                S(",\"room\":{\"direct\":"), direct, S("},\"addressed\":"), *direct.p == 't' ? direct : or(get(u, S("mention")), S("false")),
                S(",\"where\":{\"account\":\"echo\",\"channel\":"), get(c.header, S("channel")), S(",\"conversation\":"), get(u, S("chat")), S("},"),
                content(id, bare(get(u, S("text")))), S("}"));
}

// poll asks the host to make the long poll, and is called again with the response.
static int poll(payload c) {
    str ask_for = get(c.header, S("poll")), response = get(ask_for, S("response"));
    if (!response.p) {
        payload offset = {0};
        ask(KV_GET, S("{\"key\":\"offset\"}"), S(""), &offset);
        str wait = get(ask_for, S("quick")).p ? S("0") : S("20");
        return answer(JOIN(S("{\"request\":"), request(c, S("poll")), S("}")),
                      JOIN(S("{\"offset\":"), offset.body.n ? offset.body : S("0"), S(",\"wait\":"), wait, S("}")));
    }
    if (check(response, c.body)) return 1;
    str updates = get(c.body, S("updates")), u = {0}, none;
    while (updates.p && next(updates, &none, &u)) {
        if (same(get(u, S("kind")), S("\"message\"")) && ask(EMIT, event(c, u), S(""), 0) < 0) return fail(S("other"), S("an event was refused"), 0);
        ask(KV_PUT, S("{\"key\":\"offset\"}"), digits(number(get(u, S("id"))) + 1), 0);
    }
    return answer(S("{}"), S(""));
}

static int send(payload c) {
    str part = get(c.header, S("part")), old = get(part, S("replaces"));
    str body = JOIN(S("{\"key\":"), get(part, S("key")), S(",\"chat\":"), get(get(part, S("to")), S("conversation")), S(",\"text\":"), or(get(part, S("text")), S("\"\"")),
                    S(",\"plain\":"), or(get(part, S("plain")), S("false")), S(",\"message\":"), or(old, S("\"\"")), S("}"));
    payload out = {0};
    long long n = ask(HTTP, request(c, old.p ? S("edit") : S("send")), body, &out);
    switch (n < 0 ? (int)n : 0) {
    case 0: break;
    case UNAVAILABLE: return fail(S("transient"), S("nothing could be sent"), 0);
    case TIMEOUT: return fail(S("ambiguous"), S("no answer came"), 0);
    case AUTH: return fail(S("unauthorized"), S("the credential cannot be used"), 0);
    default: return fail(S("rejected"), S("the host refused the request"), 0);
    }
    if (check(out.header, out.body)) return 1;
    return answer(JOIN(S("{\"receipt\":{\"id\":"), get(out.body, S("message")), S("}}")), S(""));
}

__attribute__((export_name("gw1_handle"))) int gw1_handle(unsigned op, unsigned n) {
    char *p = alloc(n);
    payload c = unframe(p, gw_input(p, n));
    switch (op) {
    case START: return answer(S("{\"as\":\"@echo\"}"), S(""));
    case POLL: return poll(c);
    case SEND: case EDIT: return send(c);
    }
    return fail(S("rejected"), S("this channel does not offer the operation"), 0);
}
