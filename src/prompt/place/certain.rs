//! Whether a rendering shows without a doubt that the template left out nothing of what the messages tell.

use crate::prompt::content::Content;
use crate::prompt::pycompat::is_space;
use crate::prompt::rendering::Rendering;

/// Bytes of a text that no markup repeats by chance.
const LONG: usize = 16;

/// Whether every text stands in `plain`, one after the other, and nothing else could have written it.
///
/// Each occurrence counts once, so a text that another one repeats is not taken for it. Short texts, further members, values and calls,
/// whose spellings the template chooses, leave a doubt.
pub(super) fn nothing_is_left_out(rendering: &Rendering, plain: &str) -> bool {
    let others = rendering.other_texts();
    let mut rest = plain;
    rendering.prompt().messages.iter().all(|message| {
        let shown = rendering.shown(message);
        let reasoning = shown.reasoning.unwrap_or_default();
        let mut is_there = |text: &str| {
            let elsewhere = reasoning.contains(text) || others.iter().any(|other| other.contains(text));
            let at = (text.len() >= LONG && !elsewhere).then(|| rest.find(text)).flatten();
            at.inspect(|at| rest = &rest[at + text.len()..]).is_some()
        };
        shown.calls.is_empty()
            && message.others.is_empty()
            && shown.parts.iter().all(|part| match part {
                Content::Text(text) => {
                    let text = text.trim_matches(is_space);
                    text.is_empty() || is_there(text)
                }
                Content::Json(value) => value.is_null(),
                Content::Media(_) => false,
            })
    })
}
