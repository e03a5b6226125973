//! The allocator of the kit.
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Small blocks are cut off a chunk and never given back: an instance lives for one call, after
/// which the host puts all of its memory back. Large ones can be used again within the call.
struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

const CHUNK: usize = 128 << 10;
static FREE: AtomicUsize = AtomicUsize::new(0); // where the free part of the chunk begins
static END: AtomicUsize = AtomicUsize::new(0);

fn is_small(l: Layout) -> bool {
    l.size() <= 4 << 10 && l.align() <= 16
}

unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        if !is_small(l) {
            return System.alloc(l);
        }
        let mut at = FREE.load(Relaxed).next_multiple_of(l.align());
        if at + l.size() > END.load(Relaxed) {
            at = System.alloc(Layout::from_size_align_unchecked(CHUNK, 16)) as usize;
            if at == 0 {
                return std::ptr::null_mut();
            }
            END.store(at + CHUNK, Relaxed);
        }
        FREE.store(at + l.size(), Relaxed);
        at as *mut u8
    }

    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        if !is_small(l) {
            System.dealloc(p, l);
        }
    }

    unsafe fn realloc(&self, p: *mut u8, l: Layout, size: usize) -> *mut u8 {
        let to = Layout::from_size_align_unchecked(size, l.align());
        let (old, new) = (p as usize + l.size(), p as usize + size);
        match (is_small(l), is_small(to)) {
            (false, false) => return System.realloc(p, l, size),
            (true, true) if size <= l.size() => return p,
            (true, true) if old == FREE.load(Relaxed) && new <= END.load(Relaxed) => {
                FREE.store(new, Relaxed); // it was the last one and grows where it is
                return p;
            }
            _ => {}
        }
        let moved = self.alloc(to);
        if !moved.is_null() {
            std::ptr::copy_nonoverlapping(p, moved, size.min(l.size()));
            self.dealloc(p, l);
        }
        moved
    }
}
