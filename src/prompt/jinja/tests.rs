use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::value::live_bytes;
use super::{Error, Kind, Program, steps};

/// Templates with jinja2's answers; `null` where it refuses.
const ANSWERS: &str = include_str!("../../../tests/fixtures/templates/answers.json");

fn render(template: &str, variables: &Value) -> Result<String, Error> {
    let none = Map::new();
    Program::compile(template)?.render(variables.as_object().unwrap_or(&none), steps(4))
}

/// What stops a template.
fn refusal(template: &str) -> Error {
    match render(template, &json!({"s": "x".repeat(1000)})) {
        Ok(text) => panic!("{template} wrote {} bytes", text.len()),
        Err(e) => e,
    }
}

#[test]
fn small_templates_say_what_jinja2_says() {
    let answers: Value = serde_json::from_str(ANSWERS).unwrap();
    let mut wrong = Vec::new();
    for answer in answers["answers"].as_array().unwrap() {
        let template = answer[0].as_str().unwrap();
        let rendered = render(template, &answers["variables"]);
        if rendered.as_deref().ok() != answer[1].as_str() {
            wrong.push(format!("{template}\n  jinja2 {}\n  rmlx   {rendered:?}", answer[1]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn values_of_a_template_are_bounded() {
    let cases = [
        "{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=['ab']) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = ns.x + [s * 9999 ~ i] %}{% endfor %}",
        "{{ s * 99999999999 }}",
        "{{ [1] * 99999999999 }}",
        "{{ (s * 20000).replace('x', s) }}",
        "{{ s.replace('', s * 10000)|length }}",
        "{{ (s * 1000).join(s * 100) }}",
        "{{ [s * 99999] * 99999 | join }}",
        "{{ ([s * 9999] * 99999)|join }}",
        "{{ ([s * 9999] * 99999)|string }}",
        "{{ ([s * 9999] * 99999)|tojson }}",
        "{{ ([1] * 99999)|tojson(indent='x' * 99999) }}",
        "{{ 'x'.center(99999999999) }}",
        "{{ 'x'|center(9999999999) }}",
        "{{ '\t'.expandtabs(9999999999) }}",
        "{{ 'a'|indent(9999999999) }}",
        "{{ ('a\n' * 99999)|indent(99999) }}",
        "{{ '%9999999999s' % 1 }}",
        "{{ '%.9999999999f' % 1.5 }}",
        "{{ '{:9999999999}'.format(1) }}",
        "{{ '{0}{0}{0}{0}'.format(s * 99999) }}",
        "{{ []|slice(9999999999)|list }}",
        "{{ [1]|batch(9999999999, 0)|list }}",
        "{% set x %}{% for i in range(99999) %}{{ s * 99 }}{% endfor %}{% endset %}",
        "{% for i in range(99999) %}{{ s * 99 }}{% endfor %}",
    ];
    for template in cases {
        let began = Instant::now();
        let e = refusal(template);
        assert!(e.message().contains("MiB") || e.message().contains("steps"), "{template}: {}", e.message());
        assert!(began.elapsed() < Duration::from_secs(60), "{template} took {:?}", began.elapsed());
    }
    assert_eq!(live_bytes(), 0);
}

#[test]
fn what_nests_without_end_is_refused() {
    let nested = "{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}";
    assert!(refusal(nested).message().contains("nested too deeply"));
    let macros = "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}";
    assert!(refusal(macros).message().contains("nests too deeply"));
    let loops = "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}";
    assert!(refusal(loops).message().contains("nests too deeply"));
    for (open, close) in [("(", ")"), ("[", "]"), ("{1:", "}"), ("-", ""), ("not ", ""), ("a if b else ", "")]
    {
        let _ = render(&format!("{{{{ {}1{} }}}}", open.repeat(9999), close.repeat(9999)), &json!({}));
    }
    for link in [" + 1", " ~ 1", "|abs", ".a", " and 1", " or 1", " * 1", "[0]", " ** 1", " if 1", " == 1"] {
        let _ = render(&format!("{{{{ 1{} }}}}", link.repeat(9999)), &json!({}));
    }
    let blocks = "{% if true %}".repeat(9999) + &"{% endif %}".repeat(9999);
    assert_eq!(refusal(&blocks).kind(), Kind::Failed);
    assert_eq!(live_bytes(), 0);
}

#[test]
fn things_that_hold_themselves_go_with_the_rendering() {
    let template = "{% set ns = namespace() %}{% set ns.x = ns %}{% set ns.y = [ns] %}\
        {% for i in [1] %}{% set ns.z = loop %}{% if loop.changed(loop, ns) %}{% endif %}{% endfor %}\
        {% macro m() %}{{ m.name }}{% endmacro %}{% set ns.m = m %}{{ ns.m() }}";
    assert_eq!(render(template, &json!({})).unwrap(), "m");
    assert_eq!(live_bytes(), 0);
}

#[test]
fn an_error_names_what_is_not_there() {
    let cases = [
        ("\n{{ a.b.c }}", "'a.b' is undefined", 2),
        ("{{ a['b'].c }}", "'a['b']' is undefined", 1),
        ("\n\n{{ nope() }}", "'nope' is undefined", 3),
        ("{{ a.nope() }}", "'a.nope' is undefined", 1),
        ("{{ a|nope }}", "No filter named 'nope'.", 1),
        ("{{ a is nope }}", "No test named 'nope'.", 1),
    ];
    for (template, what, line) in cases {
        let e = render(template, &json!({"a": {}})).unwrap_err();
        assert!(e.message().ends_with(what), "{template}: {}", e.message());
        assert_eq!(e.line(), Some(line), "{template}");
    }
}

/// Puts answers beside the cases of `tools/templates/fuzz.py`, whose file the environment names.
#[test]
#[ignore = "wants a file of cases"]
fn answer_templates() {
    use std::io::Write as _;

    let path = std::env::var("RMLX_TEMPLATE_CASES").unwrap();
    let cases = std::fs::read_to_string(&path).unwrap();
    let mut out = std::fs::File::create(path + ".answers").unwrap();
    for case in cases.lines() {
        let case: Value = serde_json::from_str(case).unwrap();
        let answer = match render(case["template"].as_str().unwrap(), &case["vars"]) {
            Ok(text) => json!({"text": text}),
            Err(e) => json!({"error": e.message(), "line": e.line()}),
        };
        writeln!(out, "{answer}").unwrap();
    }
}
