//! The markers of a JPEG file and what stands behind them.

use super::corrupt;
use crate::error::{Error, Result};

/// Second bytes of markers.
pub mod marker {
    pub const SOF0: u8 = 0xc0;
    pub const SOF2: u8 = 0xc2;
    pub const DHT: u8 = 0xc4;
    pub const SOF7: u8 = 0xc7;
    pub const JPG: u8 = 0xc8;
    pub const DAC: u8 = 0xcc;
    pub const SOF15: u8 = 0xcf;
    pub const RST0: u8 = 0xd0;
    pub const RST7: u8 = 0xd7;
    pub const SOI: u8 = 0xd8;
    pub const EOI: u8 = 0xd9;
    pub const SOS: u8 = 0xda;
    pub const DQT: u8 = 0xdb;
    pub const DRI: u8 = 0xdd;
    pub const APP0: u8 = 0xe0;
    pub const APP14: u8 = 0xee;
    pub const TEM: u8 = 0x01;

    /// Whether a frame begins.
    pub fn is_frame(kind: u8) -> bool {
        (SOF0..=SOF15).contains(&kind) && ![DHT, JPG, DAC].contains(&kind)
    }

    /// Whether nothing belongs to the marker.
    pub fn stands_alone(kind: u8) -> bool {
        matches!(kind, RST0..=RST7 | SOI | TEM)
    }
}

/// Walks over a file.
pub struct Segments<'a> {
    bytes: &'a [u8],
    /// Behind what was read last.
    pub at: usize,
}

impl<'a> Segments<'a> {
    /// Errors: `InvalidMedia` where the file does not begin as a JPEG.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        match bytes {
            [0xff, marker::SOI, ..] => Ok(Segments { bytes, at: 2 }),
            _ => Err(corrupt("it does not begin with FF D8")),
        }
    }

    /// Of the whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next marker, over whatever stands before it, as libjpeg looks for it.
    pub fn next(&mut self) -> Option<u8> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|&byte| byte == 0xff)?;
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|&byte| byte != 0xff)?;
            let kind = *self.bytes.get(self.at)?;
            self.at += 1;
            if kind != 0 {
                return Some(kind);
            }
        }
    }

    /// What belongs to the marker that was read last.
    pub fn body(&mut self) -> Result<&'a [u8]> {
        self.find_body().ok_or_else(truncated)
    }

    fn find_body(&mut self) -> Option<&'a [u8]> {
        let length = self.bytes.get(self.at..self.at + 2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = self.bytes.get(self.at + 2..self.at + length.max(2))?;
        self.at += length.max(2);
        Some(body)
    }
}

/// The segments before the first scan, each with its marker.
pub fn segments_before_scan(jpeg: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut segments = Segments::new(jpeg).ok();
    std::iter::from_fn(move || {
        let segments = segments.as_mut()?;
        loop {
            let kind = segments.next()?;
            if matches!(kind, marker::SOS | marker::EOI) {
                return None;
            }
            if !marker::stands_alone(kind) {
                return Some((kind, segments.find_body()?));
            }
        }
    })
}

fn truncated() -> Error {
    Error::media("the JPEG image is truncated")
}
