//! JSON schemas as a grammar of Gemma's own spelling of values.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::format;
use super::grammar::{Declared, unsupported};
use super::merge::merged;
use super::pattern::of_whole_text;
use crate::error::Result;
use crate::json::literal;

/// Keywords by which a schema says which values are valid; what is none of these is a remark.
const SAYING: [&str; 38] = [
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "type",
    "enum",
    "const",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "properties",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "required",
    "minProperties",
    "maxProperties",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
];
/// Keywords of values of each type; those of other types say nothing of it.
const OF_TEXTS: [&str; 3] = ["minLength", "maxLength", "pattern"];
const OF_NUMBERS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const OF_LISTS: [&str; 4] = ["items", "prefixItems", "minItems", "maxItems"];
const OF_OBJECTS: [&str; 3] = ["properties", "required", "additionalProperties"];
/// Numbers that every reader of JSON can hold.
const NUMBER: &str = r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?";
const INTEGER: &str = "-?(0|[1-9][0-9]{0,30})";
/// Values nested deeper are refused.
const MAX_DEPTH: usize = 32;
/// Schemas with more values are refused.
const MAX_VALUES: usize = 4096;

/// The rules `tool_0`, `tool_1`, … `quote` is the token around texts.
pub(super) fn grammar(tools: &[Declared], quote: u32) -> Result<String> {
    let mut writer = Writer {
        quote,
        rules: String::new(),
        count: 0,
        values: 0,
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
        let mut schema = schema.clone();
        schema.insert("type".into(), "object".into());
        let arguments = writer.value(&schema.into(), 0)?;
        let name = literal(&format!("call:{}", tool.name));
        writer.rules += &format!("tool_{index}: {name} {arguments}\n");
    }
    let q = format!("<[{quote}]>");
    Ok(writer.rules
        + &format!(
            "text: {q} TEXT? {q}\nTEXT: /(?s:.)+/\nKEY: /[A-Za-z_][A-Za-z0-9_]*/\n\
             any: text | scalar | any_list | any_object\n\
             scalar: NUMBER | \"true\" | \"false\" | \"null\"\n\
             NUMBER: /{NUMBER}/\nINTEGER: /{INTEGER}/\n\
             any_list: \"[\" (any (\",\" any)*)? \"]\"\n\
             any_object: \"{{\" (any_member (\",\" any_member)*)? \"}}\"\n\
             any_member: KEY \":\" any\n"
        ))
}

