use std::{io::Write, str::FromStr, time::Duration};

use bytes::Bytes;
use flate2::{Compression, write::ZlibEncoder};

/// What a function does with the bytes that it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// Answers them.
    Echo,
    /// Answers them compressed.
    Compress,
    /// Draws an image of 16 pixels for each byte, and answers a thumbnail of it as a PPM file.
    Thumbnail,
    /// Answers nothing after a while: what the bytes say, such as `25ms`, and else 10 ms and a
    /// microsecond for each byte. A tenth of that is random.
    Sleep,
}

/// The most pixels of an image: 192 MiB.
const MAX_PIXELS: usize = 64 << 20;
/// The side of a thumbnail, in pixels.
const THUMBNAIL: usize = 128;

impl Function {
    pub(crate) const NAMES: &'static str = "echo, compress, thumbnail or sleep";

    /// Does it.
    pub(crate) async fn call(self, body: Bytes) -> Result<Bytes, String> {
        match self {
            Self::Echo => Ok(body),
            Self::Compress => on_a_thread(move || compress(&body)).await,
            Self::Thumbnail => on_a_thread(move || Ok(thumbnail(body.len()))).await,
            Self::Sleep => {
                // Of mean 1, and never short of 0.9.
                let factor = 0.9 - 0.1 * (1.0 - fastrand::f64()).ln();
                tokio::time::sleep(pause(&body).mul_f64(factor)).await;
                Ok(Bytes::new())
            }
        }
    }
}

impl FromStr for Function {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "echo" => Ok(Self::Echo),
            "compress" => Ok(Self::Compress),
            "thumbnail" => Ok(Self::Thumbnail),
            "sleep" => Ok(Self::Sleep),
            _ => Err(format!("found '{name}', expected {}", Self::NAMES)),
        }
    }
}

/// Connections are served meanwhile.
async fn on_a_thread(
    work: impl FnOnce() -> Result<Bytes, String> + Send + 'static,
) -> Result<Bytes, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(format!("the work ended early: {error}")))
}

fn compress(body: &[u8]) -> Result<Bytes, String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.map(Bytes::from).map_err(|error| error.to_string())
}

fn thumbnail(bytes: usize) -> Bytes {
    let pixels = bytes.saturating_mul(16).clamp(THUMBNAIL * THUMBNAIL, MAX_PIXELS);
    let side = pixels.isqrt();
    let image = draw(side);
    let mut file = format!("P6 {THUMBNAIL} {THUMBNAIL} 255\n").into_bytes();
    for y in 0..THUMBNAIL {
        for x in 0..THUMBNAIL {
            file.extend(mean(&image, side, x, y));
        }
    }
    file.into()
}

/// A square image with this side, three bytes a pixel.
fn draw(side: usize) -> Vec<u8> {
    let mut image = Vec::with_capacity(3 * side * side);
    for y in 0..side {
        for x in 0..side {
            image.extend([(x ^ y) as u8, (x * y / side) as u8, (x + 2 * y) as u8]);
        }
    }
    image
}

/// The mean of the pixels that a pixel of the thumbnail stands for.
fn mean(image: &[u8], side: usize, x: usize, y: usize) -> [u8; 3] {
    let range = |at: usize| at * side / THUMBNAIL..(at + 1) * side / THUMBNAIL;
    let mut sums = [0u64; 3];
    for row in range(y) {
        let row = &image[3 * (row * side + range(x).start)..3 * (row * side + range(x).end)];
        for pixel in row.chunks_exact(3) {
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u64::from(*value));
        }
    }
    let count = (range(x).len() * range(y).len()).max(1) as u64;
    sums.map(|sum| (sum / count) as u8)
}

fn pause(body: &[u8]) -> Duration {
    let stated = std::str::from_utf8(body).ok().and_then(|text| text.trim().strip_suffix("ms"));
    match stated.and_then(|number| number.parse::<u32>().ok()) {
        Some(ms) => Duration::from_millis(ms.into()),
        None => Duration::from_millis(10) + Duration::from_micros(body.len() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_what_the_body_says_or_follows_from_its_size() {
        assert_eq!(pause(b"25ms"), Duration::from_millis(25));
        assert_eq!(pause(b""), Duration::from_millis(10));
        assert_eq!(pause(&[b'x'; 1000]), Duration::from_millis(11));
    }

    #[test]
    fn a_thumbnail_has_its_size_whatever_the_image_has() {
        let header = "P6 128 128 255\n".len();
        for bytes in [0, 1, 1000, 1037, 70_001] {
            assert_eq!(thumbnail(bytes).len(), header + 3 * THUMBNAIL * THUMBNAIL, "{bytes}");
        }
        // The mean of an image of one colour is that colour.
        assert_eq!(mean(&[7; 3 * 300 * 300], 300, 127, 3), [7; 3]);
    }

    #[test]
    fn what_is_compressed_is_smaller_and_has_the_same_content() {
        let text = b"again and again ".repeat(1000);
        let small = compress(&text).unwrap();
        assert!(small.len() < text.len() / 10);
        let mut back = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&small[..]), &mut back)
            .unwrap();
        assert_eq!(back, text);
    }
}
