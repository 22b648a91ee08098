//! Changes a number in a text to another one: what libFuzzer seldom does, because it changes bytes.

const NUMBERS: [&str; 22] = [
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "3",
    "5",
    "640",
    "1000",
    "0.5",
    "1e-9",
    "5e-324",
    "1e30",
    "1e100",
    "1.1e100",
    "1e200",
    "1e308",
    "-1e308",
    "1e999",
    "9007199254740993",
    "0.30000000000000004",
    "01",
];

pub(crate) fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut state = u64::from(seed);
    let mut below = |end: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end.max(1)
    };
    let part = |byte: &u8| byte.is_ascii_digit() || b"+-.e".contains(byte);
    let mut runs = Vec::new();
    let mut at = 0;
    while at < size {
        let length = data[at..size].iter().take_while(|byte| part(byte)).count();
        if data[at..at + length].iter().any(u8::is_ascii_digit) {
            runs.push((at, length));
        }
        at += length.max(1);
    }
    if runs.is_empty() || below(4) > 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let (at, length) = runs[below(runs.len())];
    let number = NUMBERS[below(NUMBERS.len())].as_bytes();
    let rest = data[at + length..size].to_vec();
    let size = at + number.len() + rest.len();
    if size > max_size.min(data.len()) {
        return libfuzzer_sys::fuzzer_mutate(data, at + length + rest.len(), max_size);
    }
    data[at..at + number.len()].copy_from_slice(number);
    data[at + number.len()..size].copy_from_slice(&rest);
    size
}
