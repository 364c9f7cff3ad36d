//! The smoke probe: does this model, as loaded here, answer at all?
//!
//! It asks a question through the snapshot's own chat template, since a chat model that is asked without it
//! answers nonsense and is innocent. A base model without a template gets the bare text behind its BOS.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::{EventKind, GenerationOptions, Model, Session, SessionOptions};
use crate::error::{Error, Result};
use crate::log;
use crate::media::{Image, Media, MediaKind, PixelDesc, PixelFormat};
use crate::prompt::{Message, Part, Prompt};

const QUESTION: &str = "What is the capital of France?";
const TOKENS: usize = 16;
/// So many identical ids in a row are a loop.
const LOOP: usize = 6;

/// What the probe makes of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The model answers.
    Ok,
    /// The logits hold NaN or infinity.
    BrokenNan,
    /// The same token over and over.
    BrokenLoop,
    /// Neither broken nor telling.
    Inconclusive,
}

impl Verdict {
    /// As reports spell it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "Ok",
            Verdict::BrokenNan => "BrokenNan",
            Verdict::BrokenLoop => "BrokenLoop",
            Verdict::Inconclusive => "Inconclusive",
        }
    }
}

struct Answer {
    tokens: Vec<u32>,
    text: String,
    finite: bool,
    first_row: Vec<f32>,
}

impl Model {
    /// Asks the probe's question greedily and judges the answer, as a JSON object: `verdict`, `text`, `tokens`,
    /// `prompt`, `templated`, `fallback`, for a model that sees `image_changes_logits`, and `backend`: whether MLX computes
    /// as it should on the model's device.
    pub fn probe(&self) -> Result<Value> {
        let session = Session::new(self, &SessionOptions::default())?;
        let (prompt, templated, fallback) = self.probe_prompt()?;
        let answer = ask(&session, &prompt)?;
        let pieces =
            answer.tokens.iter().map(|&id| self.detokenize(&[id], true)).collect::<Result<Vec<_>>>()?;
        let verdict = judge(&answer, &pieces);
        let mut report = json!({
            "verdict": verdict.name(),
            "question": QUESTION,
            "text": answer.text,
            "tokens": answer.tokens,
            "templated": templated,
            "fallback": fallback,
            "backend": self.backend_report()?,
        });
        if templated && self.architecture().modalities().contains(&MediaKind::Image) && answer.finite {
            let change = image_change(&session)?;
            report["image_changes_logits"] = json!(change > 0.0);
            report["image_logit_change"] = json!(change);
        }
        Ok(report)
    }

    /// The question in the template, else behind the BOS, and why the template was not used.
    fn probe_prompt(&self) -> Result<(Prompt, bool, Option<String>)> {
        let templated = asking(vec![Part::Text(QUESTION.into())]);
        let reason = if !self.formatter().has_template() {
            "the snapshot has no chat template".to_owned()
        } else {
            match self.render_prompt(&templated, &GenerationOptions::default()) {
                Ok(_) => return Ok((templated, true, None)),
                Err(error) => format!("the chat template cannot be used: {error}"),
            }
        };
        log::warning(&format!("the probe asks with the bare text: {reason}"));
        let mut tokens: Vec<u32> = self.formatter().canonical_bos().into_iter().collect();
        tokens.extend(self.tokenize(QUESTION, false)?);
        Ok((Prompt { tokens: Some(tokens), ..Prompt::default() }, false, Some(reason)))
    }
}

fn asking(parts: Vec<Part>) -> Prompt {
    Prompt { messages: vec![Message::new("user", parts)], ..Prompt::default() }
}

fn ask(session: &Session, prompt: &Prompt) -> Result<Answer> {
    let options =
        GenerationOptions { max_tokens: Some(TOKENS), temperature: Some(0.0), ..Default::default() };
    session.submit(prompt, &options)?;
    let mut answer = Answer { tokens: vec![], text: String::new(), finite: true, first_row: vec![] };
    loop {
        let event = session.step()?;
        if let Some(id) = event.token {
            let row = session.logits()?;
            // Suppressed tokens are masked after this row, so every value of it must be finite.
            answer.finite &= row.iter().all(|l| l.is_finite());
            answer.tokens.push(id);
            if answer.first_row.is_empty() {
                answer.first_row = row;
            }
        }
        if matches!(event.kind, EventKind::Text | EventKind::Finish) {
            answer.text += &event.text;
        }
        if event.kind == EventKind::Finish {
            let not_finite = event.error.as_ref().is_some_and(|e| e.details().contains_key("not_finite"));
            answer.finite &= !not_finite;
            return event.error.filter(|_| !not_finite).map_or(Ok(answer), Err);
        }
    }
}

