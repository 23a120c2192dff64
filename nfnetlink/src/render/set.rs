//! Sets and maps as text.

use std::fmt::Write;

use super::value::{self, concatenation, fields};
use crate::nftables::userdata::{comment_of, entries, set_comment_of};
use crate::nftables::{
    Element, ElementFlags, MapType, Set, SetContent, SetFlags, SetPolicy, Value,
};

pub(super) fn write(content: &SetContent, out: &mut String) {
    let set = &content.set;
    let word = if set.data.is_some() { "map" } else { "set" };
    let _ = writeln!(out, "\t{word} {} {{", set.name);
    let _ = writeln!(out, "\t\t{}", type_line(set));
    if let Some(size) = set.size {
        let _ = writeln!(out, "\t\tsize {size}");
    }
    let flags: Vec<_> = [
        (SetFlags::CONSTANT, "constant"),
        (SetFlags::EVAL, "dynamic"),
        (SetFlags::INTERVAL, "interval"),
        (SetFlags::TIMEOUT, "timeout"),
    ]
    .into_iter()
    .filter(|(flag, _)| set.flags.contains(*flag))
    .map(|(_, word)| word)
    .collect();
    if !flags.is_empty() {
        let _ = writeln!(out, "\t\tflags {}", flags.join(","));
    }
    if let Some(timeout) = set.timeout_ms {
        let _ = writeln!(out, "\t\ttimeout {}", duration(timeout));
    }
    if let Some(interval) = set.gc_interval_ms {
        let _ = writeln!(out, "\t\tgc-interval {}", duration(interval.into()));
    }
    if set.policy == SetPolicy::Memory {
        out.push_str("\t\tpolicy memory\n");
    }
    for expr in &set.exprs {
        let _ = writeln!(out, "\t\t{}", super::rule::statement(expr));
    }
    if let Some(text) = set_comment_of(&set.userdata) {
        let _ = writeln!(out, "\t\tcomment \"{text}\"");
    }
    let elements = element_lines(content);
    if !elements.is_empty() {
        let _ = writeln!(out, "\t\telements = {{ {} }}", elements.join(",\n\t\t\t"));
    }
    out.push_str("\t}\n");
}

fn type_line(set: &Set) -> String {
    if let Some(text) = raw_payload(&set.userdata) {
        return format!("typeof {text}");
    }
    let names = |id, len| {
        let fields = fields(id, len);
        let names: Vec<_> = fields.into_iter().map(|(name, _, _)| name).collect();
        names.join(" . ")
    };
    let key = names(set.key.id, set.key.len);
    match set.data {
        None => format!("type {key}"),
        Some(MapType::Verdict) => format!("type {key} : verdict"),
        Some(MapType::Value { id, len }) => format!("type {key} : {}", names(id, len)),
    }
}

/// `@th,64,128`, where the user data say that the key is such a piece of the packet.
fn raw_payload(userdata: &[u8]) -> Option<String> {
    let find = |bytes, kind| entries(bytes).find(|(k, _)| *k == kind).map(|(_, v)| v);
    let number = |bytes, kind| {
        let value: &[u8] = find(bytes, kind)?;
        value.try_into().ok().map(u32::from_ne_bytes)
    };
    let expr = find(userdata, 3)?;
    let inner = find(expr, 1)?;
    if number(expr, 0)? != 7 || number(inner, 0)? != 0 {
        return None;
    }
    let base = match number(inner, 2)? {
        1 => "ll",
        2 => "nh",
        3 => "th",
        _ => return None,
    };
    let (offset, len) = (number(inner, 3)?, number(inner, 4)?);
    Some(format!("@{base},{offset},{len}"))
}

fn element_lines(content: &SetContent) -> Vec<String> {
    let set = &content.set;
    let plain_ranges =
        set.flags.contains(SetFlags::INTERVAL) && !set.flags.contains(SetFlags::CONCAT);
    let mut elements = content.elements.iter().peekable();
    let mut lines = Vec::new();
    while let Some(element) = elements.next() {
        if element.flags.contains(ElementFlags::INTERVAL_END) {
            continue;
        }
        let key = if element.flags.contains(ElementFlags::CATCHALL) {
            "*".to_owned()
        } else if plain_ranges {
            let next = elements.peek().map(|next| &next.key);
            range(set, &element.key, &last_of_range(&element.key, next))
        } else if let Some(end) = &element.key_end {
            range(set, &element.key, end)
        } else {
            concatenation(&element.key, set.key.id, set.key.len)
        };
        lines.push(line(set, element, key));
    }
    lines
}

/// The value before the next element, or the highest.
fn last_of_range(first: &Value, next: Option<&Value>) -> Value {
    let Some(next) = next else {
        return Value(vec![0xff; first.0.len()]);
    };
    let mut bytes = next.0.clone();
    for byte in bytes.iter_mut().rev() {
        let (before, borrow) = byte.overflowing_sub(1);
        *byte = before;
        if !borrow {
            break;
        }
    }
    Value(bytes)
}

/// Each field alone or, where first and last differ, as a range.
fn range(set: &Set, first: &Value, last: &Value) -> String {
    let fields = fields(set.key.id, set.key.len);
    let first = value::split(first, &fields);
    let last = value::split(last, &fields);
    let parts = first
        .iter()
        .zip(&last)
        .map(|((first, meaning), (last, _))| {
            let low = value::text(first, *meaning);
            if first == last {
                return low;
            }
            format!("{low}-{}", value::text(last, *meaning))
        });
    parts.collect::<Vec<_>>().join(" . ")
}

fn line(set: &Set, element: &Element, mut text: String) -> String {
    if let Some(timeout) = element.timeout_ms {
        let _ = write!(text, " timeout {}", duration(timeout));
    }
    if let Some(expiration) = element.expiration_ms {
        let _ = write!(text, " expires {}", duration(expiration));
    }
    for expr in &element.exprs {
        let _ = write!(text, " {}", super::rule::statement(expr));
    }
    if let Some(comment) = comment_of(&element.userdata) {
        let _ = write!(text, " comment \"{comment}\"");
    }
    if let Some(data) = &element.data {
        let (id, len) = match set.data {
            Some(MapType::Value { id, len }) => (id, len),
            _ => (0, 0),
        };
        let _ = write!(text, " : {}", value::data(data, id, len));
    }
    text
}

/// Milliseconds as `nft` writes them.
pub(super) fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1000) {
        format!("{}s", ms / 1000)
    } else {
        format!("{ms}ms")
    }
}
