//! What of AAC is not read: the upper band of HE-AAC (spectral band replication, ISO/IEC 14496-3, 4.6.18). Its lower band is
//! AAC-LC at half of the rate, and is heard; that the rest is missing is told in the log, however the file announces it.

use symphonia::core::packet::Packet;

use super::container::Container;
use crate::log;

/// Frames that are looked at before a file without an announcement counts as HE-AAC or not.
const FRAMES: u32 = 16;
/// How many of them must have replication data: chance finds it in one frame of thirty.
const ENOUGH: u32 = 12;
/// Shorter frames are silence, whose replication data is not always there.
const SHORTEST: usize = 16;

/// Bits of the longest fill element: its head, and 269 bytes.
const MOST_BITS: usize = 15 + 269 * 8;

pub(super) const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What an `AudioSpecificConfig` says (ISO/IEC 14496-3, 1.6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// Of the lower band.
    pub rate: u32,
    /// Whether it announces an upper one.
    pub is_replicated: bool,
}

impl Config {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes, at: 0 };
        let kind = bits.object_type()?;
        let rate = bits.rate()?;
        bits.take(4)?;
        // The types SBR and PS stand before the lower band's, or in an extension behind it.
        let is_replicated = matches!(kind, 5 | 29) || bits.extension() == Some(true);
        Some(Config { rate, is_replicated })
    }
}

/// Looks for an upper band in the frames of a file.
pub(super) struct Watch {
    rate: u32,
    seen: u32,
    found: u32,
}

impl Watch {
    /// For a file with this `AudioSpecificConfig`, or of this rate; `None` where that has said it already.
    pub(super) fn new(config: Option<&[u8]>, rate: u32, container: Container) -> Option<Self> {
        let config = config.and_then(Config::read);
        let rate = config.map_or(rate, |config| config.rate);
        if config.is_some_and(|config| config.is_replicated) {
            warn(rate, container);
            return None;
        }
        Some(Watch { rate, seen: 0, found: 0 })
    }

    /// `false` when there is nothing more to look for.
    pub(super) fn look(&mut self, packet: &Packet, container: Container) -> bool {
        if packet.data.len() >= SHORTEST {
            self.seen += 1;
            self.found += u32::from(has_replication(&packet.data));
        }
        if self.found >= ENOUGH {
            warn(self.rate, container);
        }
        self.found < ENOUGH && self.seen < FRAMES
    }
}

fn warn(rate: u32, container: Container) {
    log::warning(&format!(
        "the {} audio is HE-AAC, of which the lower band is read (AAC-LC at {rate} Hz, so nothing above {} Hz): its upper \
         band (SBR) is not; where that matters, convert it to AAC-LC, or hand over its samples",
        container.name(),
        rate / 2
    ));
}

/// Whether a frame ends in a fill element with replication data. The elements before it can only be told apart by decoding
/// them, so it is looked for from the end, which is known: three bits of one, and zeros up to a whole byte.
fn has_replication(frame: &[u8]) -> bool {
    let Some(last) = frame.iter().rposition(|&byte| byte != 0) else { return false };
    let last_bit = last * 8 + 7 - frame[last].trailing_zeros() as usize;
    let bits = Bits { bytes: frame, at: 0 };
    let mut ends = vec![last_bit.saturating_sub(2)];
    // Further fill elements may stand behind it.
    for _ in 0..3 {
        let mut before = Vec::new();
        for end in ends {
            for start in (end.saturating_sub(MOST_BITS)..end).filter(|start| (end - start) % 8 == 7) {
                match bits.fill_element(start, end) {
                    Some(13 | 14) => return true,
                    Some(0 | 1) => before.push(start),
                    _ => {}
                }
            }
        }
        before.sort_unstable();
        before.dedup();
        ends = before;
    }
    false
}

