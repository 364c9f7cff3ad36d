//! A whole conversation in JSON, in the shape of OpenAI's chat messages.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::message::{MEMBERS, Message, Part, Prompt, ToolCall};
use crate::error::{Error, Result};
use crate::json;
use crate::media::{Media, MediaKind};

impl Prompt {
    /// Reads `{"messages": […], "tools": […], "template_vars": {…}, "continue_final_message": false}`. A part `{"type": "image", "media": 0}` is the
    /// first of `media`; each of them must be named.
    ///
    /// Further members of a message go to the template as they are; any other member that is not known is an error,
    /// and every error names the message and the key.
    pub fn from_json(text: &str, media: &[Arc<Media>]) -> Result<Prompt> {
        let root = json::parse(text.as_bytes()).map_err(|e| {
            Error::invalid_argument(format!("the conversation is not JSON: {e}"))
                .with("line", e.line())
                .with("column", e.column())
        })?;
        let root = object(&root, "the conversation")?;
        known(root, &["messages", "tools", "template_vars", "continue_final_message"], "the conversation")?;
        let Some(Value::Array(messages)) = root.get("messages") else {
            return Err(wrong("messages", "the conversation", "an array of messages"));
        };
        let mut reader = Reader { media, used: vec![false; media.len()] };
        let read = |(index, message): (usize, &Value)| {
            reader.message(message, &format!("message {index}")).map_err(|e| e.with("message_index", index))
        };
        let messages = messages.iter().enumerate().map(read).collect::<Result<_>>()?;
        if let Some(index) = reader.used.iter().position(|used| !used) {
            let text = format!(
                "media[{index}] is in no message: name it by a part {}",
                part_of(media[index].kind(), index)
            );
            return Err(Error::invalid_argument(text).with("media_index", index));
        }
        let tools = match root.get("tools") {
            None | Some(Value::Null) => None,
            Some(tools) if tools.as_array().is_some_and(|tools| tools.iter().all(Value::is_object)) => {
                Some(tools.clone())
            }
            Some(_) => return Err(wrong("tools", "the conversation", "an array of objects")),
        };
        let template_vars = match root.get("template_vars") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(variables)) => variables.clone(),
            Some(_) => return Err(wrong("template_vars", "the conversation", "an object")),
        };
        let continue_final_message = match root.get("continue_final_message") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(on)) => *on,
            Some(_) => return Err(wrong("continue_final_message", "the conversation", "true or false")),
        };
        Ok(Prompt { messages, tools, template_vars, continue_final_message, tokens: None })
    }
}

struct Reader<'a> {
    media: &'a [Arc<Media>],
    /// By medium.
    used: Vec<bool>,
}

impl Reader<'_> {
    fn message(&mut self, value: &Value, place: &str) -> Result<Message> {
        let members = object(value, place)?;
        let role = match members.get("role") {
            Some(Value::String(role)) if !role.trim().is_empty() => role.clone(),
            _ => return Err(wrong("role", place, "a text such as \"user\"")),
        };
        let calls = match members.get("tool_calls") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(calls)) => calls,
            Some(_) => return Err(wrong("tool_calls", place, "an array of calls")),
        };
        let calls = calls.iter().enumerate();
        let others = members.iter().filter(|(name, _)| !MEMBERS.contains(&name.as_str()));
        Ok(Message {
            parts: self.content(members.get("content"), &role, place)?,
            role,
            reasoning: text(members, "reasoning_content", place)?,
            tool_calls: calls
                .map(|(i, call)| tool_call(call, &format!("tool_calls[{i}] of {place}")))
                .collect::<Result<_>>()?,
            tool_call_id: text(members, "tool_call_id", place)?,
            name: text(members, "name", place)?,
            others: others.map(|(name, value)| (name.clone(), value.clone())).collect(),
            generated: None,
        })
    }

    fn content(&mut self, content: Option<&Value>, role: &str, place: &str) -> Result<Vec<Part>> {
        match content {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![Part::Text(text.clone())]),
            Some(Value::Array(parts)) => {
                let read = |(i, part)| self.part(part, &format!("content[{i}] of {place}"));
                parts.iter().enumerate().map(read).collect()
            }
            Some(Value::Object(members)) if role == "tool" => {
                Ok(vec![Part::Json(Value::Object(members.clone()))])
            }
            Some(_) => Err(wrong("content", place, "a text, null or a list of parts")),
        }
    }

    fn part(&mut self, value: &Value, place: &str) -> Result<Part> {
        let members = object(value, place)?;
        let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind == "text" {
            known(members, &["type", "text"], place)?;
            return text(members, "text", place)?
                .map(Part::Text)
                .ok_or_else(|| wrong("text", place, "a text"));
        }
        let Some(kind) = MediaKind::ALL.into_iter().find(|known| known.name() == kind) else {
            let right = "\"text\", \"image\", \"audio\" or \"video\", and a medium is {\"type\": \"image\", \"media\": 0}";
            return Err(wrong("type", place, right));
        };
        known(members, &["type", "media"], place)?;
        let count = self.media.len();
        let index =
            members.get("media").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let Some(index) = index.filter(|index| *index < count) else {
            return Err(wrong("media", place, &format!("an index into the {count} media, from 0")));
        };
        let medium = &self.media[index];
        if medium.kind() != kind {
            return Err(wrong(
                "type",
                place,
                &format!("\"{}\", for media[{index}] is that", medium.kind().name()),
            ));
        }
        self.used[index] = true;
        Ok(Part::Media(Arc::clone(medium)))
    }
}

