// What a guest of Gatehouse says to its host, for C without a library: texts,
// just enough JSON, and the interface gw1.
#pragma once
#define IMPORT(name) __attribute__((import_module("gw"), import_name(name)))
IMPORT("input") unsigned gw_input(void *to, unsigned cap);
IMPORT("result") unsigned gw_result(void *to, unsigned cap);
IMPORT("output") void gw_output(const void *p, unsigned n);
IMPORT("call") long long gw_call(unsigned op, const void *p, unsigned n);

// What the host asks for, and what it can be asked for.
enum { START = 1, HTTP_REQUEST = 2, POLL = 3, SEND = 4, EDIT = 5, REACT = 6, TYPING = 7, SHUTDOWN = 8, DELETE = 9, FETCH = 10,
       RECONCILE = 11, PROBE = 12, COMMANDS = 13, ANSWER = 14, START_LINK = 15, TOOL_EXECUTE = 32, SOCKET_OPEN = 48, SOCKET_MESSAGE = 49, SOCKET_CLOSED = 50, TIMER = 51 };
enum { HTTP = 1, KV_GET = 2, KV_PUT = 3, EMIT = 4, LOG = 5, NOW = 6, RANDOM = 7, SOCKET_SEND = 11, SOCKET_CLOSE = 12, TIMER_SET = 13,
       ATTACHMENT_PUT = 9, ATTACHMENT_READ = 14, ATTACHMENT_LINK = 16 };
enum { DENIED = -1, TIMEOUT = -4, UNAVAILABLE = -5, TOO_LARGE = -6, NOT_FOUND = -7, AUTH = -8 }; // some of its refusals

typedef struct { const char *p; unsigned n; } str;
typedef struct { str header, body; } payload;                             // the header is JSON
#define S(literal) ((str){literal, sizeof(literal) - 1})

// An instance lives for one call, so that nothing is ever given back. All sources
// of a guest share one heap: weak is for that, and static would break it.
__attribute__((weak)) char *alloc(unsigned n) {
    extern char __heap_base;
    static char *top = &__heap_base, *p;
    for (p = top, top += (n + 15) & ~15u; (unsigned long)top > __builtin_wasm_memory_size(0) << 16;)
        if (__builtin_wasm_memory_grow(0, 16) == -1ul) __builtin_trap();
    return p;
}

// join is the texts one after the other; the last one has p == 0.
static inline str join(const str *all) {
    unsigned n = 0, at = 0;
    for (const str *s = all; s->p; s++) n += s->n;
    char *to = alloc(n);
    for (const str *s = all; s->p; at += s->n, s++) __builtin_memcpy(to + at, s->p, s->n);
    return (str){to, n};
}
#define JOIN(...) join((const str[]){__VA_ARGS__, {0, 0}})

static inline int same(str a, str b) { return a.n == b.n && !__builtin_memcmp(a.p, b.p, a.n); }
__attribute__((weak)) int memcmp(const void *a, const void *b, unsigned long n) { for (const char *x = a, *y = b; n--; x++, y++) if (*x != *y) return *x < *y ? -1 : 1; return 0; }

static inline const char *skip(const char *p, const char *end) { while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++; return p; }

// value is the length of the JSON value at p.
static inline unsigned value(const char *p, const char *end) {
    int depth = 0, text = 0;
    for (const char *q = p; q < end; q++) {
        if (text && *q == '\\') q++;
        else if (*q == '"') text = !text;
        else if (!text && (*q == '{' || *q == '[')) depth++;
        else if (!text && (*q == ',' || *q == '}' || *q == ']') && (depth == 0 || (*q != ',' && --depth < 0))) return q - p;
    }
    return end - p;
}

// next moves through what is between the brackets of an object or an array:
// the first call gets item empty. It returns 0 at the end.
static inline int next(str in, str *name, str *item) {
    const char *end = in.p + in.n - 1, *p = skip(item->p ? item->p + item->n + 1 : in.p + 1, end);
    if (in.n < 2 || p >= end) return 0;
    if (*in.p == '{') {
        unsigned n = 1;
        while (p + n < end && p[n] != '"') n += p[n] == '\\' ? 2 : 1;
        *name = (str){p + 1, n - 1};
        p = skip(skip(p + n + 1, end) + 1, end);
        if (p > end) return 0; // it breaks off
    }
    *item = (str){p, value(p, end)};
    return 1;
}