fn judge(answer: &Answer, pieces: &[String]) -> Verdict {
    if !answer.finite {
        return Verdict::BrokenNan;
    }
    if loops(&answer.tokens) || only_punctuation(&answer.tokens, pieces) {
        return Verdict::BrokenLoop;
    }
    if answer.text.chars().filter(|c| c.is_alphabetic()).count() >= 2 {
        Verdict::Ok
    } else {
        Verdict::Inconclusive
    }
}

fn loops(tokens: &[u32]) -> bool {
    tokens.windows(LOOP).any(|run| run.iter().all(|id| *id == run[0]))
}

/// At least [`LOOP`] tokens of at most two ids, most of them one piece without a letter or digit.
fn only_punctuation(tokens: &[u32], pieces: &[String]) -> bool {
    let mut ids = tokens.to_vec();
    ids.sort_unstable();
    ids.dedup();
    if tokens.len() < LOOP || ids.len() > 2 {
        return false;
    }
    ids.iter().any(|id| {
        let count = tokens.iter().filter(|t| *t == id).count();
        let bare =
            tokens.iter().zip(pieces).any(|(t, piece)| t == id && !piece.chars().any(char::is_alphanumeric));
        bare && 2 * count > tokens.len()
    })
}

/// The largest difference of the first logits rows after a picture and after its mirror image, in units of the
/// row's standard deviation.
fn image_change(session: &Session) -> Result<f64> {
    let row = |flip: bool| {
        let prompt = asking(vec![
            Part::Media(Arc::new(Media::Image(half_picture(flip)?))),
            Part::Text("What is this?".into()),
        ]);
        let answer = ask(session, &prompt)?;
        match answer.finite {
            true => Ok(answer.first_row),
            false => Err(Error::new(crate::Code::Backend, "the logits are not finite")),
        }
    };
    let (a, b) = (row(false)?, row(true)?);
    let mean = a.iter().map(|&l| f64::from(l)).sum::<f64>() / a.len().max(1) as f64;
    let variance = a.iter().map(|&l| (f64::from(l) - mean).powi(2)).sum::<f64>() / a.len().max(1) as f64;
    let change = a.iter().zip(&b).map(|(x, y)| f64::from((x - y).abs())).fold(0.0, f64::max);
    if change == 0.0 {
        return Ok(0.0);
    }
    let relative = change / variance.sqrt();
    if relative.is_finite() {
        Ok(relative)
    } else {
        Err(Error::new(crate::Code::Backend, "the logits are not finite"))
    }
}

/// Red over blue, or blue over red.
fn half_picture(flip: bool) -> Result<Image> {
    const SIDE: usize = 96;
    let pixels: Vec<u8> = (0..SIDE)
        .flat_map(|y| {
            let red = (y < SIDE / 2) != flip;
            std::iter::repeat_n(if red { [220, 30, 30] } else { [30, 30, 220] }, SIDE).flatten()
        })
        .collect();
    let side = SIDE as u32;
    Image::from_pixels(
        &PixelDesc { width: side, height: side, row_stride: 3 * SIDE, format: PixelFormat::Rgb8 },
        &pixels,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(tokens: &[u32], text: &str, finite: bool) -> Verdict {
        let pieces: Vec<String> =
            tokens.iter().map(|t| if *t < 10 { ".".into() } else { "word".into() }).collect();
        judge(&Answer { tokens: tokens.to_vec(), text: text.into(), finite, first_row: vec![] }, &pieces)
    }

    #[test]
    fn verdicts() {
        assert_eq!(verdict(&[11, 12], "Paris", true), Verdict::Ok);
        assert_eq!(verdict(&[11, 12], "Paris", false), Verdict::BrokenNan);
        assert_eq!(verdict(&[11, 20, 20, 20, 20, 20, 20], "a a a", true), Verdict::BrokenLoop);
        assert_eq!(verdict(&[1, 11, 1, 1, 11, 1, 1], ".a..a..", true), Verdict::BrokenLoop);
        assert_eq!(verdict(&[1, 11, 12, 13, 1, 14, 15], "a.b.c", true), Verdict::Ok);
        assert_eq!(verdict(&[1], "", true), Verdict::Inconclusive);
    }
}
