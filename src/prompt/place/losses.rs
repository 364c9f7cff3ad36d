//! What the template left out.
//!
//! A text whose tag is nowhere may still be there in part, or have been cut for what it says (earlier thoughts). So
//! such texts are written once more as something else: what is lost makes no difference to what the template writes.

use super::tags::{Tags, Told};
use super::{Lost, LostKind};
use crate::error::{Error, Result};
use crate::prompt::message::Prompt;
use crate::prompt::rendering::Rendering;

/// Renderings after which what is left counts as not lost.
const TRIALS: usize = 3;

/// Texts, results and calls of which `plain` has no trace, given the same conversation with tags.
pub(super) fn lost_texts(rendering: &Rendering, tags: &Tags, plain: &str, tagged: &str) -> Vec<Lost> {
    let prompt = rendering.prompt();
    let mut seen = vec![false; tags.owners().count()];
    tags.find(tagged).iter().for_each(|hit| seen[hit.number] = true);
    tags.owners()
        .filter(|(_, owner)| owner.told == Told::Nothing)
        .for_each(|(number, _)| seen[number] = true);
    for _ in 0..TRIALS {
        if seen.iter().all(|seen| *seen) {
            break;
        }
        let replaced = rendering.edited(|index, _, shown| tags.replace(index, shown, |number| !seen[number]));
        match replaced {
            Ok(text) if text == plain => return list(prompt, tags, &seen),
            Ok(text) => {
                let shown = tags.find(&text);
                if shown.is_empty() {
                    break;
                }
                shown.iter().for_each(|hit| seen[hit.number] = true);
            }
            Err(_) => break,
        }
    }
    Vec::new()
}

fn list(prompt: &Prompt, tags: &Tags, seen: &[bool]) -> Vec<Lost> {
    let unseen = tags.owners().filter(|(number, _)| !seen[*number]);
    let lost = unseen.filter_map(|(_, owner)| {
        let is_tool = prompt.messages[owner.message].role == "tool";
        let (part, kind) = match owner.told {
            Told::Part(part) if is_tool => (part, LostKind::ToolResult),
            Told::Part(part) => (part, LostKind::Text),
            Told::Call(call) => (call, LostKind::ToolCall),
            Told::Nothing => return None,
        };
        Some(Lost { message: owner.message, part, kind })
    });
    lost.collect()
}

/// A message all of whose text is lost is an error that names it, and so is a lost call.
pub(super) fn check(prompt: &Prompt, tags: &Tags, lost: &[Lost]) -> Result<()> {
    for same in lost.chunk_by(|a, b| (a.message, a.kind) == (b.message, b.kind)) {
        let Lost { message, part, kind } = same[0];
        let turn = &prompt.messages[message];
        let what = match kind {
            LostKind::ToolCall => format!("call of the tool '{}'", turn.tool_calls[part].name),
            _ if tags.texts_of(message) > same.len() => continue,
            LostKind::Text => "text".to_owned(),
            LostKind::ToolResult => "tool result".to_owned(),
        };
        let role = &turn.role;
        let text = format!("the template leaves out the {what} of message {message} (role '{role}')");
        let index = if kind == LostKind::ToolCall { "call_index" } else { "part_index" };
        return Err(Error::prompt(text).with("message_index", message).with(index, part));
    }
    Ok(())
}
