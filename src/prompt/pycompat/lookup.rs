//! What Python finds in a value by a name or a key, beside the items of dicts and lists.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::args::Args;
use super::budget::made;
use super::objects::{Group, check_hashable, is_list, is_no_list};
use super::values::{as_float, as_int, error, want_text};

const OF_TEXTS: [&str; 47] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const OF_DICTS: [&str; 6] = ["copy", "fromkeys", "get", "items", "keys", "values"];
const OF_LISTS: [&str; 3] = ["copy", "count", "index"];
const OF_NUMBERS: [&str; 7] =
    ["as_integer_ratio", "bit_count", "bit_length", "conjugate", "hex", "is_integer", "to_bytes"];
/// What changes a dict or a list, which the sandbox hides.
const CHANGING: [&str; 11] = [
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
];

/// What a macro calls its parameters, which are a tuple.
const ARGUMENTS: &str = "arguments";

/// Whether a type of Python, or a macro, has something of its own under this name.
pub(in crate::prompt) fn is_of_a_type(name: &str) -> bool {
    let others = ["real", "imag", "numerator", "denominator", ARGUMENTS];
    [&others[..], &OF_TEXTS, &OF_DICTS, &OF_LISTS, &OF_NUMBERS, &CHANGING]
        .iter()
        .any(|names| names.contains(&name))
}

/// What a value's type has under a name.
fn of_type(value: &Value, name: &str) -> Option<Value> {
    let changing: &[&str] = &CHANGING;
    let (methods, hidden): (&[&str], &[&str]) = match value.kind() {
        ValueKind::String => (&OF_TEXTS, &[]),
        ValueKind::Map if !is_dict(value) => (&[], &[]),
        ValueKind::Map => (&OF_DICTS, changing),
        ValueKind::Seq if value.is_tuple() || value.downcast_object_ref::<Group>().is_some() => {
            (&OF_LISTS[1..], &[])
        }
        _ if is_list(value) && !is_no_list(value) => (&OF_LISTS, changing),
        ValueKind::Number | ValueKind::Bool => {
            let part = part_of_number(value, name);
            if part.is_some() {
                return part;
            }
            (&OF_NUMBERS, &[])
        }
        _ => (&[], &[]),
    };
    if hidden.contains(&name) {
        return Some(Value::UNDEFINED);
    }
    let known = methods.iter().copied().find(|known| *known == name)?;
    Some(Value::from_object(BoundMethod { owner: value.clone(), name: known }))
}

/// A dict, and none of minijinja's own objects, which have items too.
pub(super) fn is_dict(value: &Value) -> bool {
    value.kind() == ValueKind::Map && !is_own_object(value)
}

fn is_own_object(value: &Value) -> bool {
    is_namespace_or_loop(value) || type_ends_with(value, "::Macro")
}

pub(super) fn is_namespace_or_loop(value: &Value) -> bool {
    type_ends_with(value, "::Namespace") || type_ends_with(value, "::Loop")
}

fn type_ends_with(value: &Value, name: &str) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with(name))
}

fn part_of_number(value: &Value, name: &str) -> Option<Value> {
    match (name, as_int(value), as_float(value)) {
        ("real" | "numerator", Some(n), _) => Some(Value::from(n)),
        ("imag", Some(_), _) => Some(Value::from(0)),
        ("denominator", Some(_), _) => Some(Value::from(1)),
        ("real", _, Some(x)) => Some(Value::from(x)),
        ("imag", _, Some(_)) => Some(Value::from(0.0)),
        _ => None,
    }
}

/// `value.name`: what the type has, and then an item.
pub(super) fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    match of_type(value, name) {
        Some(found) => Ok(found),
        None if name == ARGUMENTS && type_ends_with(value, "::Macro") => {
            Ok(Tuple::from(value.get_attr(name)?.try_iter()?.collect::<Vec<_>>()).into())
        }
        None => value.get_attr(name),
    }
}

/// `value[key]`, where `true` is the place 1 of a list, and views and whole floats have no places; then what the type has.
pub(super) fn item(value: &Value, key: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let is_view = value.kind() == ValueKind::Iterable && !is_list(value);
    let found = match key.kind() {
        // What cannot be a key is none that there is.
        _ if value.kind() == ValueKind::Map => in_dict(value, key).ok().flatten().unwrap_or_default(),
        ValueKind::Bool | ValueKind::Number if is_view => Value::UNDEFINED,
        ValueKind::Bool => value.get_item(&Value::from(i32::from(key.is_true())))?,
        ValueKind::Number if !key.is_integer() => Value::UNDEFINED,
        _ => value.get_item(key)?,
    };
    if let Some(name) = key.as_str().filter(|_| found.is_undefined()) {
        return Ok(of_type(value, name).unwrap_or(found));
    }
    match found.as_str() {
        Some(text) if value.is_safe() => Ok(Value::from_safe_string(text.to_owned())),
        _ => Ok(found),
    }
}

