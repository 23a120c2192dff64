//! One page of Markdown, taken apart.

use std::collections::BTreeMap;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::block::Block;

#[cfg(test)]
mod tests;

/// A page, with what others can point at and what it points at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its path in the repository.
    pub path: String,
    /// What a link can have behind its `#`, as both GitHub and mdBook make it of headings.
    pub anchors: Vec<String>,
    /// Targets of links and images, with their lines.
    pub links: Vec<(usize, String)>,
    /// Words in code style, with their lines.
    pub code: Vec<(usize, String)>,
    /// Fenced blocks.
    pub blocks: Vec<Block>,
}

impl Page {
    /// Takes a page apart. Lines are counted from 1.
    #[must_use]
    pub fn parse(path: &str, text: &str) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let lines = Lines::of(text);
        let mut seen = BTreeMap::new();
        let mut heading: Option<String> = None;
        let mut block: Option<Block> = None;
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
        for (event, at) in Parser::new_ext(text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let words = heading.take().unwrap_or_default();
                    page.anchors.push(unique(slug(&words), &mut seen));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((lines.number(&at), dest_url.into_string()));
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    block = Some(Block::new(path, lines.number(&at), &info));
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Text(words) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&words);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Code(words) => {
                    page.code.push((lines.number(&at), words.to_string()));
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(at, _)| at).collect())
    }

    fn number(&self, at: &Range<usize>) -> usize {
        self.0.partition_point(|end| *end < at.start) + 1
    }
}

/// What a heading becomes in a link: lower case, letters, digits, `-` and `_` only,
/// spaces as `-`.
#[must_use]
pub fn slug(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// Headings of the same words are told apart by a number.
fn unique(slug: String, seen: &mut BTreeMap<String, usize>) -> String {
    let before = seen.entry(slug.clone()).or_insert(0);
    let name = match *before {
        0 => slug,
        n => format!("{slug}-{n}"),
    };
    *before += 1;
    name
}
