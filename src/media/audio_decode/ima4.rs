//! Apple's IMA ADPCM ("ima4"): per channel, blocks of 34 bytes for 64 samples. As ffmpeg's `adpcm_ima_qt`.

/// Bytes of one channel's block, of which two are its head.
pub(super) const BLOCK: usize = 34;
/// Frames of a block.
pub(super) const FRAMES: usize = 64;

/// IMA's steps (IMA Digital Audio Focus and Technical Working Groups, 1992).
const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88,
    97, 107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658,
    724, 796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660,
    4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818,
    18500, 20350, 22385, 24623, 27086, 29794, 32767,
];
/// How a code moves the index of the step, by its lower three bits.
const MOVES: [i32; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

/// The channels' decoders, which go on from block to block.
pub(super) struct Ima4 {
    channels: Vec<Channel>,
}

#[derive(Clone, Default)]
struct Channel {
    sample: i32,
    step: i32,
}

impl Ima4 {
    pub(super) fn new(channels: u16) -> Self {
        Ima4 { channels: vec![Channel::default(); channels.into()] }
    }

    /// Appends the frames of whole blocks, interleaved, in -1..1.
    pub(super) fn decode(&mut self, bytes: &[u8], out: &mut Vec<f32>) {
        let count = self.channels.len();
        for group in bytes.chunks_exact(BLOCK * count) {
            let start = out.len();
            out.resize(start + FRAMES * count, 0.0);
            for (index, (channel, block)) in
                self.channels.iter_mut().zip(group.chunks_exact(BLOCK)).enumerate()
            {
                channel.begin(u16::from_be_bytes([block[0], block[1]]));
                let codes = block[2..].iter().flat_map(|byte| [byte & 15, byte >> 4]);
                for (frame, code) in codes.enumerate() {
                    out[start + frame * count + index] = channel.next(code) as f32 / 32_768.0;
                }
            }
        }
    }
}

impl Channel {
    /// The head has the upper nine bits of the last sample. Where they say no more than what is known, that goes on.
    fn begin(&mut self, head: u16) {
        let (sample, step) =
            (i32::from((head & 0xff80) as i16), i32::from(head & 0x7f).min(STEPS.len() as i32 - 1));
        if step != self.step || (sample - self.sample).abs() > 0x7f {
            (self.sample, self.step) = (sample, step);
        }
    }

    fn next(&mut self, code: u8) -> i32 {
        let step = STEPS[self.step as usize];
        let parts = [(4, step), (2, step >> 1), (1, step >> 2)].into_iter();
        let change: i32 =
            (step >> 3) + parts.filter(|(bit, _)| code & bit != 0).map(|(_, part)| part).sum::<i32>();
        let moved = if code & 8 != 0 { self.sample - change } else { self.sample + change };
        self.sample = moved.clamp(i16::MIN.into(), i16::MAX.into());
        self.step = (self.step + MOVES[usize::from(code & 7)]).clamp(0, STEPS.len() as i32 - 1);
        self.sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone over five blocks, coded by Python's `audioop.lin2adpcm`, whose state goes on from block to block.
    const TONE: [&str; 5] = [
        "0000707777773781008899aaacbcbbbcacabab9a88216353533334343343221181a8",
        "2bafcbbdbdccbbcbbbacaaa98811434444333533433332218198dbccbcbcbcbcbbbb",
        "dab6bbaa89205354433443433332332201a8cbcddbcbbbbcacbbaaaa891033464334",
        "f0b83443333333220298cbbdcdcbbbbcacababaa8918324544433344323223220190",
        "282ebacdbcbdcbcbabbbbbaa8a18414453434343323323231190c9dbbcbdcbcbbbbb",
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn decoded(channels: u16, bytes: &[u8]) -> Vec<i32> {
        let mut out = Vec::new();
        Ima4::new(channels).decode(bytes, &mut out);
        out.iter().map(|sample| (sample * 32_768.0) as i32).collect()
    }

    #[test]
    fn blocks_go_on_from_one_another_as_audioop_decodes_them() {
        let samples = decoded(1, &bytes(&TONE.concat()));
        assert_eq!(samples[60..70], [11798, 11689, 11590, 11138, 10563, 9891, 8896, 7969, 6646, 5413]);
        assert_eq!(samples[312..], [2183, 1198, 271, -812, -1831, -2758, -3599, -4365]);
    }

    #[test]
    fn a_head_that_says_something_else_begins_anew_and_channels_are_their_own() {
        let [first, far] = [bytes(TONE[0]), bytes("7fd8").into_iter().chain([0; 32]).collect()];
        let both = decoded(2, &[first.clone(), far].concat());
        let left: Vec<i32> = both.iter().copied().step_by(2).collect();
        assert_eq!(left, decoded(1, &first));
        // 0x7f80 is the sample, and 0x58 the last step, of which an eighth is added.
        assert_eq!(both[1], i32::from(i16::MAX));
        assert_eq!(decoded(1, &[bytes("8000"), vec![0; 32]].concat())[..2], [-32_768, -32_768]);
    }
}
