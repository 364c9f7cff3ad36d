//! A compiled chat template.

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind};
use serde_json::{Map, Value};

use super::template_source::{GIVEN, Source};
use super::{jinja, pycompat, rewrite};
use crate::error::{Code, Error, Result};
use crate::panics;

/// What compiling has of a stack; expressions and statements are bounded so that it is enough.
const STACK: usize = 8 << 20;

/// The name under which the environment knows its only template.
const NAME: &str = "chat";

#[cfg(test)]
thread_local! {
    /// Renderings on this thread.
    pub static RENDERS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// One template of a snapshot, ready to render.
pub(super) struct Template {
    env: Environment<'static>,
    source: Source,
}

impl Template {
    /// Compiles; a syntax error names the file and the line.
    pub fn compile(source: Source) -> Result<Self> {
        // Parsers recurse, and the thread of a host may have a small stack.
        let env = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("rmlx-template".into()).stack_size(STACK);
            let compiling = thread.spawn_scoped(scope, || compiled(&source));
            let compiling = compiling
                .map_err(|e| Error::new(Code::OutOfMemory, format!("cannot start a thread: {e}")))?;
            // A panic goes on in the thread that asked, and is caught where all are.
            compiling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        Ok(Self { env, source })
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Renders with these variables; an error says in which line, and what the template raised.
    pub fn render(&self, variables: &Map<String, Value>) -> Result<String> {
        #[cfg(test)]
        RENDERS.with(|renders| renders.set(renders.get() + 1));
        let mut out = Vec::new();
        let messages = variables.get("messages").and_then(Value::as_array).map_or(0, Vec::len);
        let mut env = self.env.clone();
        env.set_fuel(Some(jinja::fuel(messages)));
        let _budget = pycompat::Budget::of(variables.values().map(size).sum());
        let mut render = || {
            let template = env.get_template(NAME)?;
            template.render_captured_to(minijinja::Value::from(Serde(variables)), &mut out).map(drop)
        };
        // minijinja panics at a few templates, such as one that leaves a loop from within `with`.
        let rendered = panics::catch(|| Ok(render())).map_err(|panic| {
            let file = self.source.file.as_str();
            Error::prompt(format!("{file}: the template engine failed: {}", panic.message()))
                .with("file", file)
        })?;
        if let Err(e) = rendered {
            return Err(describe(&self.source.file, &e, Error::prompt));
        }
        String::from_utf8(out)
            .map_err(|_| Error::prompt(format!("{}: the output is not UTF-8", self.source.file)))
    }
}

/// An environment with the template.
fn compiled(source: &Source) -> Result<Environment<'static>> {
    // Jinja reads every kind of line end as a newline.
    let text = source.text.replace("\r\n", "\n").replace('\r', "\n");
    let make = if source.file == GIVEN { Error::invalid_argument } else { Error::snapshot };
    let text = rewrite::rewritten(&text).map_err(|mistake| {
        let line = Some(mistake.line as usize);
        located(&source.file, line, &format!("syntax error: {}", mistake.what), make)
    })?;
    let compile = || {
        let mut env = jinja::environment()?;
        env.add_template_owned(NAME, text)?;
        Ok(env)
    };
    compile().map_err(|e| describe(&source.file, &e, make))
}

impl Template {
    /// Whether this error of [`Self::render`] means that the steps ran out.
    pub fn is_looping(error: &Error) -> bool {
        error.details().contains_key("looping")
    }
}

/// The bytes of all texts in it, and something for each value.
fn size(value: &Value) -> usize {
    const PLAIN: usize = 8;
    PLAIN
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(size).sum(),
            Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + size(value)).sum(),
            _ => 0,
        }
}

fn describe(file: &str, e: &minijinja::Error, make: fn(String) -> Error) -> Error {
    let what = match (jinja::raised_message(e), e.kind()) {
        (Some(message), _) => format!("the template refused the conversation: {message}"),
        (None, ErrorKind::OutOfFuel) => "the template takes too many steps; it seems to loop".to_owned(),
        (None, kind) => match e.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    let error = located(file, innermost_line(e), &what, make);
    if e.kind() == ErrorKind::OutOfFuel { error.with("looping", true) } else { error }
}

/// An error that says where in the template it is about.
fn located(file: &str, line: Option<usize>, what: &str, make: fn(String) -> Error) -> Error {
    let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}, line {line}"));
    let error = make(format!("{place}: {what}"));
    let error = if file == GIVEN { error.with("option", "chat_template") } else { error.with("file", file) };
    match line {
        Some(line) => error.with("line", line),
        None => error,
    }
}

