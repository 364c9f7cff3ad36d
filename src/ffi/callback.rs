//! Callbacks: what they have in common.

use std::ffi::c_void;

/// Called once with the user data of a callback that is no longer needed, to free it.
///
/// It may run on any thread but the MLX thread, and must not call rmlx.
pub type rmlx_destroy_callback = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The user data of a callback; the host's destroy function runs when the last user lets go of it.
pub(super) struct UserData {
    pointer: *mut c_void,
    destroy: rmlx_destroy_callback,
}

impl UserData {
    pub fn new(pointer: *mut c_void, destroy: rmlx_destroy_callback) -> Self {
        Self { pointer, destroy }
    }

    pub fn get(&self) -> *mut c_void {
        self.pointer
    }

    /// Gives it back to a caller whose call has failed: nothing is destroyed.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

// SAFETY: the header tells the host that callbacks and their destroy functions run on threads of the library's
// choosing; the pointer itself is never followed here.
unsafe impl Send for UserData {}
// SAFETY: as above; the header also says which callbacks may run at the same time.
unsafe impl Sync for UserData {}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the host gave this function for this pointer, and this is its only call.
            unsafe { destroy(self.pointer) };
        }
    }
}
