//! Which files of a folder are the model's weights.
//!
//! Folders have more than one model's worth of .safetensors files: shards of an earlier conversion, adapters, heads for
//! speculation, towers that came in a file of their own. The index decides where every file that it names is there;
//! else the names of the files do.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use safetensors::tensor::Metadata;
use serde_json::Value;

use super::header::read_header;
use super::names::{canonical, is_of_tower};
use super::{file_name, folder};
use crate::error::{Code, Error, Result};
use crate::files;

pub const INDEX: &str = "model.safetensors.index.json";
const WHOLE: &str = "model.safetensors";

/// The weight files, and what is known of those that are not there.
#[derive(Clone, Debug, Default)]
pub struct WeightFiles {
    /// Sorted by name.
    pub shards: Vec<PathBuf>,
    /// The file that the index names for a tensor, by canonical name.
    pub indexed: BTreeMap<String, String>,
    /// Files that the index or the others' names speak of, and that are not there.
    pub absent: Vec<String>,
    /// Sentences about files that are not used.
    pub notes: Vec<String>,
}

impl WeightFiles {
    /// Chooses among the .safetensors files of `dir`. Headers are read of those only that no index and no name tells of.
    pub fn choose(dir: &Path) -> Result<WeightFiles> {
        let all = safetensors_files(dir)?;
        if all.is_empty() {
            return Err(folder::without_weights(dir));
        }
        let mut chosen = WeightFiles::default();
        let index = chosen.read_index(dir)?;
        let mut main = chosen.main(&all, index.as_ref());
        if main.len() == all.len() && (index.is_none() || !chosen.absent.is_empty()) {
            chosen.leave_out_additions(dir, &mut main)?;
        }
        let others: Vec<&String> = all.iter().filter(|name| !main.contains(*name)).collect();
        main.extend(chosen.sidecars(dir, &main, &others)?);
        if let Some(index) =
            index.filter(|index| !chosen.absent.is_empty() || index.values().all(|f| main.contains(f)))
        {
            chosen.indexed = index;
        }
        chosen.shards = main.iter().map(|name| dir.join(name)).collect();
        chosen.shards.iter().try_for_each(|path| require_finished(path))?;
        Ok(chosen)
    }

    /// What the index says, if there is one that says anything: canonical names and files.
    fn read_index(&mut self, dir: &Path) -> Result<Option<BTreeMap<String, String>>> {
        let index = match files::read_optional_json(&dir.join(INDEX)) {
            Err(e) if e.code() == Code::OutOfMemory => return Err(e),
            Err(e) => {
                self.notes.push(format!("the index is not used: {e}"));
                return Ok(None);
            }
            Ok(index) => index.unwrap_or_default(),
        };
        let map = index.get("weight_map").and_then(Value::as_object);
        let named =
            map.into_iter().flatten().filter_map(|(name, file)| Some((canonical(name), file.as_str()?)));
        let named: BTreeMap<String, String> = named.map(|(name, file)| (name, file.to_owned())).collect();
        Ok(Some(named).filter(|named| !named.is_empty()))
    }

    /// The files that the index, or what they are called, makes the model's.
    fn main(&mut self, all: &[String], index: Option<&BTreeMap<String, String>>) -> BTreeSet<String> {
        if let Some(index) = index {
            let named: BTreeSet<String> = index.values().cloned().collect();
            let absent: Vec<String> = named.iter().filter(|name| !all.contains(name)).cloned().collect();
            if absent.is_empty() {
                return named;
            }
            if !all.iter().any(|name| name == WHOLE) && named.len() > absent.len() {
                // Part of a download, or an index of other files: the tensors tell.
                self.absent = absent;
                return self.by_name(all);
            }
            self.notes.push(format!("{INDEX} is not used: it names {}, which is not there", absent[0]));
        }
        self.by_name(all)
    }

    fn by_name(&mut self, all: &[String]) -> BTreeSet<String> {
        if all.iter().any(|name| name == WHOLE) {
            return [WHOLE.to_owned()].into();
        }
        let mut series: BTreeMap<(String, usize), BTreeSet<usize>> = BTreeMap::new();
        for name in all {
            if let Some((start, number, count)) = part_of_series(name) {
                series.entry((start.to_owned(), count)).or_default().insert(number);
            }
        }
        let is_whole = |count: usize, numbers: &BTreeSet<usize>| (1..=count).all(|n| numbers.contains(&n));
        let whole: Vec<&(String, usize)> = series
            .iter()
            .filter(|((_, count), numbers)| is_whole(*count, numbers))
            .map(|(key, _)| key)
            .collect();
        if !whole.is_empty() {
            let is_in = |name: &&String| {
                part_of_series(name)
                    .is_some_and(|(start, _, count)| whole.contains(&&(start.to_owned(), count)))
            };
            return all.iter().filter(is_in).cloned().collect();
        }
        for ((start, count), numbers) in &series {
            let lacking = (1..=*count).filter(|n| !numbers.contains(n)).take(1000);
            self.absent.extend(lacking.map(|n| format!("{start}-{n:05}-of-{count:05}.safetensors")));
        }
        self.absent.sort();
        self.absent.dedup();
        all.iter().cloned().collect()
    }

