//! JPEG, bit for bit as libjpeg-turbo decodes it by default: what the references' pictures went through.
//!
//! Read are 8-bit baseline, extended sequential and progressive files with Huffman codes, of one, three or four
//! components, in any of the samplings that libjpeg-turbo can bring to one size, their scans interleaved or not. The
//! inverse cosine transform is its exact one of integers (`jidctint.c`), and chroma is interpolated as its "fancy"
//! upsampling does it (`jdsample.c`). Which colours the components are follows from the same markers. CMYK becomes RGB as
//! in Pillow, which takes all such files as Adobe's, with inverted inks.
//!
//! Everything else that a JPEG can be is refused by its name, and so is damage: a picture that is half gray is no picture.
//!
//! A file of one scan is decoded row by row. Others need the coefficients of the whole picture first: two bytes for each
//! sample, and they are counted before they are taken.

mod entropy;
mod frame;
mod idct;
mod rows;
mod scans;
mod segments;
mod standard;

use self::frame::{Colors, Frame};
use self::rows::Strips;
use self::scans::{Block, Coefficients, Scan, Tables};
use self::segments::{Segments, marker};
use super::MediaOptions;
use super::limits::check_size;
use crate::error::{Error, Result};

pub(super) use self::segments::segments_before_scan;

/// What takes a picture's rows of R, G, B, from top to bottom. It is told the size first.
pub(super) trait Rows {
    fn begin(&mut self, width: u32, height: u32) -> Result<()>;
    fn push(&mut self, rgb: &[u8]) -> Result<()>;
}

/// Decodes `jpeg` into `rows`.
///
/// Errors: `Unsupported` for what is not read, `InvalidMedia` for damage and beyond what `options` allow, `OutOfMemory`,
/// what `rows` says, and what the options' check ends it with.
pub(super) fn decode(jpeg: &[u8], options: &MediaOptions, rows: &mut dyn Rows) -> Result<()> {
    let mut file = File {
        segments: Segments::new(jpeg)?,
        colors: Colors::default(),
        tables: Tables::default(),
        frame: None,
        whole: None,
        options,
    };
    // A file without its end marker is whole if its scans are.
    while let Some(kind) = file.segments.next() {
        match kind {
            marker::SOS if file.scan(rows)? => return Ok(()),
            marker::SOS => {}
            marker::EOI => break,
            _ if marker::stands_alone(kind) => {}
            _ => file.segment(kind)?,
        }
    }
    file.draw(rows)
}

/// What was read of a file so far.
struct File<'a> {
    segments: Segments<'a>,
    colors: Colors,
    tables: Tables,
    frame: Option<Frame>,
    /// The coefficients of the whole picture, where there are several scans.
    whole: Option<Coefficients>,
    options: &'a MediaOptions<'a>,
}

impl File<'_> {
    /// Reads a segment that is no scan.
    fn segment(&mut self, kind: u8) -> Result<()> {
        let body = self.segments.body()?;
        match kind {
            marker::SOF0..=marker::SOF2 if self.frame.is_some() => Err(corrupt("it has two frames")),
            marker::SOF0..=marker::SOF2 => {
                let frame = Frame::read(body, kind == marker::SOF2)?;
                check_size(frame.width as u32, frame.height as u32, self.options.most_pixels())?;
                self.frame = Some(frame);
                Ok(())
            }
            _ if marker::is_frame(kind) => Err(other_process(kind)),
            marker::DHT => self.tables.read_codes(body),
            marker::DQT => self.tables.read_quantization(body),
            marker::DRI => self.tables.read_restart_interval(body),
            _ => {
                self.colors.read(kind, body);
                Ok(())
            }
        }
    }

    /// Reads a scan: whether it was all of the picture, whose rows have gone to `rows` then.
    fn scan(&mut self, rows: &mut dyn Rows) -> Result<bool> {
        let body = self.segments.body()?;
        let frame = self.frame.as_mut().ok_or_else(|| corrupt("its scan has no frame"))?;
        let scan = Scan::read(body, frame)?;
        frame.take_tables(&scan, &self.tables)?;
        let frame = &*frame;
        let (length, needed) = (self.segments.bytes().len(), frame.rgb_bytes() + frame.strip_bytes());
        if self.whole.is_none() && !frame.progressive && scan.parts.len() == frame.components.len() {
            self.options.check_bytes(needed, length, frame.name())?;
            rows.begin(frame.width as u32, frame.height as u32)?;
            let mut strips = Strips::new(frame, self.colors.space(frame)?)?;
            let take = |index: usize, blocks: &[&[Block]]| strips.take(frame, index, blocks, rows);
            scans::sequential(frame, &scan, &mut self.tables, &self.segments, self.options, take)?;
            return Ok(true);
        }
        let kept = match &mut self.whole {
            Some(kept) => kept,
            none => {
                self.options.check_bytes(needed + frame.coefficient_bytes(), length, frame.name())?;
                none.insert(Coefficients::new(frame)?)
            }
        };
        scans::whole(frame, &scan, &mut self.tables, &mut self.segments, self.options, kept)?;
        Ok(false)
    }

    /// Gives the rows of a picture whose scans have all been read.
    fn draw(&self, rows: &mut dyn Rows) -> Result<()> {
        let (Some(frame), Some(whole)) = (&self.frame, &self.whole) else {
            return Err(corrupt("it ends before its first scan"));
        };
        whole.check_complete(frame)?;
        rows.begin(frame.width as u32, frame.height as u32)?;
        let mut strips = Strips::new(frame, self.colors.space(frame)?)?;
        for index in 0..frame.mcu_rows() {
            (self.options.check)()?;
            strips.take(frame, index, &whole.mcu_row(frame, index), rows)?;
        }
        Ok(())
    }
}

