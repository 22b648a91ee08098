//! Follows the frames of HTTP/2 that a client sends, without decoding more than their heads.

/// What a frame's head (RFC 9113, section 4.1) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// The length of what follows the head.
    pub(super) length: usize,
}

/// Types of frames.
pub(super) const HEADERS: u8 = 1;
pub(super) const SETTINGS: u8 = 4;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;
/// The flag of SETTINGS that acknowledges the other side's.
pub(super) const ACK: u8 = 1;

/// Where in a client's bytes it is.
#[derive(Debug)]
pub(super) struct Scanner {
    /// The bytes until the next head.
    skip: usize,
    head: [u8; HEAD_BYTES],
    /// How much of the head has come.
    come: usize,
}

/// The length of the preface (section 3.4), which comes before the first frame.
pub(super) const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;

impl Scanner {
    pub(super) fn new() -> Self {
        Self { skip: PREFACE_BYTES, head: [0; HEAD_BYTES], come: 0 }
    }

    /// Goes through the next bytes and shows the heads in them, until one is to be the last: returns
    /// how many bytes it went through, up to the end of that head.
    pub(super) fn scan(&mut self, bytes: &[u8], mut is_last: impl FnMut(Head) -> bool) -> usize {
        let mut at = 0;
        loop {
            let skipped = self.skip.min(bytes.len() - at);
            self.skip -= skipped;
            at += skipped;
            let part = HEAD_BYTES - self.come;
            let rest = &bytes[at..];
            if rest.len() < part {
                // Also when the frame does not end here, and then there is no rest.
                self.head[self.come..][..rest.len()].copy_from_slice(rest);
                self.come += rest.len();
                return bytes.len();
            }
            self.head[self.come..].copy_from_slice(&rest[..part]);
            self.come = 0;
            at += part;
            let [a, b, c, kind, flags, ..] = self.head;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            self.skip = length;
            if is_last(Head { kind, flags, length }) {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heads_are_found_however_the_bytes_are_cut(
            frames in prop::collection::vec((any::<u8>(), any::<u8>(), 0..300usize), 0..20),
            cuts in prop::collection::vec(1..60usize, 1..20),
        ) {
            let frames: Vec<_> = frames
                .into_iter()
                .map(|(kind, flags, length)| Head { kind, flags, length })
                .collect();
            let mut bytes = vec![0xff; PREFACE_BYTES];
            for Head { kind, flags, length } in &frames {
                bytes.extend(&(*length as u32).to_be_bytes()[1..]);
                bytes.extend([*kind, *flags, 0xff, 0xff, 0xff, 0xff]);
                bytes.extend(vec![0xff; *length]);
            }
            let (mut scanner, mut found) = (Scanner::new(), Vec::new());
            let mut cuts = cuts.into_iter().cycle();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let part = cuts.next().unwrap().min(rest.len());
                // Each head is the last one of its scan.
                let scanned = scanner.scan(&rest[..part], |head| { found.push(head); true });
                rest = &rest[scanned..];
            }
            prop_assert_eq!(found, frames);
        }
    }
}