// get is a member of an object as it stands, texts in their quotes; p == 0: none.
static inline str get(str object, str name) {
    str key = {0}, item = {0};
    while (object.p && *object.p == '{' && next(object, &key, &item)) {
        while (item.n && skip(item.p + item.n - 1, item.p + item.n) == item.p + item.n) item.n--;
        if (same(key, name)) return item;
    }
    return (str){0, 0};
}
static inline str bare(str text) { return text.n >= 2 && *text.p == '"' ? (str){text.p + 1, text.n - 2} : (str){"", 0}; }
static inline unsigned hex(const char *p) { unsigned n = 0; for (int i = 0; i < 4; i++) n = n * 16 + (p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10); return n & 0xffff; }
// decoded is what a text without its quotes stands for, its escapes resolved.
static inline str decoded(str s) {
    char *to = alloc(s.n + 4), *p = to;
    for (unsigned i = 0; i < s.n; i++) {
        unsigned c = (unsigned char)s.p[i], more;
        if (c != '\\' || ++i == s.n) { *p++ = c; continue; }
        c = s.p[i] == 'n' ? 10 : s.p[i] == 't' ? 9 : s.p[i] == 'r' ? 13 : s.p[i] == 'b' ? 8 : s.p[i] == 'f' ? 12 : (unsigned char)s.p[i];
        if (c != 'u' || i + 4 >= s.n) { *p++ = c; continue; }
        c = hex(s.p + i + 1), i += 4;
        if (c >> 10 == 0x36 && i + 6 < s.n && s.p[i + 1] == '\\') c = 0x10000 + ((c & 0x3ff) << 10) + (hex(s.p + i + 3) & 0x3ff), i += 6; // two halves of one character
        more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3; // bytes of UTF-8 behind the first
        for (*p++ = more ? 0xff00 >> (more + 1) | c >> 6 * more : c; more--;) *p++ = 0x80 | (c >> 6 * more & 63);
    }
    return (str){to, p - to};
}
static inline unsigned number(str s) { unsigned n = 0; for (unsigned i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) n = n * 10 + s.p[i] - '0'; return n; }
static inline str digits(unsigned n) { char *p = alloc(10), *q = p + 10; do *--q = '0' + n % 10; while (n /= 10); return (str){q, p + 10 - q}; }

static inline str frame(str header, str body) { return JOIN({(char *)&header.n, 4}, header, body); }
static inline payload unframe(char *p, unsigned n) {
    unsigned h = n < 4 ? 0 : *(unsigned *)p;
    return n < 4 ? (payload){S("{}"), {"", 0}} : (payload){{p + 4, h}, {p + 4 + h, n - 4 - h}};
}

// ask asks the host. What is below 0 is its refusal.
static inline long long ask(unsigned op, str header, str body, payload *out) {
    str request = frame(header, body);
    long long n = gw_call(op, request.p, request.n);
    if (n >= 0 && out) { char *p = alloc(n); *out = unframe(p, gw_result(p, n)); }
    return n;
}

// file_link is where the platform can fetch a file that goes out, if the manifest
// has links; handle is as it stands in the part's files, in its quotes. n == 0: it cannot.
static inline str file_link(str handle) { payload out = {0}; ask(ATTACHMENT_LINK, JOIN(S("{\"handle\":"), handle, S("}")), S(""), &out); return decoded(bare(get(out.header, S("url")))); }

static inline int answer(str header, str body) { str s = frame(header, body); gw_output(s.p, s.n); return 0; }
// fail says what happens next: "transient", "rate_limited", "ambiguous", "rejected", "format", "unauthorized", "gone" or "other".
static inline int fail(str code, str message, unsigned wait_ms) {
    answer(JOIN(S("{\"code\":\""), code, S("\",\"message\":\""), message, S("\",\"retry_after_ms\":"), digits(wait_ms), S("}")), S(""));
    return 1;
}
