//! Whether a value is valid for a JSON schema, as far as the schemas of `schemas.json` go: another reading of the
//! standard than the one that holds answers to them. What it does not know makes it stop.

use serde_json::{Map, Value};

/// Keywords that are looked at, and remarks.
const KNOWN: [&str; 29] = [
    "$ref",
    "$defs",
    "$schema",
    "title",
    "description",
    "type",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "allOf",
    "properties",
    "required",
    "additionalProperties",
    "minProperties",
    "maxProperties",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "format",
    "pattern",
];

/// What is wrong with the value, and at which keyword.
pub fn fault(value: &Value, schema: &Value) -> Option<String> {
    check(value, schema, schema).err()
}

fn check(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let schema = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(schema) => schema,
        other => return Err(format!("{value} against {other}")),
    };
    if let Some(unknown) = schema.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        panic!("{unknown} cannot be judged");
    }
    let broken = |key: &str| Err(format!("{value} breaks {key} of {}", Value::from(schema.clone())));
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    if let Some(to) = schema.get("$ref") {
        let to = to.as_str().and_then(|to| to.strip_prefix('#')).expect("a reference within the schema");
        check(value, root.pointer(to).expect("what is referred to"), root)?;
    }
    let valid = |part: &&Value| check(value, part, root).is_ok();
    if list("anyOf").is_some_and(|parts| !parts.iter().any(|part| valid(&part))) {
        return broken("anyOf");
    }
    if list("oneOf").is_some_and(|parts| parts.iter().filter(valid).count() != 1) {
        return broken("oneOf");
    }
    for part in list("allOf").into_iter().flatten() {
        check(value, part, root)?;
    }
    if schema.get("const").is_some_and(|one| !same(one, value))
        || list("enum").is_some_and(|values| !values.iter().any(|one| same(one, value)))
    {
        return broken("enum or const");
    }
    let kinds: Option<Vec<&str>> = schema.get("type").map(|kind| match kind {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => vec![kind.as_str().expect("a type")],
    });
    if kinds.is_some_and(|kinds| !kinds.iter().any(|kind| is(value, kind))) {
        return broken("type");
    }
    match value {
        Value::Number(_) if !number_fits(value.as_f64().expect("a number"), schema) => broken("a bound"),
        Value::String(text) if !text_fits(text, schema) => broken("a bound, a format or a pattern"),
        Value::Array(items) => check_items(items, schema, root),
        Value::Object(members) => check_members(members, schema, root),
        _ => Ok(()),
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("the type {other}"),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Whether `number`, a value or a count, lies where `keys` say: at least, at most, above, below.
fn within(number: f64, schema: &Map<String, Value>, least: &str, most: &str) -> bool {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    bound(least).is_none_or(|least| number >= least) && bound(most).is_none_or(|most| number <= most)
}

fn number_fits(number: f64, schema: &Map<String, Value>) -> bool {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    within(number, schema, "minimum", "maximum")
        && bound("exclusiveMinimum").is_none_or(|least| number > least)
        && bound("exclusiveMaximum").is_none_or(|most| number < most)
        && bound("multipleOf").is_none_or(|step| (number / step).fract() == 0.0)
}

fn text_fits(text: &str, schema: &Map<String, Value>) -> bool {
    let word = |key: &str| schema.get(key).and_then(Value::as_str);
    within(text.chars().count() as f64, schema, "minLength", "maxLength")
        && word("format").is_none_or(|format| has_format(text, format))
        && word("pattern").is_none_or(|pattern| has_pattern(text, pattern))
}

fn has_format(text: &str, format: &str) -> bool {
    match format {
        "date" => is_date(text),
        "time" => is_time(text),
        "date-time" => text.split_once(['T', 't']).is_some_and(|(date, time)| is_date(date) && is_time(time)),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        other => panic!("the format {other}"),
    }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return false;
    }
    let [year, month, day]: [u32; 3] = [year, month, day].map(|number| number.parse().expect("digits"));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

fn is_time(text: &str) -> bool {
    let Some(at) = text.find(['Z', 'z', '+', '-']) else { return false };
    let (time, zone) = text.split_at(at);
    let clock = |text: &str| {
        let parts: Vec<&str> = text.split(':').collect();
        let number = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok()).flatten();
        let hour = parts.first().and_then(|hour| number(hour)).is_some_and(|hour| hour < 24);
        hour && parts[1..].iter().all(|part| number(part).is_some_and(|part| part < 60))
    };
    let (whole, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let zoned = matches!(zone, "Z" | "z") || (zone.len() == 6 && clock(&zone[1..]));
    whole.len() == 8 && clock(whole) && fraction.bytes().all(|b| b.is_ascii_digit()) && zoned
}

/// The expressions of `tools/schemas/generate.py`, read by hand.
fn has_pattern(text: &str, pattern: &str) -> bool {
    let all = |text: &str, is: fn(char) -> bool| text.chars().all(is);
    match pattern {
        "^[a-z]{2,5}$" => (2..=5).contains(&text.len()) && all(text, |c| c.is_ascii_lowercase()),
        r"^\d{3}-\d{4}$" => {
            text.len() == 8
                && text.split_once('-').is_some_and(|(a, b)| {
                    a.len() == 3 && all(a, |c| c.is_ascii_digit()) && all(b, |c| c.is_ascii_digit())
                })
        }
        r"\d" => text.contains(|c: char| c.is_ascii_digit()),
        "^(red|green)$" => ["red", "green"].contains(&text),
        "^[A-Z][a-z]*( [A-Z][a-z]*)?$" => {
            let words: Vec<&str> = text.split(' ').collect();
            let word = |word: &str| {
                word.starts_with(|c: char| c.is_ascii_uppercase())
                    && all(&word[1..], |c| c.is_ascii_lowercase())
            };
            words.len() <= 2 && words.into_iter().all(word)
        }
        "^a|b$" => text.starts_with('a') || text.ends_with('b'),
        r"^[^@\s]+@[^@\s]+\.[a-z]{2,3}$" => text.split_once('@').is_some_and(|(before, after)| {
            let end =
                after.rsplit_once('.').filter(|(host, end)| !host.is_empty() && (2..=3).contains(&end.len()));
            !before.is_empty()
                && !text.contains(char::is_whitespace)
                && !after.contains('@')
                && end.is_some_and(|(_, end)| all(end, |c| c.is_ascii_lowercase()))
        }),
        "^x*$" => all(text, |c| c == 'x'),
        "^/[a-z/]*$" => text.starts_with('/') && all(text, |c| c == '/' || c.is_ascii_lowercase()),
        r"\\$" => text.ends_with('\\'),
        "^[a-c0-9]*$" => all(text, |c| matches!(c, 'a'..='c' | '0'..='9')),
        other => panic!("the pattern {other}"),
    }
}

fn check_items(items: &[Value], schema: &Map<String, Value>, root: &Value) -> Result<(), String> {
    if !within(items.len() as f64, schema, "minItems", "maxItems") {
        return Err(format!("{} items", items.len()));
    }
    let firsts = schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, item) in items.iter().enumerate() {
        match firsts.get(index).or(schema.get("items")) {
            Some(schema) => check(item, schema, root)?,
            None => continue,
        }
    }
    Ok(())
}

