//! Python's operators.

use std::cmp::Ordering;

use super::ast::{Binary, Comparison};
use super::error::{Error, Result};
use super::objects::Object;
use super::printing::str_of;
use super::value::{Seq, Text, Value, check_size};

fn unsupported(op: &str, a: &Value, b: &Value) -> Error {
    let (a_type, b_type) = (a.type_name(), b.type_name());
    if a.is_undefined() || b.is_undefined() {
        return Error::undefined(&format!("operator {op} between {a_type} and {b_type}"));
    }
    Error::new(format!("unsupported operand types for {op}: '{a_type}' and '{b_type}'"))
}

fn too_large() -> Error {
    Error::new("the integer is too large")
}

pub(super) fn binary(op: Binary, a: &Value, b: &Value) -> Result<Value> {
    match op {
        Binary::Add => add(a, b),
        Binary::Mul => mul(a, b),
        Binary::Mod => match a {
            Value::Str(text) => super::percent::format(text, b),
            _ => arithmetic(op, a, b),
        },
        _ => arithmetic(op, a, b),
    }
}

/// A number as both kinds, an integer or not.
fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(x) => Some(*x),
        _ => value.as_int().map(|n| n as f64),
    }
}

fn arithmetic(op: Binary, a: &Value, b: &Value) -> Result<Value> {
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
        return integers(op, a, b);
    }
    let (Some(x), Some(y)) = (as_float(a), as_float(b)) else {
        return Err(unsupported(symbol(op), a, b));
    };
    floats(op, x, y).map(Value::Float)
}

fn symbol(op: Binary) -> &'static str {
    match op {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::FloorDiv => "//",
        Binary::Mod => "%",
        Binary::Pow => "**",
    }
}

fn zero_division() -> Error {
    Error::new("division by zero")
}

fn integers(op: Binary, a: i128, b: i128) -> Result<Value> {
    let result = match op {
        Binary::Add => a.checked_add(b),
        Binary::Sub => a.checked_sub(b),
        Binary::Mul => a.checked_mul(b),
        Binary::Div | Binary::FloorDiv | Binary::Mod if b == 0 => return Err(zero_division()),
        Binary::Div => return Ok(Value::Float(a as f64 / b as f64)),
        Binary::FloorDiv => {
            a.checked_div(b).map(|q| if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q })
        }
        Binary::Mod => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
        Binary::Pow if b < 0 => return floats(op, a as f64, b as f64).map(Value::Float),
        Binary::Pow => match u32::try_from(b) {
            Ok(b) => a.checked_pow(b),
            Err(_) if matches!(a, 0 | 1) => Some(a),
            Err(_) => None,
        },
    };
    result.map(Value::Int).ok_or_else(too_large)
}

fn floats(op: Binary, x: f64, y: f64) -> Result<f64> {
    Ok(match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div | Binary::FloorDiv | Binary::Mod if y == 0.0 => return Err(zero_division()),
        Binary::Div => x / y,
        Binary::FloorDiv => floor_div(x, y).0,
        Binary::Mod => floor_div(x, y).1,
        Binary::Pow if x == 0.0 && y < 0.0 => return Err(zero_division()),
        Binary::Pow if x < 0.0 && x.is_finite() && y.is_finite() && y.fract() != 0.0 => {
            return Err(Error::new("the result is a complex number"));
        }
        Binary::Pow => {
            let power = x.powf(y);
            if power.is_infinite() && x.is_finite() && y.is_finite() {
                return Err(Error::new("the result is too large"));
            }
            power
        }
    })
}

/// CPython's `float.__divmod__`.
fn floor_div(x: f64, y: f64) -> (f64, f64) {
    let mut rem = x % y;
    let mut div = (x - rem) / y;
    if rem == 0.0 {
        rem = 0.0_f64.copysign(y);
    } else if (y < 0.0) != (rem < 0.0) {
        rem += y;
        div -= 1.0;
    }
    if div == 0.0 {
        return (0.0_f64.copysign(x / y), rem);
    }
    let floor = div.floor();
    (if div - floor > 0.5 { floor + 1.0 } else { floor }, rem)
}

