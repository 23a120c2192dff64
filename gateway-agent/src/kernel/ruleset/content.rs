//! The sets and maps, and which entry each element comes from.

use std::collections::{BTreeMap, BTreeSet};

use nfnetlink::nftables::{Element, Field, Set, SetContent, Value};

/// The entry, by its index in the snapshot, that an element of a set was made for.
pub type Origin = usize;

/// A set or map being filled.
#[derive(Clone, Debug)]
pub struct Filled {
    set: Set,
    elements: BTreeMap<Value, (Element, Option<Origin>)>,
    /// Whether several entries asked for one element.
    shared: bool,
}

/// Sets and maps by name.
#[derive(Clone, Debug, Default)]
pub struct Contents(BTreeMap<String, Filled>);

/// Sizes that sets without one are given, so that they are made anew only rarely as they grow.
const SIZES: [u32; 5] = [64, 1 << 10, 1 << 13, 1 << 16, 1 << 20];

impl Contents {
    /// Makes an empty set or map, unless there is one.
    pub fn declare(&mut self, set: Set) -> &mut Filled {
        self.0.entry(set.name.clone()).or_insert(Filled {
            set,
            elements: BTreeMap::new(),
            shared: false,
        })
    }

    /// A set of addresses, interface names and the like.
    pub fn set(&mut self, name: String, key: &[Field]) -> &mut Filled {
        self.declare(Set::new(name, key))
    }

    /// A map.
    pub fn map(&mut self, name: String, key: &[Field], data: &[Field]) -> &mut Filled {
        self.declare(Set::map(name, key, data))
    }

    /// Whether there is such a set.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names of all sets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The entry that the element with this key was made for.
    pub fn origin(&self, set: &str, key: &Value) -> Option<Origin> {
        self.0.get(set)?.elements.get(key)?.1
    }

    /// Whether some element stands for several entries: it must stay when one of them goes.
    pub fn is_shared(&self) -> bool {
        self.0.values().any(|filled| filled.shared)
    }

    /// The sets with their elements, each with room to grow.
    pub fn finish(self) -> BTreeMap<String, SetContent> {
        self.0
            .into_iter()
            .map(|(name, filled)| (name, filled.finish()))
            .collect()
    }
}

impl Filled {
    /// Puts an element in, for the entry with the index `origin`.
    ///
    /// # Errors
    /// The entry that has the key already, with other data.
    pub fn put(&mut self, element: Element, origin: Option<Origin>) -> Result<(), Option<Origin>> {
        match self.elements.get(&element.key) {
            Some((held, by)) if *held == element => {
                self.shared |= *by != origin;
                Ok(())
            }
            Some((_, by)) => Err(*by),
            None => {
                self.elements.insert(element.key.clone(), (element, origin));
                Ok(())
            }
        }
    }

    /// Puts an element in, replacing what has its key.
    pub fn replace(&mut self, element: Element, origin: Option<Origin>) {
        let key = element.key.clone();
        if let Some((_, by)) = self.elements.insert(key, (element, origin)) {
            self.shared |= by != origin;
        }
    }

    fn finish(self) -> SetContent {
        let size = size_for(self.elements.len());
        let elements: BTreeSet<Element> = self
            .elements
            .into_values()
            .map(|(element, _)| element)
            .collect();
        SetContent {
            set: match self.set.size {
                Some(_) => self.set,
                None => self.set.with_size(size),
            },
            elements,
        }
    }
}

/// The size that a set with so many elements is given.
pub fn size_for(count: usize) -> u32 {
    SIZES
        .into_iter()
        .find(|size| usize::try_from(*size).is_ok_and(|size| count <= size))
        .unwrap_or(u32::MAX)
}
