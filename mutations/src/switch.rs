//! Writes a source file anew so that each of its mutants stands behind a switch.
//!
//! Where a mutant is made, everything inside of it stands as it was: one mutant is made at
//! a time, so that the text grows with the square of an expression's mutants at most.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{LineColumn, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Arm, Block, Expr, ExprMatch, ExprStruct, ReturnType, Signature, Type, parse_quote};

use crate::error::Error;
use crate::list::{Genre, Mutant};

mod constant;
#[cfg(test)]
mod tests;

/// A source file with switches.
#[derive(Debug)]
pub struct Switched {
    /// Its text.
    pub text: String,
    /// The mutants that have a switch in it.
    pub placed: BTreeSet<u32>,
    /// Those that cannot be Rust, whatever the types: `||` beside `let` in a condition.
    pub never: BTreeSet<u32>,
}

/// Puts switches for `mutants`, all of them of this file, into its text.
///
/// # Errors
///
/// The text is not Rust.
pub fn switch(file: &str, text: &str, mutants: &[&Mutant]) -> Result<Switched, Error> {
    let mut tree = syn::parse_file(text).map_err(|source| Error::Source {
        file: file.to_owned(),
        source,
    })?;
    let mut at: BTreeMap<(usize, usize), Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        let key = (mutant.start.line, mutant.start.column);
        at.entry(key).or_default().push(mutant);
    }
    let mut switcher = Switcher {
        at,
        placed: BTreeSet::new(),
        never: BTreeSet::new(),
    };
    let constants = constant::with_mutants(&tree, &switcher);
    switcher.visit_file_mut(&mut tree);
    constant::make_functions(&mut tree, &constants);
    Ok(Switched {
        text: prettyplease::unparse(&tree),
        placed: switcher.placed,
        never: switcher.never,
    })
}

struct Switcher<'a> {
    at: BTreeMap<(usize, usize), Vec<&'a Mutant>>,
    placed: BTreeSet<u32>,
    never: BTreeSet<u32>,
}

