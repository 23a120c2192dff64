//! Faults stop. What users left must become true; a new leader has nothing to
//! add; and when users delete everything, nothing stays.

use super::random::Random;
use super::world::{NODES, World};
use crate::operator::event::{Key, Kind, Object};
use crate::operator::tests::objects::key;

/// Longer than anything that is waited for.
const QUIET_MS: u64 = 70_000;

impl World {
    /// All faults end, but for the kernels' refusals.
    pub fn heal(&mut self) {
        for who in 0..self.contenders.len() {
            self.contenders[who].paused = false;
        }
        for node in NODES {
            self.power_on(node);
        }
        for machine in &mut self.machines {
            machine.frozen = false;
            machine.cut = false;
            machine.late = [false; 2];
        }
        for request in &mut self.requests {
            request.mute = false;
            request.held = false;
        }
        self.late.clear();
    }

    /// A person declares those dead of whom nobody is left to tell: their pod
    /// was taken away by force, and their machine is gone.
    fn bury(&mut self) -> bool {
        let mut buried = false;
        for name in super::world::GATEWAYS {
            let gateway = key("net", name);
            let lost = self.server.all(Kind::GatewayInstance).find_map(|o| {
                let Object::GatewayInstance(report) = o else {
                    return None;
                };
                // What has not told its name is declared by its pod.
                let status = report.status.as_ref();
                let named = status.map(|s| s.instance.clone());
                let lost = named
                    .filter(|instance| !instance.is_empty())
                    .unwrap_or_else(|| format!("pod/{}", report.spec.pod_uid));
                let pod = o.identity().1;
                let pod_gone = !matches!(
                    self.server.get(Kind::Pod, &pod),
                    Some(Object::Pod(p)) if p.uid.as_str() == report.spec.pod_uid
                );
                let machine_gone = !self.machines.iter().any(|m| {
                    !m.gone && format!("{}/", m.instance).starts_with(&format!("{lost}/"))
                });
                (report.spec.gateway == name && pod_gone && machine_gone).then_some(lost)
            });
            if let Some(lost) = lost {
                buried |= self.declare_dead(&gateway, Some(&lost));
                self.sometimes("a person declares an instance dead");
            }
        }
        buried
    }

    /// Runs until all is calm, people helping where they must.
    fn rest(&mut self) {
        self.settle(QUIET_MS);
        for _ in 0..20 {
            if self.broken.is_some() || !self.bury() {
                break;
            }
            self.settle(QUIET_MS);
        }
        for name in super::world::GATEWAYS {
            self.declare_dead(&key("net", name), None);
        }
    }

    fn expect_truth(&mut self, refused: Option<&str>) {
        let wrong = self.lies(refused);
        if !wrong.is_empty() {
            let recent = self.recent();
            self.violate(|| {
                format!(
                    "not true after quiet:\n  {}\nlast writes:\n  {recent}",
                    wrong.join("\n  ")
                )
            });
        }
    }

    /// Faults stop; users delete everything in the end.
    pub fn calm(&mut self, random: &mut Random) {
        self.heal();
        let refused = self.machines.iter().find_map(|m| m.refuses.clone());
        for machine in &mut self.machines {
            machine.refuses.clone_from(&refused);
        }
        if random.one_in(2) {
            let who = random.below(self.contenders.len());
            self.end_life(who);
        }
        self.rest();
        if self.broken.is_some() {
            return;
        }
        self.expect_truth(refused.as_deref());
        for machine in &mut self.machines {
            machine.refuses = None;
        }
        self.settle(QUIET_MS);
        self.expect_truth(None);
        let writes = self.news();
        for who in 0..self.contenders.len() {
            self.end_life(who);
        }
        self.go_on(30_000);
        if self.news() != writes && self.broken.is_none() {
            let recent = self.recent();
            self.violate(|| format!("a new leader writes where nothing changed:\n  {recent}"));
        }
        self.drop_all(random);
    }

    fn drop_all(&mut self, random: &mut Random) {
        let kinds = [
            Kind::EIP,
            Kind::FIP,
            Kind::DNAT,
            Kind::NATGateway,
            Kind::EIPPool,
        ];
        let mut all: Vec<(Kind, Key)> = Vec::new();
        for kind in kinds {
            all.extend(self.server.all(kind).map(|o| (kind, o.identity().1)));
        }
        while !all.is_empty() && self.broken.is_none() {
            let (kind, name) = all.swap_remove(random.below(all.len()));
            self.server.delete(&(kind, None, name));
            match random.below(4) {
                0 => self.go_on(u64::try_from(random.below(2_000)).unwrap()),
                1 => {
                    let who = random.below(self.contenders.len());
                    self.end_life(who);
                }
                _ => {}
            }
        }
        self.rest();
        let left = self.remains();
        if !left.is_empty() {
            let recent = self.recent();
            self.violate(|| {
                format!(
                    "left over:\n  {}\nlast writes:\n  {recent}",
                    left.join("\n  ")
                )
            });
        }
    }
}