/// What a dict has under a key; in Python `1`, `1.0` and `true` are one key.
pub(super) fn in_dict(dict: &Value, key: &Value) -> Result<Option<Value>, Error> {
    check_hashable(key)?;
    let Some(object) = dict.as_object() else { return Ok(None) };
    let whole = as_int(key).or_else(|| as_float(key).filter(|x| x.fract() == 0.0).map(|x| x as i128));
    let Some(n) = whole else { return Ok(object.get_value(key)) };
    let mut same = vec![Value::from(n), Value::from(n as f64)];
    same.extend((0..2).contains(&n).then(|| Value::from(n == 1)));
    Ok(same.iter().find_map(|key| object.get_value(key)))
}

/// The filter `attr`, which finds no items.
pub(super) fn attr(value: &Value, args: Args) -> Result<Value, Error> {
    let [name] = args.bind("attr", ["name"], 1)?;
    let name = name.unwrap_or_default();
    let name = want_text(&name, "the name of an attribute")?;
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if let Some(found) = of_type(value, name) {
        return Ok(found);
    }
    let has_attributes = value.as_object().is_some_and(|object| object.repr() == ObjectRepr::Plain)
        || is_own_object(value)
        || value.downcast_object_ref::<Group>().is_some();
    if has_attributes { value.get_attr(name) } else { Ok(Value::UNDEFINED) }
}

/// A path such as `a.0.b`, by which filters reach into items.
pub(super) struct Path {
    parts: Vec<Value>,
    /// What stands for a part that there is not.
    default: Option<Value>,
}

impl Path {
    /// Of an attribute that a filter is given; of none, the item itself.
    pub fn of(attribute: Option<&Value>, default: Option<Value>) -> Self {
        let part = |part: &str| match part.parse::<u64>() {
            Ok(index) if part.bytes().all(|b| b.is_ascii_digit()) => Value::from(index),
            _ => Value::from(part),
        };
        let parts = match attribute.map(|path| (path, path.as_str())) {
            None => Vec::new(),
            Some((path, _)) if path.is_none() => Vec::new(),
            Some((_, Some(path))) => path.split('.').map(part).collect(),
            Some((path, None)) => vec![path.clone()],
        };
        Self { parts, default: default.filter(|default| !default.is_none()) }
    }

    pub fn follow(&self, value: &Value) -> Result<Value, Error> {
        self.parts.iter().try_fold(value.clone(), |value, part| {
            let found = item(&value, part)?;
            Ok(match &self.default {
                Some(default) if found.is_undefined() => default.clone(),
                _ => found,
            })
        })
    }
}

/// A method that is not called, but handed around.
#[derive(Debug)]
pub(super) struct BoundMethod {
    owner: Value,
    name: &'static str,
}

impl BoundMethod {
    pub fn owner(&self) -> &Value {
        &self.owner
    }
}

impl Object for BoundMethod {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        self.owner.call_method(state, self.name, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<built-in method {}>", self.name)
    }
}

/// A macro whose body reads `varargs` or `kwargs`: its last two parameters.
#[derive(Debug)]
struct WithRest {
    called: Value,
    names: Vec<Value>,
    /// Whether the body reads `varargs`, `kwargs` and `caller`.
    reads: [bool; 3],
}

/// `__with_rest(macro, names, …)`: what calls the macro with what its names do not take.
pub(super) fn with_rest(
    called: &Value,
    names: &Value,
    varargs: bool,
    kwargs: bool,
    caller: bool,
) -> Result<Value, Error> {
    let names = names.try_iter()?.collect();
    Ok(Value::from_object(WithRest { called: called.clone(), names, reads: [varargs, kwargs, caller] }))
}

impl Object for WithRest {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "arguments" => Some(Tuple::from(self.names.clone()).into()),
            _ => self.called.get_item(key).ok().filter(|value| !value.is_undefined()),
        }
    }

    /// A name that was given a place already stays among the others.
    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let Args { mut positional, named } = Args::of(args)?;
        let [reads_varargs, reads_kwargs, reads_caller] = self.reads;
        let rest = positional.split_off(positional.len().min(self.names.len()));
        let open = &self.names[positional.len()..];
        let (mut given, other): (Vec<_>, Vec<_>) = named.into_iter().partition(|(name, _)| {
            open.iter().any(|open| open.as_str() == Some(name)) || reads_caller && name == "caller"
        });
        if !reads_varargs && !rest.is_empty() {
            return Err(error(format!("the macro takes not more than {} arguments", self.names.len())));
        }
        if let Some((name, _)) = other.first().filter(|_| !reads_kwargs) {
            return Err(error(format!("the macro takes no keyword argument '{name}'")));
        }
        let other = Value::from_pairs(other.into_iter().map(|(name, value)| (Value::from(name), value)));
        given.push(("varargs".to_owned(), made(Tuple::from(rest).into())?));
        given.push(("kwargs".to_owned(), made(other)?));
        positional.push(Kwargs::from_iter(given).into());
        self.called.call(state, &positional)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.called)
    }
}
