//! Huffman codes and the blocks that they stand for.

use super::corrupt;
use super::scans::Block;
use crate::error::{Error, Result};

/// Bits that are looked up at once.
const LOOK: usize = 9;
/// The longest code, in bits.
const LONGEST: usize = 16;
/// Most bits that are taken without filling up: a code and what belongs to it.
const MOST_TAKEN: u32 = 32;

/// From the order of the file to rows of eight.
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// A Huffman code.
pub struct Code {
    /// By the next [`LOOK`] bits: a code's length times 256 and its value; 0 for longer codes.
    look: [u16; 1 << LOOK],
    /// By length: the last code, or -1.
    last: [i32; LONGEST + 1],
    /// By length: what to add to a code for its place in `values`.
    offset: [i32; LONGEST + 1],
    values: Vec<u8>,
}

impl Code {
    /// A code of `counts[i]` words of i + 1 bits, which stand for `values`.
    pub fn new(counts: &[u8; LONGEST], values: &[u8]) -> Result<Code> {
        let mut code = Code {
            look: [0; 1 << LOOK],
            last: [-1; LONGEST + 1],
            offset: [0; LONGEST + 1],
            values: values.to_vec(),
        };
        let (mut word, mut at) = (0usize, 0usize);
        for (length, &count) in (1..).zip(counts) {
            let count = usize::from(count);
            if word + count > 1 << length || at + count > values.len() {
                return Err(corrupt("a Huffman code has too many words"));
            }
            code.offset[length] = at as i32 - word as i32;
            for &value in &values[at..at + count] {
                if length <= LOOK {
                    let first = word << (LOOK - length);
                    code.look[first..first + (1 << (LOOK - length))]
                        .fill((length << 8) as u16 | u16::from(value));
                }
                code.last[length] = word as i32;
                (word, at) = (word + 1, at + 1);
            }
            word <<= 1;
        }
        Ok(code)
    }
}

