// Made by `clang --target=wasm32 -O2 -nostdlib -gline-tables-only -Wl,--no-entry`, as a project's
// C is: build/module.wasm beside it. `first` is put into `gw1_handle`.
static int first(volatile int *p) {
    if (*p > 7) __builtin_trap();
    return 1;
}

__attribute__((noinline)) static int second(volatile int *p) {
    int n = *p;
    return 100 / n;
}

__attribute__((export_name("gw1_handle"))) int gw1_handle(int op, int n) {
    volatile int at = n;
    if (op == 1) return first(&at);
    return second(&at) + 1;
}
