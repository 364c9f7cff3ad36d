//! `value.name`, `value[key]` and `value[a:b]`, as jinja2's sandbox looks them up.

use super::error::{Error, Result};
use super::objects::{Function, Object, Range};
use super::render::Renderer;
use super::value::Value;

/// The methods of Python's `str`.
const TEXT: [&str; 47] = [
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

/// Whether a value has this method; what would change it in place is out of a template's reach.
pub(super) fn is_method(value: &Value, name: &str) -> bool {
    match value {
        Value::Str(_) => TEXT.binary_search(&name).is_ok(),
        Value::List(_) => matches!(name, "count" | "index" | "copy"),
        Value::Tuple(_) | Value::Object(Object::Range(_)) => matches!(name, "count" | "index"),
        Value::Dict(_) => matches!(name, "get" | "items" | "keys" | "values" | "copy" | "fromkeys"),
        Value::Bool(_) | Value::Int(_) => matches!(name, "bit_length" | "bit_count" | "conjugate"),
        Value::Float(_) => matches!(name, "is_integer" | "conjugate"),
        Value::Object(Object::Loop(_)) => matches!(name, "cycle" | "changed"),
        Value::Object(Object::Cycler(_)) => matches!(name, "next" | "reset"),
        Value::Object(Object::Function(Function::Dict)) => name == "fromkeys",
        _ => false,
    }
}

/// What a value has in Python and jinja2's sandbox hides.
fn is_hidden(value: &Value, name: &str) -> bool {
    const LIST: [&str; 8] = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];
    const DICT: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];
    match value {
        Value::List(_) => LIST.contains(&name),
        Value::Dict(_) => {
            DICT.contains(&name) || matches!(name, "__class__" | "__doc__" | "__init__" | "__len__")
        }
        _ => false,
    }
}

impl Renderer<'_> {
    /// `owner.name`; undefined where there is no such thing.
    pub fn attribute(&mut self, owner: &Value, name: &str) -> Result<Value> {
        match self.own(owner, name)? {
            Some(value) => Ok(value),
            None if is_hidden(owner, name) => Ok(Value::Undefined),
            None => match owner {
                Value::Dict(dict) => Ok(dict.get_str(name).cloned().unwrap_or(Value::Undefined)),
                _ => Ok(Value::Undefined),
            },
        }
    }

    /// What Python's `getattr` finds.
    fn own(&mut self, owner: &Value, name: &str) -> Result<Option<Value>> {
        if is_method(owner, name) {
            return Value::method(owner, name).map(Some);
        }
        Ok(match owner {
            Value::Undefined => return Err(Error::undefined(&format!("attribute '{name}' of it"))),
            Value::Tuple(seq) if seq.group => match name {
                "grouper" => Some(seq.items[0].clone()),
                "list" => Some(seq.items[1].clone()),
                _ => None,
            },
            Value::Bool(_) | Value::Int(_) => number_attribute(Value::Int(owner.as_int().unwrap_or(0)), name),
            Value::Float(_) if name == "real" => Some(owner.clone()),
            Value::Float(_) if name == "imag" => Some(Value::Float(0.0)),
            Value::Object(object) => self.object_attribute(object, name)?,
            _ => None,
        })
    }

    fn object_attribute(&mut self, object: &Object, name: &str) -> Result<Option<Value>> {
        Ok(match object {
            Object::Loop(at) => Some(self.loop_attribute(at, name)?),
            Object::Namespace(index) => {
                let names = &self.namespaces[*index];
                names.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.clone())
            }
            Object::Range(Range { start, stop, step }) => match name {
                "start" => Some(Value::Int((*start).into())),
                "stop" => Some(Value::Int((*stop).into())),
                "step" => Some(Value::Int((*step).into())),
                _ => None,
            },
            Object::Macro(index, _) => {
                let function = self.macros[*index].0;
                match name {
                    "name" => Some(function.name.clone().map_or(Value::None, Value::str)),
                    "arguments" => {
                        let names = function.parameters.iter().map(|name| Value::str(name.clone()));
                        Some(Value::tuple(names.collect())?)
                    }
                    "caller" => Some(Value::Bool(function.reads.caller)),
                    "catch_kwargs" => Some(Value::Bool(function.reads.kwargs)),
                    "catch_varargs" => Some(Value::Bool(function.reads.varargs)),
                    _ => None,
                }
            }
            Object::Cycler(cycler) => match name {
                "current" => Some(cycler.items[cycler.at.get()].clone()),
                "pos" => Some(Value::int(cycler.at.get())),
                "items" => Some(Value::tuple(cycler.items.clone())?),
                _ => None,
            },
            _ => None,
        })
    }

    /// `owner[key]`; undefined where there is no such thing.
    pub fn item(&mut self, owner: &Value, key: &Value) -> Result<Value> {
        let found = match owner {
            Value::Undefined => return Err(Error::undefined("item of it")),
            Value::Dict(dict) => dict.get(key).ok().flatten().cloned(),
            Value::List(seq) | Value::Tuple(seq) => {
                at(key, seq.items.len()).map(|index| seq.items[index].clone())
            }
            Value::Str(text) if key.as_int().is_some() => {
                character(&text.text, key).map(|c| c.safe_as(owner))
            }
            Value::Object(Object::Range(range)) => {
                at(key, range.len()).map(|index| Value::Int(range.get(index).into()))
            }
            _ => None,
        };
        match (found, key.as_str()) {
            (Some(value), _) => Ok(value),
            (None, Some(name)) => Ok(self.own(owner, name)?.unwrap_or(Value::Undefined)),
            (None, None) => Ok(Value::Undefined),
        }
    }
}

