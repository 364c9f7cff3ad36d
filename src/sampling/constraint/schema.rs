//! A JSON schema on its way to the compiler: written so that what follows it is valid for any judge, and, where the
//! compiler refuses it, which part of it is wrong.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::disjoint::are_disjoint;

/// Keywords whose value is a schema, a list of schemas, or schemas by name.
const ONE: [&str; 11] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
];
const LIST: [&str; 5] = ["prefixItems", "items", "anyOf", "oneOf", "allOf"];
const NAMED: [&str; 5] = ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];

/// Formats that JSON Schema defines; any other name is a remark.
const FORMATS: [&str; 19] = [
    "date-time",
    "date",
    "time",
    "duration",
    "email",
    "idn-email",
    "hostname",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "iri",
    "iri-reference",
    "uuid",
    "uri-template",
    "json-pointer",
    "relative-json-pointer",
    "regex",
];

/// Years that have a 29th of February: all that four divides, of the hundreds those that four hundred divides.
const LEAP: &str = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)";
/// All but 0000, which calendars of many languages lack.
const YEAR: &str = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})";
const DAY: &str = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|\
    02-(?:0[1-9]|1[0-9]|2[0-8]))";
/// No leap second: which ones there are is not known ahead.
const TIME: &str =
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";

/// A part of a schema that cannot be followed.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    /// A JSON pointer.
    pub pointer: String,
    pub why: String,
}

/// The schema with nothing changed that it means, in the words that the compiler follows exactly.
pub(crate) fn prepared(schema: &Value) -> Result<Value, Fault> {
    let mut copy = schema.clone();
    prepare(&mut copy, schema, "")?;
    Ok(copy)
}

fn prepare(schema: &mut Value, root: &Value, pointer: &str) -> Result<(), Fault> {
    if let Value::Object(schema) = schema {
        date(schema);
        if schema.get("uniqueItems") == Some(&Value::Bool(false)) {
            schema.shift_remove("uniqueItems");
        }
        *schema = std::mem::take(schema).into_iter().map(|member| alternatives(member, root)).collect();
        names(schema, pointer)?;
    }
    for (at, child) in children_mut(schema) {
        prepare(child, root, &format!("{pointer}{at}"))?;
    }
    Ok(())
}

/// Dates and times become patterns that know the calendar; what is no format of JSON Schema says nothing.
fn date(schema: &mut Map<String, Value>) {
    let Some(format) = schema.get("format").and_then(Value::as_str) else { return };
    let day = || format!("(?:{YEAR}-{DAY}|{LEAP}-02-29)");
    let pattern = match format {
        "date" => day(),
        "time" => TIME.to_owned(),
        "date-time" => format!("{}[Tt]{TIME}", day()),
        known if FORMATS.contains(&known) => return,
        _ => {
            schema.shift_remove("format");
            return;
        }
    };
    schema.shift_remove("format");
    let pattern = Value::from(format!("^{pattern}$"));
    if schema.contains_key("pattern") {
        let all = schema.entry("allOf").or_insert_with(|| json!([]));
        if let Value::Array(all) = all {
            all.push(json!({ "pattern": pattern }));
        }
    } else {
        schema.insert("pattern".into(), pattern);
    }
}

/// Where no value can be of two of its schemas, `oneOf` says no more than `anyOf`.
fn alternatives((key, value): (String, Value), root: &Value) -> (String, Value) {
    let exclusive = |options: &Vec<Value>| {
        let mut pairs =
            options.iter().enumerate().flat_map(|(i, a)| options[i + 1..].iter().map(move |b| (a, b)));
        !options.is_empty() && pairs.all(|(a, b)| are_disjoint(a, b, root))
    };
    match (&*key, &value) {
        // As a list of one, since there may be an `anyOf` besides, and an `allOf`.
        ("oneOf", Value::Array(options)) if exclusive(options) => {
            ("oneOf".into(), json!([{ "anyOf": value }]))
        }
        _ => (key, value),
    }
}

