//! Grammars that are wrong: each is refused with what is wrong and where.

use serde_json::{Value, json};

use super::tests::compiler;
use super::*;
use crate::error::Code;

#[track_caller]
fn refused(kind: GrammarKind, text: &str) -> (String, Value) {
    let error = compiler().compile(&Grammar { kind, text: text.into() }).err().expect(text);
    assert_eq!(error.code(), Code::InvalidArgument, "{text}");
    (error.message().to_owned(), error.details().clone().into())
}

#[test]
fn of_a_schema_a_pointer_says_where() {
    for (schema, pointer, says) in [
        ("[1]", "", "an object or true"),
        ("false", "", "an object or true"),
        (r#"{"type": "strange"}"#, "", "strange"),
        (r#"{"properties": {"a": {"type": "strange"}}}"#, "/properties/a", "strange"),
        (r#"{"properties": {"a": {"items": {"enum": 3}}}}"#, "/properties/a/items", "enum"),
        (
            r#"{"properties": {"a/b~c": {"type": "string", "pattern": "a("}}}"#,
            "/properties/a~1b~0c",
            "unclosed group",
        ),
        (
            r#"{"prefixItems": [{}, {"type": "string", "pattern": "(?=a)b"}]}"#,
            "/prefixItems/1",
            "look-around",
        ),
        (r#"{"anyOf": [{"type": "string"}, {"items": {"not": {}}}]}"#, "/anyOf/1/items", "\"not\""),
        (
            r##"{"$ref": "#/$defs/a", "$defs": {"a": {"items": {"uniqueItems": true}}}}"##,
            "/$defs/a/items",
            "uniqueItems",
        ),
        (r##"{"properties": {"a": {"$ref": "#/$defs/missing"}}}"##, "/properties/a", "missing"),
        (r#"{"properties": {"a": {"$ref": "http://example.com/x"}}}"#, "/properties/a", "the schema itself"),
        (
            r#"{"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 3}}, "required": ["a"]}"#,
            "/properties/a",
            "greater",
        ),
        (
            r#"{"type": "object", "properties": {"a": false}, "required": ["a"], "additionalProperties": false}"#,
            "/properties/a",
            "false",
        ),
        (r#"{"type": "string", "minLength": 5, "maxLength": 3}"#, "", "greater"),
        (r#"{"items": {"type": "string", "minLength": "5"}}"#, "/items", "minLength"),
        (r#"{"items": {"type": "string", "format": "iri"}}"#, "/items", "iri"),
        (
            r#"{"properties": {"a": {"oneOf": [{"type": "string"}, {"minLength": 3}]}}}"#,
            "/properties/a",
            "two of its schemas",
        ),
        (
            r#"{"properties": {"a": {"type": "object", "minProperties": 4}}}"#,
            "/properties/a/minProperties",
            "differ",
        ),
        (r#"{"properties": {"a": {"required": "b"}}}"#, "/properties/a", "required"),
        (r#"{"properties": {"a": 3}}"#, "/properties/a", "object or boolean"),
        (
            r#"{"type": "array", "items": {"allOf": [{"type": "string"}, {"type": "integer"}]}, "minItems": 1}"#,
            "/items",
            "incompatible",
        ),
        (r#"{"additionalProperties": {"if": {}, "then": {}}}"#, "/additionalProperties", "\"if\", \"then\""),
    ] {
        let (message, details) = refused(GrammarKind::JsonSchema, schema);
        assert!(message.contains(says), "{schema}: {message}");
        assert_eq!(details["pointer"], pointer, "{schema}: {message}");
    }
}

#[test]
fn of_other_texts_a_line_and_a_column_say_where() {
    use GrammarKind::{Choice, JsonSchema, Lark, Regex};
    for (kind, text, line, column, says) in [
        (JsonSchema, "{\"type\":\n nonsense}", 2, 3, "not JSON"),
        (JsonSchema, "{\"type\": \"string\"", 1, 17, "not JSON"),
        (Choice, "[\"a\"", 1, 4, "not JSON"),
        (Regex, "a(b", 1, 2, "unclosed group"),
        (Regex, "ab\ncd[e", 2, 3, "unclosed character class"),
        (Regex, "a/b)c", 1, 4, "unopened group"),
        (Regex, "(?=a)b", 1, 1, "look-around"),
        (Regex, "(a)\\1", 1, 4, "backreferences"),
        (Regex, "a{3,1}", 1, 2, "repetition"),
        (Regex, "x\\by", 1, 2, "boundaries"),
        (Regex, "é(東", 1, 2, "unclosed group"),
        (Regex, "\\p{Nope}x", 1, 1, "property"),
        (Regex, "*a", 1, 1, "repetition"),
        (Lark, "start: missing", 1, 8, "missing"),
        (Lark, "start: \"a\"\nother: (", 2, 9, "Expected"),
        (Lark, "start: \"a\nother: \"b\"", 1, 10, "lexer error"),
        (Lark, "start: X\nX: /a(/", 2, 4, "unclosed group"),
        (Lark, "start: <nope> \"a\"", 1, 8, "nope"),
        (Lark, "start: %json {\"type\": \"strange\"}", 1, 8, "strange"),
        (Lark, "start: \"a\"\n%import common.NOPE", 2, 1, "NOPE"),
        (Lark, "start: X\nX: Y\nY: X", 3, 4, "circular"),
        (Lark, "start: \"b\"..\"a\"", 1, 8, "range"),
        (Lark, "start: \"a\"{3,1}", 1, 8, "range"),
        (Lark, "start: \"a\"\nstart: \"b\"", 2, 8, "duplicate"),
    ] {
        let (message, details) = refused(kind, text);
        assert!(message.contains(says), "{text}: {message}");
        assert_eq!(
            (&details["line"], &details["column"]),
            (&json!(line), &json!(column)),
            "{text}: {message}"
        );
    }
}

#[test]
fn what_is_nested_without_end_is_refused_before_it_is_read() {
    let many = 100_000;
    let (line, why) = refused(
        GrammarKind::Lark,
        &format!("start::_\n  : \"a\" %if {}true{}", "not(".repeat(many), ")".repeat(many)),
    );
    assert!(line.contains("line 2") && line.contains("nested deeper than 40 levels"), "{line}");
    assert_eq!(why["line"], 2);
    for (kind, open) in [
        (GrammarKind::Lark, "start: (".to_owned() + &"(".repeat(many)),
        (GrammarKind::Lark, "start: %json {".to_owned() + &"\"items\": {".repeat(many)),
        (GrammarKind::Regex, "(".repeat(many)),
        (GrammarKind::JsonSchema, "{\"items\": ".repeat(many)),
        (GrammarKind::Choice, "[".repeat(many)),
    ] {
        refused(kind, &open);
    }
}

#[test]
fn a_list_points_to_its_item_and_what_nothing_follows_says_so() {
    for (list, pointer) in [("{}", ""), ("[]", ""), ("[\"a\", 1]", "/1"), ("[\"a\", \"\"]", "/1")] {
        let (message, details) = refused(GrammarKind::Choice, list);
        assert!(message.contains("array of texts"), "{message}");
        assert_eq!(details["pointer"], pointer, "{list}");
    }
    for (kind, text, says) in [
        (GrammarKind::Lark, "begin: \"a\"", "start"),
        (GrammarKind::Lark, "start: start", "no answer"),
        (GrammarKind::Regex, "[^\\x00-\\u{10FFFF}]", "no answer"),
        (GrammarKind::JsonSchema, "", "empty"),
    ] {
        let (message, _) = refused(kind, text);
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn a_choice_may_have_any_character() {
    let text = Value::from(vec!["a\u{7f}\u{1}\n\"\\é"]).to_string();
    let mut choice = compiler().compile(&Grammar { kind: GrammarKind::Choice, text }).unwrap();
    let bytes: Vec<u32> = "a\u{7f}\u{1}\n\"\\é".bytes().map(u32::from).collect();
    choice.accept(&bytes).unwrap();
    assert!(choice.is_done());
}

#[test]
fn names_cannot_be_disguised() {
    let text = r#"{"properties": {"a": {"type": "integer"}}, "required": ["a"], "type": "object"}"#;
    let mut object =
        compiler().compile(&Grammar { kind: GrammarKind::JsonSchema, text: text.into() }).unwrap();
    object.accept(&r#"{"a": 1, "b\n": "#.bytes().map(u32::from).collect::<Vec<_>>()).unwrap();
    let mut object =
        compiler().compile(&Grammar { kind: GrammarKind::JsonSchema, text: text.into() }).unwrap();
    assert!(object.accept(&r#"{"a": 1, "\u0061": "#.bytes().map(u32::from).collect::<Vec<_>>()).is_err());
}
