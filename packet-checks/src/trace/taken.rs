//! Damage to a model, as to a kernel.

use ipnet::IpNet;
use nfnetlink::nftables::expr::Expr;
use nfnetlink::nftables::{Chain, TableContent, Verdict};
use nfnetlink::render;

use super::routes::{Hop, Rule};
use super::{Model, is_family};
use crate::damage::Damage;
use crate::plan::Family;

/// The setting by which connections are picked up in the middle.
pub const LOOSE: &str = "netfilter/nf_conntrack_tcp_loose";

impl Model {
    /// Does a damage.
    ///
    /// # Errors
    /// Where there is nothing to damage, and for what is not traced.
    pub fn damage(&mut self, damage: &Damage, family: Family) -> Result<(), String> {
        let fill = |text: &str| Damage::fill(text, family);
        match damage {
            Damage::Set(name) => empty(&mut self.inet, &fill(name)),
            Damage::ArpSet(name) => empty(&mut self.arp, &fill(name)),
            Damage::Rule(chain, text) => self.take_rules(chain, &fill(text)),
            Damage::Open(chain) => {
                let content = self.inet.chains.get_mut(*chain);
                let content = content.ok_or_else(|| format!("there is no chain {chain}"))?;
                let accept = vec![Expr::Verdict(Verdict::Accept)];
                content.rules.insert(0, accept.into());
                Ok(())
            }
            Damage::RoutingRule(text) => self.take_routing_rule(&fill(text), family),
            Damage::Detour(table) => {
                let detour = Rule {
                    v4: family == Family::V4,
                    interface: Some("lan0".to_owned()),
                    mark: None,
                    from: None,
                    table: *table,
                };
                self.rules.insert(0, detour);
                Ok(())
            }
            Damage::Route(table, text) => self.take_route(table, &fill(text), family),
            Damage::Answers => {
                self.local
                    .retain(|address| !is_family(*address, family) || family == Family::V6);
                self.proxies
                    .retain(|(address, _)| !is_family(*address, family));
                Ok(())
            }
            Damage::Setting(LOOSE, ..) => {
                self.loose = false;
                Ok(())
            }
            Damage::Setting(path, ..) if path.ends_with("proxy_delay") => Ok(()),
            Damage::Setting(path, ..) => Err(format!("{path} is not traced")),
            Damage::Proxy(address, interface) => {
                let address = fill(address);
                let parsed = address
                    .parse()
                    .map_err(|_| format!("{address}: no address"))?;
                self.proxies.insert((parsed, (*interface).to_owned()));
                Ok(())
            }
            Damage::Untracked(port) => {
                self.untracked = Some(*port);
                Ok(())
            }
            Damage::Idle => Err("nobody mends a model".to_owned()),
            Damage::All(parts) => parts.iter().try_for_each(|part| self.damage(part, family)),
        }
    }

    fn take_rules(&mut self, chain: &str, text: &str) -> Result<(), String> {
        let table = self.inet.clone();
        let content = self.inet.chains.get_mut(chain);
        let content = content.ok_or_else(|| format!("there is no chain {chain}"))?;
        let before = content.rules.len();
        let texts = in_numbers(text);
        content.rules.retain(|rule| {
            let written = written(rule, &table);
            !texts.iter().any(|text| written.contains(text))
        });
        if content.rules.len() < before {
            return Ok(());
        }
        let all: Vec<String> = content.rules.iter().map(|r| written(r, &table)).collect();
        Err(format!("no rule of {chain} has {text}: {all:?}"))
    }

    /// Takes the first rule that `ip rule` would.
    fn take_routing_rule(&mut self, text: &str, family: Family) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let word = |key: &str| {
            let pairs = words.windows(2);
            let mut pairs = pairs.filter_map(|pair| match pair {
                [name, value] if *name == key => Some(*value),
                _ => None,
            });
            pairs.next()
        };
        let mark = |rule: &Rule| rule.mark.map(|(mark, mask)| format!("{mark:#x}/{mask:#x}"));
        let is = |rule: &Rule| {
            rule.v4 == (family == Family::V4)
                && word("iif").is_none_or(|name| rule.interface.as_deref() == Some(name))
                && word("fwmark").is_none_or(|wanted| mark(rule).as_deref() == Some(wanted))
                && word("from").is_none_or(|address| {
                    rule.from.is_some_and(|net| net.addr().to_string() == address)
                })
                && word("lookup").is_none_or(|table| rule.table.to_string() == table)
                // What is not asked for is not there, as `ip` sees it.
                && (word("fwmark").is_some() || rule.mark.is_none())
        };
        match self.rules.iter().position(is) {
            Some(at) => {
                self.rules.remove(at);
                Ok(())
            }
            None => Err(format!("there is no routing rule {text}")),
        }
    }

    fn take_route(&mut self, table: &str, text: &str, family: Family) -> Result<(), String> {
        let (unreachable, to) = match text.strip_prefix("unreachable ") {
            Some(to) => (true, to),
            None => (false, text),
        };
        let to = match (to, family) {
            ("default", Family::V4) => "0.0.0.0/0",
            ("default", Family::V6) => "::/0",
            (prefix, _) => prefix,
        };
        let is = self.routes.iter().position(|route| {
            route.table.to_string() == table
                && route.to.to_string() == to
                && (route.hop == Hop::Unreachable) == unreachable
        });
        match is {
            Some(at) => {
                self.routes.remove(at);
                Ok(())
            }
            None => Err(format!("there is no route {text} in table {table}")),
        }
    }
}

/// A rule as `nft list` writes it.
fn written(rule: &nfnetlink::nftables::Rule, table: &TableContent) -> String {
    let mut alone = table.clone();
    alone.chains.clear();
    alone.chain(Chain::regular("alone"), [rule.clone()]);
    let text = render::table(&alone);
    let chain = text
        .rsplit_once("chain alone {")
        .map(|(_, rest)| rest.trim());
    chain.unwrap_or_default().to_owned()
}

fn empty(table: &mut TableContent, name: &str) -> Result<(), String> {
    let set = table.sets.get_mut(name);
    let set = set.ok_or_else(|| format!("there is no set {name}"))?;
    set.elements.clear();
    Ok(())
}

/// A part of a rule as nft writes it, in the ways that [`written`] may write it: types of
/// ICMP by their numbers (RFC 792, RFC 4443), prefixes as mask and value.
fn in_numbers(text: &str) -> Vec<String> {
    let numbers = ["type 8", "type 128"].into_iter();
    let named = numbers
        .filter(|_| text.contains("echo-request"))
        .map(|number| text.replace("echo-request", number));
    let prefix = text.split_whitespace().find_map(|word| {
        let net: IpNet = word.parse().ok()?;
        let masked = format!("& {} == {}", net.netmask(), net.network());
        Some(text.replace(word, &masked))
    });
    let mut texts: Vec<String> = named.chain(prefix).collect();
    texts.push(text.to_owned());
    texts
}
