//! Which mutants rustc's errors are about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{LineColumn, Span};
use serde::Deserialize;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, Expr, ExprCall, ExprIf, Lit};

use crate::error::Error;

#[cfg(test)]
mod tests;

#[derive(Deserialize)]
struct Message {
    message: Option<Diagnostic>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
    #[serde(default)]
    spans: Vec<At>,
}

#[derive(Deserialize)]
struct At {
    file_name: String,
    line_start: usize,
    column_start: usize,
    is_primary: bool,
    expansion: Option<Box<Expansion>>,
}

#[derive(Deserialize)]
struct Expansion {
    span: At,
}

/// The program that cargo built, if it did.
pub fn executable(messages: &str) -> Option<PathBuf> {
    read(messages).filter_map(|m| m.executable).last()
}

/// The errors, as rustc prints them.
pub fn rendered(messages: &str) -> String {
    let errors = read(messages).filter_map(|m| m.message);
    errors
        .filter(|d| d.level == "error")
        .filter_map(|d| d.rendered)
        .collect()
}

/// The mutants that rustc's errors lie in. Of an error outside of all mutants, those that
/// it encloses most closely: of an expression, a match or at last a function.
///
/// # Errors
///
/// A file that an error names cannot be read or is not Rust.
pub fn find(tree: &Path, messages: &str) -> Result<BTreeSet<u32>, Error> {
    let mut maps: BTreeMap<String, Map> = BTreeMap::new();
    let mut bad = BTreeSet::new();
    let mut vague = BTreeSet::new();
    for error in read(messages).filter_map(|m| m.message) {
        if error.level != "error" {
            continue;
        }
        let mut found = BTreeSet::new();
        let mut wide = BTreeSet::new();
        let mut spans: Vec<&At> = error.spans.iter().collect();
        spans.sort_by_key(|s| !s.is_primary);
        for span in spans {
            let mut span = span;
            while let Some(outer) = &span.expansion {
                span = &outer.span;
            }
            if !span.file_name.starts_with("core/src/") {
                continue;
            }
            if !maps.contains_key(&span.file_name) {
                maps.insert(span.file_name.clone(), Map::of(tree, &span.file_name)?);
            }
            let Some(map) = maps.get(&span.file_name) else {
                continue;
            };
            let place = (span.line_start, span.column_start);
            if found.is_empty() {
                found.extend(map.made(place));
            }
            if wide.is_empty() {
                wide = map.around(place);
            }
        }
        if found.is_empty() {
            vague.extend(wide);
        } else {
            bad.extend(found);
        }
    }
    // What is not surely to blame stays as long as something is.
    if bad.is_empty() {
        println!(
            "mutants: {} are near an error, and are left out",
            vague.len()
        );
        bad = vague;
    }
    Ok(bad)
}

fn read(messages: &str) -> impl Iterator<Item = Message> {
    messages
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
}

type Range = ((usize, usize), (usize, usize));

fn range(span: Span) -> Range {
    let one = |at: LineColumn| (at.line, at.column + 1);
    (one(span.start()), one(span.end()))
}

fn holds(range: &Range, place: (usize, usize)) -> bool {
    range.0 <= place && place < range.1
}

/// Where which mutant is made in a file, and what encloses which mutants.
#[derive(Default)]
struct Map {
    made: Vec<(Range, u32)>,
    around: Vec<(Range, BTreeSet<u32>)>,
}

impl Map {
    fn of(tree: &Path, file: &str) -> Result<Self, Error> {
        let path = tree.join(file);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::file(&path, e))?;
        let parsed = syn::parse_file(&text).map_err(|source| Error::Source {
            file: file.to_owned(),
            source,
        })?;
        let mut map = Self::default();
        map.visit_file(&parsed);
        Ok(map)
    }

    /// The innermost mutant that is made there.
    fn made(&self, place: (usize, usize)) -> Option<u32> {
        let here = self.made.iter().filter(|(range, _)| holds(range, place));
        here.max_by_key(|(range, _)| range.0).map(|(_, id)| *id)
    }

    /// The mutants of the innermost part around it that has any.
    fn around(&self, place: (usize, usize)) -> BTreeSet<u32> {
        let here = self.around.iter().filter(|(range, _)| holds(range, place));
        here.max_by_key(|(range, _)| range.0)
            .map(|(_, ids)| ids.clone())
            .unwrap_or_default()
    }

    fn enclose(&mut self, span: Span, go: impl FnOnce(&mut Self)) {
        let before = self.made.len();
        go(self);
        let inside: BTreeSet<u32> = self.made.iter().skip(before).map(|(_, id)| *id).collect();
        if !inside.is_empty() {
            self.around.push((range(span), inside));
        }
    }
}

impl<'ast> Visit<'ast> for Map {
    fn visit_expr_if(&mut self, expr: &'ast ExprIf) {
        let id = switch(&expr.cond);
        self.enclose(expr.span(), |map| {
            if let Some(id) = id {
                map.made.push((range(expr.then_branch.span()), id));
            }
            visit::visit_expr_if(map, expr);
        });
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        let gone: Vec<(Range, u32)> = expr.arms.iter().filter_map(gone).collect();
        self.made.extend(gone.iter().copied());
        self.enclose(expr.span(), |map| visit::visit_expr_match(map, expr));
        // Where arms are missing, the error is about what is matched.
        if !gone.is_empty() {
            let ids = gone.into_iter().map(|(_, id)| id).collect();
            self.around.push((range(expr.expr.span()), ids));
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        visit::visit_expr_call(self, call);
        // Where types do not agree, the error is about the call.
        if let Some(id) = either(call) {
            self.around.push((range(call.span()), BTreeSet::from([id])));
        }
    }

    fn visit_stmt(&mut self, stmt: &'ast syn::Stmt) {
        self.enclose(stmt.span(), |map| visit::visit_stmt(map, stmt));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.enclose(item.span(), |map| visit::visit_item_fn(map, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.enclose(item.span(), |map| visit::visit_impl_item_fn(map, item));
    }
}

/// The mutant that leaves an arm out, and where its condition stands.
fn gone(arm: &Arm) -> Option<(Range, u32)> {
    let mut first: &Expr = &arm.guard.as_ref()?.1;
    while let Expr::Binary(binary) = first {
        first = &binary.left;
    }
    match first {
        Expr::Unary(not) => Some((range(not.span()), switch(&not.expr)?)),
        _ => None,
    }
}

/// The mutant that hands out another iterator.
fn either(call: &ExprCall) -> Option<u32> {
    match call.args.last() {
        Some(Expr::If(made)) if is_named(&call.func, "either") => switch(&made.cond),
        _ => None,
    }
}

/// The number in `crate::fault::is(7)`.
fn switch(expr: &Expr) -> Option<u32> {
    let Expr::Call(call) = expr else { return None };
    if !is_named(&call.func, "is") {
        return None;
    }
    match call.args.first() {
        Some(Expr::Lit(lit)) => match &lit.lit {
            Lit::Int(id) => id.base10_parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Whether it is the function of that name beside the switches.
fn is_named(function: &Expr, name: &str) -> bool {
    let Expr::Path(path) = function else {
        return false;
    };
    let segments = path.path.segments.iter().map(|s| s.ident.to_string());
    segments.eq(["crate", "fault", name])
}
