//! JSON schemas as a grammar of Gemma's own spelling of values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::grammar::{Declared, literal, unsupported};
use crate::error::Result;

/// Keywords that say nothing of which values are valid, or nothing that a text could break.
const SILENT: [&str; 11] = [
    "title",
    "description",
    "default",
    "examples",
    "format",
    "nullable",
    "deprecated",
    "$defs",
    "definitions",
    "$schema",
    "$comment",
];
/// Values nested deeper are refused.
const MAX_DEPTH: usize = 32;

/// The rules `tool_0`, `tool_1`, … `quote` is the token around texts.
pub(super) fn grammar(tools: &[Declared], quote: u32) -> Result<String> {
    let mut writer = Writer {
        quote,
        rules: String::new(),
        count: 0,
        known: BTreeMap::new(),
        tool: "",
        root: &Value::Null,
    };
    for (index, tool) in tools.iter().enumerate() {
        (writer.tool, writer.root) = (&tool.name, &tool.parameters);
        writer.known.clear();
        let is_object = tool.parameters.get("type").is_none_or(|t| t == "object");
        let Some(schema) = tool.parameters.as_object().filter(|_| is_object) else {
            return Err(unsupported(&tool.name, "its parameters are no object"));
        };
        if tool.name.contains('{') {
            return Err(unsupported(&tool.name, "its name"));
        }
        let arguments = writer.object(schema, 0)?;
        let name = literal(&format!("call:{}", tool.name));
        writer.rules += &format!("tool_{index}: {name} {arguments}\n");
    }
    let q = format!("<[{quote}]>");
    Ok(writer.rules
        + &format!(
            "text: {q} TEXT? {q}\nTEXT: /(?s:.)+/\nKEY: /[A-Za-z_][A-Za-z0-9_]*/\n\
             any: text | scalar | any_list | any_object\n\
             scalar: %json {{\"type\": [\"number\", \"boolean\", \"null\"]}}\n\
             any_list: \"[\" (any (\",\" any)*)? \"]\"\n\
             any_object: \"{{\" (any_member (\",\" any_member)*)? \"}}\"\n\
             any_member: KEY \":\" any\n"
        ))
}

struct Writer<'a> {
    quote: u32,
    rules: String,
    count: usize,
    /// Rules of references.
    known: BTreeMap<String, String>,
    tool: &'a str,
    root: &'a Value,
}

impl<'a> Writer<'a> {
    fn refuse<T>(&self, what: impl AsRef<str>) -> Result<T> {
        Err(unsupported(self.tool, what.as_ref()))
    }

    /// A rule of its own; its name.
    fn rule(&mut self, body: &str) -> String {
        self.count += 1;
        self.rules += &format!("v{}: {body}\n", self.count);
        format!("v{}", self.count)
    }

    fn only(&self, schema: &Map<String, Value>, known: &[&str]) -> Result<()> {
        match schema.keys().find(|key| !known.contains(&key.as_str()) && !SILENT.contains(&key.as_str())) {
            Some(key) => self.refuse(format!("the keyword {key}")),
            None => Ok(()),
        }
    }

