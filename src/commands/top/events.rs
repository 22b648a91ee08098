//! Server-sent events, as the HTML standard defines them, out of the bytes of an answer.

use std::{collections::VecDeque, fmt, mem};

/// An event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// Puts events together. Bytes may come in any pieces.
#[derive(Debug)]
pub(super) struct Events {
    /// The line that has not ended.
    line: Vec<u8>,
    /// What the lines of the event so far say.
    name: String,
    data: Vec<u8>,
    /// Whether the last byte was a carriage return, which a line feed may follow.
    returned: bool,
    /// Whether no line has ended.
    is_first: bool,
    most: usize,
    ready: VecDeque<Event>,
}

/// An event has more bytes than are taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong(usize);

impl Events {
    /// An event may have so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            line: Vec::new(),
            name: String::new(),
            data: Vec::new(),
            returned: false,
            is_first: true,
            most,
            ready: VecDeque::new(),
        }
    }

    /// Takes what came next.
    ///
    /// # Errors
    ///
    /// When an event is too long; the rest cannot be read then.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if mem::take(&mut self.returned) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + self.name.len() + self.data.len() + part.len() > self.most {
                return Err(TooLong(self.most));
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { break };
            self.returned = rest[end] == b'\r';
            rest = &rest[end + 1..];
            self.end_line();
        }
        Ok(())
    }

    /// The next event that is whole.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) {
        let line = mem::take(&mut self.line);
        let is_first = mem::take(&mut self.is_first);
        let line = match line.strip_prefix("\u{feff}".as_bytes()) {
            Some(rest) if is_first => rest,
            _ => &line,
        };
        if line.is_empty() {
            self.end_event();
            return;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            // Ids and times for coming back, and comments.
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let (name, mut data) = (mem::take(&mut self.name), mem::take(&mut self.data));
        // The line feed after the last line is none of its own.
        if data.pop().is_some() {
            let data = String::from_utf8_lossy(&data).into_owned();
            self.ready.push_back(Event { name, data });
        }
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent an event of more than {} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }

    fn all(events: &mut Events) -> Vec<Event> {
        std::iter::from_fn(|| events.next()).collect()
    }

    #[test]
    fn a_stream_is_read_as_the_standard_says() {
        for (text, expected) in [
            ("event: a\nid: 7\ndata: one\n\n", vec![event("a", "one")]),
            ("retry: 1000\n\n: a comment\n\ndata:x\n\n", vec![event("", "x")]),
            ("data: 1\ndata:  2\ndata\n\n", vec![event("", "1\n 2\n")]),
            (
                "event: a\r\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n",
                vec![event("a", "b"), event("", "c"), event("", "d")],
            ),
            ("\u{feff}data: x\n\n\u{feff}data: y\n\n", vec![event("", "x")]),
            // An event without data is none, and its name does not stay.
            ("event: a\n\ndata: b\n\n", vec![event("", "b")]),
            // One that is not whole is none yet.
            ("data: a\n", vec![]),
            ("unknown: a\ndata: b:c\n\n", vec![event("", "b:c")]),
        ] {
            let mut events = Events::new(100);
            events.push(text.as_bytes()).unwrap();
            assert_eq!(all(&mut events), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up_at_the_limit() {
        let mut events = Events::new(1000);
        let mut sent = 0;
        let error = loop {
            if let Err(error) = events.push(&[b'x'; 64]) {
                break error;
            }
            sent += 64;
            assert!(sent <= 1000);
        };
        assert_eq!(error.to_string(), "sent an event of more than 1000 bytes");
        // So are many short lines of one event, but not many short events.
        let mut events = Events::new(1000);
        assert_eq!(events.push("data: 12345\n".repeat(200).as_bytes()), Err(TooLong(1000)));
        let mut events = Events::new(1000);
        events.push("data: 12345\n\n".repeat(200).as_bytes()).unwrap();
        assert_eq!(all(&mut events).len(), 200);
    }

    const LINES: [&str; 10] = [
        "data: ab\n",
        "data: ü\r\n",
        "data\r",
        "event: a\n",
        "event: b\r\n",
        ": c\r",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
    ];

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            lines in proptest::collection::vec(proptest::sample::select(LINES.to_vec()), 0..20),
            sizes in proptest::collection::vec(1..7_usize, 1..20),
        ) {
            let text = lines.concat();
            let mut whole = Events::new(10_000);
            whole.push(text.as_bytes()).unwrap();
            let mut pieces = Events::new(10_000);
            let (mut rest, mut sizes) = (text.as_bytes(), sizes.into_iter().cycle());
            while !rest.is_empty() {
                let size = sizes.next().unwrap_or(1).min(rest.len());
                pieces.push(&rest[..size]).unwrap();
                rest = &rest[size..];
            }
            prop_assert_eq!(all(&mut whole), all(&mut pieces));
        }
    }
}
