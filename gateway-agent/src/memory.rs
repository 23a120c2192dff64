//! Keeping the resident set small: a large config is read, built and dumped
//! once, and what that took is wanted back.

/// One arena for all threads: they rarely allocate at the same time, and each
/// arena keeps its own free memory. Call it before the first thread is started.
pub fn one_arena() {
    // SAFETY: sets a number; mallopt(3) is safe to call before threads exist.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives free memory back to the system; takes milliseconds at most.
pub fn give_back() {
    // SAFETY: malloc_trim(3) is thread-safe and touches only free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
