//! How the samples of a track of sound are coded (ISO/IEC 14496-12, 12.2.3; Apple, "QuickTime File Format", "Sound Sample
//! Descriptions" of versions 0, 1 and 2).

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};

use super::super::aac;
use super::super::blocks::Codec;
use super::super::container::READABLE;
use super::boxes::{big, boxes, child};
use crate::error::{Error, Result};

pub(super) struct Description {
    pub coding: Coding,
    pub channels: u16,
    pub rate: u32,
}

pub(super) enum Coding {
    /// Samples in blocks of one size.
    Blocks(Codec),
    Packets(AudioCodecParameters),
}

/// The fields that every version has, and those that version 1 or 2 adds.
struct Entry<'a> {
    kind: &'a [u8; 4],
    channels: u16,
    bits: u16,
    rate: u32,
    /// Of version 1: bytes of a block of all channels.
    block_bytes: Option<u32>,
    /// Of version 2: the flags of linear PCM.
    flags: Option<u32>,
    children: &'a [u8],
}

/// The descriptions in `stsd`, at least one. Only QuickTime's descriptions have versions: those of ISO files that call themselves
/// of version 1 are of 0. Errors: `Unsupported` by the coding's name, `InvalidMedia`.
pub(super) fn read(stsd: &[u8], is_quicktime: bool) -> Vec<Result<Description>> {
    let cut_short = || fault("its sample description is cut short");
    let versioned = is_quicktime || stsd.first() == Some(&0);
    let entries = boxes(stsd.get(8..).unwrap_or_default()).map(|found| {
        let entry = Entry::read(found.kind, found.body, versioned).ok_or_else(cut_short)?;
        entry.description()?.ok_or_else(|| entry.unsupported())
    });
    let mut read: Vec<_> = entries.collect();
    if read.is_empty() {
        read.push(Err(cut_short()));
    }
    read
}

impl<'a> Entry<'a> {
    fn read(kind: &'a [u8; 4], body: &'a [u8], versioned: bool) -> Option<Self> {
        let at = big(body);
        let version = if versioned { at.u16(8)? } else { 0 };
        let (mut channels, mut bits, mut rate) = (at.u16(16)?, at.u16(18)?, at.u32(24)? >> 16);
        let (mut block_bytes, mut flags) = (None, None);
        let children = match version {
            1 => {
                block_bytes = Some(at.u32(36)?);
                44
            }
            2 => {
                let hertz = at.f64(32)?;
                rate = if hertz.is_finite() { hertz.round() as u32 } else { 0 };
                channels = u16::try_from(at.u32(40)?).unwrap_or(u16::MAX);
                bits = u16::try_from(at.u32(48)?).unwrap_or(u16::MAX);
                flags = Some(at.u32(52)?);
                64
            }
            _ => 28,
        };
        let children = body.get(children..).unwrap_or_default();
        Some(Entry { kind, channels, bits, rate, block_bytes, flags, children })
    }

