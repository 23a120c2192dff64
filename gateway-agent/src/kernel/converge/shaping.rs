//! Classes of traffic: compared with what the kernel holds, and mended.

use std::collections::BTreeMap;
use std::io;

use super::{Network, Observed, system};
use crate::kernel::report::KernelError;
use crate::kernel::rtnl::{Class, Qdisc, ROOT, Request};
use crate::kernel::ruleset::Origin;
use crate::kernel::shaping::{self, Limit, Shaping};

/// `ENOENT`, `EOPNOTSUPP` (`asm-generic/errno-base.h`, `errno.h`).
const ENOENT: i32 = 2;
const EOPNOTSUPP: i32 = 95;

/// What making classes did.
#[derive(Debug, Default)]
pub struct Shaped {
    /// How many qdiscs and classes were added, changed or removed.
    pub changed: usize,
    /// Entries that the kernel did not take, and its words.
    pub refused: BTreeMap<Origin, String>,
}

impl Shaped {
    fn refuse<'a>(&mut self, limits: impl IntoIterator<Item = &'a Limit>, words: &str) {
        for origin in limits.into_iter().flat_map(|limit| &limit.origins) {
            // What follows from the first is no news.
            let first = self.refused.entry(*origin);
            first.or_insert_with(|| words.to_owned());
        }
    }
}

/// What an interface lacks.
#[derive(Default)]
struct Lack {
    /// All that has to be removed first: it cannot be made right.
    wrong: Vec<Request>,
    root: Option<Qdisc>,
    /// Each with its number.
    classes: Vec<(u16, Class)>,
    queues: Vec<(u16, Qdisc)>,
}

impl Network {
    /// Makes the classes that there must be, before packets are given to them. A class whose
    /// rate changes is changed as it stands: what waits in it stays.
    ///
    /// # Errors
    /// [`KernelError`] where the kernel cannot be asked, or does not let go of what others
    /// put there.
    pub fn shape(&mut self, wanted: &Shaping, seen: &Observed) -> Result<Shaped, KernelError> {
        let mut shaped = Shaped::default();
        for (name, limits) in &wanted.0 {
            // Where an interface is absent there is nothing to limit.
            let Some(link) = seen.link(name) else {
                continue;
            };
            let lack = lack(link.index, limits, seen);
            shaped.changed += self.remove(&lack.wrong)?;
            if let Some(root) = lack.root {
                match self.rtnl.send_one(root.put()) {
                    Ok(()) => shaped.changed += 1,
                    Err(error) => {
                        shaped.refuse(limits.values(), &no_htb(name, &error));
                        continue;
                    }
                }
            }
            let put = lack
                .classes
                .iter()
                .map(|(number, class)| (*number, class.put()));
            self.put_limits(name, put.collect(), limits, &mut shaped)?;
            let put = lack
                .queues
                .iter()
                .map(|(number, queue)| (*number, queue.put()));
            self.put_limits(name, put.collect(), limits, &mut shaped)?;
        }
        Ok(shaped)
    }

    fn put_limits(
        &mut self,
        interface: &str,
        requests: Vec<(u16, Request)>,
        limits: &BTreeMap<u16, Limit>,
        shaped: &mut Shaped,
    ) -> Result<(), KernelError> {
        let (numbers, requests): (Vec<u16>, Vec<Request>) = requests.into_iter().unzip();
        let answers = self.rtnl.send(&requests).map_err(system("limit traffic"))?;
        for (number, answer) in numbers.into_iter().zip(answers) {
            match answer {
                Ok(()) => shaped.changed += 1,
                Err(error) => {
                    let words = format!("bandwidth: class on {interface}: {error}");
                    shaped.refuse(limits.get(&number), &words);
                }
            }
        }
        Ok(())
    }

    /// Removes the classes of ours that nobody asks for, once no packet is given to them.
    /// Returns how many objects went.
    ///
    /// # Errors
    /// [`KernelError`].
    pub fn unshape(&mut self, wanted: &Shaping, seen: &Observed) -> Result<usize, KernelError> {
        let mut requests: Vec<Request> = seen.stray_roots(wanted).map(Qdisc::remove).collect();
        // Those below others first.
        let mut strays: Vec<&Class> = seen.stray_classes(wanted).collect();
        strays.sort_unstable_by_key(|class| class.parent == ROOT);
        requests.extend(strays.into_iter().map(Class::remove));
        self.remove(&requests)
    }
}

