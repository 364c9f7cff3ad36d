//! How shared libraries are called on this platform.

/// The file name of a shared library, `librmlx.so` for example.
pub fn file_name(name: &str) -> String {
    format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}
