//! Values of columns (RFC 7047, 5.1): atoms, sets and maps.

mod convert;
mod uuid;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

pub use convert::{Key, Value};
pub use uuid::{BadUuid, Uuid};

/// The columns of a row by their names.
pub type Columns = BTreeMap<String, Datum>;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Atom {
    /// 64 bits, signed.
    Integer(i64),
    /// A finite number.
    Real(Real),
    /// True or false.
    Boolean(bool),
    /// Text.
    String(String),
    /// A row's identity.
    Uuid(Uuid),
    /// The row that an insert of the same transaction gave this name.
    NamedUuid(String),
}

/// A finite number with a total order.
#[derive(Debug, Clone, Copy)]
pub struct Real(pub f64);

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Real {}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The content of a column. A scalar is a set of one; an optional one a set of none or one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datum {
    /// Atoms of one kind.
    Set(BTreeSet<Atom>),
    /// Pairs.
    Map(BTreeMap<Atom, Atom>),
}

impl Datum {
    /// The empty set.
    pub const fn none() -> Self {
        Self::Set(BTreeSet::new())
    }

    /// The only atom of a set of one.
    pub fn only(&self) -> Option<&Atom> {
        match self {
            Self::Set(atoms) if atoms.len() == 1 => atoms.first(),
            Self::Set(_) | Self::Map(_) => None,
        }
    }

    /// Whether nothing is in it. An empty set and an empty map are both nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Set(atoms) => atoms.is_empty(),
            Self::Map(pairs) => pairs.is_empty(),
        }
    }

    /// Reads the wire's form.
    ///
    /// # Errors
    /// Says what is not a value.
    pub fn from_json(json: &Json) -> Result<Self, BadValue> {
        let tagged = json.as_array().map(Vec::as_slice);
        match tagged {
            Some([Json::String(tag), Json::Array(items)]) if tag == "set" => {
                let atoms = items.iter().map(Atom::from_json);
                Ok(Self::Set(atoms.collect::<Result<_, _>>()?))
            }
            Some([Json::String(tag), Json::Array(items)]) if tag == "map" => {
                let pairs = items
                    .iter()
                    .map(|pair| match pair.as_array().map(Vec::as_slice) {
                        Some([key, value]) => Ok((Atom::from_json(key)?, Atom::from_json(value)?)),
                        Some(_) | None => Err(BadValue(pair.to_string())),
                    });
                Ok(Self::Map(pairs.collect::<Result<_, _>>()?))
            }
            Some(_) | None => Ok(Atom::from_json(json)?.into()),
        }
    }

    /// The wire's form.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Set(atoms) => match self.only() {
                Some(atom) => atom.to_json(),
                None => json!(["set", atoms.iter().map(Atom::to_json).collect::<Vec<_>>()]),
            },
            Self::Map(pairs) => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| json!([key.to_json(), value.to_json()]))
                    .collect();
                json!(["map", pairs])
            }
        }
    }
}

impl From<Atom> for Datum {
    fn from(atom: Atom) -> Self {
        Self::Set(BTreeSet::from([atom]))
    }
}

impl Serialize for Datum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl Atom {
    /// Reads the wire's form. A number without a fraction is an integer here, also where the
    /// column holds reals: the wire does not tell them apart.
    ///
    /// # Errors
    /// Says what is not an atom.
    pub fn from_json(json: &Json) -> Result<Self, BadValue> {
        let bad = || BadValue(json.to_string());
        match json {
            Json::Bool(value) => Ok(Self::Boolean(*value)),
            Json::String(text) => Ok(Self::String(text.clone())),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Ok(Self::Integer(integer)),
                None => number.as_f64().map(Real).map(Self::Real).ok_or_else(bad),
            },
            Json::Array(items) => match items.as_slice() {
                [Json::String(tag), Json::String(text)] if tag == "uuid" => {
                    text.parse().map(Self::Uuid).map_err(|_| bad())
                }
                [Json::String(tag), Json::String(name)] if tag == "named-uuid" => {
                    Ok(Self::NamedUuid(name.clone()))
                }
                _ => Err(bad()),
            },
            Json::Null | Json::Object(_) => Err(bad()),
        }
    }

    /// The wire's form.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Integer(value) => json!(value),
            Self::Real(value) => json!(value.0),
            Self::Boolean(value) => json!(value),
            Self::String(value) => json!(value),
            Self::Uuid(value) => json!(["uuid", value.to_string()]),
            Self::NamedUuid(name) => json!(["named-uuid", name]),
        }
    }
}

/// Reads the columns of a row.
pub(crate) fn columns_from_json(json: &Json) -> Result<Columns, BadValue> {
    let object = json.as_object().ok_or_else(|| BadValue(json.to_string()))?;
    object
        .iter()
        .map(|(name, value)| Ok((name.clone(), Datum::from_json(value)?)))
        .collect()
}

/// What is not a value of OVSDB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a value: {0:.200}")]
pub struct BadValue(pub String);

#[cfg(test)]
mod forms;
#[cfg(test)]
mod tests;
