#![allow(clippy::unwrap_used)]

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Two addresses of each family that an uplink has, and one that it does not have.
const V4: [&str; 3] = ["192.0.2.7", "192.0.2.8", "192.0.2.99"];
const V6: [&str; 3] = ["2001:db8::7", "2001:db8::8", "2001:db8::99"];

#[test]
fn r_upl_spec_goes_before_annotation_before_interface_before_default_route() {
    for family in [V4, V6] {
        let [first, second, _] = family.map(ip);
        let both = [first, second];
        let found = Known {
            spec: None,
            annotation: None,
            interface: &both,
            default_route: Some(second),
        };
        assert_eq!(resolve(found), Ok(Some(first)), "the interface's oldest");
        let noted = Known {
            annotation: Some(second),
            ..found
        };
        assert_eq!(resolve(noted), Ok(Some(second)));
        let said = Known {
            spec: Some(first),
            ..noted
        };
        assert_eq!(resolve(said), Ok(Some(first)));
        let bare = Known {
            interface: &[],
            ..found
        };
        assert_eq!(resolve(bare), Ok(Some(second)));
        let none = Known {
            default_route: None,
            ..bare
        };
        assert_eq!(resolve(none), Ok(None));
    }
}

#[test]
fn r_upl_an_override_that_is_not_there_is_an_error_and_no_other_is_taken() {
    for family in [V4, V6] {
        let [first, second, absent] = family.map(ip);
        let both = [first, second];
        let known = Known {
            spec: None,
            annotation: Some(absent),
            interface: &both,
            default_route: Some(first),
        };
        let (asked, by) = (absent, By::Annotation);
        assert_eq!(resolve(known), Err(NotThere { asked, by }));
        let known = Known {
            spec: Some(absent),
            annotation: Some(first),
            ..known
        };
        assert_eq!(
            resolve(known),
            Err(NotThere {
                asked,
                by: By::Spec
            })
        );
    }
}

#[test]
fn r_upl_the_annotation_is_read_alike_for_one_family_and_for_both() {
    let names = ["external", "second"];
    let (v4, v6) = (ip(V4[0]), ip(V6[0]));
    for (text, list) in [
        ("192.0.2.7", vec![(0, v4)]),
        ("2001:db8::7", vec![(0, v6)]),
        ("2001:db8::7, 192.0.2.7", vec![(0, v6), (0, v4)]),
        (
            "second=2001:db8::7,external=192.0.2.7",
            vec![(1, v6), (0, v4)],
        ),
        ("192.0.2.7,second=192.0.2.7", vec![(0, v4), (1, v4)]),
    ] {
        assert_eq!(annotation(text, &names), Ok(list), "{text}");
    }
}

#[test]
fn r_upl_an_annotation_that_cannot_be_read_says_what_to_write() {
    for (text, words) in [
        ("", "is not an address"),
        ("192.0.2.7,", "is not an address"),
        ("192.0.2.07", "without leading zeros"),
        ("192.0.2.7/24", "has a prefix length"),
        ("fe80::1%eth1", "names a zone"),
        ("fe80::1", "lies in fe80::/10"),
        ("::ffff:192.0.2.7", "IPv4 address inside"),
        ("third=192.0.2.7", "is no uplink"),
        ("192.0.2.7,external=192.0.2.8", "second address"),
    ] {
        let error = annotation(text, &["external"]).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}
