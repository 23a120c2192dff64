//! Flows over the loopback device of a private namespace, translated both ways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use nfnetlink::Socket;
use nfnetlink::conntrack::{FlowChange, FlowEventSocket, FlowFilter, FlowStatus, L4};

use super::listings::nft;
use super::namespace::{in_namespace, run};

const EIP: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 10);
const EIP2: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 11);
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);

/// DNAT to a server and SNAT to an EIP, so that the tuples of a flow differ. The filter chain
/// turns conntrack on for both families.
fn network() {
    run("ip", &["link", "set", "lo", "up"]);
    nft(&format!(
        "table inet t {{
           chain track {{ type filter hook output priority 0; ct state new accept; }}
           chain out {{ type nat hook output priority -100;
             ip daddr {EIP} dnat ip to {SERVER}
             ip daddr {EIP2} dnat ip to {SERVER}
           }}
           chain post {{ type nat hook postrouting priority 100;
             ip saddr 127.0.1.2 snat ip to {EIP}
           }}
         }}"
    ));
}

fn send(from: IpAddr, to: IpAddr, port: u16) {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    // Nobody listens there; the flow begins anyway.
    socket.send_to(b"x", (to, port)).expect("the packet leaves");
}

#[test]
fn a_flush_removes_what_it_means_and_nothing_else() {
    in_namespace(|| {
        network();
        let mut socket = Socket::open().unwrap();
        for port in 1000..1010 {
            send(CLIENT.into(), EIP.into(), port);
            send(CLIENT.into(), EIP2.into(), port);
        }
        send(Ipv4Addr::new(127, 0, 1, 2).into(), SERVER.into(), 1000);
        send(Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), 1000);
        let all = socket.flows(&FlowFilter::default()).unwrap();
        assert_eq!(all.len(), 22, "{all:?}");
        assert_eq!(socket.flow_count().unwrap(), 22);
        assert!(all.iter().any(|flow| flow.orig.src.is_ipv6()));

        let v6 = socket.flows_where(|flow| flow.orig.src.is_ipv6()).unwrap();
        assert_eq!(v6.len(), 1, "{v6:?}");

        let to_eip = FlowFilter::orig_dst(EIP.into());
        let listed = socket.flows(&to_eip).unwrap();
        assert_eq!(listed.len(), 10);
        assert!(listed.iter().all(|flow| {
            flow.reply.src == IpAddr::from(SERVER)
                && flow.status.contains(FlowStatus::DST_NAT)
                && matches!(
                    flow.orig.l4,
                    L4::Ports {
                        dst: 1000..1010,
                        ..
                    }
                )
        }));

        let one = to_eip.with_orig_port(17, Some(1003));
        assert_eq!(socket.flows(&one).unwrap().len(), 1);
        socket.flush_flows(&one).unwrap();
        assert_eq!(socket.flows(&to_eip).unwrap().len(), 9);

        let flow = socket.flows(&to_eip).unwrap().remove(0);
        assert!(socket.delete_flow(&flow).unwrap());
        assert!(!socket.delete_flow(&flow).unwrap());
        assert_eq!(socket.flows(&to_eip).unwrap().len(), 8);

        let flushed = socket.flush_flows(&to_eip).unwrap();
        assert_eq!(flushed.deleted, None, "this kernel filters by itself");
        assert_eq!(socket.flows(&to_eip).unwrap(), []);
        assert_eq!(socket.flow_count().unwrap(), 12);

        let from_eip = FlowFilter::reply_dst(EIP.into());
        assert_eq!(socket.flows(&from_eip).unwrap().len(), 1);
        socket.flush_flows(&from_eip).unwrap();
        assert_eq!(socket.flow_count().unwrap(), 11);

        let rest = FlowFilter::orig_src(CLIENT.into());
        let counted = socket.flush_flows_counted(&rest).unwrap();
        assert_eq!(counted.deleted, Some(10));
        socket.flush_flows(&FlowFilter::default()).unwrap();
        assert_eq!(socket.flow_count().unwrap(), 0);
    });
}

#[test]
fn ports_of_a_protocol_that_the_kernel_does_not_compare_are_compared_here() {
    in_namespace(|| {
        network();
        let mut socket = Socket::open().unwrap();
        send(CLIENT.into(), EIP.into(), 1000);
        let sctp = FlowFilter::orig_dst(EIP.into()).with_orig_port(132, Some(1000));
        assert_eq!(socket.flush_flows(&sctp).unwrap().deleted, Some(0));
        assert_eq!(socket.flow_count().unwrap(), 1);
    });
}

#[test]
fn flows_that_begin_and_end_are_reported() {
    in_namespace(|| {
        network();
        let mut events = FlowEventSocket::open(false).unwrap();
        let mut socket = Socket::open().unwrap();
        send(CLIENT.into(), EIP.into(), 1000);
        let flow = socket.flows(&FlowFilter::default()).unwrap().remove(0);
        assert!(socket.delete_flow(&flow).unwrap());
        let mut seen = Vec::new();
        while let Some(event) = events.try_next().unwrap() {
            assert_eq!(event.flow.orig, flow.orig);
            assert_eq!(event.flow.reply, flow.reply);
            seen.push(event.change);
        }
        assert_eq!(seen, [FlowChange::New, FlowChange::Destroy]);
    });
}