    /// What a coder has beside it: in ISO files in the description itself, in QuickTime's in its `wave`.
    fn extension(&self, wanted: &[u8; 4]) -> Option<&'a [u8]> {
        let inside = || child(child(self.children, b"wave")?, wanted);
        child(self.children, wanted).or_else(inside)
    }

    fn description(&self) -> Result<Option<Description>> {
        if let Some(codec) = self.blocks() {
            return Ok(Some(Description {
                coding: Coding::Blocks(codec),
                channels: self.channels,
                rate: self.rate,
            }));
        }
        let Some(params) = self.packets()? else { return Ok(None) };
        let rate = params.sample_rate.unwrap_or(self.rate);
        Ok(Some(Description { coding: Coding::Packets(params), channels: self.channels, rate }))
    }

    fn blocks(&self) -> Option<Codec> {
        let bytes = usize::from(self.bits).div_ceil(8);
        let is_little = || self.extension(b"enda").and_then(|enda| big(enda).u16(0)) == Some(1);
        match self.kind {
            b"raw " | b"NONE" if bytes == 1 => Some(Codec::UNSIGNED),
            b"raw " | b"NONE" | b"twos" => Codec::whole(bytes, false),
            b"sowt" => Codec::whole(bytes, true),
            b"in24" => Codec::whole(3, is_little()),
            b"in32" => Codec::whole(4, is_little()),
            b"fl32" => Codec::float(4, is_little()),
            b"fl64" => Codec::float(8, is_little()),
            b"alaw" => Some(Codec::A_LAW),
            b"ulaw" => Some(Codec::MU_LAW),
            b"ima4" => Some(Codec::Ima4),
            b"ms\0\x02" => self.adpcm(CODEC_ID_ADPCM_MS),
            b"ms\0\x11" => self.adpcm(CODEC_ID_ADPCM_IMA_WAV),
            b"lpcm" => {
                let flags = self.flags?;
                let (float, little, signed) = (flags & 1 != 0, flags & 2 == 0, flags & 4 != 0);
                match (float, signed, bytes) {
                    (true, ..) => Codec::float(bytes, little),
                    (false, true, _) => Codec::whole(bytes, little),
                    (false, false, 1) => Some(Codec::UNSIGNED),
                    _ => None,
                }
            }
            // ISO/IEC 23003-5.
            b"ipcm" | b"fpcm" => {
                let &[_, _, _, _, flags, bits, ..] = self.extension(b"pcmC")? else { return None };
                let make = if self.kind == b"ipcm" { Codec::whole } else { Codec::float };
                make(usize::from(bits).div_ceil(8), flags & 1 == 1)
            }
            _ => None,
        }
    }

    fn adpcm(&self, id: AudioCodecId) -> Option<Codec> {
        Codec::adpcm(id, self.block_bytes?.try_into().ok()?, self.channels)
    }

    fn packets(&self) -> Result<Option<AudioCodecParameters>> {
        let mut params = AudioCodecParameters::new();
        params.with_sample_rate(self.rate).with_channels(Channels::Discrete(self.channels));
        match self.kind {
            b".mp1" => params.for_codec(CODEC_ID_MP1),
            b".mp2" | b"ms\0\x50" => params.for_codec(CODEC_ID_MP2),
            b".mp3" | b"ms\0\x55" => params.for_codec(CODEC_ID_MP3),
            b"mp4a" => return self.elementary_stream(params),
            b"alac" => {
                let cookie = self.extension(b"alac").and_then(|found| found.get(4..));
                let cookie = cookie.ok_or_else(|| fault("its ALAC has no description"))?;
                if let Some(rate) = big(cookie).u32(20) {
                    params.with_sample_rate(rate);
                }
                params.for_codec(CODEC_ID_ALAC).with_extra_data(cookie.into())
            }
            b"fLaC" => {
                // Behind the heads of the box and of FLAC's first block.
                let info = self.extension(b"dfLa").and_then(|found| found.get(8..42));
                let info = info.ok_or_else(|| fault("its FLAC has no description"))?;
                if let Some(rate) = big(info).u32(10) {
                    params.with_sample_rate(rate >> 12);
                }
                params.for_codec(CODEC_ID_FLAC).with_extra_data(info.into())
            }
            b"Opus" => {
                let head = self.extension(b"dOps").and_then(opus_head);
                let head = head.ok_or_else(|| fault("its Opus has no description"))?;
                params.for_codec(CODEC_ID_OPUS).with_sample_rate(48_000).with_extra_data(head.into())
            }
            _ => return Ok(None),
        };
        Ok(Some(params))
    }

    /// By the descriptors of MPEG-4 (ISO/IEC 14496-1, 7.2.6).
    fn elementary_stream(&self, mut params: AudioCodecParameters) -> Result<Option<AudioCodecParameters>> {
        let stream = self.extension(b"esds").and_then(|found| stream_config(found.get(4..)?));
        let Some((object_type, config)) = stream else {
            return Err(fault("its AAC has no description"));
        };
        match object_type {
            // MPEG-4 and MPEG-2.
            0x40 | 0x66..=0x68 => {
                // A description of an upper band may state the rate of both.
                if let Some(config) = aac::Config::read(config) {
                    params.with_sample_rate(config.rate);
                }
                params.for_codec(CODEC_ID_AAC).with_extra_data(config.into())
            }
            0x69 | 0x6b => params.for_codec(CODEC_ID_MP3),
            _ => return Ok(None),
        };
        Ok(Some(params))
    }

    fn unsupported(&self) -> Error {
        let name = match self.kind {
            b"ac-3" | b"ec-3" => "AC-3",
            b"ac-4" => "AC-4",
            b"dtsc" | b"dtse" | b"dtsh" | b"dtsl" => "DTS",
            b"mlpa" => "TrueHD",
            b"samr" | b"sawb" => "AMR",
            b"agsm" => "GSM 6.10",
            b"MAC3" | b"MAC6" => "MACE",
            b"QDMC" | b"QDM2" => "QDesign",
            b"Qclp" | b"sqcp" => "QCELP",
            b"spex" => "Speex",
            b"enca" | b"drms" => "encrypted",
            b"mp4a" => "no AAC and no MP3",
            _ => "in a coding that is not read",
        };
        let kind = self.kind.escape_ascii();
        Error::unsupported(format!(
            "the MP4 audio is {name} (\"{kind}\", {} bits, {} channels): {READABLE}",
            self.bits, self.channels
        ))
    }
}

/// An `OpusHead` (RFC 7845 §5.1) of what is in a `dOps`, whose numbers have the other order of bytes.
fn opus_head(found: &[u8]) -> Option<Vec<u8>> {
    let &[_, channels, skip_high, skip_low, r3, r2, r1, r0, gain_high, gain_low, family, ..] = found else {
        return None;
    };
    let head = [1, channels, skip_low, skip_high, r0, r1, r2, r3, gain_low, gain_high, family];
    Some([b"OpusHead", &head[..]].concat())
}

/// The object type of an elementary stream, and its decoder's own description.
pub(in super::super) fn stream_config(descriptors: &[u8]) -> Option<(u8, &[u8])> {
    let stream = descriptor(descriptors, 3)?;
    let flags = *stream.get(2)?;
    let mut start = 3;
    start += if flags & 0x80 != 0 { 2 } else { 0 };
    start += if flags & 0x40 != 0 { 1 + usize::from(*stream.get(start)?) } else { 0 };
    start += if flags & 0x20 != 0 { 2 } else { 0 };
    let decoder = descriptor(stream.get(start..)?, 4)?;
    let config = decoder.get(13..).and_then(|rest| descriptor(rest, 5)).unwrap_or_default();
    Some((*decoder.first()?, config))
}

/// What is in the first descriptor with this tag. Its length is in bytes of 7 bits.
fn descriptor(mut bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        let tag = *bytes.first()?;
        let (mut size, mut at) = (0usize, 1);
        loop {
            let byte = *bytes.get(at)?;
            size = size << 7 | usize::from(byte & 0x7f);
            at += 1;
            if byte & 0x80 == 0 || at == 5 {
                break;
            }
        }
        let rest = bytes.get(at..)?;
        let (body, behind) = rest.split_at(size.min(rest.len()));
        if tag == wanted {
            return Some(body);
        }
        bytes = behind;
    }
}

fn fault(what: &str) -> Error {
    Error::media(format!("the MP4 file is damaged: {what}"))
}
