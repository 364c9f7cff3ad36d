//! The report, for people (Markdown) and for programs (JSON).

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::outcome::{Check, Outcome};

pub const MARKDOWN: &str = "accept-report.md";
pub const JSON: &str = "accept-report.json";
const SCHEMA: u64 = 1;

pub struct Report {
    about: Value,
    notes: Map<String, Value>,
    checks: Vec<Check>,
}

impl Report {
    pub fn new(about: Value, expectations: Value) -> Self {
        let notes = [("expectations".to_owned(), expectations)];
        Self { about, notes: notes.into_iter().collect(), checks: Vec::new() }
    }

    /// Takes the check in, and says how it went.
    pub fn add(&mut self, check: Check) {
        let reason = if check.reason.is_empty() { String::new() } else { format!(": {}", check.reason) };
        println!("{:15} {}{reason}", check.outcome.name(), check.name);
        self.checks.push(check);
    }

    pub fn note(&mut self, name: &str, value: Value) {
        self.notes.insert(name.to_owned(), value);
    }

    pub fn outcome(&self, id: &str) -> Option<Outcome> {
        self.checks.iter().find(|check| check.id == id).map(|check| check.outcome)
    }

    /// How many checks came to each outcome, in the order of [`Outcome::ALL`].
    pub fn counts(&self) -> [usize; 4] {
        Outcome::ALL.map(|outcome| self.checks.iter().filter(|check| check.outcome == outcome).count())
    }

    pub fn json(&self) -> Value {
        let counts = Outcome::ALL.iter().zip(self.counts());
        let counts: Map<_, _> = counts.map(|(outcome, n)| (outcome.name().to_owned(), json!(n))).collect();
        let mut value = json!({ "schema": SCHEMA, "counts": counts });
        for (name, member) in self.about.as_object().into_iter().flatten().chain(&self.notes) {
            value[name] = member.clone();
        }
        value["checks"] = self.checks.iter().map(Check::json).collect();
        value
    }

    pub fn markdown(&self) -> String {
        let [ok, failed, not_applicable, inconclusive] = self.counts();
        let mut text = format!(
            "# rmlx accept\n\n{ok} ok, {failed} failed, {not_applicable} not applicable, {inconclusive} inconclusive\n\n"
        );
        for (name, value) in self.about.as_object().into_iter().flatten() {
            for (key, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_array())
            {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "- {name}, {key}: {}", plain(value));
            }
        }
        text += "\n| check | outcome | |\n|---|---|---|\n";
        for check in &self.checks {
            let reason = cell(&check.reason);
            let _ = writeln!(text, "| {} | {} | {reason} |", cell(&check.name), check.outcome.name());
        }
        for check in
            self.checks.iter().filter(|check| !check.numbers.is_empty() || !check.questions.is_empty())
        {
            let _ = writeln!(text, "\n## {}\n", check.name);
            for (name, value) in &check.numbers {
                let _ = writeln!(text, "- {name}: {}", plain(value));
            }
            if !check.questions.is_empty() {
                text += "\n| question | answer | expected | outcome |\n|---|---|---|---|\n";
            }
            for question in &check.questions {
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} |",
                    cell(&asked(&question["messages"])),
                    cell(&plain(&question["answer"])),
                    cell(&question["expect"].to_string()),
                    plain(&question["outcome"])
                );
            }
        }
        text
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(&self.json())? + "\n";
        for (name, text) in [(MARKDOWN, self.markdown()), (JSON, json)] {
            let file = folder.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }
}

/// The texts of a conversation, and the files' names of its media.
fn asked(messages: &Value) -> String {
    let parts = messages.as_array().into_iter().flatten().flat_map(|message| {
        message["content"].as_array().into_iter().flatten().filter_map(|part| {
            let file = part["image"].as_str().or(part["audio"].as_str());
            let name =
                file.map(|file| format!("[{}]", Path::new(file).file_name().unwrap_or_default().display()));
            name.or_else(|| part["text"].as_str().map(str::to_owned))
        })
    });
    parts.collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Text that a model made, or an error, within one cell of a table.
fn cell(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars() {
        match character {
            '|' | '<' | '`' | '*' | '_' | '[' | ']' | '\\' => safe.extend(['\\', character]),
            control if control.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(json!({ "machine": { "system": "a system" } }), json!({ "own": null }));
        report.add(Check::new("a", "the first", Outcome::Ok, "").number("tokens", 3));
        report.add(Check::new("b", "the second", Outcome::Failed, "a | b"));
        report.add(Check::new("c", "the third", Outcome::NotApplicable, "no ear"));
        report
    }

    #[test]
    fn the_json_has_counts_and_every_check() {
        let value = report().json();
        assert_eq!(value["counts"], json!({ "ok": 1, "failed": 1, "not applicable": 1, "inconclusive": 0 }));
        assert_eq!(value["machine"]["system"], "a system");
        assert_eq!(value["checks"][0]["numbers"]["tokens"], 3);
        assert_eq!(value["checks"][1]["outcome"], "failed");
        assert_eq!(value["checks"][2]["reason"], "no ear");
    }

    #[test]
    fn a_models_words_stay_within_their_cell() {
        let text = report().markdown();
        assert!(text.contains("| the second | failed | a \\| b |"), "{text}");
        assert_eq!(cell("a\n| <b>"), "a \\| \\<b>");
    }
}
