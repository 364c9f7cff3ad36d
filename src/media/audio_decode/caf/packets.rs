//! Sounds of a CAF in packets: by its table of their sizes, or of one size.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::*;

use super::super::bytes::{At, Order};
use super::super::container::{Container, READABLE};
use super::super::packets::{Indexed, Piece, decode_indexed};
use super::super::sink::Sink;
use super::super::{aac, mp4};
use super::{Description, fault};
use crate::error::{Error, Result};

/// Bytes of the head of a packet table.
const TABLE_HEAD: usize = 24;

pub(in super::super) struct Packets<'a> {
    params: AudioCodecParameters,
    sizes: Sizes<'a>,
    data: &'a [u8],
    /// Frames that are not to be heard at the beginning, and those that are, where the file states them.
    edit: Option<(u64, u64)>,
    rate: u32,
    /// Of one packet.
    seconds: f64,
}

/// The coder of a sound in packets. Errors: `Unsupported` by the coding's name, `InvalidMedia`.
pub(super) fn params(description: &Description, cookie: Option<&[u8]>) -> Result<AudioCodecParameters> {
    let mut params = AudioCodecParameters::new();
    params.with_sample_rate(description.rate).with_channels(Channels::Discrete(description.channels));
    let needed = |name: &str| cookie.ok_or_else(|| fault(&format!("its {name} has no description (kuki)")));
    match &description.kind {
        b"alac" => params.for_codec(CODEC_ID_ALAC).with_extra_data(needed("ALAC")?.into()),
        // Also with an upper band, and with parametric stereo.
        b"aac " | b"aach" | b"aacp" => {
            let config = mp4::stream_config(needed("AAC")?).map(|(_, config)| config);
            let config = config.ok_or_else(|| fault("its AAC has no description (kuki)"))?;
            if let Some(config) = aac::Config::read(config) {
                params.with_sample_rate(config.rate);
            }
            params.for_codec(CODEC_ID_AAC).with_extra_data(config.into())
        }
        b"flac" => params.for_codec(CODEC_ID_FLAC).with_extra_data(flac_info(needed("FLAC")?)?.into()),
        b"opus" => params.for_codec(CODEC_ID_OPUS),
        b".mp1" => params.for_codec(CODEC_ID_MP1),
        b".mp2" => params.for_codec(CODEC_ID_MP2),
        b".mp3" => params.for_codec(CODEC_ID_MP3),
        kind => return Err(unsupported(kind, description.channels)),
    };
    Ok(params)
}

/// FLAC's first block, behind the heads that stand before it.
fn flac_info(cookie: &[u8]) -> Result<&[u8]> {
    const BYTES: usize = 34;
    let start = match cookie {
        [_, _, _, _, b'd', b'f', b'L', b'a', ..] => 16,
        [b'f', b'L', b'a', b'C', ..] => 8,
        _ if cookie.len() >= BYTES + 4 && cookie[..4] == [0, 0, 0, BYTES as u8] => 4,
        _ => 0,
    };
    cookie.get(start..start + BYTES).ok_or_else(|| fault("its FLAC's description is cut short"))
}

fn unsupported(kind: &[u8; 4], channels: u16) -> Error {
    let name = match kind {
        b"aace" | b"aacf" | b"aacg" | b"aacl" | b"usac" => "AAC-LD, AAC-ELD or xHE-AAC",
        b"ac-3" | b"ec-3" | b"cac3" => "AC-3",
        b"samr" | b"sawb" => "AMR",
        b"MAC3" | b"MAC6" => "MACE",
        b"QDMC" | b"QDM2" => "QDesign",
        b"Qclp" => "QCELP",
        b"agsm" => "GSM 6.10",
        b"ilbc" => "iLBC",
        _ => "in a coding that is not read",
    };
    let kind = kind.escape_ascii();
    Error::unsupported(format!(
        "the CAF audio is {name} (\"{kind}\", {channels} channels): {READABLE}; convert it to one of them, or hand over its \
         samples"
    ))
}

impl<'a> Packets<'a> {
    /// `data` is what is there of `stated` bytes.
    pub(super) fn new(
        description: &Description,
        params: AudioCodecParameters,
        table: Option<&'a [u8]>,
        data: &'a [u8],
        stated: u64,
    ) -> Result<Self> {
        let at = table.map(|bytes| At { bytes, order: Order::Big });
        let edit = at.and_then(|at| Some((at.u64(8)?, at.u32(16)? as i32)));
        let edit = edit.filter(|&(heard, _)| heard > 0 && heard <= i64::MAX as u64);
        let sizes = match (description.packet_bytes, at) {
            (0, None) => return Err(fault("it has no table of its packets (pakt)")),
            (0, Some(at)) => Sizes {
                left: at.u64(0).ok_or_else(|| fault("its table of packets is cut short"))?,
                same: None,
                has_frames: description.packet_frames == 0,
                table: at.bytes.get(TABLE_HEAD..).unwrap_or_default(),
            },
            (bytes, _) => Sizes {
                left: stated / u64::from(bytes),
                same: Some(bytes.into()),
                has_frames: false,
                table: &[],
            },
        };
        let frames = f64::from(description.packet_frames);
        Ok(Packets {
            params,
            sizes,
            data,
            edit: edit.map(|(heard, priming)| (priming.max(0) as u64, heard)),
            rate: description.rate,
            seconds: frames / f64::from(description.rate.max(1)),
        })
    }

    pub(in super::super) fn decode(self, sink: &mut Sink) -> Result<()> {
        if let Some((skip, most)) = self.edit {
            sink.cut(skip, most, self.rate);
        }
        let (mut sizes, mut rest, mut is_cut_off) = (self.sizes, self.data, false);
        let pieces = std::iter::from_fn(|| {
            if is_cut_off {
                return None;
            }
            let left = sizes.left;
            let piece = sizes.next().and_then(|size| rest.split_at_checked(usize::try_from(size).ok()?));
            match piece {
                Some((packet, behind)) => {
                    rest = behind;
                    Some(Piece::Packet(packet))
                }
                None => {
                    is_cut_off = true;
                    (left > 0).then_some(Piece::Missing(left))
                }
            }
        });
        let track = Indexed { params: &self.params, container: Container::Caf, seconds: self.seconds };
        decode_indexed(track, pieces, sink)
    }
}

/// The sizes of packets.
struct Sizes<'a> {
    left: u64,
    same: Option<u64>,
    /// Behind each size, its number of frames.
    has_frames: bool,
    table: &'a [u8],
}

impl Iterator for Sizes<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        if self.same.is_some() {
            return self.same;
        }
        let size = self.number()?;
        if self.has_frames {
            self.number()?;
        }
        Some(size)
    }
}

impl Sizes<'_> {
    /// A number of 7 bits a byte, the highest first.
    fn number(&mut self) -> Option<u64> {
        let length = 1 + self.table.iter().take(9).position(|byte| byte & 0x80 == 0)?;
        let (number, rest) = self.table.split_at(length);
        self.table = rest;
        Some(number.iter().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)))
    }
}