fn check_members(
    members: &Map<String, Value>,
    schema: &Map<String, Value>,
    root: &Value,
) -> Result<(), String> {
    if !within(members.len() as f64, schema, "minProperties", "maxProperties") {
        return Err(format!("{} members", members.len()));
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    if let Some(missing) = required.filter_map(Value::as_str).find(|name| !members.contains_key(*name)) {
        return Err(format!("{missing} is missing"));
    }
    for (name, value) in members {
        let declared = schema.get("properties").and_then(|properties| properties.get(name));
        match declared.or(schema.get("additionalProperties")) {
            Some(schema) => check(value, schema, root)?,
            None => continue,
        }
    }
    Ok(())
}

#[test]
fn the_judge_knows_right_from_wrong() {
    use serde_json::json;
    let person = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"], "additionalProperties": false});
    let union = json!({"oneOf": [{"type": "integer"}, {"minimum": 3}]});
    let list = json!({"type": "array", "prefixItems": [{"const": 1}], "items": false});
    for (schema, right, wrong) in [
        (&person, json!({"n": 1}), json!({"n": 0})),
        (&person, json!({"n": 2.0}), json!({"n": 1, "m": 1})),
        (&person, json!({"n": 9}), json!({})),
        (&union, json!(2), json!(3)),
        (&list, json!([1]), json!([1, 2])),
        (&json!({"format": "date"}), json!("2024-02-29"), json!("2023-02-29")),
        (&json!({"format": "time"}), json!("23:59:00.5+01:00"), json!("24:00:00Z")),
        (&json!({"pattern": "^a|b$"}), json!("xb"), json!("xbx")),
        (&json!({"enum": [[1.0]]}), json!([1]), json!([2])),
    ] {
        assert_eq!(fault(&right, schema), None);
        assert!(fault(&wrong, schema).is_some(), "{wrong} against {schema}");
    }
}