/// Where it went wrong, rather than the macro call that led there.
fn innermost_line(e: &minijinja::Error) -> Option<usize> {
    let mut line = e.line();
    let mut source = std::error::Error::source(e);
    while let Some(inner) = source {
        line = inner.downcast_ref::<minijinja::Error>().and_then(minijinja::Error::line).or(line);
        source = inner.source();
    }
    line
}

/// Which of these spellings the template looks for in what it is given: `text.split('<x>')`, `'<x>' in text`.
/// In the model's own turns they must stay what they are, for that is how reasoning is cut from the history.
pub(super) fn parsed_spellings(source: &str, spellings: &[String]) -> Vec<String> {
    const METHODS: [&str; 9] = [
        "split(",
        "rsplit(",
        "startswith(",
        "endswith(",
        "replace(",
        "find(",
        "rfind(",
        "partition(",
        "strip(",
    ];
    let looks_for = |spelling: &String| {
        source.match_indices(spelling.as_str()).any(|(at, _)| {
            let before = source[..at].strip_suffix(['\'', '"']);
            let after = source[at + spelling.len()..].strip_prefix(['\'', '"']);
            let (Some(before), Some(after)) = (before, after) else { return false };
            let after = after.trim_start();
            METHODS.iter().any(|m| before.trim_end().ends_with(m))
                || after.starts_with("in ")
                || after.starts_with("not in ")
        })
    };
    spellings.iter().filter(|s| looks_for(s)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile(text: &str) -> Result<Template> {
        Template::compile(Source { file: "chat_template.jinja".into(), text: text.into() })
    }

    fn render(text: &str, variables: Value) -> Result<String> {
        compile(text)?.render(variables.as_object().unwrap())
    }

    fn text(template: &str, variables: Value) -> String {
        render(template, variables).unwrap_or_else(|e| panic!("{template}: {e}"))
    }

    #[test]
    fn a_syntax_error_names_file_and_line() {
        let e = compile("ok\n{% if %}").err().unwrap();
        assert_eq!(e.code(), Code::InvalidSnapshot);
        assert!(e.message().starts_with("chat_template.jinja, line 2: "), "{e}");
    }

    #[test]
    fn what_the_template_raises_reaches_the_host() {
        let template = "{% macro check(m) %}\n{{ raise_exception('roles must alternate: ' ~ m) }}{% endmacro %}{{ check(1) }}";
        let e = render(template, json!({})).unwrap_err();
        assert_eq!(e.code(), Code::InvalidPrompt);
        assert!(e.message().contains("line 2"), "{e}");
        assert!(e.message().ends_with("refused the conversation: roles must alternate: 1"), "{e}");
    }

    #[test]
    fn a_looping_template_is_an_error() {
        let nested = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
        let e = render(nested, json!({})).unwrap_err();
        assert!(e.message().contains("loop"), "{e}");
        let recursive = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
        assert_eq!(render(recursive, json!({})).unwrap_err().code(), Code::InvalidPrompt);
    }

    #[test]
    fn deep_recursion_fits_a_small_stack() {
        let template = "{% macro f(n) %}{% for i in [1] %}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endfor %}\
            {% endmacro %}{{ f(1000) }}";
        let template = compile(template).ok().unwrap();
        let thread = std::thread::Builder::new().stack_size(512 << 10);
        let result = thread.spawn(move || template.render(&Map::new())).unwrap().join().unwrap();
        assert!(result.is_err());
    }

    #[test]
    fn templates_that_nest_too_deeply_are_refused_on_a_small_stack() {
        let many = |text: &str| text.repeat(5000);
        let templates = [
            many("{{ (") + "1",
            format!("{{{{ {}1 }}}}", many("(")),
            format!("{{{{ {}1{} }}}}", many("("), many(")")),
            format!("{{{{ {}1{} }}}}", many("["), many("]")),
            format!("{{{{ {}1{} }}}}", many("{'a': "), many("}")),
            format!("{{{{ {}1 }}}}", many("not ")),
            format!("{{{{ {}1 }}}}", many("-")),
            format!("{{{{ {}1 }}}}", many("1 if 1 else ")),
            format!("{{{{ 1{} }}}}", many(" if 1")),
            format!("{{{{ 1{} }}}}", many(" and 1")),
            format!("{{{{ a{} }}}}", many(".b()")),
            format!("{{% if 0 %}}{}{{% endif %}}", many("{% elif 0 %}")),
            format!("{{% set x{} %}}{{% endset %}}", many("|upper")),
            format!("{{{{ a{} }}}}", many("|upper")),
            format!("{{{{ a{} }}}}", many("[0]")),
            format!("{{{{ {}1{} }}}}", many("f("), many(")")),
            format!("{{{{ {}1{} }}}}", many("a["), many("]")),
            format!("{{{{ 1 is {}1 }}}}", many("eq (")),
            many("{% if 1 %}") + &many("{% endif %}"),
            many("{% for x in y %}") + &many("{% endfor %}"),
            format!("{{% for {}x{} in y %}}{{% endfor %}}", many("("), many(",)")),
        ];
        for template in templates {
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            let refused = thread.spawn(move || compile(&template).err().map(|e| e.message().to_owned()));
            assert!(refused.unwrap().join().unwrap().is_some());
        }
    }

    #[test]
    fn templates_as_deep_and_as_long_as_they_may_be_are_compiled() {
        let nested = |open: &str, inner: &str, close: &str, count: usize| {
            open.repeat(count) + inner + &close.repeat(count)
        };
        for template in [
            format!("{{{{ {} }}}}", nested("(", "1", ")", 60)),
            format!("{{{{ {} }}}}", nested("[", "1", "]", 35)),
            nested("{% if 1 %}", "1", "{% endif %}", 140),
            format!("{{{{ 1{} }}}}", " and 1".repeat(399)),
            format!("{{{{ 'a'{} }}}}", " ~ 'a'".repeat(1000)),
            format!("{{{{ 1{} }}}}", " + 1".repeat(1000)),
            format!("{{{{ 1{} }}}}", " - 1".repeat(60)),
            format!("{{{{ 'a'{} }}}}", "|upper".repeat(60)),
            format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}a".repeat(150)),
        ] {
            let why = compile(&template).err().map(|e| e.message().to_owned());
            assert_eq!(why, None, "{}", &template[..30]);
        }
    }

    #[test]
    fn whitespace_is_trimmed_as_by_transformers() {
        assert_eq!(text("a\n  {% if true %}\nb\n  {% endif %}\nc\n", json!({})), "a\nb\nc");
        assert_eq!(text("  {%- if true -%}  x {%+ endif %}", json!({})), "x ");
        assert_eq!(text("{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n", json!({})), "b\nc");
        assert_eq!(text("{# note #}\nx{{ '\\n' }}\n", json!({})), "x\n");
    }

    #[test]
    fn generation_blocks_leave_no_trace() {
        let template =
            "{% for m in messages %}\n{%- generation -%}\n {{ m }} {% endgeneration %}\n|\n{% endfor %}";
        assert_eq!(text(template, json!({"messages": ["a", "b"]})), "a |\nb |\n");
        let scoped = "{% set x = 1 %}{%- generation %}{% set x = 2 %}{{ x }}{% endgeneration -%} {{ x }}";
        assert_eq!(text(scoped, json!({})), "21");
    }

    #[test]
    fn python_methods_of_published_templates_work() {
        let v = json!({"s": "  a</think>\n b ", "d": {"k": 1, "items": 2}});
        assert_eq!(text("{{ s.split('</think>')[-1].lstrip('\\n') }}|", v.clone()), " b |");
        assert_eq!(text("{{ s.strip().startswith('a') and s.rstrip().endswith('b') }}", v.clone()), "True");
        assert_eq!(text("{{ d.get('k') }}{{ d.get('x', 'no') }}{{ d['items'] }}", v.clone()), "1no2");
        assert_eq!(text("{% for k, x in d.items() %}{{ k }}={{ x }};{% endfor %}", v), "k=1;items=2;");
        assert_eq!(text("{{ 'abc'.upper() }}{{ 'x y'.title() }}{{ 'aXb'.lower() }}", json!({})), "ABCX Yaxb");
        assert_eq!(text("{{ '<a>b'.removeprefix('<a>') }}{{ 'a.b'.removesuffix('.b') }}", json!({})), "ba");
        assert_eq!(text("{{ 'a-b-c'.rsplit('-', 1) | join('/') }}", json!({})), "a-b/c");
        assert_eq!(text("{{ ' a  b c '.rsplit(None, 1) | join('/') }}", json!({})), " a  b/c");
        assert_eq!(text("{{ 'k=v=w'.partition('=') | join('|') }}", json!({})), "k|=|v=w");
        assert_eq!(text("{{ '{} and {x}'.format(1, x='y') }}", json!({})), "1 and y");
    }

    #[test]
    fn jinja_features_of_published_templates_work() {
        let v = json!({"m": [{"role": "a"}, {"role": "b"}, {"role": "c"}], "p": {"b": 1, "A": 2}, "t": ["x", "y"]});
        let loops = "{% set ns = namespace(n=0) %}{% for x in m %}{% if loop.first %}{% continue %}{% endif %}\
            {% set ns.n = ns.n + loop.index0 %}{{ x.role }}{% if loop.last %}!{% endif %}{% endfor %}{{ ns.n }}";
        assert_eq!(text(loops, v.clone()), "bc!3");
        assert_eq!(
            text("{% for x in m[1:] %}{{ x['role'] }}{% break %}{% endfor %}{{ m[-1].role }}", v.clone()),
            "bc"
        );
        assert_eq!(text("{% for k, x in p | dictsort %}{{ k }}{{ x }}{% endfor %}", v.clone()), "A2b1");
        assert_eq!(
            text("{{ t | map('upper') | list }}{{ 'a' ~ 1 ~ true ~ none }}", v.clone()),
            "['X', 'Y']a1TrueNone"
        );
        assert_eq!(
            text("{{ m is sequence }}{{ p is mapping }}{{ 'x' is string }}{{ q is defined }}", v.clone()),
            "TrueTrueTrueFalse"
        );
        assert_eq!(
            text("{{ 'x' is sequence }}{{ 'x' is iterable }}{{ 1 is iterable }}", v.clone()),
            "TrueTrueFalse"
        );
        assert_eq!(text("{{ m | selectattr('role', 'equalto', 'b') | list | length }}", v.clone()), "1");
        assert_eq!(text("{{ (q | default('d')) + ('y' if t else 'n') }}{{ 'x' in t }}", v), "dyTrue");
    }

    #[test]
    fn numbers_become_texts_as_in_python() {
        let v = json!({"x": [2.5, 3e-7, 1e16, 1.0, -4, true, null, "s"]});
        let each = "{% for y in x %}{{ y | string }} {% endfor %}";
        assert_eq!(text(each, v), "2.5 3e-07 1e+16 1.0 -4 True None s ");
    }

    #[test]
    fn tojson_takes_transformers_arguments() {
        let v = json!({"x": {"b": "<é>'", "a": [1, 2]}});
        assert_eq!(text("{{ x | tojson }}", v.clone()), "{\"b\": \"<é>'\", \"a\": [1, 2]}");
        assert_eq!(text("{{ x.a | tojson(indent=2) }}", v.clone()), "[\n  1,\n  2\n]");
        assert_eq!(
            text("{{ x | tojson(separators=(',', ':'), sort_keys=True) }}", v.clone()),
            "{\"a\":[1,2],\"b\":\"<é>'\"}"
        );
        assert_eq!(text("{{ x.b | tojson(ensure_ascii=True) }}", v.clone()), "\"<\\u00e9>'\"");
        assert_eq!(text("{{ [1] | tojson(false, 40) }}", v.clone()), format!("[\n{}1\n]", " ".repeat(40)));
        assert_eq!(text("{{ [1] | tojson(indent=true) }}", v.clone()), "[\n 1\n]");
        assert_eq!(text("{{ [1, 2] | tojson(separators=',:') }}", v.clone()), "[1,2]");
        for wrong in
            ["true, ensure_ascii=true", "strange=1", "1, 2, none, 4, 5", "separators=(1, 2)", "indent=1.5"]
        {
            assert!(render(&format!("{{{{ [1] | tojson({wrong}) }}}}"), v.clone()).is_err(), "{wrong}");
        }
        assert!(render("{{ nothing | tojson }}", v).is_err());
    }

    #[test]
    fn output_is_bounded() {
        let template =
            "{% set x = 'aaaaaaaaaaaaaaaa' * 100000 %}{% for i in range(1000) %}{{ x }}{% endfor %}";
        assert!(render(template, json!({})).is_err());
    }

    #[test]
    fn spellings_that_the_template_parses_are_found() {
        let source = "{% for p in text.split('<channel|>') %}{% if '<|channel>' in p %}{{ p }}{% endif %}{% endfor %}\
            {{ '<|turn>' + role }}{{ '<|image|>' }}";
        let all: Vec<String> =
            ["<channel|>", "<|channel>", "<|turn>", "<|image|>"].map(String::from).to_vec();
        assert_eq!(parsed_spellings(source, &all), ["<channel|>", "<|channel>"]);
    }
}
