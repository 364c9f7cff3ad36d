//! A Jinja environment that renders chat templates as transformers' does: its settings and functions over minijinja,
//! with Python's values (`pycompat`).

use std::error::Error as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::{pycompat, strftime};

/// Steps of one rendering after which a template counts as looping, given how many messages there are.
///
/// A turn takes some hundreds of steps, and where a template looks at the other messages for each one (the larger
/// Gemma 4 models') about four for every pair.
pub(super) fn fuel(messages: usize) -> u64 {
    let messages = messages.min(1_000_000) as u64;
    20_000_000 + 10_000 * messages + 10 * messages * messages
}

/// Nesting of macros, loops and blocks; minijinja counts a macro as several. Low enough for the 512 KiB stack of a
/// secondary thread on Apple's systems.
const RECURSION: usize = 150;

/// What `raise_exception` was called with.
#[derive(Debug)]
struct Raised(String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// The message that the template gave to `raise_exception`, if that is what stopped it.
pub(super) fn raised_message(error: &Error) -> Option<String> {
    let mut source = error.source();
    while let Some(e) = source {
        if let Some(Raised(message)) = e.downcast_ref() {
            return Some(message.clone());
        }
        source = e.source();
    }
    None
}

/// As transformers sets Jinja up.
pub(super) fn syntax() -> Result<SyntaxConfig, Error> {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(false).build()
}

/// An environment without templates.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_syntax(syntax()?);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_fuel(Some(fuel(0)));
    env.set_recursion_limit(RECURSION);
    pycompat::install(&mut env);
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", |format: &str| strftime::now(format));
    env.add_filter("tojson", tojson);
    Ok(env)
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let text = pycompat::str_of(message)?;
    Err(Error::new(ErrorKind::InvalidOperation, text.clone()).with_source(Raised(text)))
}

fn tojson(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    pycompat::tojson(value, &args.into_values())
}
