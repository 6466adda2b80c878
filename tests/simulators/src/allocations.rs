//! What code allocates: an allocator that counts, for tests of limits. A test binary takes it as its `#[global_allocator]`, and
//! has one test, for allocations of all threads are counted together.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

static HELD_NOW: AtomicUsize = AtomicUsize::new(0);
static MOST_HELD: AtomicUsize = AtomicUsize::new(0);
static LARGEST_ONE: AtomicUsize = AtomicUsize::new(0);

/// Counts what is allocated.
#[derive(Debug)]
pub struct Counting;

fn grow(bytes: usize) {
    let held = HELD_NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST_HELD.fetch_max(held, Ordering::Relaxed);
    LARGEST_ONE.fetch_max(bytes, Ordering::Relaxed);
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD_NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new may stand side by side.
        grow(size);
        HELD_NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// What `work` makes; the most bytes that are held at once beyond what was held before, and the largest single allocation, while
/// it runs.
pub fn cost<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = HELD_NOW.load(Ordering::Relaxed);
    MOST_HELD.store(before, Ordering::Relaxed);
    LARGEST_ONE.store(0, Ordering::Relaxed);
    let done = work();
    (done, MOST_HELD.load(Ordering::Relaxed).saturating_sub(before), LARGEST_ONE.load(Ordering::Relaxed))
}
