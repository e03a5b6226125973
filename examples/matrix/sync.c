// What comes in: the answers of /sync, and what has to be asked for to read them.
#include "matrix.h"

enum { events_a_call = 90, rooms_a_call = 18, requests_a_call = 12, pages = 3 };

// reading is one answer of /sync that is worked off. It may take several calls:
// then the same is asked for again, and what was handed in already is passed over.
typedef struct {
    payload c;
    str since, done;                    // done is an object: room -> the last event that was handed in
    payload threads;                    // in which the bot has spoken
    unsigned events, rooms, requests;   // of this call
    int full;                           // the rest is for the next call
} reading;

// place is a room with what is known of it, and what of that is kept.
typedef struct {
    str id, members;                    // members are those that the homeserver showed with the events
    str title, joined, invited, last;   // "": not known
    int direct, encrypted;              // encrypted: it was said that nothing can be read
} place;

static payload kept(str prefix, str id) {
    payload out = {0};
    ask(KV_GET, JOIN(S("{\"key\":\""), prefix, bare(id), S("\"}")), S(""), &out);
    return out;
}
static void keep(str prefix, str id, str value) { ask(KV_PUT, JOIN(S("{\"key\":\""), prefix, bare(id), S("\"}")), value, 0); }

static response look(reading *r, str path) {
    r->requests++;
    return call(r->c, S("GET"), path, S(""), S(""));
}

static str in_room(str id, str rest) { return JOIN(S("/_matrix/client/v3/rooms/"), encoded(bare(id)), rest); }

// state is the newest event of a type and a key in a list; p == 0: none.
static str state(str list, str type, str key) {
    str item = {0}, none, found = {0, 0};
    while (list.p && next(list, &none, &item))
        if (same(get(item, S("type")), type) && same(get(item, S("state_key")), key)) found = item;
    return found;
}

static unsigned members_of(str list) {
    str item = {0}, none;
    unsigned n = 0;
    while (list.p && next(list, &none, &item)) n++;
    return n;
}

// recall takes what is kept of a room, or asks for it. A room whose members are
// not to be had is one that others may read.
static void recall(place *p) {
    str old = kept(S("room/"), p->id).body;
    p->title = or(get(old, S("title")), S("\"\""));
    p->joined = or(get(old, S("joined")), S(""));
    p->invited = or(get(old, S("invited")), S("0"));
    p->last = or(get(old, S("last")), S("\"\""));
    p->encrypted = get(old, S("encrypted")).p != 0;
}

static void look_up(reading *r, place *p) {
    response all = look(r, in_room(p->id, S("/joined_members")));
    if (all.status == 200) p->joined = digits(members_of(get(all.body, S("joined"))));
    if (all.refused == TOO_LARGE) p->joined = S("1000");
    response named = look(r, in_room(p->id, S("/state/m.room.name/")));
    if (named.status == 200) p->title = or(get(named.body, S("name")), p->title);
}

// know finds out who reads along in a room and what it is called: from what is
// kept, from what changed, and for a room that is new from the homeserver.
static void know(reading *r, str section, place *p) {
    recall(p);
    str summary = get(section, S("summary"));
    str name = state(get(get(section, S("timeline")), S("events")), S("\"m.room.name\""), S("\"\""));
    if (!name.p) name = state(p->members, S("\"m.room.name\""), S("\"\""));
    if (name.p) p->title = or(get(get(name, S("content")), S("name")), S("\"\""));
    p->joined = or(get(summary, S("m.joined_member_count")), p->joined);
    p->invited = or(get(summary, S("m.invited_member_count")), p->invited);
    if (!p->joined.n) look_up(r, p);
    p->direct = p->joined.n && number(p->joined) + number(p->invited) <= 2;
}

static void remember(place *p) {
    if (!p->joined.n) return;
    keep(S("room/"), p->id, JOIN(S("{\"joined\":"), p->joined, S(",\"invited\":"), p->invited, S(",\"title\":"), p->title, S(",\"last\":"), p->last,
                                 p->encrypted ? S(",\"encrypted\":1}") : S("}")));
}

static str name_of(place *p, str timeline, str id) {
    str m = state(timeline, S("\"m.room.member\""), id);
    if (!m.p) m = state(p->members, S("\"m.room.member\""), id);
    str name = get(get(m, S("content")), S("displayname"));
    return name.n > 2 && *name.p == '"' ? name : S("\"\"");
}