/// A grammar cannot count different names, and one that is written twice counts once.
fn names(schema: &Map<String, Value>, pointer: &str) -> Result<(), Fault> {
    let Some(least) = schema.get("minProperties").and_then(Value::as_u64) else { return Ok(()) };
    let required = schema.get("required").and_then(Value::as_array).map_or(0, Vec::len);
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
        && !schema.contains_key("patternProperties");
    if closed || least <= required as u64 + 1 {
        return Ok(());
    }
    let why = "minProperties: more than one name besides those that are required cannot be held to differ";
    Err(Fault { pointer: format!("{pointer}/minProperties"), why: why.into() })
}

/// The schemas in a schema, each with its pointer from there.
fn children(schema: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (key, value) in schema.as_object().into_iter().flatten() {
        match value {
            Value::Array(list) if LIST.contains(&&**key) => {
                found.extend(list.iter().enumerate().map(|(i, value)| (format!("/{key}/{i}"), value)));
            }
            Value::Object(named) if NAMED.contains(&&**key) => {
                found.extend(named.iter().map(|(name, value)| (format!("/{key}/{}", escaped(name)), value)));
            }
            value if ONE.contains(&&**key) => found.push((format!("/{key}"), value)),
            _ => {}
        }
    }
    found
}

fn children_mut(schema: &mut Value) -> Vec<(String, &mut Value)> {
    let mut found = Vec::new();
    for (key, value) in schema.as_object_mut().into_iter().flatten() {
        let (listed, named) = (LIST.contains(&&**key), NAMED.contains(&&**key));
        if listed && value.is_array() {
            let list = value.as_array_mut().into_iter().flatten().enumerate();
            found.extend(list.map(|(i, value)| (format!("/{key}/{i}"), value)));
        } else if named {
            let named = value.as_object_mut().into_iter().flatten();
            found.extend(named.map(|(name, value)| (format!("/{key}/{}", escaped(name)), value)));
        } else if ONE.contains(&&**key) {
            found.push((format!("/{key}"), value));
        }
    }
    found
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Where a part that is tried alone has the schema that it is of.
const WHOLE: &str = "#/$defs/whole";
/// Parts that are tried in the search for the one that is wrong.
const MOST_TRIES: usize = 256;

/// The innermost part of a schema that `compile` refuses by itself for the reason that it refuses the whole for.
pub(super) fn fault(schema: &Value, why: &str, compile: impl Fn(Value) -> Result<(), String>) -> Fault {
    let mut fault = Fault { pointer: String::new(), why: why.to_owned() };
    let mut tried = BTreeSet::from([String::new()]);
    loop {
        let mut inner = None;
        for pointer in parts(schema, &fault.pointer) {
            let part = schema.pointer(&pointer);
            // What says that nothing more may be there is no fault, unless something has to.
            let closes = part == Some(&Value::Bool(false)) && !fault.why.contains("required");
            if part.is_none() || closes || tried.len() > MOST_TRIES || !tried.insert(pointer.clone()) {
                continue;
            }
            let Err(why) = compile(alone(schema, &pointer)) else { continue };
            let why = why.replace(WHOLE, "#");
            let unsatisfiable = |text: &str| text.contains("nsatisfiable");
            if fault.why.contains(&why) || (unsatisfiable(&fault.why) && unsatisfiable(&why)) {
                inner = Some(Fault { pointer, why });
                break;
            }
        }
        match inner {
            Some(inner) => fault = inner,
            None => return fault,
        }
    }
}

/// Pointers to the parts of a part, what it refers to among them.
fn parts(schema: &Value, pointer: &str) -> Vec<String> {
    let Some(part) = schema.pointer(pointer) else { return Vec::new() };
    let target = part.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
    let inner = children(part).into_iter().map(|(step, _)| format!("{pointer}{step}"));
    target.map(str::to_owned).into_iter().chain(inner).collect()
}

/// A part of a schema as a schema of its own, whose references still lead where they led.
fn alone(schema: &Value, pointer: &str) -> Value {
    let mut whole = schema.clone();
    point_into(&mut whole, WHOLE);
    let mut part = whole.pointer(pointer).cloned().unwrap_or_default();
    if let Value::Object(part) = &mut part {
        if let Some(draft) = schema.get("$schema") {
            part.insert("$schema".into(), draft.clone());
        }
        part.insert("$defs".into(), json!({ "whole": whole }));
    }
    part
}

fn point_into(schema: &mut Value, place: &str) {
    if let Some(Value::String(to)) = schema.get_mut("$ref")
        && let Some(rest) = to.strip_prefix('#')
    {
        *to = format!("{place}{rest}");
    }
    for (_, child) in children_mut(schema) {
        point_into(child, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_that_exclude_each_other_are_any_of_them() {
        let schema = json!({"properties": {"a": {"oneOf": [{"type": "string"}, {"type": "null"}]}, "b": {"oneOf": [{}, {}]}}});
        let a = json!({"oneOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}]});
        assert_eq!(prepared(&schema), Ok(json!({"properties": {"a": a, "b": {"oneOf": [{}, {}]}}})));
    }

    #[test]
    fn formats_that_are_none_say_nothing() {
        let schema = json!({"items": {"type": "string", "format": "binary"}, "uniqueItems": false});
        assert_eq!(prepared(&schema), Ok(json!({"items": {"type": "string"}})));
        let schema = json!({"type": "string", "format": "uuid"});
        assert_eq!(prepared(&schema), Ok(schema));
        // A member may have the name of a keyword.
        let schema = json!({"properties": {"format": {"const": 1}, "oneOf": {}}, "default": {"format": "x"}});
        assert_eq!(prepared(&schema), Ok(schema));
    }

    #[test]
    fn a_pattern_stays_besides_that_of_a_date() {
        let whole = prepared(&json!({"format": "date", "pattern": "^2"})).unwrap();
        assert_eq!(whole["pattern"], "^2");
        assert!(whole["allOf"][0]["pattern"].as_str().unwrap().starts_with("^(?:"));
    }

    #[test]
    fn names_that_would_have_to_differ_are_refused() {
        let fault =
            prepared(&json!({"properties": {"a/b": {"minProperties": 3, "required": ["x"]}}})).unwrap_err();
        assert_eq!(fault.pointer, "/properties/a~1b/minProperties");
        assert!(prepared(&json!({"minProperties": 2, "required": ["x"]})).is_ok());
        assert!(prepared(&json!({"minProperties": 4, "additionalProperties": false})).is_ok());
    }

    #[test]
    fn the_innermost_fault_is_found() {
        let schema = json!({
            "properties": {"good": {"type": "string"}, "odd": {"$ref": "#/$defs/list"}},
            "$defs": {"list": {"items": {"type": "strange"}}, "other": {"type": "strange too"}},
        });
        // Stands in for the compiler: it follows references, and knows two types.
        fn compile(part: &Value, root: &Value) -> Result<(), String> {
            let part = match part.get("$ref").and_then(Value::as_str) {
                Some(to) => root.pointer(&to[1..]).ok_or("no target")?,
                None => part,
            };
            if let Some(kind) =
                part.get("type").and_then(Value::as_str).filter(|kind| kind.starts_with("strange"))
            {
                return Err(format!("the type {kind}"));
            }
            let inner = children(part).into_iter().filter(|(at, _)| !at.starts_with("/$defs"));
            inner.into_iter().try_for_each(|(_, child)| compile(child, root))
        }
        let found = fault(&schema, "the type strange", |part| compile(&part, &part));
        assert_eq!(found.why, "the type strange");
        assert_eq!(found.pointer, "/$defs/list/items");
    }
}
