//! MLX's distributed groups: several processes that compute one thing together.

use std::ffi::CStr;

use mlx_rs::{Array, Stream};

use super::call;
use crate::error::{Code, Error, Result};
use crate::snapshot::keep_errors;

/// One of the ways that MLX's processes talk to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// TCP, or Thunderbolt as a network.
    Ring,
    /// RDMA between Macs.
    Jaccl,
    /// NVIDIA's, between GPUs.
    Nccl,
    Mpi,
}

impl Backend {
    pub const ALL: [Backend; 4] = [Backend::Ring, Backend::Jaccl, Backend::Nccl, Backend::Mpi];

    /// As MLX names it.
    pub fn name(self) -> &'static str {
        self.c_name().to_str().unwrap_or_default()
    }

    fn c_name(self) -> &'static CStr {
        match self {
            Backend::Ring => c"ring",
            Backend::Jaccl => c"jaccl",
            Backend::Nccl => c"nccl",
            Backend::Mpi => c"mpi",
        }
    }

    /// Whether this build of MLX has it.
    pub fn is_available(self) -> bool {
        keep_errors();
        // SAFETY: a C string.
        unsafe { mlx_sys::mlx_distributed_is_available(self.c_name().as_ptr()) }
    }
}

/// A handle of a group that this process belongs to.
pub struct Handle {
    group: mlx_sys::mlx_distributed_group,
    backend: Backend,
}

// SAFETY: the handle is a counted reference to what MLX keeps for the whole process; only the thread that has it uses it.
unsafe impl Send for Handle {}

impl Handle {
    /// Joins the group that the environment describes, and waits for all others to do so.
    pub fn join(backend: Backend) -> Result<Handle> {
        keep_errors();
        // SAFETY: an empty handle, which is filled on success and freed once; the name is a C string.
        unsafe {
            let mut group = mlx_sys::mlx_distributed_group_new();
            if mlx_sys::mlx_distributed_init(&raw mut group, true, backend.c_name().as_ptr()) == 0 {
                return Ok(Handle { group, backend });
            }
            mlx_sys::mlx_distributed_group_free(group);
        }
        let message = format!("MLX cannot join the group through {}", backend.name());
        Err(Error::new(Code::Backend, message).with("backend", backend.name()))
    }

    pub fn backend(&self) -> Backend {
        self.backend
    }

    pub fn rank(&self) -> usize {
        // SAFETY: the handle is live.
        usize::try_from(unsafe { mlx_sys::mlx_distributed_group_rank(self.group) }).unwrap_or(0)
    }

    pub fn size(&self) -> usize {
        // SAFETY: the handle is live.
        usize::try_from(unsafe { mlx_sys::mlx_distributed_group_size(self.group) }).unwrap_or(1)
    }

    /// The sum of the ranks' `x`, which have one shape and type.
    pub fn all_sum(&self, x: &Array) -> Result<Array> {
        let stream = self.stream();
        call("all_sum", |out, _| {
            // SAFETY: the handles are live, and `out` is an empty array handle.
            unsafe { mlx_sys::mlx_distributed_all_sum(out, x.as_ptr(), self.group, stream.as_ptr()) }
        })
    }

    /// The ranks' `x`, which have one shape and type, one after the other along the first axis.
    pub fn all_gather(&self, x: &Array) -> Result<Array> {
        let stream = self.stream();
        call("all_gather", |out, _| {
            // SAFETY: as in `all_sum`.
            unsafe { mlx_sys::mlx_distributed_all_gather(out, x.as_ptr(), self.group, stream.as_ptr()) }
        })
    }

    /// Where the back end moves data: beside NCCL's, they all are the CPU's.
    fn stream(&self) -> Stream {
        match self.backend {
            Backend::Nccl => Stream::thread_local_or_default(),
            _ => Stream::cpu(),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is owned and freed once.
        unsafe { mlx_sys::mlx_distributed_group_free(self.group) };
    }
}

/// Ends what NCCL's kernels of this process do, which wait for a lost rank without end. What they were to compute is not
/// computed, and is there as if it were.
pub fn leave_nccl() {
    // It is loaded with MLX where there is NCCL.
    // SAFETY: C strings; a handle of a library that stays loaded with MLX, and a function of it that takes nothing.
    unsafe {
        let library = libc::dlopen(c"librmlx_nccl.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD);
        if library.is_null() {
            return;
        }
        let leave = libc::dlsym(library, c"rmlx_nccl_leave".as_ptr());
        if !leave.is_null() {
            std::mem::transmute::<*mut libc::c_void, extern "C" fn()>(leave)();
        }
    }
}

/// Sets a variable of the process's environment where MLX will read it; those that are set so already are left alone.
pub fn set_environment(name: &str, value: &str) {
    if std::env::var(name).as_deref() != Ok(value) {
        // SAFETY: the host was told that the environment changes while a group is formed of what it passes itself.
        unsafe { std::env::set_var(name, value) };
    }
}
