//! What a distribution needs: no later versions of the system's libraries than the README says, and little room in each thread.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::{FileHeader64, PT_TLS};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

use crate::paths;

/// Version sets, each with the last one that may be needed.
const MOST: [(&str, &[u32]); 4] =
    [("GLIBC", &[2, 35]), ("GLIBCXX", &[3, 4, 30]), ("CXXABI", &[1, 3, 13]), ("GCC", &[7, 0, 0])];

/// Bytes of thread-local variables that a library may have. They are taken from the stack of every thread of the host.
const MOST_OF_A_THREAD: u64 = 16 << 10;

/// An error where a library needs a later version than is said, or where the README says something else.
pub fn check(libraries: &[&Path]) -> Result<()> {
    for library in libraries {
        let taken = thread_local_bytes(library)?;
        ensure!(
            taken <= MOST_OF_A_THREAD,
            "{} takes {taken} bytes of each thread's stack, and may take {MOST_OF_A_THREAD}",
            library.display()
        );
        for (set, version) in needed(library)? {
            let most = MOST.iter().find(|(known, _)| *known == set);
            let (_, most) =
                most.with_context(|| format!("{} needs {set}, which nobody knows of", library.display()))?;
            ensure!(
                version.as_slice() <= *most,
                "{} needs {set}_{}, and the README says {}",
                library.display(),
                dotted(&version),
                dotted(most)
            );
        }
    }
    let readme = fs::read_to_string(paths::root().join("README.md"))?;
    let said = format!("glibc {} and libstdc++ with GLIBCXX_{}", dotted(MOST[0].1), dotted(MOST[1].1));
    ensure!(readme.contains(&said), "the README does not say {said:?}");
    Ok(())
}

fn thread_local_bytes(library: &Path) -> Result<u64> {
    let data = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
    let header = FileHeader64::<Endianness>::parse(&*data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, &*data)?.iter();
    Ok(segments
        .filter(|segment| segment.p_type(endian) == PT_TLS)
        .map(|segment| segment.p_memsz(endian))
        .sum())
}

/// The last version of each set that the library asks for.
fn needed(library: &Path) -> Result<BTreeMap<String, Vec<u32>>> {
    let data = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
    let header = FileHeader64::<Endianness>::parse(&*data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, &*data)?;
    let mut last = BTreeMap::<String, Vec<u32>>::new();
    for section in sections.iter() {
        let Some((mut libraries, strings)) = section.gnu_verneed(endian, &*data)? else { continue };
        let strings = sections.strings(endian, &*data, strings)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                let name = String::from_utf8_lossy(version.name(endian, strings)?).into_owned();
                if let Some((set, number)) = parse(&name) {
                    let most = last.entry(set).or_default();
                    *most = number.max(std::mem::take(most));
                }
            }
        }
    }
    Ok(last)
}

/// `GLIBC_2.35` as its set and its numbers; none for names that have none, such as `GLIBC_PRIVATE`.
fn parse(name: &str) -> Option<(String, Vec<u32>)> {
    let (set, version) = name.rsplit_once('_')?;
    let numbers = version.split('.').map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
    Some((set.to_owned(), numbers))
}

fn dotted(version: &[u32]) -> String {
    version.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse("GLIBC_2.35"), Some(("GLIBC".to_owned(), vec![2, 35])));
        assert!(parse("GLIBCXX_3.4.9") < parse("GLIBCXX_3.4.30"));
        assert_eq!(parse("GLIBC_PRIVATE"), None);
    }
}
