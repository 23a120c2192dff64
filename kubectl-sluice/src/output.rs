//! Text for people and for programs.

use std::io::IsTerminal as _;

use serde::Serialize;

use crate::explain::{Explanation, State};
use crate::options::{Color, Format};

/// How to print.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Form.
    pub format: Format,
    /// Whether to colour.
    pub colour: bool,
}

impl Style {
    /// As asked; colours on a terminal only.
    #[must_use]
    pub fn new(format: Format, color: Color) -> Self {
        let colour = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
            }
        };
        Self { format, colour }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// What is well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// What is broken.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What is less important.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// The document for a program, where one is asked for.
    #[must_use]
    pub fn document<T: Serialize>(self, value: &T) -> Option<String> {
        match self.format {
            // The types are plain: they serialize.
            Format::Json => serde_json::to_string_pretty(value).ok(),
            Format::Yaml => serde_saphyr::to_string(value)
                .ok()
                .map(|text| text.trim_end().to_owned()),
            Format::Text | Format::Wide => None,
        }
    }

    /// An explanation: cause, remedy, chain.
    #[must_use]
    pub fn explanation(self, explanation: &Explanation) -> String {
        let cause = if explanation.is_fine() {
            self.good(&explanation.cause)
        } else {
            self.bad(&explanation.cause)
        };
        let mut lines = vec![cause, format!("→ {}", explanation.remedy)];
        for step in &explanation.chain {
            let mark = match step.state {
                State::Holds => self.good("ok"),
                State::Broken => self.bad("NO"),
                State::Unknown => self.dim("? "),
            };
            lines.push(format!("  {mark} {:<7} {}", step.part.name(), step.says));
        }
        lines.join("\n")
    }
}

/// Lines in columns, each as wide as its widest cell.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| {
        rows.iter()
            .filter_map(|row| row.get(n))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
