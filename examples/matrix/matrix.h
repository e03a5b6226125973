// What all sources of this channel share: requests of a Matrix homeserver, and
// the few texts that its protocol is made of.
#pragma once
#include "gw1.h"

typedef struct { long long refused; unsigned status; str header, body; } response;

str encoded(str bare_text);            // for a path or a query
str token(str bare_text);              // letters that stand for a text in a path: different texts, different letters
str decimal(unsigned long long n);
unsigned long long wide(str digits);
str rfc3339(unsigned long long ms);
str quoted(str bare_text);
static inline str or(str s, str otherwise) { return s.p ? s : otherwise; }
static inline int starts(str s, str with) { return s.n >= with.n && same((str){s.p, with.n}, with); }

str user(payload c);                   // the bot's own id, in quotes
str request(payload c, str method, str path, str more);
response call(payload c, str method, str path, str body, str more);
int check(response r);                 // 0, or what gw1_handle returns
str event_path(str room, str type, str key);

int poll(payload c);
int send(payload c);
int react(payload c);
int typing(payload c);
int redact(payload c);
int fetch(payload c);
