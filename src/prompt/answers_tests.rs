//! Small templates, and what jinja2 writes of them.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::template::Template;
use super::template_source::Source;

/// Templates with jinja2's answers; `null` where it refuses.
const ANSWERS: &str = include_str!("../../tests/fixtures/templates/answers.json");

fn render(template: &str, variables: &Value) -> Result<String, String> {
    let none = Map::new();
    let compiled = Template::compile(Source { file: "t".into(), text: template.into() });
    let rendered = compiled.and_then(|t| t.render(variables.as_object().unwrap_or(&none)));
    rendered.map_err(|e| e.message().to_owned())
}

#[test]
fn small_templates_say_what_jinja2_says() {
    let answers: Value = serde_json::from_str(ANSWERS).unwrap();
    let mut wrong = String::new();
    for answer in answers["answers"].as_array().unwrap() {
        let template = answer[0].as_str().unwrap();
        let rendered = render(template, &answers["variables"]);
        if rendered.as_deref().ok() != answer[1].as_str() {
            writeln!(wrong, "{template}\n  jinja2 {}\n  rmlx   {rendered:?}", answer[1]).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn texts_that_filters_and_methods_make_are_bounded() {
    let cases = [
        "{{ (s * 20000).replace('x', s) }}",
        "{{ (s * 20000)|replace('x', s) }}",
        "{{ s.replace('', s * 100000)|length }}",
        "{{ (s * 1000).join((s * 100)|list) }}",
        "{{ ([s * 9999] * 9999)|join }}",
        "{{ [s * 9999] * 9999 }}",
        "{{ ([s * 9999] * 9999)|tojson }}",
        "{{ ([1] * 99999)|tojson(indent='x' * 99999) }}",
        "{{ 'x'.center(99999999999) }}",
        "{{ 'x'|center(9999999999) }}",
        "{{ '\t'.expandtabs(9999999999) }}",
        "{{ 'a'|indent(9999999999) }}",
        "{{ ('a\n' * 99999)|indent(99999) }}",
        "{{ '{:9999999999}'.format(1) }}",
        "{{ '{0}{0}{0}{0}'.format(s * 99999) }}",
    ];
    for template in cases {
        let e = render(template, &json!({"s": "x".repeat(1000)})).expect_err(template);
        assert!(e.contains("MiB") || e.contains("too wide"), "{template}: {e}");
    }
}

#[test]
fn values_nested_without_end_are_refused() {
    let nested = "{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}";
    for print in ["{{ ns.x }}", "{{ ns.x|string }}", "{{ ns.x|tojson }}"] {
        let e = render(&format!("{nested}{print}"), &json!({})).expect_err(print);
        assert!(e.contains("nested too deeply"), "{e}");
    }
}

#[test]
fn a_value_that_holds_itself_many_times_over_is_not_printed_to_look_at_its_head() {
    let vast =
        "{% set ns = namespace(x=[1]) %}{% for i in range(15) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
    let of = |print: &str| render(&format!("{vast}{print}"), &json!({}));
    assert_eq!(of("{{ ns.x is callable }}").unwrap(), "False");
    assert_eq!(of("{{ cycler(ns.x) }}").unwrap(), "<jinja2.utils.Cycler object>");
    assert_eq!(of("{{ joiner(ns.x) }}").unwrap(), "<jinja2.utils.Joiner object>");
    for print in ["{{ [1]|tojson(separators=(ns.x, ns.x)) }}", "{{ [1]|tojson(indent=ns.x) }}"] {
        let e = of(print).expect_err(print);
        assert!(e.contains("not list"), "{e}");
    }
}

/// Each would overflow the stack where it is dropped or compared, or take for ever.
#[test]
fn values_are_not_nested_without_end_however_that_is_done() {
    let of = |start: &str, step: &str| {
        let template = format!(
            "{{% set ns = namespace(x={start}) %}}{{% for i in range(99999) %}}{step}{{% endfor %}}ok"
        );
        let template = Template::compile(Source { file: "t".into(), text: template }).unwrap();
        // As small as the stack of a secondary thread on Apple's systems.
        let thread = std::thread::Builder::new().stack_size(512 << 10);
        let rendered = thread.spawn(move || template.render(&Map::new()).map_err(|e| e.message().to_owned()));
        let e = rendered.unwrap().join().unwrap().expect_err(step);
        assert!(
            ["nested too deeply", "put into other values", "MiB of texts and lists"]
                .iter()
                .any(|why| e.contains(why)),
            "{step}: {e}"
        );
    };
    let values = [
        ("[]", "[ns.x]"),
        ("[]", "[ns.x, ns.x]"),
        ("[1]", "[ns.x]|list"),
        ("1", "(ns.x,)"),
        ("(1,)", "(ns.x,) * 2"),
        ("[]", "[] + [ns.x]"),
        ("{}", "{'a': ns.x}"),
        ("{}", "{1: ns.x}"),
        ("{}", "dict(a=ns.x)"),
        ("{}", "dict.fromkeys(['a'], ns.x)"),
        ("{}", "{'a': ns.x.items()}"),
        ("{}", "{'a': ns.x.get}"),
        ("1", "{'a': ns.x}.items()|first"),
        ("1", "({'a': ns.x}|dictsort)[0]"),
        ("[1]", "[ns.x]|reverse"),
        ("[1]", "[ns.x]|batch(1)|list"),
        ("[1]", "[ns.x]|slice(1)|list"),
        ("[1]", "([ns.x]|groupby('z', default=0)|first).list"),
        ("[1]", "[ns.x]|map('list')"),
        ("1", "cycler(ns.x)"),
        ("1", "joiner(ns.x)"),
        ("1", "namespace(x=ns.x)"),
    ];
    for (start, value) in values {
        of(start, &format!("{{% set ns.x = {value} %}}"));
    }
    of("1", "{% set b = namespace() %}{% set b.x = ns.x %}{% set ns.x = b %}");
    of("[1]", "{% for j in ns.x %}{% set ns.x = [loop] %}{% endfor %}");
    of("1", "{% macro m() %}{% set ns.x = varargs %}{% endmacro %}{{ m(ns.x) }}");
    of("1", "{% macro m() %}{% set ns.x = kwargs %}{% endmacro %}{{ m(a=ns.x) }}");
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
            Err(e) => json!({"error": e}),
        };
        writeln!(out, "{answer}").unwrap();
    }
}
