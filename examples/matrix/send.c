// What goes out: messages, changes of them, files, reactions, typing.
#include "matrix.h"

// upload hands a file's content to the homeserver, by its handle.
static response upload(payload c, str file) {
    str mime = or(get(file, S("mime")), S("\"application/octet-stream\""));
    return call(c, S("POST"), JOIN(S("/_matrix/media/v3/upload?filename="), encoded(bare(or(get(file, S("name")), S("\"file\""))))), S(""),
                JOIN(S(",\"timeout_ms\":60000,\"file\":"), get(file, S("handle")), S(",\"headers\":{\"content-type\":"), mime, S("}")));
}

static str kind_of(str file) {
    str kind = bare(get(file, S("kind")));
    if (same(kind, S("photo"))) return S("m.image");
    if (same(kind, S("video"))) return S("m.video");
    if (same(kind, S("audio")) || same(kind, S("voice"))) return S("m.audio");
    return S("m.file");
}

// bodies are a message's text, in one form or in two.
static str bodies(str part, str prefix) {
    str text = or(get(part, S("text")), S("\"\"")), other = get(part, S("alternative"));
    if (!other.p) return JOIN(S("\"body\":\""), prefix, bare(text), S("\""));
    return JOIN(S("\"body\":\""), prefix, bare(other), S("\",\"format\":\"org.matrix.custom.html\",\"formatted_body\":\""), prefix, bare(text), S("\""));
}

static str file_content(str part, str file, str uri) {
    str name = or(get(file, S("name")), S("\"file\"")), text = get(part, S("text")), size = get(file, S("size")), mime = get(file, S("mime"));
    str caption = text.n > 2 ? bodies(part, S("")) : JOIN(S("\"body\":"), name);
    str info = JOIN(size.p ? JOIN(S("\"size\":"), size) : S("\"size\":0"), mime.p ? JOIN(S(",\"mimetype\":"), mime) : S(""));
    return JOIN(S("\"msgtype\":\""), kind_of(file), S("\","), caption, S(",\"filename\":"), name, S(",\"url\":"), uri, S(",\"info\":{"), info, S("}"));
}

static str text_content(str part, str prefix) { return JOIN(S("\"msgtype\":\"m.text\","), bodies(part, prefix)); }

// relation ties a message to what it changes, answers, or goes on with.
static str relation(str part, str content) {
    str old = get(part, S("replaces")), reply = get(part, S("reply_to")), thread = get(get(part, S("to")), S("thread"));
    if (old.p) return JOIN(S(",\"m.new_content\":{"), content, S("},\"m.relates_to\":{\"rel_type\":\"m.replace\",\"event_id\":"), old, S("}"));
    str answer = reply.p ? JOIN(S("\"m.in_reply_to\":{\"event_id\":"), reply, S("}")) : S("");
    if (thread.p)
        return JOIN(S(",\"m.relates_to\":{\"rel_type\":\"m.thread\",\"event_id\":"), thread, reply.p ? S(",") : S(""), answer, S(",\"is_falling_back\":"),
                    reply.p ? S("false") : S("true"), S("}"));
    return reply.p ? JOIN(S(",\"m.relates_to\":{"), answer, S("}")) : S("");
}

// joins notes a thread in which the bot has spoken, so that it is meant by what
// is said there. Only the latest are known.
static void joins(str thread) {
    enum { most = 100 };
    payload known = {0};
    str item = {0}, none, all = JOIN(S("["), thread);
    unsigned n = 0;
    ask(KV_GET, S("{\"key\":\"threads\"}"), S(""), &known);
    for (str list = known.body; list.p && next(list, &none, &item) && n < most; n++) {
        if (n == 0 && same(item, thread)) return;
        if (!same(item, thread)) all = JOIN(all, S(","), item);
    }
    ask(KV_PUT, S("{\"key\":\"threads\"}"), JOIN(all, S("]")), 0);
}

int send(payload c) {
    str part = get(c.header, S("part")), to = get(part, S("to")), mentions = get(part, S("mentions"));
    str file = {0}, none;
    int has_file = next(or(get(part, S("files")), S("[]")), &none, &file), is_edit = get(part, S("replaces")).p != 0;
    str content = text_content(part, S("")), shown = is_edit ? text_content(part, S("* ")) : content;
    if (has_file) {
        response up = upload(c, file);
        if (check(up)) return 1;
        shown = content = file_content(part, file, or(get(up.body, S("content_uri")), S("\"\"")));
    }
    response r = call(c, S("PUT"), event_path(get(to, S("conversation")), S("m.room.message"), get(part, S("key"))),
                      JOIN(S("{"), shown, S(",\"m.mentions\":{"), mentions.p ? JOIN(S("\"user_ids\":"), mentions) : S(""), S("}"), relation(part, content), S("}")), S(""));
    if (check(r)) return 1;
    if (get(to, S("thread")).p) joins(get(to, S("thread")));
    return answer(JOIN(S("{\"receipt\":{\"id\":"), or(get(r.body, S("event_id")), S("\"\"")), S("}}")), S(""));
}