// emit hands in what happened.
static void emit(reading *r, place *p, str e, str timeline, str thread, int addressed, int bot, str content) {
    str id = get(e, S("event_id")), who = get(e, S("sender")), me = user(r->c);
    str event = JOIN(
        S("{\"v\":1,\"key\":"), id, S(",\"at\":"), rfc3339(wide(get(e, S("origin_server_ts")))), S(",\"account\":"), me,
        S(",\"where\":{\"channel\":"), get(r->c.header, S("channel")), S(",\"account\":"), me, S(",\"conversation\":"), p->id,
        thread.p ? JOIN(S(",\"thread\":"), thread) : S(""), S("},\"room\":{\"direct\":"), p->direct ? S("true") : S("false"), S(",\"title\":"), p->title,
        S("},\"who\":{\"id\":"), who, S(",\"name\":"), name_of(p, timeline, who), bot ? S(",\"bot\":true") : S(""), same(who, me) ? S(",\"self\":true") : S(""),
        S("},\"addressed\":"), addressed || p->direct ? S("true") : S("false"), S(","), content, S("}"));
    ask(EMIT, event, S(""), 0);
    r->events++;
}

static int holds(str list, str text) {
    str item = {0}, none;
    while (list.p && next(list, &none, &item)) if (same(item, text)) return 1;
    return 0;
}

static int contains(str text, str part) {
    for (unsigned i = 0; part.n && i + part.n <= text.n; i++) if (same((str){text.p + i, part.n}, part)) return 1;
    return 0;
}

// without_quote is a text without the quotation that older clients put before an
// answer: lines that begin with >, and an empty one.
static str without_quote(str text) {
    str s = bare(text);
    for (unsigned i = 0; starts(s, S("> <")) && i + 4 <= s.n; i++)
        if (same((str){s.p + i, 4}, S("\\n\\n"))) return quoted((str){s.p + i + 4, s.n - i - 4});
    return text;
}

// quote is what a message answers. The homeserver knows who wrote it.
static str quote(reading *r, place *p, str id, int *ours) {
    str who = S("\"\""), text = S("\"\"");
    if (r->requests < requests_a_call) {
        response e = look(r, in_room(p->id, JOIN(S("/event/"), encoded(bare(id)))));
        if (e.status == 200) who = or(get(e.body, S("sender")), who), text = or(get(get(e.body, S("content")), S("body")), text);
    }
    *ours = same(who, user(r->c));
    return JOIN(S(",\"reply_to\":{\"id\":"), id, S(",\"who\":{\"id\":"), who, *ours ? S(",\"self\":true") : S(""), S("},\"text\":"), without_quote(text), S("}"));
}

static str file_kind(str content) {
    str type = get(content, S("msgtype"));
    if (same(type, S("\"m.image\""))) return S("photo");
    if (same(type, S("\"m.video\""))) return S("video");
    if (same(type, S("\"m.audio\""))) return get(content, S("org.matrix.msc3245.voice")).p ? S("voice") : S("audio");
    return S("document");
}

// file is the attachment of a message; n == 0: it has none. Its body is then a
// caption if there is a name beside it.
static str file(str content, str *text) {
    str url = get(content, S("url")), name = get(content, S("filename")), info = get(content, S("info"));
    if (!url.p || *url.p != '"') return S("");
    if (!name.p || same(name, *text)) name = *text, *text = S("\"\"");
    str size = get(info, S("size")), mime = get(info, S("mimetype"));
    return JOIN(S(",\"files\":[{\"kind\":\""), file_kind(content), S("\",\"name\":"), name, S(",\"ref\":"), url, mime.p && *mime.p == '"' ? JOIN(S(",\"mime\":"), mime) : S(""),
                size.p && *size.p >= '0' && *size.p <= '9' ? JOIN(S(",\"size\":"), decimal(wide(size))) : S(""), S("}]"));
}

static str message_content(str id, str text, str rest) {
    str raw = bare(text);
    unsigned n = 1;
    while (n < raw.n && ((raw.p[n] >= 'a' && raw.p[n] <= 'z') || (raw.p[n] >= '0' && raw.p[n] <= '9') || raw.p[n] == '_')) n++;
    if (raw.n < 2 || *raw.p != '/' || n == 1 || (n < raw.n && raw.p[n] != ' ') || rest.n)
        return JOIN(S("\"type\":\"message\",\"content\":{\"id\":"), id, S(",\"text\":"), text, rest, S("}"));
    str args = n < raw.n ? (str){raw.p + n + 1, raw.n - n - 1} : S("");
    return JOIN(S("\"type\":\"command\",\"content\":{\"id\":"), id, S(",\"name\":\""), ((str){raw.p + 1, n - 1}), S("\",\"args\":\""), args, S("\"}"));
}