fn add(a: &Value, b: &Value) -> Result<Value> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => add_texts(a, b),
        (Value::List(a), Value::List(b)) => Value::list(chained(a, b)?),
        (Value::Tuple(a), Value::Tuple(b)) => Value::tuple(chained(a, b)?),
        _ => arithmetic(Binary::Add, a, b),
    }
}

fn add_texts(a: &Text, b: &Text) -> Result<Value> {
    check_size(a.text.len() + b.text.len())?;
    if !a.safe && !b.safe {
        return Ok(Value::str([&*a.text, &*b.text].concat()));
    }
    let escaped = |text: &Text| if text.safe { text.text.to_string() } else { escape_html(&text.text) };
    Ok(Value::markup(escaped(a) + &escaped(b)))
}

/// As markupsafe escapes.
pub(super) fn escape_html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('>', "&gt;").replace('<', "&lt;");
    text.replace('\'', "&#39;").replace('"', "&#34;")
}

fn chained(a: &Seq, b: &Seq) -> Result<Vec<Value>> {
    check_size((a.items.len() + b.items.len()) * size_of::<Value>())?;
    Ok(a.items.iter().chain(&b.items).cloned().collect())
}

fn mul(a: &Value, b: &Value) -> Result<Value> {
    let (value, count) = match (a, b) {
        (Value::Str(_) | Value::List(_) | Value::Tuple(_), _) => (a, b.as_int()),
        (_, Value::Str(_) | Value::List(_) | Value::Tuple(_)) => (b, a.as_int()),
        _ => return arithmetic(Binary::Mul, a, b),
    };
    let count = count.ok_or_else(|| unsupported("*", a, b))?;
    let count = usize::try_from(count.max(0)).map_err(|_| Error::memory())?;
    match value {
        Value::Str(text) => {
            check_size(text.text.len().saturating_mul(count))?;
            let repeated = text.text.repeat(count);
            Ok(if text.safe { Value::markup(repeated) } else { Value::str(repeated) })
        }
        Value::List(seq) => Value::list(repeated(seq, count)?),
        Value::Tuple(seq) => Value::tuple(repeated(seq, count)?),
        _ => Err(unsupported("*", a, b)),
    }
}

fn repeated(seq: &Seq, count: usize) -> Result<Vec<Value>> {
    let len = seq.items.len().saturating_mul(count);
    check_size(len.saturating_mul(size_of::<Value>()))?;
    Ok(seq.items.iter().cycle().take(len).cloned().collect())
}

pub(super) fn negative(value: &Value) -> Result<Value> {
    match value {
        Value::Float(x) => Ok(Value::Float(-x)),
        _ => match value.as_int() {
            Some(n) => n.checked_neg().map(Value::Int).ok_or_else(too_large),
            None => Err(bad_sign("-", value)),
        },
    }
}

pub(super) fn positive(value: &Value) -> Result<Value> {
    match value {
        Value::Float(x) => Ok(Value::Float(*x)),
        _ => value.as_int().map(Value::Int).ok_or_else(|| bad_sign("+", value)),
    }
}

fn bad_sign(sign: &str, value: &Value) -> Error {
    if value.is_undefined() {
        return Error::undefined(&format!("unary {sign}"));
    }
    Error::new(format!("bad operand type for unary {sign}: '{}'", value.type_name()))
}

/// `a ~ b ~ c`
pub(super) fn concat(values: &[Value]) -> Result<Value> {
    let mut out = String::new();
    for value in values {
        match value {
            Value::Str(text) => out.push_str(&text.text),
            _ => out.push_str(&str_of(value)?),
        }
        check_size(out.len())?;
    }
    Ok(Value::str(out))
}

