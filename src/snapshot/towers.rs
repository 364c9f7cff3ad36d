//! Towers, which a snapshot may come without. What is there is used, what is not is said.

use serde_json::Value;

use super::Snapshot;

/// A tower.
#[derive(Clone, Copy, Debug)]
pub struct Tower {
    /// Of config.json.
    pub section: &'static str,
    /// Where the canonical names of its tensors begin.
    pub tensors: &'static str,
    /// The same of what is of no use without it.
    pub others: &'static [&'static str],
    /// What the model does not take without it, for people.
    pub takes: &'static str,
}

/// What is left of a snapshot.
#[derive(Clone, Debug)]
pub struct Present {
    /// config.json without the sections of parts that are not there.
    pub config: Value,
    /// Sentences about parts that are left out.
    pub notes: Vec<String>,
    left_out: Vec<Tower>,
}

impl Present {
    /// Whether a tensor is of a part that is left out.
    pub fn is_left_out(&self, tensor: &str) -> bool {
        let of = |part: &Tower| {
            tensor.starts_with(part.tensors) || part.others.iter().any(|start| tensor.starts_with(start))
        };
        self.left_out.iter().any(of)
    }
}

impl Snapshot {
    /// The configuration, where `towers` count that have both a section and tensors. An empty section says nothing, and is
    /// none.
    pub fn present(&self, towers: &[Tower]) -> Present {
        let mut present = Present { config: self.config.clone(), notes: Vec::new(), left_out: Vec::new() };
        for part in towers {
            let Tower { section, tensors, takes, .. } = *part;
            let value = self.config.get(section).unwrap_or(&Value::Null);
            let described = !value.is_null() && value.as_object().is_none_or(|keys| !keys.is_empty());
            let held = self.has_tensors(tensors);
            let module = tensors.trim_end_matches('.');
            match (described, held) {
                (true, true) => continue,
                (true, false) => present.notes.push(format!(
                    "config.json has {section}, but the weight files have no tensor of {module}: the model takes no \
                     {takes}"
                )),
                (false, true) => present.notes.push(format!(
                    "the weight files have tensors of {module}, but config.json has no {section}: the model takes no \
                     {takes}"
                )),
                (false, false) => {}
            }
            if let Some(config) = present.config.as_object_mut().filter(|config| config.contains_key(section))
            {
                config.insert(section.to_owned(), Value::Null);
            }
            present.left_out.push(*part);
        }
        present
    }

    /// Whether there are tensors whose names begin so; or may be, in files that are not there.
    fn has_tensors(&self, start: &str) -> bool {
        let first = self.tensors.range(start.to_owned()..).next();
        !self.files.absent.is_empty() || first.is_some_and(|(name, _)| name.starts_with(start))
    }
}