static void message(reading *r, place *p, str e, str timeline) {
    str content = get(e, S("content")), relates = get(content, S("m.relates_to")), kind = get(relates, S("rel_type"));
    str text = get(content, S("body")), id = get(e, S("event_id")), me = user(r->c);
    if (!text.p || *text.p != '"') return; // it was taken back
    int bot = same(get(content, S("msgtype")), S("\"m.notice\"")), ours = 0;
    str mentioned = get(get(content, S("m.mentions")), S("user_ids"));
    int addressed = holds(mentioned, me) || (!get(content, S("m.mentions")).p && contains(text, bare(me)));
    if (same(kind, S("\"m.replace\""))) {
        str changed = get(content, S("m.new_content")), target = get(relates, S("event_id"));
        text = get(changed, S("body"));
        if (text.p && *text.p == '"' && target.p)
            emit(r, p, e, timeline, (str){0, 0}, addressed, bot, JOIN(S("\"type\":\"edit\",\"content\":{\"id\":"), target, S(",\"text\":"), text, S("}")));
        return;
    }
    str thread = same(kind, S("\"m.thread\"")) ? get(relates, S("event_id")) : (str){0, 0};
    str reply = get(get(relates, S("m.in_reply_to")), S("event_id")), rest = S("");
    if (reply.p && !same(get(relates, S("is_falling_back")), S("true"))) rest = quote(r, p, reply, &ours), text = without_quote(text);
    if (thread.p) ours = ours || holds(r->threads.body, thread);
    str attached = file(content, &text);
    emit(r, p, e, timeline, thread, addressed || ours, bot, message_content(id, text, JOIN(rest, attached)));
}

static void reaction(reading *r, place *p, str e, str timeline) {
    str relates = get(get(e, S("content")), S("m.relates_to")), target = get(relates, S("event_id")), key = get(relates, S("key"));
    if (target.p && key.p && *key.p == '"')
        emit(r, p, e, timeline, (str){0, 0}, 0, 0, JOIN(S("\"type\":\"reaction\",\"content\":{\"id\":"), target, S(",\"added\":["), key, S("]}")));
}

static void redaction(reading *r, place *p, str e, str timeline) {
    str target = get(e, S("redacts"));
    if (!target.p) target = get(get(e, S("content")), S("redacts")); // rooms of version 11 and later
    if (target.p && *target.p == '"')
        emit(r, p, e, timeline, (str){0, 0}, 0, 0, JOIN(S("\"type\":\"deletion\",\"content\":{\"ids\":["), target, S("]}")));
}

static str membership(str e) { return get(get(e, S("content")), S("membership")); }
static str before(str e) { return get(get(get(e, S("unsigned")), S("prev_content")), S("membership")); }

static void member(reading *r, place *p, str e, str timeline) {
    str who = get(e, S("state_key")), now = membership(e), was = before(e);
    int in = same(now, S("\"join\"")), out = same(now, S("\"leave\"")) || same(now, S("\"ban\""));
    if (!who.p || same(now, was) || (!in && !(out && same(was, S("\"join\""))))) return;
    str person = JOIN(S("{\"id\":"), who, S(",\"name\":"), name_of(p, timeline, who), same(who, user(r->c)) ? S(",\"self\":true") : S(""), S("}"));
    emit(r, p, e, timeline, (str){0, 0}, 0, 0, JOIN(S("\"type\":\""), in ? S("joined") : S("left"), S("\",\"content\":{\"members\":["), person, S("]}")));
}

// unreadable says once in a room that its messages are encrypted: the
// transaction's id is the same each time.
static void unreadable(reading *r, place *p) {
    if (p->encrypted) return;
    response said = call(r->c, S("PUT"), event_path(p->id, S("m.room.message"), S("\"encrypted\"")),
                         S("{\"msgtype\":\"m.notice\",\"body\":\"I cannot read messages that are encrypted. Please write to me in a room without encryption.\"}"), S(""));
    r->requests++;
    p->encrypted = said.status == 200;
}

