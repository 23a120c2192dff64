#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[test]
fn rates_are_bits_per_second() {
    for (text, bits) in [
        ("10k", 10_000),
        ("10000", 10_000),
        ("10M", 10_000_000),
        ("1.5M", 1_500_000),
        ("0.01M", 10_000),
        ("0.125G", 125_000_000),
        ("40G", 40_000_000_000),
        ("1T", 1_000_000_000_000),
        ("10Ki", 10_240),
        ("1Gi", 1 << 30),
        ("10.001k", 10_001),
        ("10000.999", 10_000),
        ("1.001Mi", 1_049_624),
    ] {
        assert_eq!(Rate::parse(text).unwrap().bits(), bits, "{text}");
    }
}

#[test]
fn what_is_no_rate_is_refused_with_what_to_write() {
    for text in [
        "",
        "M",
        "-10M",
        "+10M",
        "010M",
        "10 M",
        " 10M",
        "10M ",
        "10m",
        "10K",
        "10kb",
        "10Mbps",
        "10e6",
        "1E7",
        "10.M",
        ".5M",
        "1.2345M",
        "1,5M",
        "9999",
        "9.999k",
        "0",
        "0M",
        "1.001T",
        "1000000000000.1",
        "1P",
        "1Ti",
        "10000000000000000",
        "10n",
        "٣M",
        "10\u{7f}M",
    ] {
        let error = Rate::parse(text).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{:?} is not a rate: write 10k to 1T", text)),
            "{error}"
        );
    }
    let long = "9".repeat(1_000);
    assert!(Rate::parse(&long).unwrap_err().to_string().len() < 300);
}
