//! The images that the functions of a trace are registered with.

use std::collections::HashMap;

/// Makes images of the names in a trace.
#[derive(Debug, Default)]
pub(super) struct Images(HashMap<String, u32>);

/// Images of traces begin with this, which tells them from the images of real functions and from the fields
/// of a model file.
const PREFIX: &str = "trace-";
/// The part of a name that is kept: hashes have 64 digits, and 16 of them tell millions apart.
const KEPT: usize = 16;

impl Images {
    /// An image for a function of this name, which no other function has. It depends on the names that
    /// came before.
    pub(super) fn image(&mut self, name: &str) -> String {
        let clean = |byte: u8| match byte.to_ascii_lowercase() {
            byte if byte.is_ascii_alphanumeric() => char::from(byte),
            _ => '-',
        };
        let kept: String = name.bytes().take(KEPT).map(clean).collect();
        let kept = kept.trim_matches('-');
        let kept = if kept.is_empty() { "function" } else { kept };
        // What an image's name may hold between two letters.
        let mut image = PREFIX.to_owned();
        for part in kept.split('-').filter(|part| !part.is_empty()) {
            if image.len() > PREFIX.len() {
                image.push('-');
            }
            image += part;
        }
        loop {
            let count = self.0.entry(image.clone()).or_insert(0);
            *count += 1;
            if *count == 1 {
                return image;
            }
            image = format!("{image}-{count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Image;

    #[test]
    fn every_name_becomes_an_image_of_its_own() {
        let mut images = Images::default();
        for (name, expected) in [
            ("3F2a9c0011223344556677", "trace-3f2a9c0011223344"),
            ("3f2a9c0011223344ffffff", "trace-3f2a9c0011223344-2"),
            ("3f2a9c0011223344eeeeee", "trace-3f2a9c0011223344-3"),
            ("28", "trace-28"),
            ("a__b..c", "trace-a-b-c"),
            ("ä/€", "trace-function"),
            ("", "trace-function-2"),
            ("function-2", "trace-function-2-2"),
            ("pool22-300-128", "trace-pool22-300-128"),
        ] {
            let image = images.image(name);
            assert_eq!(image, expected);
            image.parse::<Image>().unwrap();
        }
    }
}