/// The bits of a scan, up to the next marker.
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte, or the marker's FF.
    pub at: usize,
    /// The next bits, from the highest down; at least `count` of them.
    window: u64,
    count: u32,
    /// Those of the `count` that the file does not have.
    missing: u32,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Bits { bytes, at, window: 0, count: 0, missing: 0 }
    }

    /// Goes over the restart marker of this number, behind which bits begin anew.
    pub fn restart(&mut self, number: u8) -> Result<()> {
        let mut at = self.at;
        while let Some(&[first, second]) = self.bytes.get(at..at + 2).and_then(|b| b.first_chunk()) {
            match (first, second) {
                (0xff, 0xff) => at += 1,
                (0xff, 0) => at += 2,
                (0xff, kind) if kind == 0xd0 + number => {
                    *self = Bits::new(self.bytes, at + 2);
                    return Ok(());
                }
                (0xff, _) => break,
                _ => at += 1,
            }
        }
        Err(corrupt("a restart marker is missing"))
    }

    /// Makes [`MOST_TAKEN`] bits be there.
    #[inline]
    fn fill(&mut self) {
        if self.count < MOST_TAKEN {
            self.fill_up();
        }
    }

    fn fill_up(&mut self) {
        if let Some(next) = self.bytes.get(self.at..self.at + 8).and_then(|b| b.first_chunk::<8>()) {
            let next = u64::from_be_bytes(*next);
            // No byte is FF: none of its complement is 0.
            if (!next).wrapping_sub(0x0101_0101_0101_0101) & next & 0x8080_8080_8080_8080 == 0 {
                let bytes = (64 - self.count) / 8;
                // Bits beyond `count` are those that the next filling brings again.
                self.window |= next >> self.count;
                self.count += 8 * bytes;
                self.at += bytes as usize;
                return;
            }
        }
        while self.count <= 56 {
            let byte = match self.bytes.get(self.at..) {
                Some([0xff, 0, ..]) => {
                    self.at += 2;
                    0xff
                }
                Some([byte, ..]) if *byte != 0xff => {
                    self.at += 1;
                    *byte
                }
                _ => {
                    self.missing += 8;
                    0
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline]
    fn drop_bits(&mut self, bits: u32) {
        self.window <<= bits;
        self.count -= bits;
    }

    /// The next `bits`, from 1 to 16, as a number.
    #[inline]
    fn take(&mut self, bits: u32) -> i32 {
        let number = (self.window >> (64 - bits)) as i32;
        self.drop_bits(bits);
        number
    }

    fn bit(&mut self) -> bool {
        self.fill();
        self.take(1) == 1
    }

    /// What the next code word stands for. At least 16 bits are there.
    #[inline]
    fn symbol(&mut self, code: &Code) -> Result<u8> {
        let entry = code.look[(self.window >> (64 - LOOK)) as usize];
        if entry != 0 {
            self.drop_bits(u32::from(entry >> 8));
            return Ok(entry as u8);
        }
        let next = (self.window >> (64 - LONGEST)) as i32;
        for length in LOOK + 1..=LONGEST {
            let word = next >> (LONGEST - length);
            if word <= code.last[length] {
                self.drop_bits(length as u32);
                return Ok(code.values.get((word + code.offset[length]) as usize).copied().unwrap_or(0));
            }
        }
        Err(corrupt("its data has no Huffman code"))
    }

    /// The number of `bits` bits whose first says its sign.
    #[inline]
    fn signed(&mut self, bits: u32) -> i32 {
        if bits == 0 {
            return 0;
        }
        let number = self.take(bits);
        if number < 1 << (bits - 1) { number - (1 << bits) + 1 } else { number }
    }

    /// An error where more was taken than there is.
    #[inline]
    fn check(&self) -> Result<()> {
        if self.count < self.missing { Err(ends_early()) } else { Ok(()) }
    }
}

#[cold]
fn ends_early() -> Error {
    corrupt("the data of a scan ends early")
}

/// What a scan remembers between its blocks.
#[derive(Default)]
pub struct Memory {
    /// The last DC coefficient of each component.
    pub dc: [i32; 4],
    /// Blocks that follow with nothing new in them.
    pub empty: u32,
}

/// Coefficients of a progressive scan, and how many of their low bits are left to later ones.
#[derive(Clone, Copy)]
pub struct Band {
    pub first: usize,
    pub last: usize,
    pub shift: u32,
}

#[inline]
fn dc_difference(bits: &mut Bits, code: &Code) -> Result<i32> {
    bits.fill();
    let size = u32::from(bits.symbol(code)?);
    if size > 15 {
        return Err(corrupt("a DC coefficient has more than 15 bits"));
    }
    Ok(bits.signed(size))
}

/// A whole block of a sequential scan.
pub fn sequential(bits: &mut Bits, dc: &Code, ac: &Code, last: &mut i32, block: &mut Block) -> Result<()> {
    *last = last.wrapping_add(dc_difference(bits, dc)?);
    block[0] = *last as i16;
    let mut k = 1;
    while k < 64 {
        bits.fill();
        let symbol = bits.symbol(ac)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            if zeros != 15 {
                break;
            }
            k += 16;
            continue;
        }
        k += zeros;
        let value = bits.signed(size) as i16;
        *at(block, k)? = value;
        k += 1;
    }
    bits.check()
}

/// The coefficient at a place of the file's order.
#[inline]
fn at(block: &mut Block, k: usize) -> Result<&mut i16> {
    let place = ZIGZAG.get(k).ok_or_else(|| corrupt("a block has more than 64 coefficients"))?;
    Ok(&mut block[usize::from(*place & 63)])
}

pub fn dc_first(bits: &mut Bits, code: &Code, last: &mut i32, shift: u32, block: &mut Block) -> Result<()> {
    *last = last.wrapping_add(dc_difference(bits, code)?);
    block[0] = last.wrapping_shl(shift) as i16;
    bits.check()
}

pub fn dc_again(bits: &mut Bits, shift: u32, block: &mut Block) -> Result<()> {
    if bits.bit() {
        block[0] |= 1 << shift;
    }
    bits.check()
}

/// How many blocks a symbol without a coefficient says to be empty, this one among them.
fn empty_blocks(bits: &mut Bits, size: u32) -> u32 {
    let more = if size == 0 { 0 } else { bits.take(size) as u32 };
    (1 << size) + more
}

pub fn ac_first(bits: &mut Bits, code: &Code, empty: &mut u32, band: Band, block: &mut Block) -> Result<()> {
    if *empty > 0 {
        *empty -= 1;
        return Ok(());
    }
    let mut k = band.first;
    while k <= band.last {
        bits.fill();
        let symbol = bits.symbol(code)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size != 0 {
            k += zeros;
            let value = bits.signed(size) << band.shift;
            *at(block, k)? = value as i16;
        } else if zeros == 15 {
            k += 15;
        } else {
            *empty = empty_blocks(bits, zeros as u32) - 1;
            break;
        }
        k += 1;
    }
    bits.check()
}

pub fn ac_again(bits: &mut Bits, code: &Code, empty: &mut u32, band: Band, block: &mut Block) -> Result<()> {
    let one = 1i16 << band.shift;
    let mut k = band.first;
    while *empty == 0 && k <= band.last {
        bits.fill();
        let symbol = bits.symbol(code)?;
        let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
        let mut new = None;
        if size != 0 {
            new = Some(if bits.bit() { one } else { -one });
        } else if zeros != 15 {
            *empty = empty_blocks(bits, zeros as u32);
            break;
        }
        k = over_zeros(bits, k, band.last, zeros, one, block)?;
        if let Some(new) = new {
            *at(block, k)? = new;
        }
        k += 1;
    }
    if *empty > 0 {
        if k <= band.last {
            over_zeros(bits, k, band.last, usize::MAX, one, block)?;
        }
        *empty -= 1;
    }
    bits.check()
}

/// Goes from coefficient `k` over so many that are 0, giving each other one its next bit: the place of the zero behind
/// them, or that behind `last`.
fn over_zeros(
    bits: &mut Bits,
    mut k: usize,
    last: usize,
    mut zeros: usize,
    one: i16,
    block: &mut Block,
) -> Result<usize> {
    while k <= last {
        let coefficient = at(block, k)?;
        if *coefficient != 0 {
            if bits.bit() && *coefficient & one == 0 {
                *coefficient = coefficient.wrapping_add(if *coefficient > 0 { one } else { -one });
            }
        } else if zeros == 0 {
            break;
        } else {
            zeros -= 1;
        }
        k += 1;
    }
    Ok(k)
}
