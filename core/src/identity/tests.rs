use super::*;

#[test]
fn an_instance_survives_its_text_form() {
    let id = InstanceId {
        pod_uid: Uid::new("u-1"),
        boot_id: "b-2".into(),
        netns_cookie: 42,
    };
    assert_eq!(id.to_string(), "pod/u-1/b-2/42");
    assert_eq!(id.to_string().parse(), Ok(id));
}

#[test]
fn what_is_no_instance_is_refused() {
    for text in [
        "",
        "pod",
        "pod///",
        "pod/u/b/",
        "pod/u/b/+1",
        "pod/u/b/1/2",
        "node/u/b/1",
        "pod/u/b/99999999999999999999",
    ] {
        assert!(text.parse::<InstanceId>().is_err(), "{text:?}");
    }
}

#[test]
fn lines_and_their_bytes_have_one_digest() {
    assert_eq!(Digest::of_lines(["a", "b"]), Digest::of(b"a\nb\n"));
    assert_eq!(
        Digest::of(b"abc").to_string(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(Digest::of(b"abc").short(), "ba7816bf8f01cfea414140de5d");
}