fn number_attribute(value: Value, name: &str) -> Option<Value> {
    match name {
        "real" | "numerator" => Some(value),
        "imag" => Some(Value::Int(0)),
        "denominator" => Some(Value::Int(1)),
        _ => None,
    }
}

/// The place that an index means among `len`.
fn at(key: &Value, len: usize) -> Option<usize> {
    let index = key.as_int()?;
    let index = if index < 0 { index + len as i128 } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

fn character(text: &str, key: &Value) -> Option<Value> {
    let index = key.as_int()?;
    let c = match usize::try_from(index) {
        Ok(index) => text.chars().nth(index),
        Err(_) => text.chars().rev().nth(usize::try_from(-1 - index).ok()?),
    };
    c.map(|c| Value::str(c.to_string()))
}

/// `owner[start:stop:step]`
pub(super) fn slice(owner: &Value, [start, stop, step]: [Option<i64>; 3]) -> Result<Value> {
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Error::new("slice step cannot be zero"));
    }
    match owner {
        Value::Str(text) if step == 1 && text.text.is_ascii() => {
            let (from, to) = bounds(start, stop, 1, text.text.len());
            Ok(Value::str(&text.text[from as usize..to.max(from) as usize]).safe_as(owner))
        }
        Value::Str(text) => {
            let chars: Vec<char> = text.text.chars().collect();
            let taken: String = indices(start, stop, step, chars.len()).map(|index| chars[index]).collect();
            Ok(Value::str(taken).safe_as(owner))
        }
        Value::List(seq) => Value::list(picked(&seq.items, start, stop, step)),
        Value::Tuple(seq) => Value::tuple(picked(&seq.items, start, stop, step)),
        Value::Object(Object::Range(range)) => {
            let (from, to) = bounds(start, stop, step, range.len());
            let value = |at: i64| range.start + range.step * at;
            let range = Range { start: value(from), stop: value(to), step: range.step.saturating_mul(step) };
            Ok(Value::Object(Object::Range(range)))
        }
        _ => Err(Error::new(format!("'{}' object cannot be sliced", owner.type_name()))),
    }
}

fn picked(items: &[Value], start: Option<i64>, stop: Option<i64>, step: i64) -> Vec<Value> {
    indices(start, stop, step, items.len()).map(|index| items[index].clone()).collect()
}

/// Python's `slice.indices`: where it begins and where it ends.
fn bounds(start: Option<i64>, stop: Option<i64>, step: i64, len: usize) -> (i64, i64) {
    let len = len as i64;
    let (lowest, highest) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let place = |bound: Option<i64>, usual: i64| match bound {
        None => usual,
        Some(bound) if bound < 0 => bound.saturating_add(len).max(lowest),
        Some(bound) => bound.min(highest),
    };
    if step > 0 {
        (place(start, lowest), place(stop, highest))
    } else {
        (place(start, highest), place(stop, lowest))
    }
}

fn indices(start: Option<i64>, stop: Option<i64>, step: i64, len: usize) -> impl Iterator<Item = usize> {
    let (from, to) = bounds(start, stop, step, len);
    let mut at = from;
    std::iter::from_fn(move || {
        let inside = if step > 0 { at < to } else { at > to };
        let index = at;
        at = at.saturating_add(step);
        inside.then_some(index as usize)
    })
}
