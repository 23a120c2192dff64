//! Writing tar archives (POSIX ustar) whose bytes depend on their content only.

/// A tar archive under construction, in memory.
#[derive(Debug, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

const BLOCK: usize = 512;

impl Tar {
    /// Adds a directory.
    pub fn directory(&mut self, name: &str, mode: u32) {
        self.header(&format!("{}/", name.trim_end_matches('/')), mode, 0, b'5');
    }

    /// Adds a file. Names are at most 100 bytes long, as ours are.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.header(name, mode, content.len() as u64, b'0');
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Ends the archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 2 * BLOCK]);
        self.bytes
    }

    /// Owner and group are 0 and the time is 1970, whatever the source.
    fn header(&mut self, name: &str, mode: u32, size: u64, kind: u8) {
        let fields: [(usize, Vec<u8>); 12] = [
            (100, name.as_bytes().to_vec()),
            (8, octal(u64::from(mode), 7)),
            (8, octal(0, 7)),
            (8, octal(0, 7)),
            (12, octal(size, 11)),
            (12, octal(0, 11)),
            (8, b"        ".to_vec()), // the checksum counts as spaces
            (1, vec![kind]),
            (100, Vec::new()),
            (8, b"ustar\x0000".to_vec()),
            (64, Vec::new()),
            (BLOCK - 329, Vec::new()),
        ];
        let mut block = Vec::with_capacity(BLOCK);
        for (length, mut value) in fields {
            value.resize(length, 0);
            block.extend_from_slice(&value);
        }
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        let mut checksum = octal(sum, 6);
        checksum.extend_from_slice(b"\0 ");
        block.splice(148..156, checksum);
        self.bytes.extend_from_slice(&block);
    }

    fn pad(&mut self) {
        let rest = self.bytes.len().next_multiple_of(BLOCK);
        self.bytes.resize(rest, 0);
    }
}

fn octal(value: u64, digits: usize) -> Vec<u8> {
    format!("{value:0digits$o}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn the_systems_tar_reads_what_is_written() {
        let mut tar = Tar::default();
        tar.directory("etc", 0o755);
        tar.file("etc/hello", 0o644, b"hello");
        let bytes = tar.finish();
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut child = Command::new("tar")
            .args(["-tvf", "-"])
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("drwxr-xr-x 0/0"), "{text}");
        assert!(text.contains("5 1970-01-01 00:00 etc/hello"), "{text}");
    }
}