    /// Where all files count because their names say nothing: not those that hold nothing but additions.
    fn leave_out_additions(&mut self, dir: &Path, main: &mut BTreeSet<String>) -> Result<()> {
        for name in main.clone() {
            if main.len() > 1 && is_addition(&read_header(&dir.join(&name))?.0.offset_keys()) {
                self.notes
                    .push(format!("{name} is not used: it holds an addition to a model, and no part of one"));
                main.remove(&name);
            }
        }
        Ok(())
    }

    /// Of the files that nothing names: those that hold towers which the others lack.
    fn sidecars(
        &mut self,
        dir: &Path,
        main: &BTreeSet<String>,
        others: &[&String],
    ) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        if others.is_empty() {
            return Ok(found);
        }
        let mut held: HashSet<String> = HashSet::new();
        for name in main {
            held.extend(read_header(&dir.join(name))?.0.offset_keys().iter().map(|name| canonical(name)));
        }
        let mut headers: Vec<(&String, Metadata)> = Vec::new();
        for name in others {
            match read_header(&dir.join(name)) {
                Err(e) if e.code() == Code::OutOfMemory => return Err(e),
                Err(e) => self.notes.push(format!("{name} is not used: {e}")),
                Ok((header, _)) => headers.push((name, header)),
            }
        }
        // Of two that hold the same tower, the one that holds more of it.
        headers.sort_by_key(|(_, header)| std::cmp::Reverse(header.offset_keys().len()));
        for (name, header) in headers {
            match unusable(&header, &held) {
                Some(why) => self.notes.push(format!("{name} is not used: {why}")),
                None => {
                    held.extend(header.offset_keys().iter().map(|name| canonical(name)));
                    found.insert(name.clone());
                }
            }
        }
        Ok(found)
    }
}

/// Why a file that nothing names is no part of the model; `None` for a tower.
fn unusable(header: &Metadata, held: &HashSet<String>) -> Option<&'static str> {
    let names = header.offset_keys();
    let canonical: Vec<String> = names.iter().map(|name| canonical(name)).collect();
    if is_addition(&names) {
        Some("it holds an addition to a model, and no part of one")
    } else if canonical.iter().any(|name| held.contains(name)) {
        Some("the other files have its tensors")
    } else if !canonical.iter().all(|name| is_of_tower(name)) {
        Some("no index names it, and it holds other things than a tower")
    } else {
        None
    }
}

/// Adapters (LoRA), and layers for predicting more than one token.
fn is_addition(names: &[String]) -> bool {
    let is = |name: &String| name.contains("lora_") || name.starts_with("mtp.");
    !names.is_empty() && names.iter().all(is)
}

/// Names of the .safetensors files, sorted; not `consolidated*`, which are the same weights in Mistral's layout.
fn safetensors_files(dir: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(dir).map_err(|e| files::unreadable(dir, &e))?;
    for entry in entries {
        let name = file_name(&entry.map_err(|e| files::unreadable(dir, &e))?.path());
        if name.ends_with(".safetensors") && !name.starts_with("consolidated") && !name.starts_with("._") {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// `start-00002-of-00005.safetensors` → (`start`, 2, 5).
fn part_of_series(name: &str) -> Option<(&str, usize, usize)> {
    let (start, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (start, number) = start.rsplit_once('-')?;
    Some((start, number.parse().ok()?, count.parse().ok()?))
}

/// Some downloads have their full size from the start, and a file beside them that says what is still to come.
fn require_finished(path: &Path) -> Result<()> {
    for end in ["aria2", "part", "crdownload", "incomplete"] {
        let sign = path.with_file_name(format!("{}.{end}", file_name(path)));
        if sign.exists() {
            let (name, sign) = (file_name(path), file_name(&sign));
            let message = format!("{name} is not whole: {sign} says that the download is not complete");
            return Err(Error::snapshot(message).with("file", path.display().to_string()));
        }
    }
    Ok(())
}
