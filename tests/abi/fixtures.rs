//! The golden fixtures as prompts of the C ABI.

use std::sync::OnceLock;

use serde_json::Value;

pub use crate::cases::*;
use crate::harness::{Media, Model, Prompt};

/// The dense snapshot, loaded once for all tests.
pub fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::load(path("unified-bf16-mlx")).expect("the dense snapshot loads"))
}

impl Case {
    pub fn prompt(&self) -> Prompt {
        self.prompt_with(|image| image)
    }

    /// The prompt with each of its images changed.
    pub fn prompt_with(&self, change: impl Fn(Media) -> Media) -> Prompt {
        let mut prompt = Prompt::new();
        for message in &self.messages {
            prompt = prompt.message(&message.role);
            for part in &message.parts {
                prompt = match part {
                    Part::Text { text } => prompt.text(text),
                    Part::Audio { file } => prompt.media(&Media::sound(&bytes(file)).expect("a sound")),
                    Part::Video { frames } => {
                        let image = |frame: &Frame| Media::image(&bytes(&frame.file)).expect("an image");
                        let images: Vec<Media> = frames.iter().map(image).collect();
                        let seconds: Vec<f64> = frames.iter().map(|frame| frame.seconds).collect();
                        let images: Vec<&Media> = images.iter().collect();
                        prompt.media(&Media::video(&images, &seconds).expect("a video"))
                    }
                    Part::Image { file, max_soft_tokens } => {
                        let image = change(Media::image(&bytes(file)).expect("an image"));
                        match max_soft_tokens {
                            Some(budget) => prompt.media(&image.with_budget(*budget).expect("a budget")),
                            None => prompt.media(&image),
                        }
                    }
                };
            }
        }
        if !self.tools.is_empty() {
            prompt = prompt.tools(&Value::from(self.tools.clone()).to_string());
        }
        if self.template_variables != Value::Object(Default::default()) {
            prompt = prompt.variables(&self.template_variables.to_string());
        }
        prompt
    }
}
