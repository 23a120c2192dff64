//! Lines between the kernel and the output, so many and no more.

use std::collections::VecDeque;
use std::io;

use jiff::Timestamp;
use serde_json::json;

use super::Output;

/// Bytes that wait at most: about 20,000 lines.
const BYTES: usize = 8 << 20;
/// Bytes that are written at a time: a pipe takes so many in one piece (`PIPE_BUF`), so that
/// no other line gets in between.
const PIECE: usize = 4_096;

/// What happened to lines since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub written: u64,
    pub lost: u64,
}

/// Lines that wait to be written.
#[derive(Debug)]
pub struct Buffer {
    lines: VecDeque<String>,
    bytes: usize,
    most: usize,
    /// Lines that were dropped here and events that the kernel dropped, not told yet.
    lost: u64,
    lost_by_kernel: u64,
    counts: Counts,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            most: BYTES,
            lost: 0,
            lost_by_kernel: 0,
            counts: Counts::default(),
        }
    }
}

impl Buffer {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a line, or drops it where there is no room. Where lines were dropped before it,
    /// one that says how many goes first.
    pub fn push(&mut self, gateway: &str, line: String) {
        if self.bytes + line.len() > self.most {
            self.lost += 1;
            self.counts.lost += 1;
            return;
        }
        self.tell(gateway);
        self.keep(line);
    }

    /// The kernel dropped so many events.
    pub fn lost_by_kernel(&mut self, gateway: &str, lost: u64) {
        self.lost_by_kernel += lost;
        if self.bytes < self.most {
            self.tell(gateway);
        }
    }

    /// Adds lines that say how much is missing before what comes next.
    fn tell(&mut self, gateway: &str) {
        for (by, lost) in [("buffer", self.lost), ("kernel", self.lost_by_kernel)] {
            if lost > 0 {
                self.keep(lost_line(gateway, lost, by));
            }
        }
        (self.lost, self.lost_by_kernel) = (0, 0);
    }

    fn keep(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
    }

    /// Writes as much as there is room for, in whole lines.
    ///
    /// # Errors
    /// The system's; what was being written is lost.
    pub fn write(&mut self, output: &mut dyn Output) -> io::Result<()> {
        let mut piece = String::new();
        while output.room() >= PIECE {
            let mut count = 0;
            while let Some(next) = self.lines.front()
                && (piece.is_empty() || piece.len() + next.len() <= PIECE)
            {
                piece.push_str(next);
                self.bytes -= next.len();
                self.lines.pop_front();
                count += 1;
            }
            if piece.is_empty() {
                return Ok(());
            }
            output.write(piece.as_bytes())?;
            self.counts.written += count;
            piece.clear();
        }
        Ok(())
    }

    /// What happened since it was asked last.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}

/// That so many lines, or events of the kernel, are missing here.
fn lost_line(gateway: &str, lost: u64, by: &str) -> String {
    let time = Timestamp::now().to_string();
    let line = json!({
        "kind": "flow", "event": "lost", "time": time, "gateway": gateway, "lost": lost, "by": by,
    });
    format!("{line}\n")
}

#[cfg(test)]
mod tests;
