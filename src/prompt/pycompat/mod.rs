//! What Python and jinja2 have in other ways than minijinja: how values are printed, the methods of their types, and
//! filters, tests and functions.

mod args;
mod budget;
mod containers;
mod digits;
mod format;
mod lookup;
mod mapping_filters;
mod markup;
mod nesting;
mod numbers;
mod objects;
mod operators;
mod percent;
mod printing;
mod sequence_filters;
mod spec;
mod strings;
mod text_filters;
mod tojson;
mod values;

use minijinja::value::{ArgType, ObjectRepr, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, Output, State};

use args::Args;
use budget::made;
use values::error;

pub(super) use budget::{Budget, check, take};
pub(super) use lookup::is_of_a_type;
pub(super) use objects::is_no_list;
pub(super) use printing::{escaped, float, str_of};
pub(super) use sequence_filters::sort_keys;
pub(super) use tojson::tojson;

/// Python's whitespace: Unicode's, and the four ASCII separators.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c)
}

/// Makes the environment print, call and filter as Python and jinja2 do.
pub(super) fn install(env: &mut Environment<'static>) {
    env.set_formatter(write_value);
    env.set_unknown_method_callback(method);
    add_filters(env);
    operators::install(env);
    mapping_filters::install(env);
    env.add_test("sequence", |v: &Value| is_sequence(v));
    env.add_test("iterable", |v: &Value| is_sequence(v) || v.kind() == ValueKind::Iterable);
    env.add_test("mapping", lookup::is_dict);
    env.add_test("callable", is_callable);
    add_function(env, "range", objects::range);
    add_function(env, "namespace", namespace);
    add_function(env, "cycler", objects::Cycler::of);
    add_function(env, "joiner", objects::Joiner::of);
    // What jinja2 does not have, and what prints values in a way of its own.
    for name in ["bool", "chain", "lines", "pprint", "split", "zip"] {
        env.remove_filter(name);
    }
    env.remove_global("debug");
    env.add_global("dict", Value::from_object(objects::DictType));
}

type Filter = fn(&str, &Value, Args) -> Result<Value, Error>;

fn add_filters(env: &mut Environment<'static>) {
    let texts =
        ["capitalize", "lower", "upper", "title", "wordcount", "escape", "e", "forceescape", "string"];
    for name in texts {
        add_filter(env, name, text_filters::plain);
    }
    for name in ["length", "count"] {
        add_filter(env, name, |_, value, args| text_filters::length(value, args));
    }
    for name in ["min", "max"] {
        add_filter(env, name, sequence_filters::extreme);
    }
    for name in ["first", "last"] {
        add_filter(env, name, sequence_filters::end);
    }
    add_filter(env, "center", |_, value, args| text_filters::center(value, args));
    add_filter(env, "trim", |_, value, args| text_filters::trim(value, args));
    add_filter(env, "replace", |_, value, args| text_filters::replace(value, args));
    add_filter(env, "indent", |_, value, args| text_filters::indent(value, args));
    add_filter(env, "truncate", |_, value, args| text_filters::truncate(value, args));
    add_filter(env, "abs", |_, value, args| numbers::abs(value, args));
    add_filter(env, "int", |_, value, args| numbers::int(value, args));
    add_filter(env, "float", |_, value, args| numbers::float(value, args));
    add_filter(env, "round", |_, value, args| numbers::round(value, args));
    add_filter(env, "join", |_, value, args| sequence_filters::join(value, args));
    add_filter(env, "sum", |_, value, args| sequence_filters::sum(value, args));
    add_filter(env, "list", |_, value, args| sequence_filters::list(value, args));
    add_filter(env, "reverse", |_, value, args| sequence_filters::reverse(value, args));
    add_filter(env, "batch", |_, value, args| sequence_filters::batch(value, args));
    add_filter(env, "slice", |_, value, args| sequence_filters::slice(value, args));
    for name in ["default", "d"] {
        add_filter(env, name, |_, value, args| text_filters::default(value, args));
    }
    add_filter(env, "format", |_, value, args| percent::filter(value, args));
    add_filter(env, "sort", |_, value, args| sequence_filters::sort(value, args));
    add_filter(env, "unique", |_, value, args| sequence_filters::unique(value, args));
    add_filter(env, "groupby", |_, value, args| sequence_filters::groupby(value, args));
    add_filter(env, "dictsort", |_, value, args| sequence_filters::dictsort(value, args));
    add_filter(env, "attr", |_, value, args| lookup::attr(value, args));
    add_filter(env, "items", |_, value, args| sequence_filters::items(value, args));
}

fn add_filter(env: &mut Environment<'static>, name: &'static str, filter: Filter) {
    let keeps_safe =
        matches!(name, "capitalize" | "center" | "indent" | "lower" | "reverse" | "trim" | "upper");
    env.add_filter(name, move |value: &Value, args: Rest<ValueOrKwargs>| {
        let made_of = filter(name, value, Args::of(&args.into_values())?)?;
        made(match made_of.as_str() {
            Some(text) if keeps_safe && value.is_safe() => Value::from_safe_string(text.to_owned()),
            _ => made_of,
        })
    });
}

fn add_function(
    env: &mut Environment<'static>,
    name: &'static str,
    function: fn(Args) -> Result<Value, Error>,
) {
    env.add_function(name, move |args: Rest<ValueOrKwargs>| function(Args::of(&args.into_values())?));
}

fn write_value(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    let printed;
    let text = match value.as_str() {
        Some(text) => text,
        None => {
            printed = printing::str_of(value)?;
            &printed
        }
    };
    take(text.len())?;
    Ok(out.write_str(text)?)
}

/// What has a length and items by index; in jinja2's eyes strings and dicts, too, and what is undefined.
fn is_sequence(v: &Value) -> bool {
    v.is_undefined() || matches!(v.kind(), ValueKind::String | ValueKind::Map) || objects::is_list(v)
}

/// Functions, macros and what is undefined.
fn is_callable(v: &Value) -> bool {
    let is_function = |object: &minijinja::value::DynObject| object.repr() == ObjectRepr::Plain;
    v.is_undefined() || v.as_object().is_some_and(is_function) || printing::begins_with(v, "<macro")
}

/// A namespace, whose names may not be private.
fn namespace(args: Args) -> Result<Value, Error> {
    let values = objects::dict(args)?;
    for name in values.try_iter()? {
        if name.as_str().is_some_and(|name| name.starts_with('_')) {
            return Err(error(format!("the namespace may not hold the private name '{name}'")));
        }
    }
    minijinja::functions::namespace(Some(ValueOrKwargs::from_value(Some(&values))?))
}

/// Methods of Python's types.
fn method(_: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Args::of(args)?;
    let result = match value.kind() {
        ValueKind::String => markup::method(value, method, args),
        _ if lookup::is_dict(value) => containers::dict_method(value, method, args),
        _ if objects::is_list(value) => containers::sequence_method(value, method, args),
        ValueKind::Number | ValueKind::Bool => containers::number_method(value, method, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    };
    result.and_then(made)
}
