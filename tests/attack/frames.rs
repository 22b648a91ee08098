//! HTTP/2 frames as bytes, valid or not (RFC 9113, section 6).

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// SETTINGS_INITIAL_WINDOW_SIZE.
pub(crate) const INITIAL_WINDOW: u16 = 4;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The client's stream with this number, from 0.
pub(crate) fn stream(number: usize) -> u32 {
    2 * number as u32 + 1
}

/// A literal header field; `kept` puts it into the dynamic table.
pub(crate) fn field(name: &str, value: &str, kept: bool) -> Vec<u8> {
    let mut bytes = vec![if kept { 0x40 } else { 0 }];
    for text in [name, value] {
        match text.len() {
            short @ 0..127 => bytes.push(short as u8),
            long => {
                bytes.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    bytes.push((rest % 128 + 128) as u8);
                    rest /= 128;
                }
                bytes.push(rest as u8);
            }
        }
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The header block of a request for a path.
pub(crate) fn block(path: &str) -> Vec<u8> {
    // POST and http are in HPACK's static table.
    let mut block = vec![0x83, 0x86];
    block.extend(field(":path", path, false));
    block.extend(field(":authority", "a", false));
    block.extend(field("content-type", "application/grpc", false));
    block.extend(field("te", "trailers", false));
    block
}

pub(crate) fn path(method: &str) -> String {
    format!("/controller.Controller/{method}")
}

/// A request for a method, whose message is still to come.
pub(crate) fn begun(number: usize, method: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream(number), &block(&path(method)))
}

/// A whole request for a method.
pub(crate) fn request(number: usize, method: &str, message: &[u8]) -> Vec<u8> {
    [begun(number, method), frame(DATA, END_STREAM, stream(number), &framed(message))].concat()
}

/// A whole call of a function.
pub(crate) fn call(number: usize, function: &str) -> Vec<u8> {
    request(number, "Call", &call_message(function, 0))
}

/// A message as gRPC frames it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// A `CallRequest` with so many bytes of data (field 3) for a function (field 4).
pub(crate) fn call_message(function: &str, bytes: usize) -> Vec<u8> {
    let mut message = Vec::new();
    if bytes > 0 {
        message.extend(part(3, &vec![7; bytes]));
    }
    message.extend(part(4, &id_message(function)));
    message
}

/// A message whose field 1 is a text: a `FunctionID`, or a `StatusRequest`.
pub(crate) fn id_message(id: &str) -> Vec<u8> {
    part(1, id.as_bytes())
}

/// A field of protobuf that has a length.
fn part(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 128 {
        bytes.push((length % 128 + 128) as u8);
        length /= 128;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

pub(crate) fn reset(number: usize) -> Vec<u8> {
    frame(RST_STREAM, 0, stream(number), &8u32.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload = values
        .iter()
        .flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes()));
    frame(SETTINGS, 0, 0, &payload.collect::<Vec<_>>())
}
