//! Jinja as transformers sets it up for chat templates, with Python's values: jinja2's immutable sandbox,
//! `trim_blocks`, `lstrip_blocks`, loop controls, `{% generation %}`, `tojson`, `raise_exception` and `strftime_now`.
//!
//! A template goes through `lexer`, `parser` and `expressions` to a tree (`ast`), and `render` runs it, with `loops`,
//! `calls` and `attributes`. What Python's values do is in `value`, `objects`, `ops`, `printing`, `methods`, `percent`,
//! `format` and `spec`; what Jinja adds in `filters`, `sequence_filters` and `predicates`.
//!
//! Steps, stack, output and the bytes of values are bounded: a template is data from somewhere else.

mod args;
mod ast;
mod attributes;
mod calls;
mod digits;
mod error;
mod expressions;
mod filters;
mod format;
mod json;
mod lexer;
mod loops;
mod methods;
mod objects;
mod ops;
mod parser;
mod percent;
mod predicates;
mod printing;
mod render;
mod scopes;
mod sequence_filters;
mod spec;
mod stack;
#[cfg(test)]
mod tests;
mod value;

use serde_json::Map;

pub(super) use error::{Error, Kind};
pub(super) use json::dumps_json;

/// Steps of one rendering after which a template counts as looping, given how many messages there are.
///
/// A turn takes some hundreds of steps, and where a template looks at the other messages for each one (the larger
/// Gemma 4 models') about four for every pair.
pub(super) fn steps(messages: usize) -> u64 {
    let messages = messages.min(1_000_000) as u64;
    20_000_000 + 10_000 * messages + 10 * messages * messages
}

/// A compiled template.
pub(super) struct Program {
    body: ast::Body,
}

impl Program {
    pub fn compile(source: &str) -> error::Result<Self> {
        // Jinja reads every kind of line end as a newline, and drops one at the end.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let body = parser::parse(source.strip_suffix('\n').unwrap_or(&source))?;
        Ok(Self { body })
    }

    /// Renders with these variables, in so many steps.
    pub fn render(&self, variables: &Map<String, serde_json::Value>, steps: u64) -> error::Result<String> {
        let before = value::live_bytes();
        let context = variables
            .iter()
            .map(|(name, value)| Ok((name.clone(), value::Value::from_json(value)?)))
            .collect::<error::Result<_>>()?;
        let given = value::live_bytes().max(before);
        render::Renderer::new(context, steps, given).run(&self.body)
    }
}

/// Python's whitespace: Unicode's, and the four ASCII separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c)
}