static str now(void) {
    payload out = {S("{}"), S("")};
    ask(NOW, S("{}"), S(""), &out);
    return get(out.header, S("unix_ms"));
}

static response take_back(payload c, str room, str event) {
    return call(c, S("PUT"), JOIN(S("/_matrix/client/v3/rooms/"), encoded(bare(room)), S("/redact/"), encoded(bare(event)), S("/take-back-"), token(bare(event))),
                S("{}"), S(""));
}

// react sets the bot's reaction, or takes it back. A reaction is an event of its
// own, whose id is kept for that.
int react(payload c) {
    str room = get(get(c.header, S("at")), S("conversation")), id = get(c.header, S("id")), emoji = get(c.header, S("emoji"));
    str key = JOIN(S("{\"key\":\"reaction/"), bare(id), S("\"}"));
    payload old = {0};
    ask(KV_GET, key, S(""), &old);
    if (old.body.n) {
        response r = take_back(c, room, old.body);
        if (r.status != 404 && check(r)) return 1;
        ask(KV_PUT, JOIN(S("{\"key\":\"reaction/"), bare(id), S("\",\"delete\":true}")), S(""), 0);
    }
    if (emoji.n <= 2) return answer(S("{}"), S(""));
    response r = call(c, S("PUT"), event_path(room, S("m.reaction"), quoted(JOIN(S("reaction."), now()))),
                      JOIN(S("{\"m.relates_to\":{\"rel_type\":\"m.annotation\",\"event_id\":"), id, S(",\"key\":"), emoji, S("}}")), S(""));
    if (r.status == 400 && same(get(r.body, S("errcode")), S("\"M_DUPLICATE_ANNOTATION\""))) return answer(S("{}"), S(""));
    if (check(r)) return 1;
    ask(KV_PUT, key, get(r.body, S("event_id")), 0);
    return answer(S("{}"), S(""));
}

// typing shows that the bot is at work, and that it has read what it answers.
int typing(payload c) {
    str room = get(get(c.header, S("at")), S("conversation"));
    payload known = {0};
    ask(KV_GET, JOIN(S("{\"key\":\"room/"), bare(room), S("\"}")), S(""), &known);
    str last = bare(get(known.body, S("last")));
    if (last.n) call(c, S("POST"), JOIN(S("/_matrix/client/v3/rooms/"), encoded(bare(room)), S("/receipt/m.read/"), encoded(last)), S("{}"), S(""));
    response r = call(c, S("PUT"), JOIN(S("/_matrix/client/v3/rooms/"), encoded(bare(room)), S("/typing/"), encoded(bare(user(c)))),
                      S("{\"typing\":true,\"timeout\":30000}"), S(""));
    return check(r) ? 1 : answer(S("{}"), S(""));
}

int redact(payload c) {
    response r = take_back(c, get(get(c.header, S("at")), S("conversation")), get(c.header, S("id")));
    return check(r) ? 1 : answer(S("{}"), S(""));
}

// fetch asks for a file by its mxc://server/id; homeservers from before version
// 1.11 of the specification have it elsewhere.
int fetch(payload c) {
    str ref = bare(get(get(c.header, S("file")), S("ref")));
    if (!starts(ref, S("mxc://"))) return fail(S("rejected"), S("the file's reference is none of this platform"), 0);
    str server = {ref.p + 6, ref.n - 6}, id = {0};
    for (unsigned i = 0; i < server.n && !id.p; i++)
        if (server.p[i] == '/') id = (str){server.p + i + 1, server.n - i - 1}, server.n = i;
    str place = JOIN(encoded(server), S("/"), encoded(or(id, S(""))));
    str more = S(",\"save\":true,\"timeout_ms\":60000");
    response r = call(c, S("GET"), JOIN(S("/_matrix/client/v1/media/download/"), place), S(""), more);
    if (r.status == 404 && same(get(r.body, S("errcode")), S("\"M_UNRECOGNIZED\"")))
        r = call(c, S("GET"), JOIN(S("/_matrix/media/v3/download/"), place), S(""), more);
    str file = get(r.header, S("file"));
    if (r.status == 200 && file.p) return answer(JOIN(S("{\"file\":"), file, S("}")), S(""));
    return check(r) ? 1 : fail(S("other"), S("no file came"), 0);
}
