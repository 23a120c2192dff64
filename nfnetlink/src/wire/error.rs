//! Why bytes could not be read as, or written to, the wire format.

/// Bytes that do not follow the wire format, or a value that it cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A header or a payload ends before its announced length.
    #[error("{what}: needs {need} bytes, has {have}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes left.
        have: usize,
    },
    /// An attribute's payload has another size than its type demands.
    #[error("attribute {kind}: expected {expected} bytes, got {got}")]
    AttributeSize {
        /// Attribute number within its nest.
        kind: u16,
        /// Bytes that the type demands.
        expected: usize,
        /// Bytes found.
        got: usize,
    },
    /// A text attribute is not UTF-8.
    #[error("attribute {kind}: not UTF-8")]
    Text {
        /// Attribute number within its nest.
        kind: u16,
    },
    /// An attribute that the object cannot do without is absent.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An attribute holds a number that is not one of those defined.
    #[error("{attribute} has the undefined value {value}")]
    Value {
        /// Kernel name of the attribute.
        attribute: &'static str,
        /// What it held.
        value: u64,
    },
    /// Nests are deeper than any object needs (a guard against loops).
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// An attribute would be longer than 65,535 bytes with its header.
    #[error("attribute {kind} would have {len} bytes, the format allows 65535")]
    AttributeTooLong {
        /// Attribute number within its nest.
        kind: u16,
        /// Bytes with header.
        len: usize,
    },
}
