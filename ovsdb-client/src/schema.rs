//! What `get_schema` answers (RFC 7047, 3.2): tables, columns, types.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

/// A database's schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DatabaseSchema {
    /// The database's name.
    pub name: String,
    /// `x.y.z`.
    pub version: String,
    /// A checksum, if the schema has one.
    #[serde(default)]
    pub cksum: Option<String>,
    /// Tables by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// A table's schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSchema {
    /// Columns by name, without `_uuid` and `_version`, which every table has: see
    /// [`Self::kind`].
    pub columns: BTreeMap<String, ColumnSchema>,
    /// How many rows there may be; any number if absent.
    #[serde(default)]
    pub max_rows: Option<u64>,
    /// Whether rows stay that no other row refers to.
    #[serde(default)]
    pub is_root: bool,
    /// Sets of columns that no two rows have in common.
    #[serde(default)]
    pub indexes: Vec<Vec<String>>,
}

impl TableSchema {
    /// The type of a column; that of `_version`, which is another with each change of the row
    /// (RFC 7047, 3.2), is known without the schema.
    pub fn kind(&self, column: &str) -> Option<&ColumnType> {
        match column {
            VERSION => Some(&ONE_UUID),
            _ => self.columns.get(column).map(|column| &column.kind),
        }
    }
}

/// The column that the server keeps by itself, and monitors show if they are asked for it.
pub const VERSION: &str = "_version";

/// The type of [`VERSION`].
pub(crate) static ONE_UUID: ColumnType = ColumnType {
    key: BaseType {
        atomic: AtomicType::Uuid,
        ref_table: None,
        weak: false,
        constraints: BTreeMap::new(),
    },
    value: None,
    min: 1,
    max: Limit::Of(1),
};

/// A column's schema.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ColumnSchema {
    /// What may be in it.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether it is lost when the server restarts.
    #[serde(default)]
    pub ephemeral: bool,
    /// Whether it may change after the insert.
    #[serde(default = "yes")]
    pub mutable: bool,
}

const fn yes() -> bool {
    true
}

/// The type of a column's content.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "ColumnTypeForm")]
pub struct ColumnType {
    /// The atoms, or the keys of a map.
    pub key: BaseType,
    /// The values of a map.
    pub value: Option<BaseType>,
    /// The fewest elements: 0 or 1.
    pub min: u64,
    /// The most elements.
    pub max: Limit,
}

impl ColumnType {
    /// Whether there is always exactly one atom in it.
    pub fn is_scalar(&self) -> bool {
        self.value.is_none() && self.min == 1 && self.max == Limit::Of(1)
    }
}

/// How many elements there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// That many.
    Of(u64),
    /// As many as there is memory for.
    Unlimited,
}

/// The type of atoms, with what constrains them.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseType {
    /// Their type.
    pub atomic: AtomicType,
    /// The table that they refer to.
    pub ref_table: Option<String>,
    /// Whether a reference goes when its row does; else it holds the row.
    pub weak: bool,
    /// `enum`, `minInteger`, `maxLength` and what else the schema says, as it says it.
    pub constraints: BTreeMap<String, Json>,
}

/// The types of atoms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtomicType {
    /// `integer`
    Integer,
    /// `real`
    Real,
    /// `boolean`
    Boolean,
    /// `string`
    String,
    /// `uuid`
    Uuid,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ColumnTypeForm {
    Short(AtomicType),
    Long {
        key: BaseTypeForm,
        #[serde(default)]
        value: Option<BaseTypeForm>,
        #[serde(default)]
        min: Option<u64>,
        #[serde(default)]
        max: Option<LimitForm>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LimitForm {
    Of(u64),
    Word(Unlimited),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unlimited {
    Unlimited,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum BaseTypeForm {
    Short(AtomicType),
    Long {
        #[serde(rename = "type")]
        atomic: AtomicType,
        #[serde(rename = "refTable", default)]
        ref_table: Option<String>,
        #[serde(rename = "refType", default)]
        ref_type: Option<String>,
        #[serde(flatten)]
        constraints: BTreeMap<String, Json>,
    },
}

impl From<BaseTypeForm> for BaseType {
    fn from(form: BaseTypeForm) -> Self {
        match form {
            BaseTypeForm::Short(atomic) => Self::from(atomic),
            BaseTypeForm::Long {
                atomic,
                ref_table,
                ref_type,
                constraints,
            } => Self {
                atomic,
                ref_table,
                weak: ref_type.is_some_and(|kind| kind == "weak"),
                constraints,
            },
        }
    }
}

impl From<AtomicType> for BaseType {
    fn from(atomic: AtomicType) -> Self {
        Self {
            atomic,
            ref_table: None,
            weak: false,
            constraints: BTreeMap::new(),
        }
    }
}

impl From<ColumnTypeForm> for ColumnType {
    fn from(form: ColumnTypeForm) -> Self {
        match form {
            ColumnTypeForm::Short(atomic) => Self {
                key: atomic.into(),
                value: None,
                min: 1,
                max: Limit::Of(1),
            },
            ColumnTypeForm::Long {
                key,
                value,
                min,
                max,
            } => Self {
                key: key.into(),
                value: value.map(BaseType::from),
                min: min.unwrap_or(1),
                max: match max {
                    None => Limit::Of(1),
                    Some(LimitForm::Of(count)) => Limit::Of(count),
                    Some(LimitForm::Word(Unlimited::Unlimited)) => Limit::Unlimited,
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn column(json: Json) -> ColumnType {
        serde_json::from_value(json).expect("a type")
    }

    #[test]
    fn short_and_long_forms_of_types_are_read() {
        assert!(column(json!("string")).is_scalar());
        let set = column(
            json!({"key": {"type": "uuid", "refTable": "NAT"}, "min": 0, "max": "unlimited"}),
        );
        assert_eq!(set.max, Limit::Unlimited);
        assert_eq!(
            (set.key.ref_table.as_deref(), set.key.weak),
            (Some("NAT"), false)
        );
        let map = column(json!({"key": "string", "value": "integer", "min": 0, "max": 5}));
        assert_eq!(
            map.value.map(|value| value.atomic),
            Some(AtomicType::Integer)
        );
        assert_eq!((map.min, map.max), (0, Limit::Of(5)));
        let choice = column(json!({"key": {"type": "string", "enum": ["set", ["snat", "dnat"]]}}));
        assert!(choice.key.constraints.contains_key("enum"));
    }
}
