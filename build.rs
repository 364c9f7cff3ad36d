//! Linker arguments: where MLX is found at run time, and what the shared library is called.
//!
//! `cargo xtask setup` writes the folder of MLX into the configuration that stands in for mlx-sys's build
//! script. On Linux everything that is linked here finds it by its absolute path; the shared library looks beside itself first,
//! as it does in a distribution.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match env::var("CARGO_CFG_TARGET_OS").unwrap_or_default().as_str() {
        "linux" => linux(),
        "macos" | "ios" => apple(),
        _ => {}
    }
}

fn linux() {
    let Ok(libraries) = env::var("DEP_MLX_LIBRARIES") else {
        println!("cargo::error=MLX is not set up: run `cargo xtask setup` first");
        return;
    };
    // Its number changes when programs that are linked with it would have to be built anew.
    let major = env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    cdylib(&format!("-soname,librmlx.so.{major}"));
    cdylib("-rpath,$ORIGIN");
    // Dependencies declare C functions of their own; only the header's leave the library.
    cdylib("--exclude-libs,ALL");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{libraries}");
}

fn apple() {
    let Some(libraries) = env::var_os("DEP_MLX_LIBRARIES").map(PathBuf::from) else {
        println!("cargo::error=MLX is not set up: run `cargo xtask setup` first");
        return;
    };
    // Where the kernels are for what is run from this checkout. A library that is shipped looks beside itself alone.
    println!("cargo::rerun-if-env-changed=RMLX_SHIPPED");
    if env::var_os("RMLX_SHIPPED").is_none() {
        println!("cargo::rustc-env=RMLX_METAL_FOLDER={}", libraries.display());
    }
    cdylib("-install_name,@rpath/librmlx.dylib");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    cdylib(&format!("-current_version,{version}"));
    cdylib(&format!("-compatibility_version,{version}"));
}

fn cdylib(argument: &str) {
    println!("cargo::rustc-link-arg-cdylib=-Wl,{argument}");
}
