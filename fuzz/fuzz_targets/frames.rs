#![no_main]
//! The heads of HTTP/2's frames are found wherever a client's bytes are cut, and whichever of them
//! are to be the last of a scan.

#[path = "../../src/wire/transport/frames.rs"]
#[allow(dead_code, reason = "the worker uses more of it")]
mod frames;

use frames::{Head, PREFACE_BYTES, Scanner};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((cuts, bytes)) = input.split_at_checked(8) else { return };
    let (mut scanner, mut found, mut ends) = (Scanner::new(), Vec::new(), Vec::new());
    let mut cuts = cuts.iter().cycle();
    let (mut begin, mut is_last) = (0, false);
    while begin < bytes.len() {
        let cut = usize::from(*cuts.next().unwrap_or(&0)) + 1;
        let part = &bytes[begin..bytes.len().min(begin + cut)];
        let scanned = scanner.scan(part, |head| {
            found.push(head);
            is_last = !is_last;
            is_last
        });
        assert!((1..=part.len()).contains(&scanned));
        if scanned < part.len() {
            assert!(is_last, "a scan ended before its bytes did");
            ends.push(begin + scanned);
        }
        begin += scanned;
    }
    let (heads, heads_end) = heads(bytes);
    assert_eq!(found, heads);
    assert!(ends.iter().all(|end| heads_end.contains(end)));
});

/// The heads in all of the bytes, and where each ends.
fn heads(bytes: &[u8]) -> (Vec<Head>, Vec<usize>) {
    let (mut heads, mut ends, mut at) = (Vec::new(), Vec::new(), PREFACE_BYTES);
    while let Some([a, b, c, kind, flags, ..]) = bytes.get(at..at + 9) {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        heads.push(Head { kind: *kind, flags: *flags, length });
        at += 9;
        ends.push(at);
        at += length;
    }
    (heads, ends)
}
