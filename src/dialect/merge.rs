//! One schema that says what two say.

use serde_json::{Map, Value, json};

/// What both say; the reason why one schema cannot say it.
pub(super) fn merged(a: &Map<String, Value>, b: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    closed(a, b)?;
    closed(b, a)?;
    let mut whole = a.clone();
    for (key, value) in b {
        match whole.get_mut(key) {
            None => {
                whole.insert(key.clone(), value.clone());
            }
            Some(known) if known == value => {}
            Some(known) => *known = both(key, known, value)?,
        }
    }
    Ok(whole)
}

/// What one forbids of names that it does not know, the other must not declare.
fn closed(a: &Map<String, Value>, b: &Map<String, Value>) -> Result<(), String> {
    let open = a.get("additionalProperties").is_none_or(|more| *more == Value::Bool(true));
    let names = b.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
    let mut unknown = names.filter(|name| a.get("properties").and_then(|known| known.get(*name)).is_none());
    match unknown.next().filter(|_| !open) {
        Some(name) => Err(format!("additionalProperties, where another part of allOf has {name}")),
        None => Ok(()),
    }
}

fn both(key: &str, a: &Value, b: &Value) -> Result<Value, String> {
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let larger = |yes: bool| Ok(if yes == (number(a) >= number(b)) { a.clone() } else { b.clone() });
    match key {
        "title" | "description" | "default" | "examples" | "$comment" | "$schema" | "$id" => Ok(a.clone()),
        "$defs" | "definitions" => Ok(a.clone()),
        "properties" => Ok(members(a, b)),
        "items" => Ok(json!({"allOf": [a, b]})),
        "additionalProperties" => match (a, b) {
            (Value::Bool(true), other) | (other, Value::Bool(true)) => Ok(other.clone()),
            (Value::Bool(false), _) | (_, Value::Bool(false)) => Ok(Value::Bool(false)),
            _ => Ok(json!({"allOf": [a, b]})),
        },
        "required" => {
            let mut names = list(a);
            names.extend(list(b).into_iter().filter(|name| !list(a).contains(name)));
            Ok(names.into())
        }
        "allOf" => Ok([list(a), list(b)].concat().into()),
        "enum" => {
            let shared: Vec<Value> = list(a).into_iter().filter(|value| list(b).contains(value)).collect();
            if shared.is_empty() {
                Err("parts of allOf have no value in common".into())
            } else {
                Ok(shared.into())
            }
        }
        "type" => types(a, b),
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" => larger(true),
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" => larger(false),
        _ => Err(format!("{key} in two parts of allOf")),
    }
}

fn members(a: &Value, b: &Value) -> Value {
    let mut whole = a.as_object().cloned().unwrap_or_default();
    for (name, value) in b.as_object().into_iter().flatten() {
        let both =
            whole.get(name).filter(|known| *known != value).map(|known| json!({"allOf": [known, value]}));
        whole.insert(name.clone(), both.unwrap_or_else(|| value.clone()));
    }
    whole.into()
}

fn types(a: &Value, b: &Value) -> Result<Value, String> {
    let names = |value: &Value| match value {
        Value::Array(names) => names.clone(),
        name => vec![name.clone()],
    };
    let within = |name: &Value, names: &[Value]| {
        names.contains(name) || (*name == "integer" && names.contains(&"number".into()))
    };
    let (a, b) = (names(a), names(b));
    let mut shared: Vec<Value> = a.iter().filter(|name| within(name, &b)).cloned().collect();
    shared.extend(b.iter().filter(|name| !a.contains(name) && within(name, &a)).cloned());
    match &shared[..] {
        [] => Err("parts of allOf have no type in common".into()),
        [one] => Ok(one.clone()),
        _ => Ok(shared.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(a: Value, b: Value) -> Result<Value, String> {
        merged(a.as_object().unwrap(), b.as_object().unwrap()).map(Value::from)
    }

    #[test]
    fn both_hold() {
        let whole = merge(
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
            json!({"properties": {"b": {}, "a": {"maxLength": 3}}, "required": ["b", "a"]}),
        );
        let a = json!({"allOf": [{"type": "string"}, {"maxLength": 3}]});
        let expected = json!({"type": "object", "properties": {"a": a, "b": {}}, "required": ["a", "b"]});
        assert_eq!(whole, Ok(expected));
        let bounds = merge(json!({"minimum": 1, "maximum": 9}), json!({"minimum": 3, "maximum": 10}));
        assert_eq!(bounds, Ok(json!({"minimum": 3, "maximum": 9})));
        assert_eq!(
            merge(json!({"type": ["number", "null"]}), json!({"type": "integer"})),
            Ok(json!({"type": "integer"}))
        );
        assert_eq!(merge(json!({"enum": [1, 2, 3]}), json!({"enum": [3, 2]})), Ok(json!({"enum": [2, 3]})));
    }

    #[test]
    fn what_one_schema_cannot_say_is_named() {
        for (a, b, says) in [
            (json!({"type": "string"}), json!({"type": "object"}), "no type"),
            (json!({"enum": [1]}), json!({"enum": [2]}), "no value"),
            (json!({"pattern": "a"}), json!({"pattern": "b"}), "pattern"),
            (json!({"additionalProperties": false}), json!({"properties": {"a": {}}}), "has a"),
        ] {
            let why = merge(a, b).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }
}
