//! Pictures of their final size to the squares that a tower embeds.

use super::resize::Resized;
use crate::error::{Error, Result};
use crate::media::Check;
use crate::media::limits::reserve;
use crate::snapshot::config::Section;

/// A picture cut into squares.
#[derive(Clone, Debug, PartialEq)]
pub struct Patches {
    /// `[rows * columns, values of a patch]`; the order of both axes is the family's.
    pub values: Vec<f32>,
    /// Patches side by side.
    pub columns: usize,
    /// Patches one below the other.
    pub rows: usize,
}

/// What becomes of the 256 levels of a pixel, for each of R, G and B.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels([[f32; 256]; 3]);

impl Levels {
    /// From 0 to 1.
    pub fn unit() -> Levels {
        Levels::new(1.0 / 255.0, [0.0; 3], [1.0; 3])
    }

    /// `(level * factor - mean) / deviation`, rounded as transformers' `rescale` and `normalize` round it.
    pub fn new(factor: f64, mean: [f64; 3], deviation: [f64; 3]) -> Levels {
        let value = |channel: usize, level: usize| {
            let scaled = (level as f64 * factor) as f32;
            (scaled - mean[channel] as f32) / deviation[channel] as f32
        };
        Levels(std::array::from_fn(|channel| std::array::from_fn(|level| value(channel, level))))
    }

    /// Reads `do_rescale`, `rescale_factor`, `do_normalize`, `image_mean` and `image_std`; where the last two are
    /// missing, they are the reference's class's: `mean` and `deviation`.
    ///
    /// Errors: `InvalidSnapshot` for values that are no such numbers.
    pub fn read(processor: &Section, mean: [f64; 3], deviation: [f64; 3]) -> Result<Levels> {
        let factor = processor.f64_or("rescale_factor", 1.0 / 255.0)?;
        let factor = if processor.bool_or("do_rescale", true)? { factor } else { 1.0 };
        let mean = processor.floats("image_mean")?.unwrap_or(mean);
        let deviation = processor.floats("image_std")?.unwrap_or(deviation);
        let (mean, deviation) = match processor.bool_or("do_normalize", true)? {
            true => (mean, deviation),
            false => ([0.0; 3], [1.0; 3]),
        };
        let levels = Levels::new(factor, mean, deviation);
        match levels.0.iter().flatten().all(|value| value.is_finite()) {
            true => Ok(levels),
            false => Err(Error::snapshot(format!(
                "an image processor with rescale_factor {factor}, image_mean {mean:?} and image_std {deviation:?} \
                 makes no finite numbers of pixels"
            ))),
        }
    }
}

/// Squares of `side` pixels, row by row; within a square by row, column and channel: `[rows * columns, side * side * 3]`.
/// What does not fill a square is left out (nothing, where a processor with this side resized the picture).
///
/// Errors: `OutOfMemory`, and what `check` ends it with.
pub fn by_row_column_channel(picture: &Resized, side: u32, levels: &Levels, check: Check) -> Result<Patches> {
    let side = side.max(1) as usize;
    let (columns, rows) = (picture.width as usize / side, picture.height as usize / side);
    let row_bytes = picture.width as usize * 3;
    let mut values = Vec::new();
    reserve(&mut values, columns * rows * side * side * 3)?;
    for row in 0..rows {
        check()?;
        for column in 0..columns {
            for y in 0..side {
                let at = (row * side + y) * row_bytes + column * side * 3;
                let pixels = picture.rgb[at..at + side * 3].as_chunks::<3>().0;
                for pixel in pixels {
                    values.extend_from_slice(&levels.of(pixel));
                }
            }
        }
    }
    Ok(Patches { values, columns, rows })
}

/// Squares of `side` pixels of several frames of one size, as one run of patches: `merge` by `merge` neighbours follow
/// each other, row by row, and such blocks row by row; within a patch by channel, frame, row and column:
/// `[rows * columns, 3 * frames * side * side]`. Both sides of the frames are multiples of `side * merge`.
///
/// Errors: `InvalidArgument` for frames of other sizes, `OutOfMemory`, and what `check` ends it with.
pub fn by_merged_block(
    frames: &[&Resized],
    side: u32,
    merge: u32,
    levels: &Levels,
    check: Check,
) -> Result<Patches> {
    let (side, merge) = (side.max(1) as usize, merge.max(1) as usize);
    let (width, height) = frames.first().map_or((0, 0), |f| (f.width as usize, f.height as usize));
    let fits = |frame: &&Resized| (frame.width as usize, frame.height as usize) == (width, height);
    let block = side * merge;
    if !frames.iter().all(fits) || !width.is_multiple_of(block) || !height.is_multiple_of(block) {
        let message = format!("frames of {width} x {height} pixels are not cut into blocks of {block}");
        return Err(Error::invalid_argument(message));
    }
    let (columns, rows) = (width / side, height / side);
    let mut values = Vec::new();
    reserve(&mut values, columns * rows * 3 * frames.len() * side * side)?;
    for block_row in 0..rows / merge {
        check()?;
        for block_column in 0..columns / merge {
            for inner in 0..merge * merge {
                let (row, column) = (block_row * merge + inner / merge, block_column * merge + inner % merge);
                append_planes(&mut values, frames, (column * side, row * side), side, levels);
            }
        }
    }
    Ok(Patches { values, columns, rows })
}

