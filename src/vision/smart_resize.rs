//! `smart_resize` of transformers' Qwen processors, for images and for the frames of videos, in its order of `f64`
//! operations.

use crate::error::{Error, Result};

/// Most that a side may be longer than the other.
const MAX_RATIO: f64 = 200.0;

/// What bounds a size. Both sides become multiples of `factor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub factor: u32,
    /// Fewest and most pixels of all frames together. Rounding, and strips as thin as `factor`, may miss them.
    pub pixels: (u64, u64),
    /// Pixels of a frame that are never passed, at least `factor` squared: where the host sets the bound.
    pub most: Option<u64>,
}

/// The width and height that an image is brought to.
///
/// Errors: `InvalidMedia` for a side of more than 200 times the other.
pub fn image_size(width: u32, height: u32, bounds: &Bounds) -> Result<(u64, u64)> {
    let (w, h) = (u64::from(width), u64::from(height));
    check_ratio(w, h)?;
    Ok(fit(w, h, (1, 1), bounds))
}

/// The width and height that each of so many frames is brought to; `temporal` frames are embedded as one.
///
/// Errors: as for [`image_size`].
pub fn video_size(
    width: u32,
    height: u32,
    frames: u64,
    temporal: u64,
    bounds: &Bounds,
) -> Result<(u64, u64)> {
    let (mut w, mut h) = (u64::from(width), u64::from(height));
    let factor = u64::from(bounds.factor);
    if h < factor || w < factor {
        let scale = (factor as f64 / h as f64).max(factor as f64 / w as f64);
        (w, h) = ((w as f64 * scale) as u64, (h as f64 * scale) as u64);
    }
    check_ratio(w, h)?;
    let rounded = (frames as f64 / temporal as f64).round_ties_even() as u64 * temporal;
    Ok(fit(w, h, (frames, rounded), bounds))
}

fn check_ratio(width: u64, height: u64) -> Result<()> {
    if width.max(height) as f64 / width.min(height) as f64 <= MAX_RATIO {
        return Ok(());
    }
    let message = format!(
        "a picture of {width} x {height} pixels is too thin: the model takes sides of up to {MAX_RATIO} times the other"
    );
    Err(Error::media(message).with("width", width).with("height", height))
}

/// `frames` are how many there are, and that number rounded to whole groups.
fn fit(width: u64, height: u64, frames: (u64, u64), bounds: &Bounds) -> (u64, u64) {
    let (factor, (min, max)) = (f64::from(bounds.factor), bounds.pixels);
    let (w, h) = (width as f64, height as f64);
    let pixels = (frames.0 * height * width) as f64;
    let multiple = |count: f64| (count as u64).saturating_mul(u64::from(bounds.factor));
    let shrunk = |beta: f64| {
        let side = |side: f64| multiple((side / beta / factor).floor().max(1.0));
        (side(w), side(h))
    };
    let nearest = |side: f64| multiple((side / factor).round_ties_even());
    let (mut to_width, mut to_height) = (nearest(w), nearest(h));
    let nearest_pixels = to_height.saturating_mul(to_width).saturating_mul(frames.1);
    if nearest_pixels > max {
        (to_width, to_height) = shrunk((pixels / max as f64).sqrt());
    } else if nearest_pixels < min {
        let beta = (min as f64 / pixels).sqrt();
        let side = |side: f64| multiple((side * beta / factor).ceil());
        (to_width, to_height) = (side(w), side(h));
    }
    match bounds.most {
        Some(most) if to_width.saturating_mul(to_height) > most => {
            let (w, h) = shrunk((w * h / most as f64).sqrt());
            cut(w, h, most, u64::from(bounds.factor))
        }
        _ => (to_width, to_height),
    }
}

/// The longer side made short enough for `most` pixels.
fn cut(width: u64, height: u64, most: u64, factor: u64) -> (u64, u64) {
    let longest = |other: u64| (most / other / factor * factor).max(factor);
    match width > height {
        true => (width.min(longest(height)), height),
        false => (width, height.min(longest(width))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::text_beside;

    /// Lines of numbers; 0 0 at the end where the reference refuses.
    fn vectors(file: &str) -> Vec<Vec<u64>> {
        let text = text_beside(file!(), file);
        text.lines().map(|line| line.split(' ').map(|n| n.parse().unwrap()).collect()).collect()
    }

    #[test]
    fn sizes_of_images_are_the_references() {
        let lines = vectors("qwen3_vl_sizes.txt");
        assert_eq!(lines.len(), 400);
        for line in lines {
            let &[width, height, factor, min, max, to_width, to_height] = &line[..] else {
                panic!("{line:?}")
            };
            let bounds = Bounds { factor: factor as u32, pixels: (min, max), most: None };
            let found = image_size(width as u32, height as u32, &bounds).unwrap_or((0, 0));
            assert_eq!(found, (to_width, to_height), "{line:?}");
        }
    }

    #[test]
    fn sizes_of_frames_are_the_references() {
        let lines = vectors("qwen3_vl_video_sizes.txt");
        assert_eq!(lines.len(), 400);
        for line in lines {
            let &[frames, width, height, temporal, factor, min, max, to_width, to_height] = &line[..] else {
                panic!("{line:?}")
            };
            let bounds = Bounds { factor: factor as u32, pixels: (min, max), most: None };
            let found = video_size(width as u32, height as u32, frames, temporal, &bounds).unwrap_or((0, 0));
            assert_eq!(found, (to_width, to_height), "{line:?}");
        }
    }

    #[test]
    fn a_bound_of_the_hosts_is_never_passed() {
        let sides = [1, 5, 31, 33, 100, 640, 3000];
        for (w, h) in
            sides.iter().flat_map(|w| sides.map(|h| (*w, h))).filter(|(w, h)| w.max(h) / w.min(h) < 200)
        {
            for tokens in [1, 2, 3, 7, 100] {
                let most = tokens * 1024;
                let bounds = Bounds { factor: 32, pixels: (most, most), most: Some(most) };
                let (width, height) = image_size(w, h, &bounds).unwrap();
                assert!(
                    width * height <= most && width > 0 && height > 0,
                    "{w} x {h}, {tokens}: {width} x {height}"
                );
                let (width, height) = video_size(w, h, 5, 2, &bounds).unwrap();
                assert!(
                    width * height <= most && width > 0 && height > 0,
                    "{w} x {h}, {tokens}: {width} x {height}"
                );
            }
        }
    }
}