pub(super) fn compare(comparison: Comparison, a: &Value, b: &Value) -> Result<bool> {
    Ok(match comparison {
        Comparison::Eq => equal(a, b),
        Comparison::Ne => !equal(a, b),
        Comparison::In => contains(b, a)?,
        Comparison::NotIn => !contains(b, a)?,
        Comparison::Lt => order(a, b, "<")? == Some(Ordering::Less),
        Comparison::Le => matches!(order(a, b, "<=")?, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Gt => order(a, b, ">")? == Some(Ordering::Greater),
        Comparison::Ge => matches!(order(a, b, ">=")?, Some(Ordering::Greater | Ordering::Equal)),
    })
}

pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Undefined, Value::Undefined) | (Value::None, Value::None) => true,
        (Value::Str(a), Value::Str(b)) => a.text == b.text,
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            a.items.len() == b.items.len() && a.items.iter().zip(&b.items).all(|(a, b)| same_or_equal(a, b))
        }
        (Value::Dict(a), Value::Dict(b)) => {
            a.entries.len() == b.entries.len()
                && a.entries
                    .iter()
                    .all(|(key, value)| matches!(b.get(key), Ok(Some(other)) if same_or_equal(value, other)))
        }
        (Value::Object(a), Value::Object(b)) => a.is(b),
        _ => numbers(a, b) == Some(Some(Ordering::Equal)),
    }
}

/// Items of containers are equal to themselves, even `nan`.
fn same_or_equal(a: &Value, b: &Value) -> bool {
    equal(a, b)
}

/// How two numbers compare; `None` where one is no number, and inside of it where one is `nan`.
fn numbers(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Value::Float(x), Value::Float(y)) => x.partial_cmp(y),
        (Value::Float(x), _) => int_and_float(b.as_int()?, *x).map(Ordering::reverse),
        (_, Value::Float(y)) => int_and_float(a.as_int()?, *y),
        _ => Some(a.as_int()?.cmp(&b.as_int()?)),
    })
}

fn int_and_float(n: i128, x: f64) -> Option<Ordering> {
    if x.is_nan() || x.abs() >= 1e38 {
        return 0.0_f64.partial_cmp(&x);
    }
    let whole = x.floor();
    Some(n.cmp(&(whole as i128)).then(0.0_f64.total_cmp(&(x - whole))))
}

/// How two values compare; an error where Python has no order for them.
pub(super) fn order(a: &Value, b: &Value, op: &str) -> Result<Option<Ordering>> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Ok(Some(a.text.cmp(&b.text))),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            order_items(&a.items, &b.items, op)
        }
        _ => numbers(a, b).ok_or_else(|| unsupported(op, a, b)),
    }
}

/// The same of lists: by the first items that differ.
pub(super) fn order_items(a: &[Value], b: &[Value], op: &str) -> Result<Option<Ordering>> {
    match a.iter().zip(b).find(|(a, b)| !same_or_equal(a, b)) {
        Some((a, b)) => order(a, b, op),
        None => Ok(Some(a.len().cmp(&b.len()))),
    }
}

pub(super) fn contains(container: &Value, item: &Value) -> Result<bool> {
    match container {
        Value::Undefined => Ok(false),
        Value::Str(text) => match item {
            Value::Str(item) => Ok(text.text.contains(&*item.text)),
            _ => Err(Error::new(format!(
                "'in <string>' requires string as left operand, not {}",
                item.type_name()
            ))),
        },
        Value::List(seq) | Value::Tuple(seq) => Ok(seq.items.iter().any(|other| same_or_equal(other, item))),
        Value::Dict(dict) => Ok(dict.get(item)?.is_some()),
        Value::Object(object) => contains_in_object(object, item),
        _ => Err(Error::new(format!("argument of type '{}' is not iterable", container.type_name()))),
    }
}

fn contains_in_object(object: &Object, item: &Value) -> Result<bool> {
    let any = |items: Vec<Value>| items.iter().any(|other| same_or_equal(other, item));
    match object {
        Object::Range(range) => Ok(any(range.values())),
        Object::View(super::objects::View::Keys, dict) => Ok(dict.get(item)?.is_some()),
        Object::View(view, dict) => Ok(any(view.values(dict)?)),
        Object::Iterator(once) => {
            while let Some(other) = once.next() {
                if same_or_equal(&other, item) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(Error::new(format!("argument of type '{}' is not iterable", object.type_name()))),
    }
}
