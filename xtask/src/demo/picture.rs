//! A picture as terminal characters: each is the upper half of a cell, over the colour of the lower half.

use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;

use image::imageops::FilterType;
use image::{Rgb, RgbImage};

const COLUMNS: u32 = 56;
/// Pixel rows, two a line.
const ROWS: u32 = 48;

/// Draws the file on standard output, if that is a terminal and the file is a picture.
pub fn show(file: &Path) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    // What is no picture gets its error from the library that is asked about it.
    if let Ok(picture) = image::open(file) {
        let small = picture.resize(COLUMNS, ROWS, FilterType::Triangle).to_rgb8();
        println!("{}", characters(&small));
    }
}

fn characters(picture: &RgbImage) -> String {
    let mut text = String::new();
    for y in (0..picture.height()).step_by(2) {
        for x in 0..picture.width() {
            let Rgb([r, g, b]) = picture.get_pixel(x, y);
            // Writing to a string cannot fail.
            let _ = write!(text, "\x1b[38;2;{r};{g};{b}m");
            if let Some(Rgb([r, g, b])) = picture.get_pixel_checked(x, y + 1) {
                let _ = write!(text, "\x1b[48;2;{r};{g};{b}m");
            }
            text.push('▀');
        }
        text.push_str("\x1b[0m\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::characters;
    use image::{Rgb, RgbImage};

    #[test]
    fn a_cell_has_the_colours_of_two_pixels() {
        let picture = RgbImage::from_fn(1, 3, |_, y| Rgb([y as u8, 0, 9]));
        assert_eq!(
            characters(&picture),
            "\x1b[38;2;0;0;9m\x1b[48;2;1;0;9m▀\x1b[0m\n\x1b[38;2;2;0;9m▀\x1b[0m\n"
        );
    }
}
