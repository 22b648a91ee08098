use std::fmt;

use wildmatch::WildMatch;

/// Which functions are meant: `*` stands for any text, and `?` for one character.
///
/// It is compared with the name of the image without its registry and tag, with the whole image, and with
/// the function's id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern(WildMatch);

impl Pattern {
    pub(super) fn new(pattern: &str) -> Self {
        Self(WildMatch::new(pattern))
    }

    pub(super) fn matches(&self, function_id: &str, image: &str) -> bool {
        [name(image), image, function_id].iter().any(|text| self.0.matches(text))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an image without registry, folders, tag and digest.
fn name(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let last = image.rsplit_once('/').map_or(image, |(_, last)| last);
    last.split_once(':').map_or(last, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compared_with_the_image_and_the_id() {
        let image = "registry:5000/team/hyperfaas-bfs-json:v1@sha256:00ff";
        for pattern in [
            "hyperfaas-bfs-json",
            "*-bfs-*",
            "hyperfaas-???-json",
            "*",
            "registry:5000/team/*",
            image,
            "0b0c9db4",
            "0b0c*",
        ] {
            assert!(Pattern::new(pattern).matches("0b0c9db4", image), "{pattern}");
        }
        for pattern in ["", "bfs", "hyperfaas-??-json", "v1", "team/*", "0b0c9db", "*-BFS-*"] {
            assert!(!Pattern::new(pattern).matches("0b0c9db4", image), "{pattern}");
        }
        assert!(Pattern::new("echo").matches("", "echo"));
        assert!(Pattern::new("echo").matches("", "localhost:5000/echo"));
    }
}
