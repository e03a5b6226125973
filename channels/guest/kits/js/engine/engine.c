// A guest that runs one script: QuickJS between the script and the interface
// gw1. The script is written into the slot when the module is packed, read before
// the snapshot is taken, and never parsed again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prelude.h"
#include "quickjs.h"

#define IMPORT(name) __attribute__((import_module("gw"), import_name(name)))
IMPORT("input") unsigned gw_input(void *to, unsigned cap);
IMPORT("result") unsigned gw_result(void *to, unsigned cap);
IMPORT("output") void gw_output(const void *p, unsigned n);
IMPORT("call") long long gw_call(unsigned op, const void *p, unsigned n);

enum { SLOT = 512 * 1024, LOG = 5 };
__attribute__((used)) const char slot[SLOT] = "gw1 script slot:";
static const char *volatile script_slot = slot; // or the compiler would know what stands there

static JSContext *ctx;
static JSValue entry, bot = JS_UNDEFINED;

static char *frame(const char *header, size_t h, const char *body, size_t b) {
    char *all = malloc(4 + h + b);
    unsigned n = h;
    memcpy(all, &n, 4);
    memcpy(all + 4, header, h);
    memcpy(all + 4 + h, body, b);
    return all;
}

// give is a payload as [header, body].
static JSValue give(char *p, unsigned n) {
    unsigned h = 0;
    if (n >= 4) memcpy(&h, p, 4);
    JSValue all = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, all, 0, JS_NewStringLen(ctx, p + 4, h));
    JS_SetPropertyUint32(ctx, all, 1, JS_NewArrayBufferCopy(ctx, (uint8_t *)p + 4 + h, n < 4 ? 0 : n - 4 - h));
    return all;
}

// bytes is a text, a buffer or a view of one; text is to be freed if it is not null.
static const char *bytes(JSValueConst v, size_t *n, const char **text) {
    *text = NULL;
    size_t whole = 0, at = 0;
    uint8_t *p = NULL;
    if (JS_GetTypedArrayType(v) >= 0) {
        JSValue buffer = JS_GetTypedArrayBuffer(ctx, v, &at, n, NULL);
        p = JS_GetArrayBuffer(ctx, &whole, buffer);
        JS_FreeValue(ctx, buffer);
    } else if (JS_IsArrayBuffer(v)) {
        p = JS_GetArrayBuffer(ctx, n, v);
    } else {
        return *text = JS_ToCStringLen(ctx, n, v);
    }
    return p ? (char *)p + at : "";
}

static JSValue ask(JSContext *c, JSValueConst self, int argc, JSValueConst *argv) {
    int op = 0;
    size_t h, b;
    const char *text;
    JS_ToInt32(ctx, &op, argv[0]);
    const char *header = JS_ToCStringLen(ctx, &h, argv[1]), *body = bytes(argv[2], &b, &text);
    if (!header || !body) return JS_EXCEPTION;
    char *request = frame(header, h, body, b);
    JS_FreeCString(ctx, header);
    if (text) JS_FreeCString(ctx, text);
    long long n = gw_call(op, request, 4 + h + b);
    free(request);
    if (n < 0) return JS_NewInt32(ctx, n);
    char *result = malloc(n + 4);
    JSValue out = give(result, gw_result(result, n));
    free(result);
    return out;
}

static JSValue decode(JSContext *c, JSValueConst self, int argc, JSValueConst *argv) {
    size_t n;
    const char *text, *p = bytes(argv[0], &n, &text);
    JSValue s = p ? JS_NewStringLen(ctx, p, n) : JS_EXCEPTION;
    if (text) JS_FreeCString(ctx, text);
    return s;
}

