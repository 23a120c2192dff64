//! Fenced blocks, and what their first line says about running them.
//!
//! The word after the fence is the language. Words behind it mark what is not simply
//! run: `not-run` for what cannot be run here, `foreign` for objects whose definitions
//! belong to other projects, `values` for values of the Helm chart; `run` for commands
//! that a shell runs as they stand, `elsewhere` for those that begin without any objects of
//! users; `first` and `last` for what the end-to-end test takes from the quick start.

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The page it stands on.
    pub page: String,
    /// The line of its fence.
    pub line: usize,
    /// The language; empty where none is named.
    pub language: String,
    /// Marks behind the language.
    pub marks: Vec<String>,
    /// What stands between the fences.
    pub text: String,
}

impl Block {
    /// A block without text, of a fence's first line.
    #[must_use]
    pub fn new(page: &str, line: usize, info: &str) -> Self {
        let mut words = info.split([' ', ',']).filter(|word| !word.is_empty());
        Self {
            page: page.to_owned(),
            line,
            language: words.next().unwrap_or_default().to_owned(),
            marks: words.map(str::to_owned).collect(),
            text: String::new(),
        }
    }

    /// Whether it carries a mark.
    #[must_use]
    pub fn has(&self, mark: &str) -> bool {
        self.marks.iter().any(|m| m == mark)
    }

    /// Where it stands, `page:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}
