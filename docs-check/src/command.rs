//! Commands in blocks of shell, split as a shell splits them.
//!
//! Enough of the shell for documentation: quotes, comments, continued lines, pipes.

use crate::block::Block;

#[cfg(test)]
mod tests;

/// A simple command: a program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Where it stands, `page:line`.
    pub place: String,
    /// Program and arguments, quotes removed.
    pub words: Vec<String>,
    /// Whether it takes what another one prints.
    pub piped: bool,
}

impl Command {
    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Whether a word stands for one that the reader puts in: all upper case.
    #[must_use]
    pub fn has_blanks(&self) -> bool {
        self.words.iter().skip(1).any(|word| {
            word.split(|c: char| !c.is_ascii_alphanumeric())
                .any(|part| part.len() > 2 && part.bytes().all(|b| b.is_ascii_uppercase()))
                && !word.starts_with('{')
                && !word.contains('=')
        })
    }
}

/// All commands of a block, in order.
#[must_use]
pub fn commands(block: &Block) -> Vec<Command> {
    let mut found = Vec::new();
    let mut open = String::new();
    let mut began = 0;
    for (number, line) in block.text.lines().enumerate() {
        if open.is_empty() {
            began = number;
        }
        if let Some(part) = line.strip_suffix('\\') {
            open.push_str(part);
            continue;
        }
        open.push_str(line);
        // A quote that is open goes on in the next line.
        if open.matches('\'').count() % 2 == 1 {
            open.push('\n');
            continue;
        }
        let place = format!("{}:{}", block.page, block.line + 1 + began);
        found.extend(split(&std::mem::take(&mut open), &place));
    }
    found
}

/// One line, which may have several commands.
fn split(line: &str, place: &str) -> Vec<Command> {
    let mut all = Vec::new();
    let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
    let mut piped = false;
    let mut quote = None;
    let mut letters = line.chars().peekable();
    let mut end = |words: &mut Vec<String>, piped: bool| {
        let words = std::mem::take(words);
        if !words.is_empty() {
            let place = place.to_owned();
            all.push(Command {
                place,
                words,
                piped,
            });
        }
    };
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '|' | ';' | '&') => {
                words.extend(word.take());
                end(&mut words, piped);
                let same = letters.next_if_eq(&letter).is_some();
                piped = letter == '|' && !same;
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    // Where the output goes is not the command's.
    if let Some(at) = words.iter().position(|w| w.starts_with('>')) {
        words.truncate(at);
    }
    end(&mut words, piped);
    all
}