static void read_event(reading *r, place *p, str e, str timeline) {
    str type = get(e, S("type")), id = get(e, S("event_id")), who = get(e, S("sender"));
    if (!id.p || *id.p != '"' || !who.p || *who.p != '"') return;
    if (same(type, S("\"m.room.member\""))) return member(r, p, e, timeline);
    if (same(who, user(r->c))) return;
    if (same(type, S("\"m.room.message\"")) || same(type, S("\"m.sticker\""))) message(r, p, e, timeline);
    else if (same(type, S("\"m.reaction\""))) reaction(r, p, e, timeline);
    else if (same(type, S("\"m.room.redaction\""))) redaction(r, p, e, timeline);
    else if (same(type, S("\"m.room.encrypted\""))) unreadable(r, p);
}

// beginning is where reading begins: after what was handed in before, and not
// before the bot was let in. p == 0: with the first event.
static const char *beginning(reading *r, str id, str timeline) {
    str last = get(r->done, bare(id)), me = user(r->c), item = {0}, none;
    const char *from = 0;
    while (next(timeline, &none, &item)) {
        if (last.p && same(get(item, S("event_id")), last)) { from = item.p + item.n; continue; }
        if (!same(get(item, S("type")), S("\"m.room.member\"")) || !same(get(item, S("state_key")), me)) continue;
        str now = membership(item), was = before(item);
        if (same(now, S("\"invite\"")) || (same(now, S("\"join\"")) && !same(was, S("\"join\"")) && !same(was, S("\"invite\"")))) from = item.p;
    }
    return from;
}

// finished notes how far a room was read.
static void finished(reading *r, str id, str last) {
    str rest = r->done.n > 2 ? JOIN(S(","), ((str){r->done.p + 1, r->done.n - 1})) : S("}");
    r->done = JOIN(S("{"), id, S(":"), last, rest); // the first of a name counts
}

static void read_events(reading *r, place *p, str timeline) {
    str item = {0}, none;
    const char *from = beginning(r, p->id, timeline);
    while (next(timeline, &none, &item)) {
        if (item.p < from) continue;
        if (r->events >= events_a_call || r->requests >= requests_a_call) { r->full = 1; break; }
        read_event(r, p, item, timeline);
        p->last = or(get(item, S("event_id")), p->last);
    }
}

// backwards is a list with its last element first, and a comma after each.
static str backwards(str list) {
    unsigned n = members_of(list);
    str *all = (str *)alloc((2 * n + 1) * sizeof(str)), item = {0}, none;
    all[2 * n] = (str){0, 0};
    for (unsigned i = n; i-- && next(list, &none, &item);) all[2 * i] = item, all[2 * i + 1] = S(",");
    return join(all);
}

// missed is what a room said that does not fit into /sync, oldest first, with
// what does; a hole that is too long stays one.
static str missed(reading *r, str id, str section) {
    str timeline = get(section, S("timeline")), events = or(get(timeline, S("events")), S("[]")), from = get(timeline, S("prev_batch"));
    int hole = same(get(timeline, S("limited")), S("true"));
    for (int i = 0; i < pages && hole && from.p && r->requests < requests_a_call; i++) {
        response page = look(r, in_room(id, JOIN(S("/messages?dir=b&limit=50&from="), encoded(bare(from)), S("&to="), encoded(r->since))));
        str chunk = get(page.body, S("chunk"));
        if (page.status != 200 || chunk.n < 2) break;
        events = JOIN(S("["), backwards(chunk), ((str){events.p + 1, events.n - 1}));
        from = get(page.body, S("end"));
    }
    return events;
}

// newest is the last event of a room, as far as /sync has it.
static str newest(str timeline) {
    str item = {0}, none, last = S("\"\"");
    while (timeline.p && next(timeline, &none, &item)) last = or(get(item, S("event_id")), last);
    return last;
}

static void room(reading *r, str id, str section) {
    str timeline = get(get(section, S("timeline")), S("events")), last = newest(timeline);
    place p = {.id = quoted(id), .members = get(get(section, S("state")), S("events"))};
    if (same(get(r->done, id), last)) return;
    if (r->rooms >= rooms_a_call || r->requests >= requests_a_call) r->full = 1;
    if (r->full) return;
    r->rooms++;
    know(r, section, &p);
    if (timeline.n > 2) read_events(r, &p, missed(r, p.id, section));
    finished(r, p.id, r->full ? p.last : last);
    remember(&p);
}