fn tool_call(value: &Value, place: &str) -> Result<ToolCall> {
    let members = object(value, place)?;
    known(members, &["id", "type", "function", "index"], place)?;
    if members.get("type").is_some_and(|kind| kind != "function") {
        return Err(wrong("type", place, "\"function\""));
    }
    let Some(Value::Object(function)) = members.get("function") else {
        return Err(wrong("function", place, "an object with \"name\" and \"arguments\""));
    };
    known(function, &["name", "arguments"], place)?;
    let name = text(function, "name", place)?.filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| wrong("name", place, "the tool's name"))?;
    let right = || wrong("arguments", place, "an object, or a text that holds one");
    let arguments = match function.get("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments.clone(),
        Some(Value::String(text)) if text.trim().is_empty() => Map::new(),
        Some(Value::String(text)) => match json::parse(text.as_bytes()) {
            Ok(Value::Object(arguments)) => arguments,
            _ => return Err(right()),
        },
        Some(_) => return Err(right()),
    };
    Ok(ToolCall { id: text(members, "id", place)?, name, arguments })
}

fn object<'v>(value: &'v Value, place: &str) -> Result<&'v Map<String, Value>> {
    value.as_object().ok_or_else(|| Error::invalid_argument(format!("{place} is not a JSON object")))
}

/// A member that is a text, if there is one.
fn text(members: &Map<String, Value>, key: &str, place: &str) -> Result<Option<String>> {
    match members.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(key, place, "a text")),
    }
}

/// Refuses members that would be dropped.
fn known(members: &Map<String, Value>, known: &[&str], place: &str) -> Result<()> {
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let known = known.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ");
            let text = format!("{place} has the member \"{key}\", and may have {known}");
            Err(Error::invalid_argument(text).with("key", key.as_str()))
        }
    }
}

fn wrong(key: &str, place: &str, right: &str) -> Error {
    Error::invalid_argument(format!("\"{key}\" of {place} must be {right}")).with("key", key)
}

