//! What happens to a gateway in the middle of a check.

use crate::plan::{Family, Segment};

/// Something that happens to a gateway; its agent may mend what it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A link goes down.
    Down(Segment),
    /// It comes up again.
    Up(Segment),
    /// The gateway loses its own addresses on a link, in the check's family.
    LoseAddresses(Segment),
    /// A link takes packets of so many bytes at most.
    Mtu(Segment, u16),
    /// The kernel forgets all flows.
    ForgetFlows,
    /// The kernel knows as many flows as it can, and none that it would forget for another.
    FillFlows,
}

impl Act {
    /// A shell script that does it in the gateway's network namespace.
    #[must_use]
    pub fn script(self, family: Family) -> String {
        match self {
            Act::Down(segment) => format!("ip link set {} down", segment.interface()),
            Act::Up(segment) => format!("ip link set {} up", segment.interface()),
            Act::LoseAddresses(segment) => {
                let (n, name) = (family.digit(), segment.interface());
                format!("ip -{n} address flush dev {name} scope global")
            }
            Act::Mtu(segment, bytes) => {
                format!("ip link set {} mtu {bytes}", segment.interface())
            }
            Act::ForgetFlows => FORGET.to_owned(),
            Act::FillFlows => FILL.to_owned(),
        }
    }

    /// What a script prints before the act, for [`Act::undo`] to know.
    #[must_use]
    pub fn remember(self) -> String {
        match self {
            Act::Down(segment) | Act::LoseAddresses(segment) => format!(
                "ip -o address show dev {} scope global | awk '{{ print $4 }}'",
                segment.interface()
            ),
            Act::Mtu(segment, _) => format!(
                "ip -o link show dev {} | sed 's/.* mtu //; s/ .*//'",
                segment.interface()
            ),
            Act::Up(_) | Act::ForgetFlows | Act::FillFlows => "true".to_owned(),
        }
    }

    /// A script that leaves the gateway as it was before.
    #[must_use]
    pub fn undo(self, before: &str) -> String {
        match self {
            Act::Down(segment) | Act::LoseAddresses(segment) => {
                let name = segment.interface();
                let mut script = format!("ip link set {name} up");
                for address in before.split_whitespace() {
                    let nodad = if address.contains(':') { "nodad" } else { "" };
                    let line = format!("ip address replace {address} dev {name} {nodad}");
                    script = format!("{script} && {line}");
                }
                script
            }
            Act::Mtu(segment, _) => {
                let name = segment.interface();
                format!("ip link set {name} mtu {}", before.trim())
            }
            Act::FillFlows => FORGET.to_owned(),
            Act::Up(_) | Act::ForgetFlows => "true".to_owned(),
        }
    }
}

const FORGET: &str = "conntrack -F 2>/dev/null";

/// Flows that were answered are kept when there is no room for another. Those that would end
/// by themselves soon, and so make room, go first.
const FILL: &str = "for family in ipv4 ipv6; do \
    for protocol in udp icmp icmpv6; do conntrack -D -f $family -p $protocol; done; \
    for state in SYN_SENT SYN_RECV FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE; do \
    conntrack -D -f $family -p tcp --state $state; done; done >/dev/null 2>&1; \
    awk -v n=$(cat /proc/sys/net/netfilter/nf_conntrack_max) 'BEGIN { \
    for (i = 0; i < n; i++) \
    printf \"-I -s 192.0.2.%d -d 192.0.3.%d -p udp --sport %d --dport 53 -t 600 -u SEEN_REPLY,ASSURED\\n\", \
    i % 200 + 1, int(i / 12800) + 1, 1024 + int(i / 200) % 64 }' | conntrack -R - >/dev/null 2>&1; \
    test $(conntrack -C) -ge $(cat /proc/sys/net/netfilter/nf_conntrack_max)";