fn corrupt(why: impl std::fmt::Display) -> Error {
    Error::media(format!("the JPEG image is corrupt: {why}"))
}

fn unsupported(what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!(
        "the JPEG image {what}: baseline and progressive ones of 8 bits with Huffman codes are read; save it as one, or \
         hand over its pixels"
    ))
}

/// The error for a frame of a process that is not read.
fn other_process(kind: u8) -> Error {
    let arithmetic = kind > marker::SOF7;
    let process = match kind & 3 {
        3 => "is lossless",
        _ if kind & 4 != 0 => "is hierarchical",
        _ => "",
    };
    unsupported(match (process, arithmetic) {
        ("", _) => "is coded arithmetically".to_owned(),
        (process, true) => format!("{process} and coded arithmetically"),
        (process, false) => process.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::media::testing::{fnv, testdata};

    #[derive(Default)]
    struct Sink {
        size: (u32, u32),
        rgb: Vec<u8>,
    }

    impl Rows for Sink {
        fn begin(&mut self, width: u32, height: u32) -> Result<()> {
            self.size = (width, height);
            Ok(())
        }

        fn push(&mut self, rgb: &[u8]) -> Result<()> {
            self.rgb.extend_from_slice(rgb);
            Ok(())
        }
    }

    fn pixels(jpeg: &[u8]) -> Result<Sink> {
        let mut sink = Sink::default();
        decode(jpeg, &MediaOptions::default(), &mut sink)?;
        Ok(sink)
    }

    #[test]
    fn every_kind_is_as_libjpeg_turbo_decodes_it_or_refused_by_name() {
        let mut counts = [0, 0];
        for line in String::from_utf8(testdata("jpeg.txt")).unwrap().lines() {
            let [name, width, height, hash] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let found = pixels(&testdata(&format!("jpeg/{name}")));
            if hash == "-" {
                let error = found.err().expect(name);
                assert_eq!(error.code(), Code::Unsupported, "{name}: {error}");
                counts[1] += 1;
                continue;
            }
            let found = found.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(found.size, (width.parse().unwrap(), height.parse().unwrap()), "{name}");
            assert_eq!(fnv(&found.rgb), hash, "{name}");
            counts[0] += 1;
        }
        assert_eq!(counts, [26, 6]);
    }

    #[test]
    fn what_is_refused_is_named() {
        for (name, says) in [
            ("no-arithmetic", "is coded arithmetically"),
            ("no-arithmetic-progressive", "is coded arithmetically"),
            ("no-lossless", "is lossless"),
            ("no-12-bits", "has samples of 12 bits"),
            ("no-details", "lacks some of its scans"),
            ("no-fractions", "no whole multiples"),
        ] {
            let error = pixels(&testdata(&format!("jpeg/{name}.jpg"))).err().expect(name);
            assert!(error.message().contains(says), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_is_an_error() {
        for name in ["whole-420", "scans-422-restart", "progressive", "progressive-restart", "cmyk"] {
            let whole = testdata(&format!("jpeg/{name}.jpg"));
            // Of the last bytes, some only fill up the last one of the data.
            for cut in (0..whole.len() - 4).step_by(7).chain([whole.len() - 5]) {
                let error = pixels(&whole[..cut]).err().unwrap_or_else(|| panic!("{name} cut at {cut}"));
                assert!([Code::InvalidMedia, Code::Unsupported].contains(&error.code()), "{error}");
            }
            assert!(pixels(&whole[..whole.len() - 2]).is_ok(), "{name}");
        }
    }

    /// Whole pictures' coefficients are what a small file can ask most with.
    #[test]
    fn a_small_file_cannot_ask_for_much_memory() {
        let mut bomb = testdata("jpeg/progressive.jpg");
        let frame = bomb.windows(4).position(|w| w[..2] == [0xff, 0xc2]).unwrap();
        bomb[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x3f, 0xff]);
        let error = pixels(&bomb).err().unwrap();
        assert!(error.message().contains("progressive JPEG image of 16383 x 8192 pixels takes"), "{error}");
        assert_eq!(error.code(), Code::InvalidMedia);
        let options = MediaOptions { max_bytes: Some(20_000), ..MediaOptions::default() };
        let small = testdata("jpeg/progressive.jpg");
        assert!(decode(&small, &options, &mut Sink::default()).is_ok());
        let options = MediaOptions { max_bytes: Some(10_000), ..options };
        assert!(decode(&small, &options, &mut Sink::default()).is_err());
    }

    #[test]
    fn a_cancel_ends_it_between_rows() {
        for name in ["whole-420", "progressive"] {
            let asked = std::cell::Cell::new(0);
            let check = || {
                asked.set(asked.get() + 1);
                if asked.get() == 3 { Err(Error::cancelled()) } else { Ok(()) }
            };
            let options = MediaOptions { check: &check, ..MediaOptions::default() };
            let error =
                decode(&testdata(&format!("jpeg/{name}.jpg")), &options, &mut Sink::default()).unwrap_err();
            assert_eq!((error.code(), asked.get()), (Code::Cancelled, 3), "{name}");
        }
    }
}
