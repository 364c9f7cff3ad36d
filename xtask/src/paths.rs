//! Where things are in this checkout.

use std::path::PathBuf;

/// The folder of the workspace's Cargo.toml.
pub fn root() -> PathBuf {
    // Cargo sets the variable for what it runs; the compiled-in value is for the bare executable.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// The folder of native sources that the set-up compiles.
pub fn native() -> PathBuf {
    root().join("xtask/native")
}

/// The generated Cargo configuration that `.cargo/config.toml` takes in.
pub fn mlx_config() -> PathBuf {
    root().join(".cargo/mlx.toml")
}
