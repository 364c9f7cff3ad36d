//! Bounds the stack that a template can make the parser and the renderer take.

use super::error::{Error, Result};

/// Half of what a secondary thread has on Apple's systems.
const MOST: usize = 256 << 10;

/// Where the stack was when the work began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    base: usize,
}

impl Stack {
    pub fn here() -> Self {
        Self { base: address() }
    }

    /// An error where the stack has grown too much since.
    pub fn check(self) -> Result<()> {
        if self.base.abs_diff(address()) > MOST {
            return Err(Error::new("the template nests too deeply"));
        }
        Ok(())
    }
}

#[inline(never)]
fn address() -> usize {
    let marker = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&marker)).addr()
}
