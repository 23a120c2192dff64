//! Rust's types as types of columns.

use std::collections::{BTreeMap, BTreeSet};

use super::{Atom, Datum, Real, Uuid};
use crate::schema::{AtomicType, ColumnType, Limit};

/// A Rust type that stands for the type of a column: a [`Key`], an `Option` or `BTreeSet` of
/// one, or a `BTreeMap` of two.
pub trait Value: Sized {
    /// Reads a column; `None` if it holds something else.
    fn from_datum(datum: &Datum) -> Option<Self>;
    /// The column's content.
    fn to_datum(&self) -> Datum;
    /// What a column that the server left out holds: the default of its type (RFC 7047, 5.2.1).
    fn absent() -> Self;
    /// Whether every content of such a column is one of this type.
    fn admits(column: &ColumnType) -> bool;
}

/// A Rust type that stands for one atom.
pub trait Key: Ord + Sized {
    /// The type of such atoms.
    const ATOMIC: AtomicType;
    /// Reads an atom; `None` if it is of another type.
    fn from_atom(atom: &Atom) -> Option<Self>;
    /// The atom.
    fn to_atom(&self) -> Atom;
    /// The default of the type.
    fn zero() -> Self;
}

macro_rules! keys {
    ($($rust:ty, $kind:ident, $zero:expr, $read:pat => $get:expr, $value:ident => $put:expr;)+) => {$(
        impl Key for $rust {
            const ATOMIC: AtomicType = AtomicType::$kind;
            fn from_atom(atom: &Atom) -> Option<Self> {
                match atom {
                    $read => Some($get),
                    _ => None,
                }
            }
            fn to_atom(&self) -> Atom {
                let $value = self;
                $put
            }
            fn zero() -> Self {
                $zero
            }
        }

        impl Value for $rust {
            fn from_datum(datum: &Datum) -> Option<Self> {
                Self::from_atom(datum.only()?)
            }
            fn to_datum(&self) -> Datum {
                self.to_atom().into()
            }
            fn absent() -> Self {
                Self::zero()
            }
            fn admits(column: &ColumnType) -> bool {
                column.is_scalar() && column.key.atomic == Self::ATOMIC
            }
        }
    )+};
}

keys! {
    i64, Integer, 0, Atom::Integer(value) => *value, value => Atom::Integer(*value);
    bool, Boolean, false, Atom::Boolean(value) => *value, value => Atom::Boolean(*value);
    String, String, String::new(), Atom::String(value) => value.clone(), value => Atom::String(value.clone());
    Uuid, Uuid, Uuid::ZERO, Atom::Uuid(value) => *value, value => Atom::Uuid(*value);
}

impl Key for Real {
    const ATOMIC: AtomicType = AtomicType::Real;

    fn from_atom(atom: &Atom) -> Option<Self> {
        match atom {
            Atom::Real(real) => Some(*real),
            // The wire has no fraction where there is none.
            #[expect(clippy::cast_precision_loss, reason = "a real was written")]
            Atom::Integer(value) => Some(Self(*value as f64)),
            Atom::Boolean(_) | Atom::String(_) | Atom::Uuid(_) | Atom::NamedUuid(_) => None,
        }
    }

    fn to_atom(&self) -> Atom {
        Atom::Real(*self)
    }

    fn zero() -> Self {
        Self(0.0)
    }
}

impl Value for Real {
    fn from_datum(datum: &Datum) -> Option<Self> {
        Self::from_atom(datum.only()?)
    }

    fn to_datum(&self) -> Datum {
        self.to_atom().into()
    }

    fn absent() -> Self {
        Self::zero()
    }

    fn admits(column: &ColumnType) -> bool {
        column.is_scalar() && column.key.atomic == Self::ATOMIC
    }
}

impl<K: Key> Value for Option<K> {
    fn from_datum(datum: &Datum) -> Option<Self> {
        match datum {
            Datum::Set(atoms) if atoms.is_empty() => Some(None),
            Datum::Set(_) => Some(Some(K::from_atom(datum.only()?)?)),
            Datum::Map(_) => None,
        }
    }

    fn to_datum(&self) -> Datum {
        self.as_ref()
            .map_or_else(Datum::none, |key| key.to_atom().into())
    }

    fn absent() -> Self {
        None
    }

    fn admits(column: &ColumnType) -> bool {
        column.value.is_none() && column.max == Limit::Of(1) && column.key.atomic == K::ATOMIC
    }
}

impl<K: Key> Value for BTreeSet<K> {
    fn from_datum(datum: &Datum) -> Option<Self> {
        match datum {
            Datum::Set(atoms) => atoms.iter().map(K::from_atom).collect(),
            Datum::Map(_) => None,
        }
    }

    fn to_datum(&self) -> Datum {
        Datum::Set(self.iter().map(K::to_atom).collect())
    }

    fn absent() -> Self {
        Self::new()
    }

    fn admits(column: &ColumnType) -> bool {
        column.value.is_none() && column.key.atomic == K::ATOMIC
    }
}

impl<K: Key, V: Key> Value for BTreeMap<K, V> {
    fn from_datum(datum: &Datum) -> Option<Self> {
        match datum {
            Datum::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| Some((K::from_atom(key)?, V::from_atom(value)?)))
                .collect(),
            Datum::Set(_) => None,
        }
    }

    fn to_datum(&self) -> Datum {
        Datum::Map(
            self.iter()
                .map(|(key, value)| (key.to_atom(), value.to_atom()))
                .collect(),
        )
    }

    fn absent() -> Self {
        Self::new()
    }

    fn admits(column: &ColumnType) -> bool {
        column.key.atomic == K::ATOMIC
            && column
                .value
                .as_ref()
                .is_some_and(|value| value.atomic == V::ATOMIC)
    }
}

impl From<&str> for Atom {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl<K: Key> From<K> for Datum {
    fn from(key: K) -> Self {
        key.to_atom().into()
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Atom::from(text).into()
    }
}
