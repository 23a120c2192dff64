//! Reads the documentation as its readers do.
//!
//! [`page`] takes Markdown apart into headings, links and fenced blocks; [`tree`] reads
//! all pages of a repository. [`links`] says which links and paths lead nowhere in the
//! sources, [`book`] which do in the built book. [`block`] and [`command`] hand examples
//! and commands to the tests that run them.

pub mod block;
pub mod book;
pub mod command;
pub mod links;
pub mod page;
pub mod tree;