/// The square of `side` pixels at (x, y), channel by channel, each frame by frame.
fn append_planes(
    values: &mut Vec<f32>,
    frames: &[&Resized],
    (x, y): (usize, usize),
    side: usize,
    levels: &Levels,
) {
    for (channel, table) in levels.0.iter().enumerate() {
        for frame in frames {
            for row in y..y + side {
                let at = (row * frame.width as usize + x) * 3;
                let pixels = frame.rgb[at..at + side * 3].as_chunks::<3>().0;
                values.extend(pixels.iter().map(|pixel| table[usize::from(pixel[channel])]));
            }
        }
    }
}

impl Levels {
    fn of(&self, pixel: &[u8; 3]) -> [f32; 3] {
        std::array::from_fn(|channel| self.0[channel][usize::from(pixel[channel])])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::media::go_on;

    fn levels_of(values: &[f32]) -> Vec<u8> {
        values.iter().map(|v| (v * 255.0).round() as u8).collect()
    }

    #[test]
    fn patches_go_by_row_column_channel() {
        // 4 x 2 pixels, each byte its own index: patches of 2 x 2 are the left and the right half.
        let picture = Resized { width: 4, height: 2, rgb: (0..24).collect() };
        let patches = by_row_column_channel(&picture, 2, &Levels::unit(), &go_on).unwrap();
        assert_eq!((patches.columns, patches.rows), (2, 1));
        assert_eq!(
            levels_of(&patches.values),
            [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17, 6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23]
        );
        let white = Resized { width: 3, height: 3, rgb: vec![255; 27] };
        let white = by_row_column_channel(&white, 3, &Levels::unit(), &go_on).unwrap();
        assert_eq!((white.columns, white.rows, white.values), (1, 1, vec![1.0; 27]));
    }

    #[test]
    fn merged_blocks_follow_each_other() {
        // 4 x 2 patches of one pixel: two blocks of 2 x 2.
        let first = Resized { width: 4, height: 2, rgb: (0..24).collect() };
        let second = Resized { width: 4, height: 2, rgb: (100..124).collect() };
        let patches = by_merged_block(&[&first, &second], 1, 2, &Levels::unit(), &go_on).unwrap();
        assert_eq!((patches.columns, patches.rows), (4, 2));
        let found = levels_of(&patches.values);
        let pixels: Vec<u8> = found.chunks(6).map(|patch| patch[0] / 3).collect();
        assert_eq!(pixels, [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(found[..6], [0, 100, 1, 101, 2, 102]);
        let odd = Resized { width: 3, height: 2, rgb: vec![0; 18] };
        assert!(by_merged_block(&[&odd], 1, 2, &Levels::unit(), &go_on).is_err());
        assert!(by_merged_block(&[&first, &odd], 1, 1, &Levels::unit(), &go_on).is_err());
    }

    #[test]
    fn levels_are_what_the_configuration_says() {
        let read = |json: serde_json::Value| {
            let section = Section::file("preprocessor_config.json", &json).unwrap();
            Levels::read(&section, [0.5; 3], [0.5; 3])
        };
        let ends = |levels: Levels| levels.0.map(|table| (table[0], table[255]));
        assert_eq!(ends(read(json!({})).unwrap()), [(-1.0, 1.0); 3]);
        assert_eq!(ends(read(json!({ "do_normalize": false })).unwrap()), [(0.0, 1.0); 3]);
        assert_eq!(
            ends(read(json!({ "do_rescale": false, "do_normalize": false })).unwrap()),
            [(0.0, 255.0); 3]
        );
        let own = json!({ "image_mean": [0.0, 0.5, 1.0], "image_std": [1.0, 0.5, 0.25], "rescale_factor": 0.00392156862745098 });
        assert_eq!(ends(read(own).unwrap()), [(0.0, 1.0), (-1.0, 1.0), (-4.0, 0.0)]);
        let error = read(json!({ "image_std": 0 })).unwrap_err();
        assert!(error.message().contains("no finite numbers"), "{error}");
        let error = read(json!({ "image_mean": [1, 2] })).unwrap_err();
        assert!(error.message().contains("image_mean is [1,2]"), "{error}");
    }
}
