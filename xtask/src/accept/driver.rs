//! The example that asks, and what it found.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::{paths, process};

/// Lines of the driver, by stage; answers by the question's id.
#[derive(Default)]
pub struct Found {
    stages: Map<String, Value>,
    answers: Map<String, Value>,
    /// How the driver ended, if not well.
    pub died: Option<String>,
}

impl Found {
    pub fn of(examples: &Path, model: &Path, questions: &Path) -> Result<Self> {
        let mut driver = Command::new(examples.join("accept"));
        driver.arg("--model").arg(model).arg("--questions").arg(questions).current_dir(paths::root());
        let output = process::output(&mut driver)?;
        let mut found = Self::read(&String::from_utf8_lossy(&output.stdout))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            found.died = Some(format!("the driver ended with {}: {}", output.status, said.trim()));
        }
        Ok(found)
    }

    pub fn read(printed: &str) -> Result<Self> {
        let mut found = Self::default();
        for line in printed.lines().filter(|line| line.starts_with('{')) {
            let value: Value = serde_json::from_str(line).context("the driver's output is no JSON")?;
            let name = |key: &str| value[key].as_str().map(str::to_owned);
            let stage = name("stage").context("a line of the driver has no stage")?;
            match name("id") {
                Some(id) => found.answers.insert(id, value),
                None => found.stages.insert(stage, value),
            };
        }
        ensure!(!found.stages.is_empty(), "the driver found nothing\n{printed}");
        Ok(found)
    }

    /// Null for a stage that was not reached.
    pub fn stage(&self, name: &str) -> &Value {
        self.stages.get(name).unwrap_or(&Value::Null)
    }

    pub fn answer(&self, id: &str) -> &Value {
        self.answers.get(id).unwrap_or(&Value::Null)
    }

    pub fn answers(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.answers.iter()
    }

    /// Whether the loaded model takes such media, and has a chat template; `Err` says what is missing.
    pub fn takes(&self, needs: &[&str]) -> Result<(), String> {
        let info = &self.stage("load")["value"];
        if info["chat_template"] == false {
            return Err("the snapshot has no chat template".into());
        }
        let modalities = info["modalities"].as_array().cloned().unwrap_or_default();
        let missing = needs.iter().find(|kind| !info.is_null() && !modalities.iter().any(|m| m == **kind));
        missing.map_or(Ok(()), |kind| {
            let names: Vec<_> = modalities.iter().filter_map(Value::as_str).collect();
            Err(format!("the model takes no {kind}, only {}", names.join(", ")))
        })
    }

    /// Ids and outline of every prompt, for those who compare.
    pub fn prompts(&self) -> Value {
        let prompts = self.answers.iter().map(|(id, answer)| {
            json!({
                "id": id,
                "prompt_ids": answer["prompt_ids"],
                "outline": answer["outline"],
                "tokens": answer["tokens"],
                "margins": answer["margins"],
            })
        });
        Value::Array(prompts.collect())
    }
}
