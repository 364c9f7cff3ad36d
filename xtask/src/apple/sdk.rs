//! Apple's SDK has to know the Metal of the newest kernels; an older one fails somewhere in their midst.

use std::process::Command;

use anyhow::{Result, ensure};

use super::Slice;
use super::kernels::NAX_SYSTEM;
use crate::process;

/// An error that says what to install, if the SDK of the slice is too old for the kernels for neural accelerators.
pub fn check(slice: Slice) -> Result<()> {
    let version = process::capture(Command::new("xcrun").args(["-sdk", slice.sdk(), "--show-sdk-version"]))?;
    let version = version.trim();
    ensure!(
        is_enough(version),
        "the SDK {} is version {version}: MLX's kernels need {NAX_SYSTEM} or later. Choose a newer Xcode with \
         `xcode-select --switch` or DEVELOPER_DIR",
        slice.sdk()
    );
    Ok(())
}

fn is_enough(version: &str) -> bool {
    let numbers =
        |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    numbers(version) >= numbers(NAX_SYSTEM)
}

#[cfg(test)]
mod tests {
    use super::is_enough;

    #[test]
    fn an_sdk_without_the_newest_metal_is_too_old() {
        assert!(["26.2", "26.2.1", "26.10", "27.0"].into_iter().all(is_enough));
        assert!(!["15.5", "18.5", "26.0", "26.1.9", ""].into_iter().any(is_enough));
    }
}