// settle waits for a promise; there is nothing outside that it could wait for.
static JSValue settle(JSContext *c, JSValueConst self, int argc, JSValueConst *argv) {
    if (!JS_IsPromise(argv[0])) return JS_DupValue(ctx, argv[0]);
    JSContext *other;
    while (JS_PromiseState(ctx, argv[0]) == JS_PROMISE_PENDING && JS_ExecutePendingJob(JS_GetRuntime(ctx), &other) > 0) {}
    JSValue v = JS_PromiseResult(ctx, argv[0]);
    switch (JS_PromiseState(ctx, argv[0])) {
    case JS_PROMISE_FULFILLED: return v;
    case JS_PROMISE_REJECTED: return JS_Throw(ctx, v);
    default: return JS_ThrowTypeError(ctx, "the promise never ends: nothing happens outside of a call");
    }
}

// complain writes what was thrown into the log and ends the guest.
static void complain(const char *what) {
    JSValue e = JS_GetException(ctx), stack = JS_GetPropertyStr(ctx, e, "stack");
    const char *text = JS_ToCString(ctx, e), *where = JS_IsUndefined(stack) ? "" : JS_ToCString(ctx, stack);
    fprintf(stderr, "%s: %s\n%s", what, text ? text : "?", where ? where : "");
    abort();
}

static void offer(JSValue to, const char *name, JSCFunction *f, int argc) {
    JS_SetPropertyStr(ctx, to, name, JS_NewCFunction(ctx, f, name, argc));
}

static void prepare(JSValue globals) {
    JSValue native = JS_NewObject(ctx), inner = JS_NewObject(ctx);
    offer(native, "ask", ask, 3);
    offer(native, "decode", decode, 1);
    offer(native, "wait", settle, 1);
    JSValue prelude = JS_Eval(ctx, (char *)prelude_js, prelude_js_len, "gw1.js", 0);
    JSValue args[] = {native, globals};
    if (JS_IsException(prelude) || JS_IsException(JS_Call(ctx, prelude, JS_UNDEFINED, 2, args))) complain("the prelude");
    entry = JS_GetPropertyStr(ctx, globals, "handle");
    JSAtom name = JS_NewAtom(ctx, "handle");
    JS_DeleteProperty(ctx, globals, name, 0);
    JS_FreeAtom(ctx, name);
    JS_FreeValue(ctx, inner);
}

__attribute__((export_name("gw1_init"))) void gw1_init(void) {
    JSRuntime *rt = JS_NewRuntime();
    JS_SetMaxStackSize(rt, 256 * 1024);
    ctx = JS_NewContext(rt);
    JSValue globals = JS_GetGlobalObject(ctx);
    prepare(globals);
    const char *script = script_slot;
    JSValue module = JS_Eval(ctx, script, strnlen(script, SLOT - 1), "script.js", JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(module)) complain("the script cannot be read");
    JSModuleDef *def = JS_VALUE_GET_PTR(module);
    JSValue done = JS_EvalFunction(ctx, module);
    if (JS_IsException(done) || JS_IsException(settle(ctx, JS_UNDEFINED, 1, &done))) complain("the script failed");
    bot = JS_GetPropertyStr(ctx, JS_GetModuleNamespace(ctx, def), "default");
    if (!JS_IsObject(bot)) {
        fprintf(stderr, "the script has no \"export default { ... }\"\n");
        abort();
    }
    JS_RunGC(rt);
}

__attribute__((export_name("gw1_handle"))) int gw1_handle(unsigned op, unsigned n) {
    char *in = malloc(n + 4);
    JSValue call = give(in, gw_input(in, n));
    free(in);
    JSValue args[] = {bot, JS_NewInt32(ctx, op), JS_GetPropertyUint32(ctx, call, 0), JS_GetPropertyUint32(ctx, call, 1)};
    JSValue out = JS_Call(ctx, entry, JS_UNDEFINED, 4, args);
    if (JS_IsException(out)) complain("the call failed");
    int code = 2;
    size_t h, b;
    const char *text;
    JS_ToInt32(ctx, &code, JS_GetPropertyUint32(ctx, out, 0));
    const char *header = JS_ToCStringLen(ctx, &h, JS_GetPropertyUint32(ctx, out, 1));
    const char *body = bytes(JS_GetPropertyUint32(ctx, out, 2), &b, &text);
    if (!header || !body) complain("the answer");
    gw_output(frame(header, h, body, b), 4 + h + b);
    return code;
}
