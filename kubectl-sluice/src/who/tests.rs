#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use super::*;

const LOG: &str = r#"{"level":"info","message":"no flow"}
not even JSON
{"kind":"flow","event":"start","time":"2026-11-22T05:00:00Z","gateway":"net/egress","direction":"out","protocol":"tcp","inside_address":"10.244.0.5","inside_port":40312,"eip_address":"10.155.30.200","eip_port":40312,"peer_address":"198.51.100.9","peer_port":443,"id":1}
{"kind":"flow","event":"start","time":"2026-11-22T05:00:01Z","gateway":"net/egress","direction":"out","protocol":"tcp","inside_address":"10.244.0.6","inside_port":1,"eip_address":"10.155.30.200","eip_port":1,"peer_address":"198.51.100.9","peer_port":443,"id":2}
{"kind":"flow","event":"end","time":"2026-11-22T05:00:09Z","started":"2026-11-22T05:00:00Z","gateway":"net/egress","direction":"out","protocol":"tcp","inside_address":"10.244.0.5","inside_port":40312,"eip_address":"10.155.30.200","eip_port":40312,"peer_address":"198.51.100.9","peer_port":443,"id":1}
{"kind":"flow","event":"start","time":"2026-11-22T05:01:00Z","gateway":"net/egress","direction":"out","protocol":"udp","inside_address":"10.244.0.7","inside_port":9,"eip_address":"10.155.30.200","eip_port":40312,"peer_address":"198.51.100.9","peer_port":53,"id":3}
"#;

fn insides(at: Option<&str>) -> Vec<String> {
    let at = at.map(|text| text.parse().unwrap());
    let endpoint = "10.155.30.200:40312".parse().unwrap();
    who(LOG.lines(), endpoint, at)
        .into_iter()
        .map(|one| one.inside)
        .collect()
}

#[test]
fn a_port_is_told_by_all_who_had_it_in_their_order() {
    assert_eq!(insides(None), ["10.244.0.5:40312", "10.244.0.7:9"]);
}

#[test]
fn at_a_moment_it_is_who_had_begun_and_not_ended() {
    assert_eq!(insides(Some("2026-11-22T05:00:05Z")), ["10.244.0.5:40312"]);
    assert_eq!(insides(Some("2026-11-22T05:00:30Z")), Vec::<String>::new());
    assert_eq!(insides(Some("2026-11-22T06:00:00Z")), ["10.244.0.7:9"]);
}

#[test]
fn an_end_alone_tells_when_it_began() {
    let end = LOG.lines().nth(4).unwrap();
    let uses = who(
        std::iter::once(end),
        "10.155.30.200:40312".parse().unwrap(),
        None,
    );
    assert_eq!(uses[0].from.unwrap().to_string(), "2026-11-22T05:00:00Z");
}
