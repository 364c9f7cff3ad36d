//! Python's `str(value)` and `repr(value)`.

use super::error::Result;
use super::objects::Object;
use super::value::{Dict, Value, check_size};

/// `str(value)`, as `{{ value }}` and `~` write it.
pub(super) fn str_of(value: &Value) -> Result<String> {
    match value {
        Value::Str(text) => Ok(text.text.to_string()),
        Value::Undefined => Ok(String::new()),
        _ => repr(value),
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> Result<String> {
    let mut out = String::new();
    write_repr(&mut out, value)?;
    Ok(out)
}

fn write_repr(out: &mut String, value: &Value) -> Result<()> {
    check_size(out.len())?;
    match value {
        Value::Undefined => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::Float(x) => out.push_str(&float(*x)),
        Value::Str(text) if text.safe => {
            out.push_str("Markup(");
            write_str(out, &text.text);
            out.push(')');
        }
        Value::Str(text) => write_str(out, &text.text),
        Value::List(seq) => {
            out.push('[');
            write_items(out, &seq.items)?;
            out.push(']');
        }
        Value::Tuple(seq) => {
            out.push('(');
            write_items(out, &seq.items)?;
            out.push_str(if seq.items.len() == 1 { ",)" } else { ")" });
        }
        Value::Dict(dict) => write_dict(out, dict)?,
        Value::Object(object) => write_object(out, object)?,
    }
    Ok(())
}

fn write_items(out: &mut String, items: &[Value]) -> Result<()> {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, item)?;
    }
    Ok(())
}

fn write_dict(out: &mut String, dict: &Dict) -> Result<()> {
    out.push('{');
    for (index, (key, value)) in dict.entries.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, key)?;
        out.push_str(": ");
        write_repr(out, value)?;
    }
    out.push('}');
    Ok(())
}

fn write_object(out: &mut String, object: &Object) -> Result<()> {
    match object {
        Object::Range(range) if range.step == 1 => {
            out.push_str(&format!("range({}, {})", range.start, range.stop));
        }
        Object::Range(range) => {
            out.push_str(&format!("range({}, {}, {})", range.start, range.stop, range.step));
        }
        Object::View(view, dict) => {
            out.push_str(object.type_name());
            out.push_str("([");
            write_items(out, &view.values(dict)?)?;
            out.push_str("])");
        }
        Object::Macro(_, Some(name)) => out.push_str(&format!("<Macro '{name}'>")),
        Object::Macro(_, None) => out.push_str("<Macro anonymous>"),
        _ => out.push_str(&format!("<{}>", object.type_name())),
    }
    Ok(())
}

fn write_str(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if c == quote => out.extend(['\\', c]),
            _ if is_printable(c) => out.push(c),
            _ => out.push_str(&escaped(c)),
        }
    }
    out.push(quote);
}

/// `\xhh`, `\uhhhh` or `\Uhhhhhhhh`.
pub(super) fn escaped(c: char) -> String {
    match u32::from(c) {
        code @ ..=0xFF => format!("\\x{code:02x}"),
        code @ ..=0xFFFF => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Python's `str.isprintable` of one character.
pub(super) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // The standard library knows the same categories, and shows them where it escapes for debugging. After a letter
    // it leaves combining marks as they are.
    let mut bytes = [0; 5];
    bytes[0] = b'a';
    let len = 1 + c.encode_utf8(&mut bytes[1..]).len();
    std::str::from_utf8(&bytes[..len]).is_ok_and(|text| text.escape_debug().count() == 2)
}

/// Python's `repr` of a float: shortest digits that read back, exponents below 1e-4 and from 1e16.
pub(super) fn float(x: f64) -> String {
    if x.is_nan() {
        return "nan".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // Rust's `{:e}` has the same shortest digits: `d.ddde-7`.
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if x != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{x}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}
