//! Carrying out.
