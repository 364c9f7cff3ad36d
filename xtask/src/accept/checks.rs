//! What is asked: the general proofs of `tools/accept/checks.json`, and those that a snapshot brings along.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const SCHEMA: u64 = 1;
/// The file of a snapshot's own expectations, in its folder or in the one above.
const OWN: &str = "accept.json";
const MAX_TOKENS: u64 = 64;

/// What wrong answers about content are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Failures.
    Require,
    /// Shown, and not counted.
    Report,
}

impl Content {
    pub fn name(self) -> &'static str {
        match self {
            Content::Require => "require",
            Content::Report => "report",
        }
    }
}

#[derive(Debug)]
pub struct Question {
    pub id: String,
    /// With absolute paths of media.
    pub messages: Value,
    pub expect: Value,
    pub max_tokens: u64,
}

#[derive(Debug)]
pub struct ContentCheck {
    pub id: String,
    pub name: String,
    /// Kinds of media in its questions.
    pub needs: Vec<&'static str>,
    /// Why wrong answers are not counted; they are where there is no reason.
    pub not_counted: Option<String>,
    pub questions: Vec<Question>,
}

pub struct Checks {
    all: Vec<ContentCheck>,
    own: Option<PathBuf>,
}

impl Checks {
    pub fn read(general: &Path, snapshot: &Path, content: Content) -> Result<Self> {
        let mut all = read(general)?.1;
        let places = [Some(snapshot), snapshot.parent()].into_iter().flatten();
        let own = places.map(|folder| folder.join(OWN)).find(|file| file.is_file());
        if let Some(file) = &own {
            let (value, checks) = read(file)?;
            let counted = value["counted"].as_array().with_context(|| {
                format!("{} does not say which of the general checks are counted", file.display())
            })?;
            for id in counted {
                let known = all.iter().any(|check| *id == check.id.as_str());
                ensure!(known, "{}: there is no general check {id}", file.display());
            }
            let reason = value["reason"].as_str().unwrap_or("the snapshot's accept.json does not count it");
            for check in all.iter_mut().filter(|check| !counted.iter().any(|id| *id == check.id.as_str())) {
                check.not_counted = Some(reason.to_owned());
            }
            all.extend(checks);
        }
        if content == Content::Report {
            for check in &mut all {
                check.not_counted = Some("answers about content are only reported (--content report)".into());
            }
        }
        Ok(Self { all, own })
    }

    pub fn all(&self) -> &[ContentCheck] {
        &self.all
    }

    /// What the drivers ask, in order.
    pub fn questions(&self) -> Vec<Value> {
        let questions = self.all.iter().flat_map(|check| &check.questions);
        questions
            .map(|one| json!({ "id": one.id, "messages": one.messages, "max_tokens": one.max_tokens }))
            .collect()
    }

    /// Which files the checks are from, for the report.
    pub fn described(&self) -> Value {
        json!({ "own": self.own.as_ref().map(|file| file.display().to_string()) })
    }
}

fn read(file: &Path) -> Result<(Value, Vec<ContentCheck>)> {
    let of = || file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", of()))?;
    let value: Value = serde_json::from_str(&text).with_context(of)?;
    ensure!(value["schema"] == SCHEMA, "{} is not of schema {SCHEMA}", of());
    let folder = file.parent().unwrap_or(Path::new(""));
    let checks = value["checks"].as_array().with_context(|| format!("{} has no checks", of()))?;
    let checks = checks.iter().map(|check| content_check(check, folder).with_context(of));
    let checks = checks.collect::<Result<Vec<_>>>()?;
    Ok((value, checks))
}

fn content_check(value: &Value, folder: &Path) -> Result<ContentCheck> {
    let id = value["id"].as_str().context("a check has no id")?.to_owned();
    let questions = value["questions"].as_array().filter(|questions| !questions.is_empty());
    let questions = questions.with_context(|| format!("the check {id} has no questions"))?;
    let mut needs = Vec::new();
    let questions = questions.iter().enumerate().map(|(index, question)| {
        let mut messages = question["messages"].clone();
        let turns = messages.as_array_mut().with_context(|| format!("{id}: a question has no messages"))?;
        let parts = turns.iter_mut().flat_map(|turn| turn["content"].as_array_mut().into_iter().flatten());
        for part in parts {
            for kind in ["image", "audio"] {
                let Some(name) = part[kind].as_str() else { continue };
                let path = folder.join(name);
                ensure!(path.is_file(), "{id}: there is no file {}", path.display());
                part[kind] = json!(path);
                if !needs.contains(&kind) {
                    needs.push(kind);
                }
            }
        }
        let expect = question["expect"].clone();
        ensure!(expect["words"].is_array(), "{id}: a question has no expected words");
        let max_tokens = question["max_tokens"].as_u64().unwrap_or(MAX_TOKENS);
        Ok(Question { id: format!("{id}/{}", index + 1), messages, expect, max_tokens })
    });
    let questions = questions.collect::<Result<Vec<_>>>()?;
    let name = value["name"].as_str().unwrap_or(&id).to_owned();
    Ok(ContentCheck { id, name, needs, not_counted: None, questions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths;

    fn checks(snapshot: &str, content: Content) -> Checks {
        let root = paths::root();
        Checks::read(&root.join("tools/accept/checks.json"), &root.join(snapshot), content).expect("checks")
    }

    #[test]
    fn wrong_answers_count_unless_the_snapshot_or_the_caller_says_otherwise() {
        let general = checks("tests/fixtures/gemma3-bf16-mlx", Content::Require);
        assert!(general.all().iter().all(|check| check.not_counted.is_none()));
        let demo = checks("models/demo/bf16", Content::Require);
        assert!(demo.all().len() > general.all().len());
        let counted = |id: &str| demo.all().iter().any(|c| c.id == id && c.not_counted.is_none());
        assert!(counted("capital") && counted("colours") && counted("demo-number") && !counted("card"));
        let reported = checks("models/demo/bf16", Content::Report);
        assert!(reported.all().iter().all(|check| check.not_counted.is_some()));
    }

    #[test]
    fn needs_are_the_kinds_of_media_in_the_questions() {
        let general = checks("tests/fixtures/gemma3-bf16-mlx", Content::Require);
        let needs = |id: &str| general.all().iter().find(|c| c.id == id).map(|c| c.needs.clone());
        assert_eq!(needs("capital"), Some(vec![]));
        assert_eq!(needs("card"), Some(vec!["image"]));
        assert_eq!(needs("sentence"), Some(vec!["audio"]));
    }
}
