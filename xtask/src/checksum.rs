//! What a file is known by.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The SHA-256 of a file, in hexadecimal digits.
pub fn sha256(file: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    std::io::copy(&mut opened, &mut hash)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