fn no_htb(interface: &str, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(ENOENT | EOPNOTSUPP) => {
            "bandwidth: this kernel has no HTB: load the module sch_htb on the Node, or take \
             spec.bandwidth out"
                .to_owned()
        }
        _ => format!(
            "bandwidth: HTB on {interface}: {error}; remove what others put on the interface (tc \
             qdisc show dev {interface})"
        ),
    }
}

fn lack(device: u32, limits: &BTreeMap<u16, Limit>, seen: &Observed) -> Lack {
    let mut lack = Lack::default();
    let root = shaping::root(device);
    let stands = seen.root(device);
    if stands != Some(&root) {
        lack.wrong.extend(stands.map(Qdisc::remove));
        lack.root = Some(root);
    }
    let whole = lack.root.is_none();
    for (number, limit) in limits {
        let class = shaping::class(device, *number, limit.rate);
        let is = seen.classes.get(&(device, class.handle)).filter(|_| whole);
        let moved = is.filter(|is| is.parent != class.parent);
        lack.wrong.extend(moved.map(Class::remove));
        let is = is.filter(|is| is.parent == class.parent);
        if is != Some(&class) {
            lack.classes.push((*number, class));
        }
        let queue = shaping::queue(device, *number, limit.rate);
        let is = seen
            .queues
            .get(&(device, queue.parent))
            .filter(|_| is.is_some());
        let other = is.filter(|is| {
            is.handle != queue.handle
                || std::mem::discriminant(&is.discipline)
                    != std::mem::discriminant(&queue.discipline)
        });
        lack.wrong.extend(other.map(Qdisc::remove));
        if is != Some(&queue) {
            lack.queues.push((*number, queue));
        }
    }
    lack
}

impl Observed {
    /// Our HTB of an interface.
    fn root(&self, device: u32) -> Option<&Qdisc> {
        self.roots.iter().find(|root| root.device == device)
    }

    fn limits<'a>(&self, wanted: &'a Shaping, device: u32) -> Option<&'a BTreeMap<u16, Limit>> {
        let link = self.links.iter().find(|link| link.index == device)?;
        wanted.0.get(&link.name)
    }

    fn stray_roots(&self, wanted: &Shaping) -> impl Iterator<Item = &Qdisc> {
        self.roots
            .iter()
            .filter(|root| self.limits(wanted, root.device).is_none())
    }

    fn stray_classes(&self, wanted: &Shaping) -> impl Iterator<Item = &Class> {
        self.classes.values().filter(|class| {
            self.limits(wanted, class.device).is_some_and(|limits| {
                let number = shaping::number(class.handle);
                number.is_none_or(|number| !limits.contains_key(&number))
            })
        })
    }

    /// What differs from the classes that there must be, in words.
    pub(super) fn shaping_drift(&self, wanted: &Shaping) -> Vec<String> {
        let mut drift = Vec::new();
        for (name, limits) in &wanted.0 {
            let Some(link) = self.link(name) else {
                continue;
            };
            let lack = lack(link.index, limits, self);
            if lack.root.is_some() {
                drift.push(format!("HTB of {name} is missing or another"));
                continue;
            }
            let classes = lack.classes.iter().map(|(number, _)| ("class", number));
            let queues = lack
                .queues
                .iter()
                .map(|(number, _)| ("queue of class", number));
            let major = shaping::MAJOR;
            drift.extend(classes.chain(queues).map(|(what, number)| {
                format!("{what} {major:x}:{number:x} of {name} is missing or another")
            }));
        }
        let roots = self
            .stray_roots(wanted)
            .map(|root| (root.device, root.handle));
        let classes = self
            .stray_classes(wanted)
            .map(|class| (class.device, class.handle));
        drift.extend(roots.chain(classes).map(|(device, handle)| {
            format!(
                "class {:x}:{:x} of interface {device} is stale",
                handle >> 16,
                handle & 0xffff
            )
        }));
        drift
    }
}
