//! Sets of addresses as sorted ranges, and free addresses in them, found
//! without counting through them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sluice_crds::address::{AddressRange, family};
use sluice_crds::user::IpFamily;

#[cfg(test)]
mod tests;

/// A set of addresses of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    fn of(&self, family: IpFamily) -> &[(u128, u128)] {
        match family {
            IpFamily::IPv4 => &self.v4,
            IpFamily::IPv6 => &self.v6,
        }
    }

    fn of_mut(&mut self, family: IpFamily) -> &mut Vec<(u128, u128)> {
        match family {
            IpFamily::IPv4 => &mut self.v4,
            IpFamily::IPv6 => &mut self.v6,
        }
    }

    /// Adds a range; parts that overlap count once.
    pub(crate) fn add(&mut self, range: AddressRange) {
        let list = self.of_mut(range.family());
        let (mut first, mut last) = (number(range.first()), number(range.last()));
        list.retain(|(f, l)| {
            let apart = *l < first.saturating_sub(1) || *f > last.saturating_add(1);
            if !apart {
                first = first.min(*f);
                last = last.max(*l);
            }
            apart
        });
        list.push((first, last));
        list.sort_unstable();
    }

    /// Removes a range.
    pub(crate) fn remove(&mut self, range: AddressRange) {
        let list = self.of_mut(range.family());
        let (first, last) = (number(range.first()), number(range.last()));
        *list = list
            .iter()
            .flat_map(|&(f, l)| {
                if l < first || f > last {
                    return [Some((f, l)), None];
                }
                let below = (f < first).then(|| (f, first - 1));
                let above = (l > last).then(|| (last + 1, l));
                [below, above]
            })
            .flatten()
            .collect();
    }

    /// Whether the address is in the set.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let n = number(address);
        self.of(family(address))
            .iter()
            .any(|(f, l)| (*f..=*l).contains(&n))
    }

    /// The lowest address that is in both sets.
    pub(crate) fn first_shared(&self, other: &Self) -> Option<IpAddr> {
        IpFamily::BOTH.into_iter().find_map(|family| {
            self.of(family)
                .iter()
                .flat_map(|a| other.of(family).iter().map(move |b| (a, b)))
                .filter(|(a, b)| a.0 <= b.1 && b.0 <= a.1)
                .map(|(a, b)| address(family, a.0.max(b.0)))
                .min()
        })
    }

    /// How many addresses of a family there are.
    pub(crate) fn count(&self, family: IpFamily) -> u128 {
        self.of(family).iter().fold(0u128, |sum, (f, l)| {
            sum.saturating_add((l - f).saturating_add(1))
        })
    }

    /// The ranges, in order, IPv4 first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = AddressRange> {
        IpFamily::BOTH.into_iter().flat_map(|family| {
            self.of(family).iter().filter_map(move |(f, l)| {
                AddressRange::new(address(family, *f), address(family, *l))
            })
        })
    }

    /// A free address of a family: the first one from a place that `spread`
    /// chooses, going round. The same for the same arguments; two callers with
    /// different `spread` rarely meet. Takes steps in the number of taken
    /// addresses, not of free ones.
    pub(crate) fn free<T>(
        &self,
        family: IpFamily,
        taken: &BTreeMap<IpAddr, T>,
        reserved: &dyn Fn(IpAddr) -> bool,
        spread: u64,
    ) -> Option<IpAddr> {
        let list = self.of(family);
        let total = self.count(family);
        if total == 0 {
            return None;
        }
        let mut offset = u128::from(spread) % total;
        // The range that the place lies in, and the place.
        let mut at = 0;
        for (i, (f, l)) in list.iter().enumerate() {
            let size = (l - f).saturating_add(1);
            if offset < size {
                at = i;
                break;
            }
            offset -= size;
        }
        let start = list.get(at).map(|(f, _)| f + offset)?;
        let after = list
            .iter()
            .skip(at)
            .enumerate()
            .map(|(i, &(f, l))| (if i == 0 { start } else { f }, l));
        let before = list
            .iter()
            .take(at + 1)
            .enumerate()
            .filter_map(|(i, &(f, l))| {
                let l = if i == at { start.checked_sub(1)? } else { l };
                (f <= l).then_some((f, l))
            });
        after.chain(before).find_map(|(f, l)| {
            let (low, high) = (address(family, f), address(family, l));
            let mut used = taken.range(low..=high).map(|(a, _)| number(*a)).peekable();
            let mut n = f;
            loop {
                if used.peek() == Some(&n) {
                    used.next();
                } else if !reserved(address(family, n)) {
                    return Some(address(family, n));
                }
                if n == l {
                    return None;
                }
                n += 1;
            }
        })
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

fn address(family: IpFamily, number: u128) -> IpAddr {
    match family {
        IpFamily::IPv4 => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpFamily::IPv6 => Ipv6Addr::from(number).into(),
    }
}
