//! What the operating system is asked and told where MLX needs more than the standard library has. On anything but
//! Apple's systems there is nothing to ask or tell.

pub mod links;
pub mod room;
pub mod threads;

/// Whose rules of memory hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// The system ends apps that take too much; it has no swap.
    Ios,
    /// Memory is shared with the GPU, and with everything else that runs.
    MacOs,
    Other,
}

impl Platform {
    pub fn current() -> Platform {
        if cfg!(target_os = "macos") {
            Platform::MacOs
        } else if cfg!(target_vendor = "apple") {
            Platform::Ios
        } else {
            Platform::Other
        }
    }
}

/// How soon the work of a thread is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody waits for each result.
    Interactive,
    /// Somebody watches its progress.
    Loading,
}

/// Runs `work` as what is watched only: a load. The thread's later work is waited for again, after a panic too.
pub fn unhurried<R>(work: impl FnOnce() -> R) -> R {
    struct Hurry;
    impl Drop for Hurry {
        fn drop(&mut self) {
            hurry(Urgency::Interactive);
        }
    }
    hurry(Urgency::Loading);
    let _hurry = Hurry;
    work()
}

pub use imp::{available_memory, hurry, image_folder, physical_memory, version, with_pool};

#[cfg(target_vendor = "apple")]
mod imp {
    use std::ffi::{CStr, OsStr, c_void};
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    use super::Urgency;

    #[link(name = "objc")]
    unsafe extern "C" {
        fn objc_autoreleasePoolPush() -> *mut c_void;
        fn objc_autoreleasePoolPop(pool: *mut c_void);
    }

    #[cfg(not(target_os = "macos"))]
    unsafe extern "C" {
        fn os_proc_available_memory() -> usize;
    }

    /// Bytes that the app may still take before the system ends it. A Mac has no such bound.
    pub fn available_memory() -> Option<u64> {
        #[cfg(not(target_os = "macos"))]
        // SAFETY: takes nothing, and is there since iOS 13. 0 tells nothing: no app, or one that is over its limit.
        return Some(unsafe { os_proc_available_memory() } as u64).filter(|bytes| *bytes > 0);
        #[cfg(target_os = "macos")]
        None
    }

    /// Bytes of the machine's memory.
    pub fn physical_memory() -> Option<u64> {
        let mut bytes = 0u64;
        let mut length = size_of::<u64>();
        // SAFETY: the name is a C string, and the number is as long as the call is told.
        let status = unsafe {
            libc::sysctlbyname(
                c"hw.memsize".as_ptr(),
                (&raw mut bytes).cast(),
                &raw mut length,
                std::ptr::null_mut(),
                0,
            )
        };
        (status == 0).then_some(bytes)
    }

    /// Tells the scheduler how urgent the calling thread's work is from now on.
    pub fn hurry(urgency: Urgency) {
        let class = match urgency {
            Urgency::Interactive => libc::qos_class_t::QOS_CLASS_USER_INITIATED,
            Urgency::Loading => libc::qos_class_t::QOS_CLASS_UTILITY,
        };
        // SAFETY: changes the calling thread only. It can fail only where the thread was given a priority by other
        // means, which then stays.
        unsafe { libc::pthread_set_qos_class_self_np(class, 0) };
    }

    /// Runs `work` inside an autorelease pool, so that what Metal leaves to it goes when the work is done.
    pub fn with_pool<R>(work: impl FnOnce() -> R) -> R {
        struct Pool(*mut c_void);
        impl Drop for Pool {
            fn drop(&mut self) {
                // SAFETY: the token of the push, on the same thread, popped once and in order, as scopes are.
                unsafe { objc_autoreleasePoolPop(self.0) };
            }
        }
        // SAFETY: takes nothing; `Pool` pops it.
        let _pool = Pool(unsafe { objc_autoreleasePoolPush() });
        work()
    }

    /// The system's version, such as `26.2`.
    pub fn version() -> Option<String> {
        let mut text = [0u8; 64];
        let mut length = text.len() - 1;
        // SAFETY: the name is a C string, and the buffer is longer than `length`, which the call sets to what it wrote.
        let status = unsafe {
            libc::sysctlbyname(
                c"kern.osproductversion".as_ptr(),
                text.as_mut_ptr().cast(),
                &raw mut length,
                std::ptr::null_mut(),
                0,
            )
        };
        (status == 0).then(|| CStr::from_bytes_until_nul(&text).ok()?.to_str().ok().map(str::to_owned))?
    }

    /// The folder of the binary image that this code is in.
    pub fn image_folder() -> Option<PathBuf> {
        let here = image_folder as fn() -> Option<PathBuf>;
        let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
        // SAFETY: any address may be asked for; zeros are a valid `Dl_info`, whose name is then null.
        let info = unsafe {
            libc::dladdr(here as *const c_void, info.as_mut_ptr());
            info.assume_init()
        };
        if info.dli_fname.is_null() {
            return None;
        }
        // SAFETY: a C string that lives as long as the image, which this code is part of.
        let name = unsafe { CStr::from_ptr(info.dli_fname) };
        Path::new(OsStr::from_bytes(name.to_bytes())).parent().map(Path::to_owned)
    }
}

#[cfg(not(target_vendor = "apple"))]
mod imp {
    use std::path::PathBuf;

    use super::Urgency;

    pub fn available_memory() -> Option<u64> {
        None
    }

    pub fn physical_memory() -> Option<u64> {
        None
    }

    pub fn hurry(_: Urgency) {}

    pub fn with_pool<R>(work: impl FnOnce() -> R) -> R {
        work()
    }

    pub fn version() -> Option<String> {
        None
    }

    pub fn image_folder() -> Option<PathBuf> {
        None
    }
}