fn part_of(kind: MediaKind, index: usize) -> String {
    format!("{{\"type\": \"{}\", \"media\": {index}}}", kind.name())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::image;
    use super::*;

    fn media(part: Part) -> Arc<Media> {
        match part {
            Part::Media(media) => media,
            _ => unreachable!(),
        }
    }

    fn read(conversation: Value) -> Result<Prompt> {
        Prompt::from_json(&conversation.to_string(), &[])
    }

    #[track_caller]
    fn refused(message: Value, index: usize, key: &str, says: &str) {
        let conversation = json!({"messages": [{"role": "user", "content": "x"}, message]});
        let e = Prompt::from_json(&conversation.to_string(), &[media(image(1))]).unwrap_err();
        assert_eq!((&e.details()["message_index"], &e.details()["key"]), (&json!(index), &json!(key)), "{e}");
        assert!(e.message().contains(says), "{e}");
    }

    #[test]
    fn a_whole_conversation_is_read() {
        let p = read(json!({
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": [{"type": "text", "text": "q"}], "weight": 1},
                {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}},
                    {"function": {"name": "g", "arguments": {"y": 2}}},
                ]},
                {"role": "tool", "tool_call_id": "a", "name": "f", "content": {"value": 3}},
            ],
            "tools": [{"type": "function"}],
            "template_vars": {"enable_thinking": true},
        }));
        let p = p.unwrap();
        let [_, user, called, result] = p.messages.as_slice() else { panic!("{p:?}") };
        assert_eq!(user.others["weight"], 1);
        assert_eq!(called.reasoning.as_deref(), Some("hm"));
        let calls: Vec<_> = called
            .tool_calls
            .iter()
            .map(|c| (c.id.as_deref(), c.name.as_str(), json!(c.arguments)))
            .collect();
        assert_eq!(calls, [(Some("a"), "f", json!({"x": 1})), (None, "g", json!({"y": 2}))]);
        assert_eq!((result.tool_call_id.as_deref(), result.name.as_deref()), (Some("a"), Some("f")));
        assert!(matches!(&result.parts[..], [Part::Json(value)] if *value == json!({"value": 3})));
        assert_eq!(
            (p.tools.unwrap(), &p.template_vars["enable_thinking"]),
            (json!([{"type": "function"}]), &json!(true))
        );
    }

    #[test]
    fn media_stand_where_they_are_named_and_each_is_used() {
        let pictures = [media(image(1)), media(image(2))];
        let content = json!([{"type": "image", "media": 1}, {"type": "text", "text": "q"}, {"type": "image", "media": 0}]);
        let p = Prompt::from_json(
            &json!({"messages": [{"role": "user", "content": content}]}).to_string(),
            &pictures,
        );
        let p = p.unwrap();
        let [Part::Media(first), Part::Text(_), Part::Media(last)] = &p.messages[0].parts[..] else {
            panic!("{p:?}")
        };
        assert!(Arc::ptr_eq(first, &pictures[1]) && Arc::ptr_eq(last, &pictures[0]));
        let one = json!({"messages": [{"role": "user", "content": [{"type": "image", "media": 1}]}]});
        let e = Prompt::from_json(&one.to_string(), &pictures).unwrap_err();
        assert_eq!(e.details()["media_index"], 0);
        assert!(e.message().contains(r#"{"type": "image", "media": 0}"#), "{e}");
    }

    #[test]
    fn what_is_wrong_is_named_by_message_and_key() {
        refused(json!({"content": "x"}), 1, "role", "message 1 must be a text");
        refused(json!({"role": "user", "content": 3}), 1, "content", "a list of parts");
        refused(json!({"role": "user", "content": {}}), 1, "content", "a list of parts");
        refused(
            json!({"role": "user", "content": [{"type": "image_url"}]}),
            1,
            "type",
            r#"{"type": "image", "media": 0}"#,
        );
        refused(
            json!({"role": "user", "content": [{"type": "image", "media": 1}]}),
            1,
            "media",
            "the 1 media",
        );
        refused(json!({"role": "user", "content": [{"type": "audio", "media": 0}]}), 1, "type", "\"image\"");
        refused(
            json!({"role": "user", "content": [{"type": "text", "text": "x", "image": 1}]}),
            1,
            "image",
            "may have",
        );
        refused(json!({"role": "assistant", "tool_calls": [{"name": "f"}]}), 1, "name", "\"function\"");
        let bad = json!({"function": {"name": "f", "arguments": "{"}});
        refused(
            json!({"role": "assistant", "tool_calls": [bad]}),
            1,
            "arguments",
            "tool_calls[0] of message 1",
        );
        assert_eq!(read(json!({"messages": [], "model": "m"})).unwrap_err().details()["key"], "model");
        assert!(Prompt::from_json("{", &[]).unwrap_err().details().contains_key("column"));
    }
}
