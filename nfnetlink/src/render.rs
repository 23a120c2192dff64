//! Prints tables in the syntax of `nft`, for logs and for comparing by eye.
//!
//! What this crate's users write comes out so that `nft -f` makes the same table of it. What
//! `nft` cannot say, such as an unknown expression, is printed in angle brackets.

mod rule;
mod set;
mod value;

use std::fmt::Write;

use crate::nftables::userdata::comment_of;
use crate::nftables::{Chain, Family, Policy, TableContent, TableFlags};

/// A table with all that it holds.
pub fn table(content: &TableContent) -> String {
    let mut out = String::new();
    let id = &content.table.id;
    let _ = writeln!(out, "table {id} {{");
    if let Some(text) = comment_of(&content.table.userdata) {
        let _ = writeln!(out, "\tcomment \"{text}\"");
    }
    let flags: Vec<_> = [
        (TableFlags::DORMANT, "dormant"),
        (TableFlags::OWNER, "owner"),
        (TableFlags::PERSIST, "persist"),
    ]
    .into_iter()
    .filter(|(flag, _)| content.table.flags.contains(*flag))
    .map(|(_, word)| word)
    .collect();
    if !flags.is_empty() {
        let _ = writeln!(out, "\tflags {}", flags.join(","));
    }
    for content in content.sets.values() {
        set::write(content, &mut out);
    }
    for (name, chain) in &content.chains {
        let _ = writeln!(out, "\tchain {name} {{");
        if let Some(text) = comment_of(&chain.chain.userdata) {
            let _ = writeln!(out, "\t\tcomment \"{text}\"");
        }
        head(id.family, &chain.chain, &mut out);
        for rule in &chain.rules {
            let _ = writeln!(out, "\t\t{}", rule::text(rule, content));
        }
        out.push_str("\t}\n");
    }
    out.push_str("}\n");
    out
}

/// Type, hook, priority and policy of a base chain.
fn head(family: Family, chain: &Chain, out: &mut String) {
    let Some(base) = &chain.base else { return };
    let _ = write!(out, "\t\ttype {} hook ", base.kind.name());
    let _ = match base.hook.number(family) {
        Some(_) => write!(out, "{}", base.hook.name()),
        None => write!(out, "<no {} in {family}>", base.hook.name()),
    };
    if !base.devices.is_empty() {
        let names: Vec<_> = base.devices.iter().map(|d| format!("\"{d}\"")).collect();
        let _ = write!(out, " devices = {{ {} }}", names.join(", "));
    }
    let policy = match base.policy {
        Policy::Accept => "accept",
        Policy::Drop => "drop",
    };
    let _ = writeln!(out, " priority {}; policy {policy};", base.priority);
}
