//! Whether two schemas can have a value in common, as far as it can be seen from their words.

use serde_json::{Map, Value};

/// References and alternatives are followed this deep.
const MAX_DEPTH: usize = 8;

/// No value is valid for both schemas. `false` where that is not seen.
pub(super) fn are_disjoint(a: &Value, b: &Value, root: &Value) -> bool {
    disjoint(a, b, root, MAX_DEPTH)
}

fn disjoint(a: &Value, b: &Value, root: &Value, depth: usize) -> bool {
    if *a == Value::Bool(false) || *b == Value::Bool(false) {
        return true;
    }
    let (Value::Object(x), Value::Object(y)) = (a, b) else { return false };
    let Some(depth) = depth.checked_sub(1) else { return false };
    disjoint_words(x, y, root, depth) || split(x, b, root, depth) || split(y, a, root, depth)
}

/// By what a schema says through others: one of those that all hold is disjoint, or each of those that can hold.
fn split(schema: &Map<String, Value>, other: &Value, root: &Value, depth: usize) -> bool {
    let apart = |part: &Value| disjoint(part, other, root, depth);
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|to| resolve(root, to));
    target.is_some_and(apart)
        || list("allOf").is_some_and(|all| all.iter().any(apart))
        || ["anyOf", "oneOf"].iter().any(|key| list(key).is_some_and(|any| any.iter().all(apart)))
}

/// What a reference within the schema names.
pub(super) fn resolve<'a>(root: &'a Value, to: &str) -> Option<&'a Value> {
    root.pointer(to.strip_prefix('#')?)
}

fn disjoint_words(a: &Map<String, Value>, b: &Map<String, Value>, root: &Value, depth: usize) -> bool {
    match (values(a), values(b)) {
        (Some(x), Some(y)) => return !x.iter().any(|value| y.iter().any(|other| same(value, other))),
        (Some(values), None) => return values.iter().all(|value| !may_be(value, b)),
        (None, Some(values)) => return values.iter().all(|value| !may_be(value, a)),
        (None, None) => {}
    }
    let shared: Vec<&str> = types(a).into_iter().filter(|kind| types(b).contains(kind)).collect();
    shared.iter().all(|kind| match *kind {
        "object" => members_differ(a, b, root, depth) || members_differ(b, a, root, depth),
        "number" | "integer" => above(a, b) || above(b, a),
        "string" => more(a, b, "minLength", "maxLength") || more(b, a, "minLength", "maxLength"),
        "array" => more(a, b, "minItems", "maxItems") || more(b, a, "minItems", "maxItems"),
        _ => false,
    })
}

/// All values that a schema allows, where it lists them.
fn values(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(vec![value]),
        (None, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

/// As JSON Schema compares: 1.0 is 1.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Types of values that can be valid; of an integer both.
fn types(schema: &Map<String, Value>) -> Vec<&str> {
    let all = ["null", "boolean", "object", "array", "number", "integer", "string"];
    let mut types: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => all.to_vec(),
    };
    if types.contains(&"number") {
        types.push("integer");
    }
    types
}

fn may_be(value: &Value, schema: &Map<String, Value>) -> bool {
    let types = types(schema);
    match value {
        Value::Null => types.contains(&"null"),
        Value::Bool(_) => types.contains(&"boolean"),
        Value::String(_) => types.contains(&"string"),
        Value::Array(_) => types.contains(&"array"),
        Value::Object(_) => types.contains(&"object"),
        Value::Number(_) => types.contains(&"number") || types.contains(&"integer"),
    }
}

/// A name that `a` requires has other values in `b`, or cannot be there.
fn members_differ(a: &Map<String, Value>, b: &Map<String, Value>, root: &Value, depth: usize) -> bool {
    let mut required =
        a.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    required.any(|name| match (member(a, name), member(b, name)) {
        (_, Some(Value::Bool(false))) => true,
        (Some(x), Some(y)) => disjoint(x, y, root, depth),
        _ => false,
    })
}

/// What a schema says of a member; nothing where names may have patterns.
fn member<'a>(schema: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let named = schema.get("properties").and_then(|properties| properties.get(name));
    named.or_else(|| schema.get("additionalProperties").filter(|_| !schema.contains_key("patternProperties")))
}

fn above(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    let number = |schema: &Map<String, Value>, key: &str| schema.get(key).and_then(Value::as_f64);
    let (least, over) = (number(a, "minimum"), number(a, "exclusiveMinimum"));
    let (most, under) = (number(b, "maximum"), number(b, "exclusiveMaximum"));
    let beyond = |low: Option<f64>, high: Option<f64>, or_equal: bool| match (low, high) {
        (Some(low), Some(high)) => low > high || (or_equal && low == high),
        _ => false,
    };
    beyond(least, most, false)
        || beyond(over, most, true)
        || beyond(least, under, true)
        || beyond(over, under, true)
}

fn more(a: &Map<String, Value>, b: &Map<String, Value>, least: &str, most: &str) -> bool {
    let bound = |schema: &Map<String, Value>, key: &str| schema.get(key).and_then(Value::as_u64);
    matches!((bound(a, least), bound(b, most)), (Some(least), Some(most)) if least > most)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_are_disjoint_where_their_words_say_so() {
        let root = json!({"$defs": {
            "cat": {"type": "object", "properties": {"kind": {"const": "cat"}}, "required": ["kind"]},
            "dog": {"type": "object", "properties": {"kind": {"enum": ["dog", "wolf"]}}, "required": ["kind"]},
        }});
        let closed = json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false});
        for (a, b, expected) in [
            (json!({"type": "string"}), json!({"type": "integer"}), true),
            (json!({"type": "number"}), json!({"type": "integer"}), false),
            (json!({"type": ["string", "null"]}), json!({"type": "null"}), false),
            (json!({"const": 1}), json!({"const": 1.0}), false),
            (json!({"enum": [1, "a"]}), json!({"enum": ["b", 2]}), true),
            (json!({"const": 1}), json!({"type": "string"}), true),
            (
                json!({"type": "integer", "maximum": 4}),
                json!({"type": "number", "exclusiveMinimum": 4}),
                true,
            ),
            (json!({"type": "integer", "maximum": 4}), json!({"type": "number", "minimum": 4}), false),
            (json!({"maximum": 1}), json!({"minimum": 2}), false),
            (json!({"$ref": "#/$defs/cat"}), json!({"$ref": "#/$defs/dog"}), true),
            (json!({"$ref": "#/$defs/cat"}), json!({"$ref": "#/$defs/cat"}), false),
            (closed.clone(), json!({"type": "object", "properties": {"b": {}}, "required": ["b"]}), true),
            (closed, json!({"type": "object", "properties": {"a": {}}, "required": ["a"]}), false),
            (json!({"anyOf": [{"type": "null"}, {"const": "x"}]}), json!({"type": "integer"}), true),
            (json!({"allOf": [{"type": "string"}, {}]}), json!({"type": "array"}), true),
            (json!(true), json!({"type": "array"}), false),
        ] {
            assert_eq!(are_disjoint(&a, &b, &root), expected, "{a} and {b}");
            assert_eq!(are_disjoint(&b, &a, &root), expected, "{b} and {a}");
        }
    }

    #[test]
    fn references_in_a_circle_end() {
        let root = json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}});
        let a = json!({"$ref": "#/$defs/a"});
        assert!(!are_disjoint(&a, &a, &root));
    }
}
