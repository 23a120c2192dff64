//! Messages out of a stream of bytes: JSON objects one after another, with nothing or white
//! space between them (RFC 7047, 4).

/// What is not a stream of JSON objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A message begins with something else than `{`.
    #[error("byte {0:#04x} where a message should begin")]
    NotAnObject(u8),
    /// A message has no end within the limit.
    #[error("a message of more than {limit} bytes")]
    TooLong {
        /// The most bytes that a message may have.
        limit: usize,
    },
}

/// Bytes that came and are not messages yet. A byte is looked at once.
#[derive(Debug)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    /// Where the message begins that is being looked for.
    start: usize,
    /// The first byte not looked at.
    at: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    limit: usize,
}

impl Frames {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            at: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            limit,
        }
    }

    /// Takes bytes in.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // What was given out is cut off when it is most of what is held.
        if self.start > 0 && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.at -= self.start;
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes of a message that has begun.
    pub(crate) fn pending(&self) -> usize {
        if self.depth == 0 {
            0
        } else {
            self.at - self.start
        }
    }

    /// The next whole message.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.depth == 0 {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => {
                        self.at += 1;
                        self.start = self.at;
                        continue;
                    }
                    b'{' => {}
                    other => return Err(FrameError::NotAnObject(other)),
                }
            }
            self.at += 1;
            if self.at - self.start > self.limit {
                return Err(FrameError::TooLong { limit: self.limit });
            }
            if self.look(byte) {
                let message = self.bytes.get(self.start..self.at).map(<[u8]>::to_vec);
                self.start = self.at;
                self.release();
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// Whether the message ends with this byte.
    fn look(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }

    /// Gives the memory of a large message back once it was given out.
    fn release(&mut self) {
        const KEPT: usize = 1 << 20;
        if self.start == self.bytes.len() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
            (self.start, self.at) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunks: &[&[u8]]) -> Result<Vec<String>, FrameError> {
        let mut frames = Frames::new(64);
        let mut messages = Vec::new();
        for chunk in chunks {
            frames.push(chunk);
            while let Some(message) = frames.next()? {
                messages.push(String::from_utf8(message).expect("text"));
            }
        }
        Ok(messages)
    }

    #[test]
    fn messages_are_found_wherever_the_stream_is_cut() {
        let stream = br#"{"a":"}\"{"} {"b":[{},[1]],"c":"\\"}{}"#;
        let expected = [r#"{"a":"}\"{"}"#, r#"{"b":[{},[1]],"c":"\\"}"#, "{}"];
        for cut in 0..stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(
                all(&[left, right]).expect("messages"),
                expected,
                "cut at {cut}"
            );
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(all(&bytes).expect("messages"), expected);
    }

    #[test]
    fn what_is_no_object_and_what_has_no_end_are_errors() {
        assert_eq!(all(&[b"[1]"]), Err(FrameError::NotAnObject(b'[')));
        assert_eq!(all(&[b"{}x"]), Err(FrameError::NotAnObject(b'x')));
        assert_eq!(
            all(&[b"{\"", &[b'a'; 70]]),
            Err(FrameError::TooLong { limit: 64 })
        );
    }

    #[test]
    fn a_message_that_has_begun_is_pending() {
        let mut frames = Frames::new(64);
        frames.push(b"{} {\"a");
        assert_eq!(frames.next(), Ok(Some(b"{}".to_vec())));
        assert_eq!(frames.next(), Ok(None));
        assert_eq!(frames.pending(), 3);
        frames.push(b"\"}");
        assert_eq!(
            frames.next().map(|message| message.map(|m| m.len())),
            Ok(Some(5))
        );
        assert_eq!(frames.pending(), 0);
    }

    #[test]
    fn fuzz_frames() -> Result<(), String> {
        let seeds: [&[u8]; 3] = [
            br#"{"a":"\""}{}"#,
            br#"{"a":[{"b":1}]} "#,
            br#"{"\\":"\u0020"}"#,
        ];
        sluice_fuzz::feed("ovsdb-frames", &seeds, &["{", "}", "\"", "\\"], |input| {
            let whole = split(input, input.len().max(1));
            // However the bytes come, the same messages come out.
            assert_eq!(whole, split(input, 1));
            let ways = whole
                .0
                .iter()
                .map(|m| serde_json::from_slice::<serde_json::Value>(m).is_ok());
            sluice_fuzz::trait_of((ways.collect::<Vec<_>>(), whole.1.is_some()))
        })
    }

    fn split(input: &[u8], by: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
        let mut frames = Frames::new(256);
        let mut messages = Vec::new();
        for chunk in input.chunks(by) {
            frames.push(chunk);
            loop {
                match frames.next() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error)),
                }
            }
        }
        (messages, None)
    }
}