#[derive(Clone, Copy)]
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for at in self.at..self.at + count {
            value = value << 1 | u32::from(self.bytes.get(at / 8)? >> (7 - at % 8) & 1);
        }
        self.at += count;
        Some(value)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            kind => Some(kind),
        }
    }

    fn rate(&mut self) -> Option<u32> {
        match self.take(4)? {
            15 => self.take(24),
            index => RATES.get(index as usize).copied(),
        }
    }

    /// Whether an extension behind the description of the lower band (of AAC-LC) announces replication.
    fn extension(&mut self) -> Option<bool> {
        self.take(3)?;
        let is_extension = self.take(11)? == 0x2b7;
        let is_replication = matches!(self.object_type()?, 5 | 29);
        Some(is_extension && is_replication && self.take(1)? == 1)
    }

    /// What is in a fill element from one bit to another: the type of its extension.
    fn fill_element(mut self, start: usize, end: usize) -> Option<u32> {
        self.at = start;
        (self.take(3)? == 6).then_some(())?;
        let mut count = self.take(4)? as usize;
        if count == 15 {
            count = (14 + self.take(8)?) as usize;
        }
        (count > 0 && self.at + 8 * count == end).then_some(())?;
        self.take(4)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::noise;
    use super::*;

    /// Numbers of so many bits, filled up to whole bytes.
    fn bytes(fields: &[(u32, usize)]) -> Vec<u8> {
        let bits: Vec<u8> = fields
            .iter()
            .flat_map(|&(value, count)| (0..count).rev().map(move |bit| (value >> bit & 1) as u8))
            .collect();
        bits.chunks(8)
            .map(|byte| byte.iter().enumerate().fold(0, |sum, (at, bit)| sum | bit << (7 - at)))
            .collect()
    }

    /// A frame of `len` bytes of sound and some bits, and then fill elements: their types, and their sizes in bytes.
    fn frame(len: usize, bits: usize, fills: &[(u32, usize)]) -> Vec<u8> {
        let mut fields: Vec<(u32, usize)> = noise(len, 2).into_iter().map(|byte| (byte.into(), 8)).collect();
        fields.push((0, bits));
        for &(kind, size) in fills {
            fields.push((6, 3));
            match size {
                0..15 => fields.push((size as u32, 4)),
                _ => fields.extend([(15, 4), (size as u32 - 14, 8)]),
            }
            fields.extend([(kind, 4), (5, 4)]);
            fields.extend(noise(size - 1, 4).into_iter().map(|byte| (byte.into(), 8)));
        }
        fields.push((7, 3));
        bytes(&fields)
    }

    #[test]
    fn replication_is_found_wherever_the_frame_ends() {
        for bits in 0..8 {
            for fills in [&[(13, 9)][..], &[(14, 40)], &[(13, 15)], &[(13, 20), (0, 3)], &[(14, 3), (1, 60)]]
            {
                assert!(has_replication(&frame(90, bits, fills)), "{bits} {fills:?}");
            }
        }
        let chance = (0..400).filter(|&len| has_replication(&frame(len, len % 8, &[(0, 5)]))).count();
        assert!(chance < 25, "{chance} of 400");
        assert!(!has_replication(&[0; 40]) && !has_replication(&[]));
        (0..99).for_each(|len| assert!(!has_replication(&vec![0x80; len])));
    }

    #[test]
    fn a_file_is_watched_until_it_is_known() {
        let looks = |frame: Vec<u8>| {
            let mut watch = Watch::new(None, 22_050, Container::Adts).unwrap();
            let packet = Packet::new(0, Default::default(), Default::default(), frame);
            (1..100).find(|_| !watch.look(&packet, Container::Adts)).map(|looks| (looks, watch.found))
        };
        assert_eq!(looks(frame(90, 3, &[(13, 20)])), Some((ENOUGH, ENOUGH)));
        assert_eq!(looks(frame(90, 3, &[(11, 20)])), Some((FRAMES, 0)));
    }

    #[test]
    fn an_announcement_is_read() {
        let read = |fields: &[(u32, usize)]| Config::read(&bytes(fields));
        let config = |rate, is_replicated| Some(Config { rate, is_replicated });
        let plain = [(2, 5), (7, 4), (2, 4), (0, 3)];
        assert_eq!(read(&plain), config(22_050, false));
        assert_eq!(read(&[(2, 5), (15, 4), (12_345, 24), (1, 4)]), config(12_345, false));
        // Before the lower band's type, with parametric stereo, and behind it.
        assert_eq!(read(&[(5, 5), (7, 4), (2, 4), (4, 4), (2, 5), (0, 3)]), config(22_050, true));
        assert_eq!(read(&[(29, 5), (6, 4), (1, 4), (3, 4), (2, 5), (0, 3)]), config(24_000, true));
        let behind = |there: u32| [&plain[..], &[(0x2b7, 11), (5, 5), (there, 1), (4, 4)]].concat();
        assert_eq!(read(&behind(1)), config(22_050, true));
        assert_eq!(read(&behind(0)), config(22_050, false));
        assert_eq!(read(&[(2, 5)]), None);
    }
}
