// A channel for Matrix, https://spec.matrix.org: it waits for the homeserver's
// /sync and sends events to rooms. Texts are passed on as they stand in the JSON.
#include "matrix.h"

static response whoami(payload c) { return call(c, S("GET"), S("/_matrix/client/v3/account/whoami"), S(""), S("")); }

static int start(payload c) {
    response r = whoami(c);
    if (check(r)) return 1;
    str id = or(get(r.body, S("user_id")), S("\"\""));
    return answer(JOIN(S("{\"as\":"), id, S(",\"session\":{\"user\":"), id, S("}}")), S(""));
}

static int probe(payload c) {
    response r = whoami(c);
    if (check(r)) return 1;
    str id = or(get(r.body, S("user_id")), S("\"\""));
    response p = call(c, S("GET"), JOIN(S("/_matrix/client/v3/profile/"), encoded(bare(id)), S("/displayname")), S(""), S(""));
    str name = p.status == 200 ? get(p.body, S("displayname")) : id;
    return answer(JOIN(S("{\"identity\":{\"account\":"), id, S(",\"name\":"), or(name, id), S(",\"link\":\"https://matrix.to/#/"), bare(id), S("\"}}")), S(""));
}

__attribute__((export_name("gw1_handle"))) int gw1_handle(unsigned op, unsigned n) {
    char *p = alloc(n);
    payload c = unframe(p, gw_input(p, n));
    switch (op) {
    case START: return start(c);
    case POLL: return poll(c);
    case SEND: case EDIT: return send(c);
    case REACT: return react(c);
    case TYPING: return typing(c);
    case DELETE: return redact(c);
    case FETCH: return fetch(c);
    case PROBE: return probe(c);
    }
    return fail(S("rejected"), S("this channel does not offer the operation"), 0);
}