impl<'a> Switcher<'a> {
    fn starting(&self, span: Span, genre: Genre) -> Vec<&'a Mutant> {
        let LineColumn { line, column } = span.start();
        let here = self.at.get(&(line, column + 1));
        here.into_iter()
            .flatten()
            .filter(|m| m.genre == genre)
            .copied()
            .collect()
    }

    /// `if is(1) { A } else if is(2) { B } else { otherwise }`
    fn choose(&mut self, made: &[(u32, Expr)], otherwise: &Expr) -> Expr {
        let mut whole = quote!({ #otherwise });
        for (id, instead) in made.iter().rev() {
            self.placed.insert(*id);
            whole = quote!({ if crate::fault::is(#id) { #instead } else #whole });
        }
        // The outermost braces make a block, which is an expression everywhere.
        parse_quote!((#whole))
    }

    /// An operator and those that it shares an expression with, without parentheses between.
    fn binary(&mut self, expr: &mut Expr) {
        let mut operators = Vec::new();
        let mut lets = false;
        chain(expr, &mut |op, span| operators.push((op, span)), &mut lets);
        if lets {
            return self.condition(expr);
        }
        let tokens = expr.to_token_stream();
        let mut made = Vec::new();
        for (width, span) in operators {
            for mutant in self.starting(span, Genre::BinaryOperator) {
                // As in cargo-mutants, the text changes: what binds how is found anew.
                let instead = replaced(&tokens, span.start(), width, &mutant.replacement);
                match syn::parse2::<Expr>(instead) {
                    Ok(instead) => made.push((mutant.id, instead)),
                    Err(_) => {
                        self.never.insert(mutant.id);
                    }
                }
            }
        }
        self.operands(expr);
        if !made.is_empty() {
            *expr = self.choose(&made, expr);
        }
    }

    fn operands(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Binary(binary) => {
                self.operands(&mut binary.left);
                self.operands(&mut binary.right);
            }
            other => self.visit_expr_mut(other),
        }
    }

    /// `a && let B = c && d`: nothing but `&&` may join them.
    fn condition(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Binary(binary) if matches!(binary.op, syn::BinOp::And(_)) => {
                for mutant in self.starting(binary.op.span(), Genre::BinaryOperator) {
                    self.never.insert(mutant.id);
                }
                self.condition(&mut binary.left);
                self.condition(&mut binary.right);
            }
            other => self.visit_expr_mut(other),
        }
    }

    fn body(&mut self, made: &[&Mutant], signature: &Signature, body: &mut Block) {
        if made.is_empty() {
            return;
        }
        if let ReturnType::Type(_, returned) = &signature.output
            && matches!(**returned, Type::ImplTrait(_))
        {
            let mut whole = body.to_token_stream();
            for mutant in made {
                let Ok(instead) = mutant.replacement.parse::<TokenStream>() else {
                    self.never.insert(mutant.id);
                    continue;
                };
                let id = mutant.id;
                self.placed.insert(id);
                // What is made comes last: where its items are of another type, it is to blame.
                whole = quote!({ crate::fault::either(#whole,
                    if crate::fault::is(#id) { Some({ #instead }) } else { None }) });
            }
            *body = parse_quote!({ #whole });
            return;
        }
        for mutant in made.iter().rev() {
            let Ok(instead) = syn::parse_str::<Expr>(&mutant.replacement) else {
                self.never.insert(mutant.id);
                continue;
            };
            let id = mutant.id;
            self.placed.insert(id);
            body.stmts.insert(
                0,
                parse_quote!(if crate::fault::is(#id) { return #instead; }),
            );
        }
    }

    fn function(&mut self, signature: &mut Signature, body: &mut Block) {
        let made = match body.stmts.first() {
            Some(first) => self.starting(first.span(), Genre::FnValue),
            None => Vec::new(),
        };
        let before = self.placed.len();
        visit_mut::visit_block_mut(self, body);
        self.body(&made, signature, body);
        if self.placed.len() > before {
            // A switch is not known before the program runs.
            signature.constness = None;
        }
    }

    fn arm(&mut self, arm: &mut Arm) {
        let mut conditions: Vec<Expr> = Vec::new();
        for mutant in self.starting(arm.pat.span(), Genre::MatchArm) {
            let id = mutant.id;
            self.placed.insert(id);
            conditions.push(parse_quote!(!crate::fault::is(#id)));
        }
        let guards = match &arm.guard {
            Some((_, guard)) => self.starting(guard.span(), Genre::MatchArmGuard),
            None => Vec::new(),
        };
        visit_mut::visit_arm_mut(self, arm);
        if let Some((_, guard)) = &mut arm.guard {
            let made: Vec<(u32, Expr)> = guards
                .iter()
                .filter_map(|m| Some((m.id, syn::parse_str(&m.replacement).ok()?)))
                .collect();
            if !made.is_empty() {
                **guard = self.choose(&made, guard);
            }
            conditions.push(parse_quote!((#guard)));
        }
        if let Some(condition) = conditions
            .into_iter()
            .reduce(|all, one| parse_quote!(#all && #one))
        {
            arm.guard = Some((Default::default(), Box::new(condition)));
        }
    }

    fn fields(&mut self, expr: &mut Expr) {
        let Expr::Struct(whole) = expr else { return };
        let mut made = Vec::new();
        for (place, field) in whole.fields.iter().enumerate() {
            for mutant in self.starting(field.span(), Genre::StructField) {
                made.push((mutant.id, Expr::Struct(without(whole, place))));
            }
        }
        visit_mut::visit_expr_struct_mut(self, whole);
        if !made.is_empty() {
            *expr = self.choose(&made, expr);
        }
    }
}

impl VisitMut for Switcher<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Binary(_) => self.binary(expr),
            Expr::Struct(_) => self.fields(expr),
            Expr::Unary(unary) => {
                let made: Vec<(u32, Expr)> = self
                    .starting(unary.op.span(), Genre::UnaryOperator)
                    .iter()
                    .map(|m| (m.id, (*unary.expr).clone()))
                    .collect();
                self.visit_expr_mut(&mut unary.expr);
                if !made.is_empty() {
                    *expr = self.choose(&made, expr);
                }
            }
            other => visit_mut::visit_expr_mut(self, other),
        }
    }

    fn visit_expr_match_mut(&mut self, whole: &mut ExprMatch) {
        self.visit_expr_mut(&mut whole.expr);
        for arm in &mut whole.arms {
            self.arm(arm);
        }
    }

    fn visit_item_fn_mut(&mut self, item: &mut syn::ItemFn) {
        self.function(&mut item.sig, &mut item.block);
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut syn::ImplItemFn) {
        self.function(&mut item.sig, &mut item.block);
    }

    fn visit_trait_item_fn_mut(&mut self, item: &mut syn::TraitItemFn) {
        if let Some(body) = &mut item.default {
            self.function(&mut item.sig, body);
        }
    }
}

/// Hands out the operators that no parentheses part, each with the count of its characters.
fn chain(expr: &Expr, take: &mut impl FnMut(usize, Span), lets: &mut bool) {
    match expr {
        Expr::Binary(binary) => {
            chain(&binary.left, take, lets);
            let op = binary.op.to_token_stream();
            take(op.to_string().len(), binary.op.span());
            chain(&binary.right, take, lets);
        }
        Expr::Let(_) => *lets = true,
        _ => {}
    }
}

/// The tokens, with another operator of what begins at `start` and is `width` characters wide.
fn replaced(tokens: &TokenStream, start: LineColumn, width: usize, with: &str) -> TokenStream {
    let mut all = TokenStream::new();
    let mut left = 0;
    for token in tokens.clone() {
        let here = matches!(token, TokenTree::Punct(_)) && token.span().start() == start;
        if here {
            left = width;
            all.extend(with.parse::<TokenStream>().unwrap_or_default());
        }
        if left > 0 {
            left -= 1;
        } else {
            all.extend([token]);
        }
    }
    all
}

fn without(whole: &ExprStruct, place: usize) -> ExprStruct {
    let mut less = whole.clone();
    let fields = std::mem::take(&mut less.fields);
    less.fields = fields
        .into_iter()
        .enumerate()
        .filter_map(|(at, field)| (at != place).then_some(field))
        .collect();
    if !less.fields.empty_or_trailing() {
        less.fields.push_punct(Default::default());
    }
    less
}
