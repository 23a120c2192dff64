//! Writing and reading back.

use std::net::Ipv4Addr;

use nfnetlink::Socket;
use nfnetlink::nftables::expr::{Counter, Expr, Lookup, LookupResult, Meta, MetaKey, Reg};
use nfnetlink::nftables::{
    Batch, Chain, ChainKind, Element, Family, Field, Hook, Policy, Rule, Set, Table, TableContent,
    Value, Verdict,
};

use super::namespace::{in_namespace, run};

fn content() -> TableContent {
    let mut content = TableContent::new(Table::new(Family::Inet, "sluice"));
    let forward = Chain::base("fwd", ChainKind::Filter, Hook::Forward, 0, Policy::Drop);
    let guard = Rule::from(vec![
        Expr::Meta(Meta::Load {
            key: MetaKey::IifName,
            dreg: Reg::R1,
        }),
        Expr::Meta(Meta::Load {
            key: MetaKey::OifName,
            dreg: Reg::R2,
        }),
        Expr::Lookup(Lookup {
            set: "pairs".into(),
            sreg: Reg::R1,
            result: LookupResult::Verdict,
        }),
    ]);
    let last = Rule::from(vec![Counter::default().into(), Verdict::Drop.into()]);
    content.chain(forward, [guard, last.with_comment("the rest")]);
    content.chain(
        Chain::regular("dn"),
        [Rule::from(vec![Verdict::Accept.into()])],
    );
    let pair = |from, to| Value::concat([Value::ifname(from), Value::ifname(to)]);
    content.set(
        Set::verdict_map("pairs", &[Field::IFNAME, Field::IFNAME]),
        [
            Element::verdict(pair("lan0", "eth1"), Verdict::Accept),
            Element::verdict(pair("eth1", "lan0"), Verdict::Jump("dn".into())),
        ],
    );
    content.set(
        Set::map("fip", &[Field::IPV4_ADDR], &[Field::IPV4_ADDR]).with_size(1000),
        [Element::map(
            Ipv4Addr::new(192, 0, 2, 1),
            Ipv4Addr::new(10, 0, 0, 1),
        )],
    );
    content
}

#[test]
fn what_is_written_is_read_back() {
    in_namespace(|| {
        let mut socket = Socket::open().unwrap();
        let content = content();
        let mut batch = Batch::with_echo();
        batch.add_content(&content);
        let before = socket.generation().unwrap();
        let committed = socket.commit(&batch, Some(before)).unwrap();
        assert_eq!(committed.generation, Some(before.next()));
        let dump = socket
            .dump_table(Family::Inet, "sluice")
            .unwrap()
            .expect("the table exists");
        assert_eq!(dump.generation, before.next());
        assert_eq!(
            dump.content,
            content,
            "{}",
            run("nft", &["list", "ruleset"])
        );
        println!("{}", run("nft", &["list", "ruleset"]));
    });
}
