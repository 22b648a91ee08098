use std::{fmt, str::FromStr};

use hyperfake_predictor::Error;

/// A container image's name: `[registry/]path[:tag][@digest]`.
///
/// The digest is read and left out: a model stands for every build of an image. Docker's own
/// registry is left out as well, so that `docker.io/library/echo` and `echo` are the same.
///
/// ```
/// use hyperfake_worker::catalog::Image;
///
/// let image: Image = "registry:5000/team/echo:v2@sha256:4bf1".parse()?;
/// assert_eq!(image.repository(), "registry:5000/team/echo");
/// assert_eq!(image.tag(), Some("v2"));
/// # Ok::<(), hyperfake_predictor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Image {
    repository: String,
    tag: Option<String>,
    /// An image without a tag means `latest`, unless a digest says which one is meant.
    has_digest: bool,
}

/// The longest name that is taken: a repository of 255, a tag of 128 and a digest.
const MAX_LENGTH: usize = 512;

impl Image {
    /// The name without tag and digest.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The name under which a model stands.
    pub(super) fn without_digest(&self) -> Self {
        Self { has_digest: false, ..self.clone() }
    }

    /// The names under which a model for this image may stand, the best first.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Self> {
        let tag = match (&self.tag, self.has_digest) {
            (Some(tag), _) => Some(tag.clone()),
            (None, false) => Some("latest".to_owned()),
            (None, true) => None,
        };
        let named = |tag| Self { repository: self.repository.clone(), tag, has_digest: false };
        let tagged = tag.map(|tag| named(Some(tag)));
        tagged.into_iter().chain([named(None)])
    }
}

impl FromStr for Image {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LENGTH {
            let message =
                format!("an image's name has {} bytes, expected at most {MAX_LENGTH}", text.len());
            return Err(Error::invalid(message));
        }
        let invalid = |what: &str| {
            let message = format!("'{text}' is not the name of an image: {what}");
            Error::invalid(message)
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !digest.contains(':') || !is_word(digest, ":+.-_")) {
            return Err(invalid("expected algorithm:digits behind '@'"));
        }
        // A colon before the last slash belongs to a registry's port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (name, None),
        };
        if tag.is_some_and(|tag| !is_word(tag, "._-")) {
            return Err(invalid("expected letters, digits, '.', '_' and '-' behind ':'"));
        }
        if repository.split('/').any(|part| !is_word(part, "._-:[]")) {
            return Err(invalid("expected names of letters, digits, '.', '_' and '-'"));
        }
        let short = ["docker.io/library/", "index.docker.io/library/", "docker.io/"]
            .iter()
            .find_map(|prefix| repository.strip_prefix(prefix));
        Ok(Self {
            repository: short.unwrap_or(repository).to_owned(),
            tag: tag.map(str::to_owned),
            has_digest: digest.is_some(),
        })
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag}", self.repository),
            None => f.write_str(&self.repository),
        }
    }
}

fn is_word(text: &str, also: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (String, Option<String>) {
        let image: Image = text.parse().unwrap();
        (image.repository, image.tag)
    }

    #[test]
    fn a_port_is_not_a_tag() {
        assert_eq!(parts("registry:5000/team/echo"), ("registry:5000/team/echo".into(), None));
        assert_eq!(
            parts("registry:5000/team/echo:v1@sha256:00ff"),
            ("registry:5000/team/echo".into(), Some("v1".into()))
        );
        assert_eq!(parts("echo@sha256:00ff"), ("echo".into(), None));
        assert_eq!(parts("docker.io/library/echo:1"), ("echo".into(), Some("1".into())));
    }

    #[test]
    fn what_is_no_image_is_refused_with_a_reason() {
        for text in ["", ":", "a:", "a//b", "/a", "a b", "a@", "a@sha256", "a:b:c d", "é"] {
            let error = text.parse::<Image>().unwrap_err().to_string();
            assert!(error.contains("is not the name of an image"), "{text}: {error}");
        }
        let long = "a".repeat(1 << 20).parse::<Image>().unwrap_err().to_string();
        assert!(long.len() < 100, "{long}");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = text.parse::<Image>();
        }

        #[test]
        fn printing_and_parsing_are_opposites(
            repository in "[a-z0-9]{1,8}(:[0-9]{2,4}/[a-z]{1,5})?(/[a-z0-9._-]{1,8}){0,2}",
            tag in prop::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}"),
        ) {
            let image = Image { repository, tag, has_digest: false };
            prop_assert_eq!(image.to_string().parse::<Image>().unwrap(), image);
        }
    }
}