struct Writer<'a> {
    quote: u32,
    rules: String,
    count: usize,
    /// Schemas of values that were met.
    values: usize,
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
        match schema.keys().find(|key| says(key) && !known.contains(&key.as_str())) {
            Some(key) => self.refuse(format!("the keyword {key}")),
            None => Ok(()),
        }
    }

    /// The expression of a value.
    fn value(&mut self, schema: &Value, depth: usize) -> Result<String> {
        let schema = match schema {
            Value::Bool(true) => return Ok("any".into()),
            Value::Object(schema) => schema,
            _ => return self.refuse("a schema that is no object"),
        };
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return self.refuse(format!("more than {MAX_DEPTH} levels or {MAX_VALUES} values"));
        }
        if let Some(to) = schema.get("$ref").filter(|_| says_no_more_than(schema, "$ref")) {
            return self.reference(to, depth);
        }
        if schema.contains_key("$ref") || schema.contains_key("allOf") {
            let whole = self.joined(schema, depth)?;
            return self.value(&whole.into(), depth + 1);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            self.only(schema, &["enum", "type"])?;
            let typed = values.iter().filter(|value| is_of_type(value, schema.get("type")));
            return self.one_of(&typed.collect::<Vec<_>>());
        }
        if let Some(value) = schema.get("const") {
            self.only(schema, &["const", "type"])?;
            return self.one_of(&[value]);
        }
        if let Some(key) = ["anyOf", "oneOf"].into_iter().find(|key| schema.contains_key(*key)) {
            return self.any_of(schema, key, depth);
        }
        match schema.get("type") {
            None => self.untyped(schema, depth),
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

    /// Each alternative with what is said beside them.
    fn any_of(&mut self, schema: &Map<String, Value>, key: &str, depth: usize) -> Result<String> {
        let Some(options) = schema.get(key).and_then(Value::as_array).filter(|all| !all.is_empty()) else {
            return self.refuse(format!("{key} without alternatives"));
        };
        let mut beside = schema.clone();
        beside.retain(|other, _| other != key && says(other));
        let alone = says_no_more_than(schema, key);
        let mut rules = Vec::new();
        for option in options {
            rules.push(match option {
                Value::Bool(false) => continue,
                option if alone => self.value(option, depth + 1)?,
                option => self.value(&json!({"allOf": [beside, option]}), depth + 1)?,
            });
        }
        if rules.is_empty() {
            self.refuse(format!("{key} without alternatives"))
        } else {
            Ok(self.rule(&rules.join(" | ")))
        }
    }

    /// A schema, what it refers to and the parts of its `allOf` as one.
    fn joined(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Map<String, Value>> {
        if depth > MAX_DEPTH {
            return self.refuse(format!("more than {MAX_DEPTH} levels"));
        }
        let mut whole = schema.clone();
        let mut parts = match whole.shift_remove("allOf") {
            None => Vec::new(),
            Some(Value::Array(parts)) => parts,
            Some(_) => return self.refuse("an allOf that is no list"),
        };
        if let Some(to) = whole.shift_remove("$ref") {
            parts.push(self.target(&to)?.clone());
        }
        for part in parts {
            let part = match part {
                Value::Bool(true) => continue,
                Value::Object(part) if part.contains_key("$ref") || part.contains_key("allOf") => {
                    self.joined(&part, depth + 1)?
                }
                Value::Object(part) => part,
                _ => return self.refuse("a part of allOf that is no object"),
            };
            whole = merged(&whole, &part).or_else(|why| self.refuse(why))?;
        }
        Ok(whole)
    }

    /// A schema that names no type, and has the keywords of one at most.
    fn untyped(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<String> {
        let kinds: [(&str, &[&str]); 4] =
            [("object", &OF_OBJECTS), ("array", &OF_LISTS), ("string", &OF_TEXTS), ("number", &OF_NUMBERS)];
        let said = |words: &&(&str, &[&str])| {
            let is_text = words.0 == "string" && format_of(schema).is_some();
            is_text || schema.keys().any(|key| words.1.contains(&key.as_str()))
        };
        match kinds.iter().find(said) {
            None => self.only(schema, &[]).map(|()| "any".into()),
            Some((kind, words)) => {
                self.only(schema, words)?;
                self.typed(kind, schema, depth)
            }
        }
    }

    fn typed(&mut self, kind: &str, schema: &Map<String, Value>, depth: usize) -> Result<String> {
        let known = [&["type"][..], &OF_TEXTS, &OF_NUMBERS, &OF_LISTS, &OF_OBJECTS].concat();
        self.only(schema, &known)?;
        match kind.to_ascii_lowercase().as_str() {
            "string" => self.text(schema),
            "array" => self.list(schema, depth),
            "object" => self.object(schema, depth),
            kind @ ("number" | "integer" | "boolean" | "null") => {
                let mut scalar = schema.clone();
                scalar.retain(|key, _| OF_NUMBERS.contains(&key.as_str()));
                match kind {
                    "number" if scalar.is_empty() => return Ok("NUMBER".into()),
                    "integer" if scalar.is_empty() => return Ok("INTEGER".into()),
                    _ => {}
                }
                scalar.insert("type".into(), kind.into());
                Ok(self.rule(&format!("%json {}", Value::from(scalar))))
            }
            other => self.refuse(format!("the type {other}")),
        }
    }

    fn one_of(&mut self, values: &[&Value]) -> Result<String> {
        let options = values.iter().map(|value| self.fixed(value)).collect::<Result<Vec<_>>>()?;
        if options.is_empty() { self.refuse("an empty enum") } else { Ok(self.rule(&options.join(" | "))) }
    }

    /// A value as the template writes it.
    fn fixed(&self, value: &Value) -> Result<String> {
        Ok(match value {
            Value::String(text) if text.is_empty() => format!("<[{0}]> <[{0}]>", self.quote),
            Value::String(text) => format!("<[{0}]> {1} <[{0}]>", self.quote, literal(text)),
            Value::Array(items) => {
                let items = items.iter().map(|item| self.fixed(item)).collect::<Result<Vec<_>>>()?;
                format!("\"[\" {} \"]\"", items.join(" \",\" "))
            }
            Value::Object(members) => {
                let names = self.sorted(members.keys())?;
                let member = |name: &&String| {
                    Ok(format!("{} {}", literal(&format!("{name}:")), self.fixed(&members[name.as_str()])?))
                };
                let members = names.iter().map(member).collect::<Result<Vec<_>>>()?;
                format!("\"{{\" {} \"}}\"", members.join(" \",\" "))
            }
            scalar => literal(&scalar.to_string()),
        })
    }

    /// Names in the order in which the template writes them.
    fn sorted<'n>(&self, names: impl Iterator<Item = &'n String>) -> Result<Vec<&'n String>> {
        let mut names: Vec<&String> = names.collect();
        let is_bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
        match names.iter().find(|name| name.is_empty() || !name.chars().all(is_bare)) {
            Some(name) => self.refuse(format!("the name {name}")),
            None => {
                names.sort_by_key(|name| name.to_lowercase());
                Ok(names)
            }
        }
    }

    fn text(&mut self, schema: &Map<String, Value>) -> Result<String> {
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        let (least, most) = (bound("minLength").unwrap_or(0), bound("maxLength"));
        if most.is_some_and(|most| most < least) {
            return self.refuse("a length that no text has");
        }
        let empty = format!("<[{0}]> <[{0}]>", self.quote);
        let pattern = schema.get("pattern").and_then(Value::as_str).map(of_whole_text);
        let said: Vec<String> = pattern.into_iter().chain(format_of(schema)).collect();
        // An empty text is none of a terminal.
        if said.iter().any(String::is_empty) || (most == Some(0) && said.is_empty()) {
            return Ok(self.rule(&empty));
        }
        if said.is_empty() && least == 0 && most.is_none() {
            return Ok("text".into());
        }
        let most = most.map_or(String::new(), |most| most.to_string());
        let said_of_all: String = said.iter().map(|expression| format!("/{expression}/ & ")).collect();
        self.count += 1;
        self.rules += &format!("T{}: {said_of_all}/(?s:.){{{},{most}}}/\n", self.count, least.max(1));
        let text = format!("<[{0}]> T{1} <[{0}]>", self.quote, self.count);
        Ok(self.rule(&if least == 0 && said.is_empty() { format!("{text} | {empty}") } else { text }))
    }

    fn list(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<String> {
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems"));
        if most.is_some_and(|most| most < least) {
            return self.refuse("a number of items that no list has");
        }
        let firsts = schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let shown = most.map_or(firsts.len(), |most| firsts.len().min(most as usize));
        let firsts =
            firsts[..shown].iter().map(|item| self.value(item, depth + 1)).collect::<Result<Vec<_>>>()?;
        let count = firsts.len() as u64;
        let further = match schema.get("items") {
            Some(Value::Bool(false)) if least > count => return self.refuse("items that cannot be"),
            Some(Value::Bool(false)) => None,
            _ if most == Some(count) => None,
            Some(items) => Some(self.value(items, depth + 1)?),
            None => Some("any".into()),
        };
        let mut rest = String::new();
        if let Some(item) = &further {
            // Behind the firsts each has its comma, and without them all but one.
            let (low, high) = (least.saturating_sub(count.max(1)), most.map(|most| most - count.max(1)));
            let further = match high {
                Some(0) => String::new(),
                Some(high) => format!("(\",\" {item}){{{low},{high}}}"),
                None => format!("(\",\" {item}){{{low},}}"),
            };
            rest = if count == 0 { format!("{item} {further}") } else { further };
            if count == 0 && least == 0 {
                rest = format!("({rest})?");
            }
        }
        for (index, first) in firsts.iter().enumerate().rev() {
            let comma = if index == 0 { "" } else { "\",\" " };
            let (begin, end) = if index as u64 >= least { ("(", ")?") } else { ("", "") };
            rest = format!("{begin}{comma}{first} {rest}{end}");
        }
        Ok(self.rule(&format!("\"[\" {rest} \"]\"")))
    }

    /// Members in the order in which the template writes them; those that are not required may be left out.
    fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<String> {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        let mut properties = match schema.get("properties") {
            Some(Value::Object(properties)) => properties.clone(),
            _ => Map::new(),
        };
        let more = schema.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
        for name in &required {
            if more == Value::Bool(false) && !properties.contains_key(*name) {
                return self.refuse(format!("{name} is required and not declared"));
            }
            properties.entry(*name).or_insert_with(|| more.clone());
        }
        // One that no value is valid for is not written.
        properties.retain(|name, value| *value != Value::Bool(false) || required.contains(&name.as_str()));
        if properties.is_empty() {
            let said = schema.contains_key("additionalProperties");
            return match more {
                Value::Bool(false) => Ok("\"{}\"".into()),
                // Arguments of which nothing is declared.
                _ if depth == 0 && !said => Ok("\"{}\"".into()),
                Value::Bool(true) => Ok("any_object".into()),
                more => {
                    let value = self.value(&more, depth + 1)?;
                    let member = self.rule(&format!("KEY \":\" {value}"));
                    Ok(self.rule(&format!("\"{{\" ({member} (\",\" {member})*)? \"}}\"")))
                }
            };
        }
        let mut members = Vec::new();
        for name in self.sorted(properties.keys())? {
            let value = self.value(&properties[name.as_str()], depth + 1)?;
            let member = self.rule(&format!("{} {value}", literal(&format!("{name}:"))));
            members.push((member, required.contains(&name.as_str())));
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
    fn target(&self, to: &Value) -> Result<&'a Value> {
        let to = to.as_str().unwrap_or_default();
        match to.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) {
            Some(target) => Ok(target),
            None => self.refuse(format!("the reference {to}")),
        }
    }

    /// The rule of what a reference names.
    fn reference(&mut self, to: &Value, depth: usize) -> Result<String> {
        let to = to.as_str().unwrap_or_default();
        if let Some(rule) = self.known.get(to) {
            return Ok(rule.clone());
        }
        let target = self.target(&to.into())?;
        self.count += 1;
        let name = format!("r{}", self.count);
        self.known.insert(to.to_owned(), name.clone());
        let body = self.value(target, depth + 1)?;
        self.rules += &format!("{name}: {body}\n");
        Ok(name)
    }
}

/// The expression of a text's format, if it is one that is held to.
fn format_of(schema: &Map<String, Value>) -> Option<String> {
    schema.get("format").and_then(Value::as_str).and_then(format::of)
}

fn says(key: &str) -> bool {
    SAYING.contains(&key)
}

/// All of a schema but remarks is in this keyword.
fn says_no_more_than(schema: &Map<String, Value>, key: &str) -> bool {
    schema.keys().all(|other| other == key || !says(other))
}

fn is_of_type(value: &Value, kind: Option<&Value>) -> bool {
    let is = |kind: &str| match kind.to_ascii_lowercase().as_str() {
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => value.is_number(),
    };
    match kind {
        Some(Value::String(kind)) => is(kind),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}
