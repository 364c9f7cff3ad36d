//! How much memory the system has for this process, asked before much of it is taken: MLX cannot be told of an allocation
//! that failed, and a process that takes more than it may is ended.

use super::{available_memory, physical_memory};
use crate::error::{Code, Error, Result};

/// What is left over for everything that is not counted: heaps, threads, the system's own.
const SLACK: u64 = 8 << 20;
/// From so many bytes on, the system is asked for all of its bounds.
const MUCH: u64 = 64 << 20;

/// The nearest bound of what this process may still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub bytes: u64,
    /// Whose bound it is, for a sentence.
    pub of: &'static str,
}

/// The bound that is nearest; none where the system does not tell.
pub fn room() -> Option<Room> {
    let app = available_memory().map(|bytes| Room { bytes, of: "what the system leaves to this app" });
    let machine = physical_memory().map(|bytes| Room { bytes, of: "the memory of this machine" });
    app.into_iter().chain(machine).chain(linux::bounds()).min_by_key(|room| room.bytes)
}

/// `OUT_OF_MEMORY`, saying what it is for, where `bytes` more cannot be had now. What was asked for is not kept: somebody
/// else in the process may take it.
pub fn require(bytes: u64, what: &str) -> Result<()> {
    let needed = bytes.saturating_add(bytes / 4).saturating_add(SLACK);
    if needed > MUCH
        && let Some(room) = room().filter(|room| room.bytes < bytes)
    {
        return Err(refusal(what, bytes, room));
    }
    match can_map(needed) {
        true => Ok(()),
        false => {
            let room = room().unwrap_or(Room { bytes: 0, of: "what the system gives to this process" });
            Err(refusal(what, needed, Room { bytes: room.bytes.min(needed), ..room }))
        }
    }
}

/// The error of what needs `bytes`, more than there is room for.
pub fn refusal(what: &str, bytes: u64, room: Room) -> Error {
    let short = bytes.saturating_sub(room.bytes);
    let message = format!("{what} need {bytes} bytes, {short} more than {} ({})", room.of, room.bytes);
    Error::new(Code::OutOfMemory, message)
        .with("needed", bytes)
        .with("available", room.bytes)
        .with("missing", short)
}

/// Whether the process can map so much more, now.
fn can_map(bytes: u64) -> bool {
    let Ok(length) = usize::try_from(bytes) else { return false };
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
    // SAFETY: a new mapping of its own, which nothing touches, taken back at once.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0);
        at != libc::MAP_FAILED && libc::munmap(at, length) == 0
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    pub fn bounds() -> Vec<super::Room> {
        Vec::new()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::read_to_string;
    use std::path::{Path, PathBuf};

    use super::Room;

    /// All that the kernel tells.
    pub fn bounds() -> Vec<Room> {
        let memory = read_to_string("/proc/meminfo").ok().and_then(|text| free(&text));
        let memory = memory.map(|bytes| Room { bytes, of: "the free memory of this machine" });
        let address =
            address_space().map(|bytes| Room { bytes, of: "this process's limit of address space" });
        let group = groups().into_iter().filter_map(|dir| left_in(&dir)).min();
        let group = group.map(|bytes| Room { bytes, of: "the limit of this process's control group" });
        memory.into_iter().chain(address).chain(group).collect()
    }

    /// Of `/proc/meminfo`: what can be had without and with swapping.
    pub fn free(text: &str) -> Option<u64> {
        let of = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
        };
        Some(of("MemAvailable:")? + of("SwapFree:").unwrap_or(0))
    }

    fn address_space() -> Option<u64> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the structure is there to be written.
        if unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) } != 0
            || limit.rlim_cur == libc::RLIM_INFINITY
        {
            return None;
        }
        let pages: u64 = read_to_string("/proc/self/statm").ok()?.split(' ').next()?.parse().ok()?;
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
        Some(limit.rlim_cur.saturating_sub(pages * page))
    }

    /// The folders of the process's control group and those above it, of both versions.
    fn groups() -> Vec<PathBuf> {
        let mut found = Vec::new();
        for line in read_to_string("/proc/self/cgroup").unwrap_or_default().lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let root = match controllers {
                "" => Path::new("/sys/fs/cgroup"),
                list if list.split(',').any(|c| c == "memory") => Path::new("/sys/fs/cgroup/memory"),
                _ => continue,
            };
            let own = root.join(path.trim_start_matches('/'));
            found.extend(own.ancestors().take_while(|dir| dir.starts_with(root)).map(Path::to_owned));
        }
        found
    }

    /// What a control group may still take; file pages that the kernel can drop are free.
    pub fn left_in(dir: &Path) -> Option<u64> {
        let number = |name: &str| read_to_string(dir.join(name)).ok()?.trim().parse::<u64>().ok();
        let most = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
        let used = number("memory.current").or_else(|| number("memory.usage_in_bytes"))?;
        let stat = read_to_string(dir.join("memory.stat")).unwrap_or_default();
        let dropped = ["total_inactive_file ", "inactive_file "]
            .iter()
            .find_map(|key| stat.lines().find_map(|line| line.strip_prefix(key))?.trim().parse::<u64>().ok());
        Some(most.saturating_sub(used.saturating_sub(dropped.unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_and_what_is_missing_are_told() {
        let error = refusal("the weights", 100, Room { bytes: 30, of: "the limit" });
        assert_eq!(error.message(), "the weights need 100 bytes, 70 more than the limit (30)");
        assert_eq!(error.details()["missing"], 70);
    }

    #[test]
    fn little_is_there_and_all_addresses_are_not() {
        require(1000, "some bytes").unwrap();
        assert_eq!(require(1 << 46, "64 TiB").unwrap_err().code(), Code::OutOfMemory);
        assert_eq!(require(u64::MAX, "everything").unwrap_err().code(), Code::OutOfMemory);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernels_numbers_are_read() {
        let text = "MemTotal: 9 kB\nMemAvailable:    500 kB\nSwapFree:  20 kB\n";
        assert_eq!(linux::free(text), Some(520 * 1024));
        assert!(room().is_some_and(|room| room.bytes > 0));
        let group = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(group.path().join(name), text).unwrap();
        put("memory.max", "max\n");
        put("memory.current", "700\n");
        assert_eq!(linux::left_in(group.path()), None);
        put("memory.max", "1000\n");
        assert_eq!(linux::left_in(group.path()), Some(300));
        put("memory.stat", "anon 500\ninactive_file 150\n");
        assert_eq!(linux::left_in(group.path()), Some(450));
    }
}
