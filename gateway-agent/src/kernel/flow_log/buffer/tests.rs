#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

/// Takes so many bytes and no more.
struct Pipe {
    room: usize,
    pieces: Vec<String>,
}

impl Output for Pipe {
    fn room(&self) -> usize {
        self.room
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.room -= bytes.len();
        self.pieces.push(String::from_utf8(bytes.to_vec()).unwrap());
        Ok(())
    }
}

fn line(n: usize) -> String {
    format!("{n:0>99}\n")
}

#[test]
fn lines_are_written_whole_in_order_and_only_where_there_is_room() {
    let mut buffer = Buffer::default();
    for n in 0..100 {
        buffer.push("net/egress", line(n));
    }
    let mut pipe = Pipe {
        room: 6_000,
        pieces: Vec::new(),
    };
    buffer.write(&mut pipe).unwrap();
    assert_eq!(pipe.pieces.len(), 1, "there is no room for a second piece");
    assert_eq!(pipe.pieces[0].len(), 4_000);
    pipe.room = 100_000;
    buffer.write(&mut pipe).unwrap();
    let all: String = (0..100).map(line).collect();
    assert_eq!(pipe.pieces.concat(), all);
    assert!(buffer.is_empty());
    assert_eq!(
        buffer.take_counts(),
        Counts {
            written: 100,
            lost: 0
        }
    );
    assert_eq!(buffer.take_counts(), Counts::default());
}

#[test]
fn what_does_not_fit_is_dropped_counted_and_told_where_it_is_missing() {
    let mut buffer = Buffer {
        most: 250,
        ..Buffer::default()
    };
    for n in 0..5 {
        buffer.push("net/egress", line(n));
    }
    assert_eq!(
        buffer.take_counts(),
        Counts {
            written: 0,
            lost: 3
        }
    );
    let mut pipe = Pipe {
        room: 100_000,
        pieces: Vec::new(),
    };
    buffer.write(&mut pipe).unwrap();
    buffer.push("net/egress", line(5));
    buffer.lost_by_kernel("net/egress", 7);
    buffer.write(&mut pipe).unwrap();
    let all = pipe.pieces.concat();
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines[..2], [line(0).trim(), line(1).trim()]);
    let lost = |text: &str| -> (u64, String) {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            (&value["kind"], &value["event"]),
            (&json!("flow"), &json!("lost"))
        );
        (
            value["lost"].as_u64().unwrap(),
            value["by"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(lost(lines[2]), (3, "buffer".to_owned()));
    assert_eq!(lines[3], line(5).trim());
    assert_eq!(lost(lines[4]), (7, "kernel".to_owned()));
}
