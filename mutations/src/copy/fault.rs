//! Which mutant is made.
#![allow(missing_docs)]

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const UNKNOWN: u32 = u32::MAX;
const LOOK: u32 = u32::MAX - 1;
static MADE: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Whether it is this one. `MUTANT` is its number; where `REACHED` names a file instead,
/// the number of each that is asked for is added to it.
#[inline]
pub fn is(id: u32) -> bool {
    let made = MADE.load(Ordering::Relaxed);
    if made >= LOOK {
        return asked(id, made);
    }
    made == id
}

#[cold]
#[inline(never)]
fn asked(id: u32, made: u32) -> bool {
    static SEEN: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];
    let Some(seen) = SEEN.get(id as usize) else { return false };
    if made == LOOK && seen.load(Ordering::Relaxed) {
        return false;
    }
    let file = std::env::var_os("REACHED");
    if made == UNKNOWN {
        let named = std::env::var("MUTANT").ok().and_then(|m| m.parse().ok());
        let now = if file.is_some() { LOOK } else { named.unwrap_or(0) };
        MADE.store(now, Ordering::Relaxed);
        if now != LOOK {
            return now == id;
        }
    }
    if let Some(file) = file
        && !seen.swap(true, Ordering::Relaxed)
    {
        let mut open = std::fs::OpenOptions::new();
        let open = open.create(true).append(true).open(file);
        let _ = open.and_then(|mut f| f.write_all(format!("{id}\n").as_bytes()));
    }
    false
}

/// What a mutant hands out instead, if it is made.
#[derive(Clone)]
pub enum Either<A, B> {
    Made(A),
    Not(B),
}

pub fn either<T, B: Iterator<Item = T>, A: Iterator<Item = T>>(
    not: B,
    made: Option<A>,
) -> Either<A, B> {
    match made {
        Some(made) => Either::Made(made),
        None => Either::Not(not),
    }
}

impl<T, A: Iterator<Item = T>, B: Iterator<Item = T>> Iterator for Either<A, B> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        match self {
            Self::Made(made) => made.next(),
            Self::Not(not) => not.next(),
        }
    }
}
