//! Constants in which a mutant lies become functions: a switch is not known before the
//! program runs.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, File, Item, parse_quote};

use super::Switcher;

/// The names of the file's own constants in which mutants lie.
pub(super) fn with_mutants(file: &File, switcher: &Switcher<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for item in &file.items {
        if let Item::Const(constant) = item {
            let mut look = Look {
                switcher,
                any: false,
            };
            look.visit_expr(&constant.expr);
            if look.any {
                found.insert(constant.ident.to_string());
            }
        }
    }
    found
}

/// Makes functions of them, and calls of their uses.
pub(super) fn make_functions(file: &mut File, names: &BTreeSet<String>) {
    if names.is_empty() {
        return;
    }
    Uses(names).visit_file_mut(file);
    for item in &mut file.items {
        if let Item::Const(constant) = item
            && names.contains(&constant.ident.to_string())
        {
            let (visible, name) = (&constant.vis, &constant.ident);
            let (of, expr) = (&constant.ty, &constant.expr);
            *item = parse_quote!(#visible fn #name() -> #of { #expr });
        }
    }
}

struct Look<'a, 'b> {
    switcher: &'a Switcher<'b>,
    any: bool,
}

impl<'ast> Visit<'ast> for Look<'_, '_> {
    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let start = syn::spanned::Spanned::span(&binary.op).start();
        let key = (start.line, start.column + 1);
        self.any |= self.switcher.at.contains_key(&key);
        visit::visit_expr_binary(self, binary);
    }
}

struct Uses<'a>(&'a BTreeSet<String>);

impl VisitMut for Uses<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        visit_mut::visit_expr_mut(self, expr);
        if let Expr::Path(path) = expr
            && let Some(name) = path.path.get_ident()
            && self.0.contains(&name.to_string())
        {
            *expr = parse_quote!(#name());
        }
    }
}