    /// The expression of a value.
    fn value(&mut self, schema: &'a Value, depth: usize) -> Result<String> {
        let schema = match schema {
            Value::Bool(true) => return Ok("any".into()),
            Value::Object(schema) => schema,
            _ => return self.refuse("a schema that is no object"),
        };
        if depth > MAX_DEPTH {
            return self.refuse(format!("more than {MAX_DEPTH} levels"));
        }
        if let Some(to) = schema.get("$ref") {
            self.only(schema, &["$ref"])?;
            return self.reference(to, depth);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            self.only(schema, &["enum", "type"])?;
            return self.one_of(values);
        }
        if let Some(value) = schema.get("const") {
            self.only(schema, &["const", "type"])?;
            return self.one_of(std::slice::from_ref(value));
        }
        if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
            self.only(schema, &["anyOf"])?;
            let options = options.iter().map(|option| self.value(option, depth + 1));
            let options = options.collect::<Result<Vec<_>>>()?;
            return Ok(self.rule(&options.join(" | ")));
        }
        match schema.get("type") {
            None => self.only(schema, &[]).map(|()| "any".into()),
            Some(Value::String(kind)) => self.typed(kind, schema, depth),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().filter_map(Value::as_str);
                let options =
                    kinds.map(|kind| self.typed(kind, schema, depth)).collect::<Result<Vec<_>>>()?;
                Ok(self.rule(&options.join(" | ")))
            }
            Some(other) => self.refuse(format!("the type {other}")),
        }
    }

    fn typed(&mut self, kind: &str, schema: &'a Map<String, Value>, depth: usize) -> Result<String> {
        match kind.to_ascii_lowercase().as_str() {
            "string" => self.text(schema),
            "array" => self.list(schema, depth),
            "object" => self.object(schema, depth),
            kind @ ("number" | "integer" | "boolean" | "null") => {
                let mut scalar = schema.clone();
                scalar.retain(|key, _| !SILENT.contains(&key.as_str()));
                scalar.insert("type".into(), kind.into());
                Ok(self.rule(&format!("%json {}", Value::from(scalar))))
            }
            other => self.refuse(format!("the type {other}")),
        }
    }

    fn one_of(&mut self, values: &[Value]) -> Result<String> {
        let mut options = Vec::new();
        for value in values {
            match value {
                Value::String(text) if text.is_empty() => {
                    options.push(format!("<[{0}]> <[{0}]>", self.quote))
                }
                Value::String(text) => {
                    options.push(format!("<[{0}]> {1} <[{0}]>", self.quote, literal(text)))
                }
                Value::Array(_) | Value::Object(_) => return self.refuse("an enum of lists or objects"),
                scalar => options.push(literal(&scalar.to_string())),
            }
        }
        if options.is_empty() { self.refuse("an empty enum") } else { Ok(self.rule(&options.join(" | "))) }
    }

    fn text(&mut self, schema: &Map<String, Value>) -> Result<String> {
        self.only(schema, &["type", "minLength", "maxLength"])?;
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength"));
        if most.is_some_and(|most| most < least) {
            return self.refuse("a length that no text has");
        }
        let (maybe, first) = if least == 0 { ("?", 1) } else { ("", least) };
        let length = match most {
            None if least == 0 => return Ok("text".into()),
            Some(0) => return Ok(self.rule(&format!("<[{0}]> <[{0}]>", self.quote))),
            None => format!("{{{first},}}"),
            Some(most) => format!("{{{first},{most}}}"),
        };
        self.count += 1;
        self.rules += &format!("T{}: /(?s:.){length}/\n", self.count);
        let text = format!("<[{0}]> T{1}{maybe} <[{0}]>", self.quote, self.count);
        Ok(self.rule(&text))
    }

    fn list(&mut self, schema: &'a Map<String, Value>, depth: usize) -> Result<String> {
        self.only(schema, &["type", "items", "minItems", "maxItems"])?;
        let item = match schema.get("items") {
            Some(items) => self.value(items, depth + 1)?,
            None => "any".into(),
        };
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems"));
        if most.is_some_and(|most| most < least) {
            return self.refuse("a number of items that no list has");
        }
        let further = match most {
            Some(0) => return Ok("\"[]\"".into()),
            Some(most) => format!("{{{},{}}}", least.saturating_sub(1), most - 1),
            None => format!("{{{},}}", least.saturating_sub(1)),
        };
        let maybe = if least == 0 { "?" } else { "" };
        Ok(self.rule(&format!("\"[\" ({item} (\",\" {item}){further}){maybe} \"]\"")))
    }

    /// Members in the order in which the template writes them; those that are not required may be left out.
    fn object(&mut self, schema: &'a Map<String, Value>, depth: usize) -> Result<String> {
        self.only(schema, &["type", "properties", "required", "additionalProperties"])?;
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        if let Some(missing) = required.iter().find(|name| !properties.contains_key(**name)) {
            return self.refuse(format!("{missing} is required and not declared"));
        }
        if properties.is_empty() {
            let closed = schema.get("additionalProperties") == Some(&Value::Bool(false)) || depth == 0;
            return Ok(if closed { "\"{}\"".into() } else { "any_object".into() });
        }
        let mut names: Vec<&String> = properties.keys().collect();
        names.sort_by_key(|name| name.to_lowercase());
        let mut members = Vec::new();
        for name in names {
            if name.is_empty()
                || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$'))
            {
                return self.refuse(format!("the name {name}"));
            }
            let value = match schema.get("properties").and_then(|p| p.get(name.as_str())) {
                Some(value) => self.value(value, depth + 1)?,
                None => "any".into(),
            };
            members.push((
                format!("{} {value}", literal(&format!("{name}:"))),
                required.contains(&name.as_str()),
            ));
        }
        // Each member that may be the first, with what may follow it.
        let mut firsts = Vec::new();
        for (index, (first, is_required)) in members.iter().enumerate() {
            let rest = members[index + 1..]
                .iter()
                .map(|(member, required)| format!(" (\",\" {member}){}", if *required { "" } else { "?" }));
            firsts.push(first.clone() + &rest.collect::<String>());
            if *is_required {
                break;
            }
        }
        let maybe = if required.is_empty() { "?" } else { "" };
        Ok(self.rule(&format!("\"{{\" ({}){maybe} \"}}\"", firsts.join(" | "))))
    }

    /// What a reference within the schema names.
    fn reference(&mut self, to: &Value, depth: usize) -> Result<String> {
        let to = to.as_str().unwrap_or_default();
        if let Some(rule) = self.known.get(to) {
            return Ok(rule.clone());
        }
        let root = self.root;
        let Some(target) = to.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) else {
            return self.refuse(format!("the reference {to}"));
        };
        self.count += 1;
        let name = format!("r{}", self.count);
        self.known.insert(to.to_owned(), name.clone());
        let body = self.value(target, depth + 1)?;
        self.rules += &format!("{name}: {body}\n");
        Ok(name)
    }
}
