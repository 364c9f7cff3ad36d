//! What a check came to.

use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Failed,
    /// There is nothing to check here; the reason says why.
    NotApplicable,
    /// Checked, and neither right nor evidence of a fault.
    Inconclusive,
}

impl Outcome {
    pub const ALL: [Outcome; 4] =
        [Outcome::Ok, Outcome::Failed, Outcome::NotApplicable, Outcome::Inconclusive];

    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
            Outcome::NotApplicable => "not applicable",
            Outcome::Inconclusive => "inconclusive",
        }
    }
}

/// A line of the report.
#[derive(Debug)]
pub struct Check {
    pub id: String,
    pub name: String,
    pub outcome: Outcome,
    /// Empty for what is simply right.
    pub reason: String,
    pub numbers: Map<String, Value>,
    /// Question, answer, expectation and outcome of each.
    pub questions: Vec<Value>,
}

impl Check {
    pub fn new(id: &str, name: &str, outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            outcome,
            reason: reason.into(),
            numbers: Map::new(),
            questions: Vec::new(),
        }
    }

    pub fn number(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.numbers.insert(name.to_owned(), value.into());
        self
    }

    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "outcome": self.outcome.name(),
            "reason": self.reason,
            "numbers": self.numbers,
            "questions": self.questions,
        })
    }
}
