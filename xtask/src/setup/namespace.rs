//! MLX under names of its own: another MLX, of any version, may be in the host's process.
//!
//! A loader takes the first definition of a name that it finds, and takes libraries of one SONAME for one. So the library is
//! called otherwise, its C++ namespace `mlx` becomes [`OURS`], and what it exports of no namespace of MLX's is hidden. What is
//! compiled with MLX's headers says [`MACRO`].

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::elf::{FileHeader64, SHT_DYNSYM, SHT_SYMTAB, STB_LOCAL, STV_HIDDEN, SectionHeader64, Sym64};
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym, SymbolTable};
use object::{Endianness, SectionIndex};

/// The namespace as mangled names spell it: its length and its name.
const THEIRS: &[u8] = b"3mlx";
const OURS: &[u8] = b"3rlx";
/// As an argument of compilers. File names in `#include` are no tokens, so headers are found as ever.
pub const MACRO: &str = "-Dmlx=rlx";
/// Where a symbol's visibility is in its entry.
const OTHER: usize = 5;

type Elf = FileHeader64<Endianness>;

/// The library's symbols of MLX's namespace, each with its new name: what patchelf renames.
pub fn renamings(library: &Path) -> Result<Vec<(String, String)>> {
    let data = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
    let file = File::parse(&data)?;
    let mut found = Vec::new();
    for symbol in file.dynamic.iter() {
        let name = file.dynamic.symbol_name(file.endian, symbol)?;
        let ours = renamed(name);
        if ours != name {
            found.push((String::from_utf8(name.to_vec())?, String::from_utf8(ours)?));
        }
    }
    ensure!(!found.is_empty(), "{} has no symbol of MLX's namespace", library.display());
    Ok(found)
}

/// Finishes a library whose dynamic symbols patchelf has renamed: the names of types, by which exceptions and casts are told
/// apart, debuggers' names, and what is to be seen by others.
pub fn finish(library: &Path) -> Result<()> {
    let mut data = fs::read(library).with_context(|| format!("cannot read {}", library.display()))?;
    let patches = patches(&data).with_context(|| format!("cannot rename within {}", library.display()))?;
    for (at, bytes) in patches {
        data.get_mut(at..at + bytes.len()).context("a symbol lies outside the file")?.copy_from_slice(&bytes);
    }
    // Never written into: a process may have the old file mapped.
    let beside = library.with_extension("renamed");
    fs::write(&beside, data)?;
    fs::rename(&beside, library)?;
    check(library)
}

/// An error where the library shows a name that another MLX, or any library of C++, might show too.
pub fn check(library: &Path) -> Result<()> {
    let data = fs::read(library)?;
    let file = File::parse(&data)?;
    for symbol in file.dynamic.iter() {
        let name = String::from_utf8_lossy(file.dynamic.symbol_name(file.endian, symbol)?);
        ensure!(
            !is_shown(symbol, file.endian) || contains(name.as_bytes(), OURS),
            "{} shows {name}, which is not in a scope of its own",
            library.display()
        );
        ensure!(
            renamed(name.as_bytes()) == name.as_bytes(),
            "{} needs another MLX's {name}",
            library.display()
        );
    }
    Ok(())
}

/// Bytes to write, with their places in the file.
fn patches(data: &[u8]) -> Result<Vec<(usize, Vec<u8>)>> {
    let file = File::parse(data)?;
    let mut patches = Vec::new();
    let table = place(file.sections.section(file.dynamic.section())?, file.endian);
    for (index, symbol) in file.dynamic.iter().enumerate() {
        let name = file.dynamic.symbol_name(file.endian, symbol)?;
        if is_shown(symbol, file.endian) && !contains(name, OURS) {
            patches.push((table + index * size_of::<Sym64<Endianness>>() + OTHER, vec![STV_HIDDEN.0]));
        }
    }
    let all = file.sections.symbols(file.endian, data, SHT_SYMTAB)?;
    for symbol in all.iter() {
        if all.symbol_name(file.endian, symbol)?.starts_with(b"_ZTS") {
            let size = usize::try_from(symbol.st_size(file.endian))?;
            let at = file.place_of(symbol)?;
            let name = data.get(at..at + size).context("a type's name lies outside the file")?;
            patches.push((at, renamed(name)));
        }
    }
    ensure!(!all.is_empty(), "it has been stripped: where its types' names are is not known");
    let strings = file.sections.section(all.string_section())?;
    patches.push((place(strings, file.endian), renamed(strings.data(file.endian, data)?)));
    Ok(patches)
}

struct File<'data> {
    endian: Endianness,
    sections: SectionTable<'data, Elf>,
    dynamic: SymbolTable<'data, Elf>,
}

impl<'data> File<'data> {
    fn parse(data: &'data [u8]) -> Result<Self> {
        let header = Elf::parse(data)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, data)?;
        let dynamic = sections.symbols(endian, data, SHT_DYNSYM)?;
        Ok(Self { endian, sections, dynamic })
    }

    fn place_of(&self, symbol: &Sym64<Endianness>) -> Result<usize> {
        let section = self.sections.section(SectionIndex(usize::from(symbol.st_shndx(self.endian).0)))?;
        let within = symbol.st_value(self.endian).checked_sub(section.sh_addr(self.endian));
        let within = within.context("a symbol lies outside its section")?;
        Ok(place(section, self.endian) + usize::try_from(within)?)
    }
}

fn place(section: &SectionHeader64<Endianness>, endian: Endianness) -> usize {
    section.sh_offset(endian) as usize
}

fn is_shown(symbol: &Sym64<Endianness>, endian: Endianness) -> bool {
    !symbol.is_undefined(endian) && symbol.st_bind() != STB_LOCAL && symbol.st_visibility() != STV_HIDDEN
}

/// The text with the namespace renamed; a digit before it makes it the end of a longer name.
fn renamed(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for at in 0..text.len().saturating_sub(THEIRS.len() - 1) {
        let after_digit = at > 0 && text[at - 1].is_ascii_digit();
        if text[at..].starts_with(THEIRS) && !after_digit {
            text[at..at + OURS.len()].copy_from_slice(OURS);
        }
    }
    text
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn only_the_namespace_is_renamed() {
        for (theirs, ours) in [
            ("_ZN3mlx4core5arrayC1Ev", "_ZN3rlx4core5arrayC1Ev"),
            ("_ZSt4swapIN3mlx4core5arrayES2_3mlxE", "_ZSt4swapIN3rlx4core5arrayES2_3rlxE"),
            ("_ZN13mlx_like_nameE", "_ZN13mlx_like_nameE"),
            ("*N3mlx", "*N3rlx"),
            ("mlx::core", "mlx::core"),
            ("3ml", "3ml"),
        ] {
            assert_eq!(String::from_utf8_lossy(&renamed(theirs.as_bytes())), ours);
        }
    }
}
