//! What is logged, for tests to look at.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::Json;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that this thread logs during `work`, as the programs write them.
pub fn captured(work: impl FnOnce()) -> Vec<Value> {
    let memory = Memory::default();
    let writer = memory.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .event_format(Json)
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let all = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&all).into_owned();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or(Value::Null))
        .collect()
}
