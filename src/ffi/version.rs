//! Which rmlx this is, and what it can do.

use std::ffi::c_char;

use super::boundary::{c_text, value};
use crate::engine::{has_gpu, has_group_backend};

/// The ABI that this header describes; compare it with rmlx_abi_version().
///
/// The number grows when functions, constants or fields are added. Nothing is ever taken away and no
/// signature changes, so a program built with this header runs with every library whose
/// rmlx_abi_version() is at least this.
pub const RMLX_ABI_VERSION: u32 = 1;

/// The version of the library that is running, for people: "0.1.0".
///
/// Returns: a text that lives as long as the library.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The ABI of the library that is running; see RMLX_ABI_VERSION.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_abi_version() -> u32 {
    RMLX_ABI_VERSION
}

/// Whether the library that is running, on this machine, has a feature:
///
/// - "image", "audio": pictures and sounds can be decoded; "video": videos can be made of pictures
///   (whether a model understands them is the model's matter: see rmlx_model_info_json)
/// - "gpu": MLX has a GPU here, so models are put there unless the load options say otherwise
/// - "metal": this GPU is Apple's, through Metal
/// - "suspend": rmlx_suspend and rmlx_resume pause all work
/// - "session_save": sessions can be saved and loaded
/// - "ring", "jaccl", "nccl", "mpi": the processes of a group can talk in this way (rmlx_load_options_set_group)
///
/// Returns: false also for NULL and for a name that this version does not know.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_has_feature(name: *const c_char) -> bool {
    value(false, || {
        // SAFETY: the caller passes NULL or a NUL-terminated text.
        let name = unsafe { c_text(name, "name") };
        match name {
            Ok("image" | "audio" | "video" | "suspend" | "session_save") => true,
            Ok("gpu") => has_gpu(),
            Ok("metal") => cfg!(target_vendor = "apple") && has_gpu(),
            Ok(name) => has_group_backend(name),
            Err(_) => false,
        }
    })
}
