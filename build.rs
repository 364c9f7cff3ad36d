//! Linker arguments: where MLX is found at run time, and which symbols leave the shared library.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if system == "linux" {
        linux();
    }
}

fn linux() {
    // Written by `cargo xtask setup`, by way of the configuration that stands in for mlx-sys's build script.
    println!("cargo::rerun-if-env-changed=DEP_MLX_LIBRARIES");
    let Ok(libraries) = env::var("DEP_MLX_LIBRARIES") else {
        println!("cargo::error=MLX is not set up: run `cargo xtask setup` first");
        return;
    };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
}