// accept goes into the rooms that the bot is invited to.
static int accept(reading *r, str invited) {
    str id = {0}, section = {0};
    if (!same(or(get(get(r->c.header, S("config")), S("invites")), S("\"accept\"")), S("\"accept\""))) return 0;
    while (!r->full && invited.p && next(invited, &id, &section)) {
        if (++r->requests > requests_a_call) { r->full = 1; break; }
        response in = call(r->c, S("POST"), in_room(quoted(id), S("/join")), S("{}"), S(""));
        if (in.refused || in.status == 401 || in.status == 429 || in.status >= 500) return check(in);
        if (in.status != 200) ask(LOG, S("{\"level\":\"WARN\"}"), JOIN(S("an invitation could not be accepted: status "), digits(in.status)), 0);
    }
    return 0;
}

static void leave(reading *r, str left) {
    str id = {0}, section = {0};
    while (!r->full && left.p && next(left, &id, &section)) {
        place p = {.id = quoted(id), .title = S("\"\""), .last = S("\"\"")};
        if (++r->rooms > rooms_a_call) { r->full = 1; break; }
        str timeline = get(get(section, S("timeline")), S("events"));
        if (timeline.n > 2) read_events(r, &p, timeline);
        ask(KV_PUT, JOIN(S("{\"key\":\"room/"), id, S("\",\"delete\":true}")), S(""), 0);
    }
}

// waiting is the request that the host holds until something happens. After a
// failure less is asked for, and at first nothing: what was said before the
// channel began is not answered.
static int waiting(payload c, str ask_for, payload since, payload done) {
    str limit = !since.body.n ? S("1") : get(ask_for, S("failures")).p ? S("5") : S("50");
    str filter = JOIN(S("{\"presence\":{\"types\":[]},\"account_data\":{\"types\":[]},\"room\":{\"account_data\":{\"types\":[]},\"ephemeral\":{\"types\":[]},"
                        "\"state\":{\"types\":["), since.body.n ? S("\"m.room.member\",\"m.room.name\"") : S(""),
                      S("],\"lazy_load_members\":true,\"include_redundant_members\":true},\"timeline\":{\"limit\":"), limit,
                      S(",\"types\":[\"m.room.message\",\"m.sticker\",\"m.reaction\",\"m.room.redaction\",\"m.room.member\",\"m.room.name\",\"m.room.encrypted\"],"
                        "\"lazy_load_members\":true,\"include_redundant_members\":true}}}"));
    str timeout = get(ask_for, S("quick")).p || done.body.n || !since.body.n ? S("0") : S("30000");
    str path = JOIN(S("/_matrix/client/v3/sync?timeout="), timeout, S("&filter="), encoded(filter), since.body.n ? JOIN(S("&since="), encoded(since.body)) : S(""));
    return answer(JOIN(S("{\"request\":"), request(c, S("GET"), path, S(",\"timeout_ms\":60000")), S("}")), S(""));
}

int poll(payload c) {
    str ask_for = get(c.header, S("poll")), answered = get(ask_for, S("response")), id = {0}, section = {0};
    payload since = kept(S("since"), S("\"\"")), done = kept(S("done"), S("\"\""));
    if (!answered.p) return waiting(c, ask_for, since, done);
    response got = {0, number(get(answered, S("status"))), answered, c.body};
    if (check(got)) return 1;
    reading r = {.c = c, .since = since.body, .done = done.body.n ? done.body : S("{}"), .threads = kept(S("threads"), S("\"\""))};
    str rooms = get(c.body, S("rooms")), joined = get(rooms, S("join")), batch = get(c.body, S("next_batch"));
    if (!batch.p || *batch.p != '"') return fail(S("transient"), S("the answer has no next_batch"), 0);
    if (accept(&r, get(rooms, S("invite")))) return 1;
    if (since.body.n) {
        while (!r.full && joined.p && next(joined, &id, &section)) room(&r, id, section);
        leave(&r, get(rooms, S("leave")));
    }
    if (r.full) keep(S("done"), S("\"\""), r.done);
    else if (done.body.n) ask(KV_PUT, S("{\"key\":\"done\",\"delete\":true}"), S(""), 0);
    if (!r.full) keep(S("since"), S("\"\""), bare(batch));
    return answer(S("{}"), S(""));
}
