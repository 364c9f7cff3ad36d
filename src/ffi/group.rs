//! Groups of processes that run a model together.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::Duration;

use super::boundary::{c_text, call, path, required, unknown_value};
use super::load_options::{not_zero, rmlx_load_options};
use super::status::{rmlx_error, rmlx_status};
use crate::engine::{self, GroupBackend, GroupOptions};
use crate::error::{Error, Result};

/// How the processes of a group talk to each other: one of RMLX_GROUP_*.
pub type rmlx_group_backend = i32;

/// What the environment describes, as `mlx.launch` leaves it.
pub const RMLX_GROUP_AUTO: rmlx_group_backend = 0;
/// MLX's ring: TCP, or Thunderbolt as a network.
pub const RMLX_GROUP_RING: rmlx_group_backend = 1;
/// MLX's jaccl: RDMA over Thunderbolt, between Macs.
pub const RMLX_GROUP_JACCL: rmlx_group_backend = 2;
/// NVIDIA's NCCL, between GPUs.
pub const RMLX_GROUP_NCCL: rmlx_group_backend = 3;
/// An MPI that is installed.
pub const RMLX_GROUP_MPI: rmlx_group_backend = 4;

/// Makes the load one of several processes that run the model together, for models that one machine or one GPU cannot
/// hold. Each process (rank) loads its own part of every matrix and keeps its part of each session's cache: rank 0
/// calls rmlx_model_load and has the model, sessions and everything; the others call rmlx_group_serve with the same
/// options but for their rank. All of them need the whole snapshot folder, of which each reads its own part. Media are
/// encoded by rank 0.
///
/// - `backend`: how they talk; RMLX_GROUP_AUTO takes what the environment describes
/// - `rank`: which one this process is, from 0 on; or -1 for MLX_RANK of the environment
/// - `size`: how many there are; or 0 for what `address` or the environment (MLX_WORLD_SIZE) says
/// - `address`: NUL-terminated, copied; or NULL for the environment's. For a ring the path of a JSON file with a list of
///   addresses for each rank, `[["10.0.0.1:5000"], ["10.0.0.2:5000"]]` (MLX_HOSTFILE); for NCCL "host:port" of
///   rank 0 (NCCL_HOST_IP, NCCL_PORT); for jaccl the path of MLX's file of devices (MLX_IBV_DEVICES), beside
///   MLX_JACCL_COORDINATOR in the environment; not used with MPI
///
/// With nothing but RMLX_GROUP_AUTO, -1, 0 and NULL, a program runs under `mlx.launch` as it is. MLX reads the environment
/// itself: what is said here and is not there already is put there while the group forms, so no other thread may change
/// or read the environment then.
///
/// A process belongs to one group, for good, and the group runs one model at a time: after rank 0 has released it, all ranks
/// may load the next one. With NCCL each process must see one GPU (CUDA_VISIBLE_DEVICES).
///
/// Sessions do everything that they do otherwise, but for rmlx_session_save and rmlx_session_load, which are UNSUPPORTED.
/// When a rank is lost, the answers in the making end with an error that names it, and so does every other call that
/// would need it; the process lives, and can load models of its own. MLX writes a line to stderr when a connection
/// is lost.
///
/// Errors: INVALID_ARGUMENT (unknown back end, a negative size). What the group lacks is told by the load.
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_load_options_set_group(
    options: Option<&mut rmlx_load_options>,
    backend: rmlx_group_backend,
    rank: i32,
    size: i32,
    address: *const c_char,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let options = required(options, "options")?;
        let backend = match backend {
            RMLX_GROUP_AUTO => GroupBackend::Auto,
            RMLX_GROUP_RING => GroupBackend::Ring,
            RMLX_GROUP_JACCL => GroupBackend::Jaccl,
            RMLX_GROUP_NCCL => GroupBackend::Nccl,
            RMLX_GROUP_MPI => GroupBackend::Mpi,
            unknown => return Err(unknown_value(unknown, "backend")),
        };
        let rank = if rank == -1 { None } else { Some(number(rank, "rank")?) };
        let size = if size == 0 { None } else { Some(number(size, "size")?) };
        // SAFETY: the caller passes NULL or a NUL-terminated text.
        let address = (!address.is_null()).then(|| unsafe { c_text(address, "address") }).transpose()?;
        let address = address.map(str::to_owned);
        let timeout = options.group.take().map(|group| group.timeout);
        let group = GroupOptions { backend, rank, size, address, ..GroupOptions::default() };
        options.group = Some(GroupOptions { timeout: timeout.unwrap_or(group.timeout), ..group });
        Ok(())
    })
}

/// Sets how long the ranks of a group wait for each other: when the group forms, for a slower rank's load, and in each
/// operation of a pass. Then the load or the answer ends with TIMEOUT, on all ranks. Default: 60 seconds. A rank whose
/// process ends is noticed at once, with NCCL within a second.
///
/// - `milliseconds`: at least 1
///
/// Errors: INVALID_ARGUMENT (0, or options without rmlx_load_options_set_group).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn rmlx_load_options_set_group_timeout(
    options: Option<&mut rmlx_load_options>,
    milliseconds: u64,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        let milliseconds = not_zero(milliseconds, "milliseconds")?;
        let group = required(options, "options")?.group.as_mut();
        let group = group.ok_or_else(|| Error::invalid_argument("the options have no group"))?;
        group.timeout = Duration::from_millis(milliseconds);
        Ok(())
    })
}

/// Runs this process's part of a model for rank 0 of a group: joins, loads what the rank holds, and follows rank 0's steps.
/// Blocks until rank 0 releases the model, or fails to load it. A cancel object of the options ends it, and with it
/// the answers of rank 0.
///
/// - `dir`: path of the snapshot folder, as for rmlx_model_load; the same snapshot as rank 0's
/// - `options`: with rmlx_load_options_set_group, and a rank from 1 on
///
/// Errors: those of rmlx_model_load, of this rank or, with its name, of another one; INVALID_SNAPSHOT (rank 0 has
/// another snapshot), UNSUPPORTED (another version of rmlx or another device, or heads or widths that cannot be divided
/// among so many ranks), TIMEOUT (not all ranks came, or they did nothing), BACKEND (a rank is gone), CANCELLED, BUSY
/// (the process follows already); INVALID_ARGUMENT (no group, rank 0).
///
/// Since: 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmlx_group_serve(
    dir: *const c_char,
    options: Option<&rmlx_load_options>,
    error: Option<&mut MaybeUninit<*mut rmlx_error>>,
) -> rmlx_status {
    call(error, || {
        // SAFETY: the caller passes NULL or a NUL-terminated path.
        let dir = unsafe { path(dir, "dir") }?;
        engine::serve(dir, &required(options, "options")?.to_options())
    })
}

fn number(value: i32, name: &str) -> Result<usize> {
    let negative = || Error::invalid_argument(format!("`{name}` is {value}")).with("argument", name);
    usize::try_from(value).map_err(|_| negative())
}
