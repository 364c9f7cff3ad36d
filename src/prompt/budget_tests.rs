//! What templates may make of memory.

use serde_json::{Value, json};

use super::template::Template;
use super::template_source::Source;

fn render(template: &str, variables: &Value) -> Result<String, String> {
    let compiled = Template::compile(Source { file: "t".into(), text: template.into() });
    compiled.and_then(|t| t.render(variables.as_object().unwrap())).map_err(|e| e.message().to_owned())
}

/// Programs that would make gigabytes.
const GREEDY: [&str; 36] = [
    "{{ 'a'.rjust(999999999) }}",
    "{{ 'a'.center(10 ** 12) }}",
    "{{ 'a'.zfill(10 ** 12) }}",
    "{{ '\t'.expandtabs(10 ** 12) }}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ [0] * 10 ** 9 }}",
    "{{ (0,) * 10 ** 9 }}",
    "{{ 'a'|center(10 ** 9) }}",
    "{{ 'a'|indent(10 ** 9) }}",
    "{{ ('a\n' * 10 ** 6)|indent(10 ** 4) }}",
    "{{ ('a' * 10 ** 6).replace('a', 'b' * 10 ** 3) }}",
    "{{ ('a' * 10 ** 6)|replace('', 'b' * 10 ** 3) }}",
    "{{ ('a' * 10 ** 5).join(['x'] * 10 ** 5) }}",
    "{{ (['a' * 10 ** 5] * 10 ** 5)|join }}",
    "{{ ['a' * 10 ** 5] * 10 ** 5 }}",
    "{{ (['a' * 10 ** 5] * 10 ** 5)|tojson }}",
    "{{ ['\u{1}' * 10 ** 7] * 9 }}",
    "{{ ('\u{1}' * 12 * 10 ** 7)|tojson }}",
    "{{ ('<' * 12 * 10 ** 7)|e }}",
    "{{ ('<%s>'|safe) % ('<' * 12 * 10 ** 7) }}",
    "{{ '%s%s%s' % (('a' * 12 * 10 ** 7,) * 3) }}",
    "{{ '{0}{0}{0}'.format('a' * 12 * 10 ** 7) }}",
    "{{ ('%65535d' * 10 ** 4) % ((1,) * 10 ** 4) }}",
    "{{ ('\n' * 12 * 10 ** 7).splitlines() }}",
    "{{ ('a ' * 4 * 10 ** 7).split() }}",
    "{{ ('a,' * 4 * 10 ** 7).split(',') }}",
    "{{ ('a' * 4 * 10 ** 7)|list }}",
    "{{ ('a' * 4 * 10 ** 7)|batch(1)|list }}",
    "{{ ('a' * 4 * 10 ** 7)|map('upper')|list }}",
    "{{ []|slice(10 ** 9)|list }}",
    "{{ [1]|batch(10 ** 9, 0)|list }}",
    "{{ dict.fromkeys(range(100000), 'x' * 3000)|tojson(indent=1000) }}",
    "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = ns.x + [cycler(*range(100000))] %}{% endfor %}",
    "{% set x %}{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}{% endset %}",
];

/// The most that the process has held, in bytes.
#[cfg(target_os = "linux")]
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// In a process of its own, whose peak is that of these programs.
#[test]
fn a_template_that_wants_gigabytes_is_told_its_limit_and_where() {
    const ALONE: &str = "RMLX_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "prompt::budget_tests::a_template_that_wants_gigabytes_is_told_its_limit_and_where";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    for template in GREEDY {
        let e = render(template, &json!({})).expect_err(template);
        assert!(
            e.starts_with("t, line ") && e.contains("more than 256 MiB of texts and lists"),
            "{template}: {e}"
        );
    }
    #[cfg(target_os = "linux")]
    assert!(peak() < 1536 << 20, "{} MiB", peak() >> 20);
}

#[test]
fn the_line_of_what_makes_too_much_is_told() {
    let e = render("a\n{% set x = 'a' * 9 %}\n{{ x * 10 ** 9 }}", &json!({})).unwrap_err();
    assert!(e.starts_with("t, line 3: "), "{e}");
}

/// What messages hold is given, and goes through the template several times over.
#[test]
fn long_documents_are_no_greed() {
    let template = "{%- macro shown(m) -%}{{ m.role + ': ' + m.content|trim ~ '\n' }}{%- endmacro -%}\
        {% for m in messages %}{{ shown(m) }}{% endfor %}{{ messages|tojson|length }}";
    let document = "word ".repeat(4 << 20);
    let messages = json!([{"role": "user", "content": document}, {"role": "assistant", "content": document}]);
    let text = render(template, &json!({ "messages": messages })).unwrap();
    assert!(text.len() > 40 << 20);
}
