#include "matrix.h"

static const char hexadecimal[] = "0123456789ABCDEF";

static int plain(unsigned char b) { return (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || b == '-' || b == '.'; }

// escape writes bytes that are not plain as a mark and two digits.
static str escape(str text, char mark, int also) {
    str raw = decoded(text);
    char *to = alloc(raw.n * 3 + 1), *p = to;
    for (unsigned i = 0; i < raw.n; i++) {
        unsigned char b = raw.p[i];
        if (plain(b) || (also && b == also)) *p++ = b;
        else *p++ = mark, *p++ = hexadecimal[b >> 4], *p++ = hexadecimal[b & 15];
    }
    return (str){to, p - to};
}

str encoded(str raw) { return escape(raw, '%', '_'); }
str token(str raw) { return escape(raw, '_', 0); }
str quoted(str bare_text) { return JOIN(S("\""), bare_text, S("\"")); }

unsigned long long wide(str s) {
    unsigned long long n = 0;
    for (unsigned i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) n = n * 10 + (s.p[i] - '0');
    return n;
}

str decimal(unsigned long long n) {
    char *p = alloc(20), *q = p + 20;
    do *--q = '0' + n % 10; while (n /= 10);
    return (str){q, p + 20 - q};
}

static str padded(unsigned long long n, unsigned width) {
    str d = decimal(n);
    return d.n < width ? JOIN(((str){"000", width - d.n}), d) : d;
}

// rfc3339 is the time of a number of milliseconds since 1970.
str rfc3339(unsigned long long ms) {
    if (ms > 253402300799999ull) ms = 253402300799999ull; // the last one with a year of four digits
    unsigned long long s = ms / 1000, z = s / 86400 + 719468, era = z / 146097, day = z % 146097;
    unsigned long long year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    unsigned long long of_year = day - (365 * year + year / 4 - year / 100), m = (5 * of_year + 2) / 153;
    unsigned long long month = m < 10 ? m + 3 : m - 9;
    return JOIN(S("\""), padded(year + era * 400 + (month <= 2), 4), S("-"), padded(month, 2), S("-"), padded(of_year - (153 * m + 2) / 5 + 1, 2), S("T"),
                padded(s / 3600 % 24, 2), S(":"), padded(s / 60 % 60, 2), S(":"), padded(s % 60, 2), S("."), padded(ms % 1000, 3), S("Z\""));
}

str user(payload c) { return or(get(get(c.header, S("session")), S("user")), S("\"\"")); }

// request is one of the client-server API. The host puts the token in.
str request(payload c, str method, str path, str more) {
    str base = bare(get(get(c.header, S("config")), S("base_url")));
    if (base.n && base.p[base.n - 1] == '/') base.n--;
    return JOIN(S("{\"method\":\""), method, S("\",\"url\":\""), base, path, S("\",\"repeatable\":true"), more, S("}"));
}

// call makes a request. All of them may be repeated: what sends has a
// transaction's id, by which the homeserver knows it again.
response call(payload c, str method, str path, str body, str more) {
    payload out = {S("{}"), S("")};
    if (!more.n) more = S(",\"headers\":{\"content-type\":\"application/json\"}");
    long long n = ask(HTTP, request(c, method, path, more), body, &out);
    return (response){n < 0 ? n : 0, number(get(out.header, S("status"))), out.header, out.body};
}

// check is what an answer means for what happens next; 0: go on.
int check(response r) {
    switch (r.refused) {
    case 0: break;
    case UNAVAILABLE: return fail(S("transient"), S("nothing could be sent"), 0);
    case TIMEOUT: return fail(S("ambiguous"), S("no answer came"), 0);
    case AUTH: return fail(S("unauthorized"), S("the token cannot be used"), 0);
    default: return fail(S("rejected"), S("the host refused the request"), 0);
    }
    unsigned wait = number(get(r.body, S("retry_after_ms")));
    str after = bare(get(get(r.header, S("headers")), S("retry-after")));
    if (after.n) wait = number(after) * 1000;
    str message = JOIN(S("status "), digits(r.status), S(" "), encoded(bare(get(r.body, S("errcode")))));
    switch (r.status) {
    case 200: if (r.body.n && *r.body.p == '{') return 0; return fail(S("transient"), S("the answer broke off"), 0);
    case 400: case 413: return fail(S("rejected"), message, 0);
    case 401: return fail(S("unauthorized"), message, 0);
    case 403: case 404: return fail(S("gone"), message, 0);
    case 429: return fail(S("rate_limited"), message, wait);
    }
    return fail(r.status >= 500 ? S("transient") : S("other"), message, wait);
}

// event_path is where an event is sent to a room, under a transaction's id.
str event_path(str room, str type, str key) {
    return JOIN(S("/_matrix/client/v3/rooms/"), encoded(bare(room)), S("/send/"), type, S("/"), token(bare(key)));
}
