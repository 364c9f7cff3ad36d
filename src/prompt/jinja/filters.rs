//! Jinja's filters of texts and numbers: `value|name`.

use super::args::Args;
use super::error::{Error, Result};
use super::methods::{self, capitalized, lines, strip};
use super::ops::{self, escape_html};
use super::printing::{repr, str_of};
use super::render::Renderer;
use super::sequence_filters::length;
use super::value::{Value, check_size};
use super::{is_space, json, percent};

/// All filters.
const NAMES: [&str; 47] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "wordcount",
    "pprint",
];

pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

impl Renderer<'_> {
    pub fn filter(&mut self, name: &str, value: Value, args: Args) -> Result<Value> {
        match name {
            "abs" | "round" | "int" | "float" => number(name, &value, args),
            "capitalize" | "lower" | "upper" | "title" | "string" | "safe" | "e" | "escape"
            | "forceescape" | "wordcount" | "pprint" => {
                let [] = args.plain(name, 0)?;
                plain_text(name, &value)
            }
            "indent" if value.as_str().is_none() => {
                Err(Error::new(format!("cannot indent what is no string but {}", value.type_name())))
            }
            "truncate" if value.as_str().is_none() => {
                let short = length(&value)? <= 8;
                if short { Ok(value) } else { Err(Error::new("cannot truncate what is no string")) }
            }
            "center" | "trim" | "replace" | "indent" | "truncate" => {
                let made = text(name, &str_of(&value)?, args)?;
                Ok(if name == "replace" { made } else { made.safe_as(&value) })
            }
            "format" => format(&value, args),
            "tojson" => {
                let [ascii, indent, separators, sort] =
                    args.bind(name, ["ensure_ascii", "indent", "separators", "sort_keys"], 0)?;
                let options = json::Options::from_arguments(ascii, indent, separators, sort)?;
                Ok(Value::str(json::dumps(&value, &options)?))
            }
            "d" | "default" => {
                let [default, boolean] = args.bind(name, ["default_value", "boolean"], 0)?;
                let replaced =
                    value.is_undefined() || boolean.is_some_and(|b| b.is_true()) && !value.is_true();
                Ok(if replaced { default.unwrap_or_else(|| Value::str("")) } else { value })
            }
            "attr" => {
                let [attribute] = args.bind(name, ["name"], 1)?;
                let attribute = str_of(&attribute.unwrap_or(Value::Undefined))?;
                match value {
                    // Only what Python's `getattr` finds, not the items of a dict.
                    Value::Dict(_) if !super::attributes::is_method(&value, &attribute) => {
                        Ok(Value::Undefined)
                    }
                    _ => self.attribute(&value, &attribute),
                }
            }
            _ => self.sequence_filter(name, value, args),
        }
    }
}

fn plain_text(name: &str, value: &Value) -> Result<Value> {
    let safe = matches!(value, Value::Str(text) if text.safe);
    let text = str_of(value)?;
    let made = match name {
        "capitalize" => capitalized(&text),
        "lower" => text.to_lowercase(),
        "upper" => text.to_uppercase(),
        "title" => return Ok(Value::str(title(&text))),
        "string" => return Ok(if safe { value.clone() } else { Value::str(text) }),
        "safe" => return Ok(Value::markup(text)),
        "e" | "escape" if safe => return Ok(value.clone()),
        "e" | "escape" | "forceescape" => return Ok(Value::markup(escape_html(&text))),
        "pprint" => return short_repr(value),
        _ => return Ok(Value::int(words(&text))),
    };
    Ok(Value::str(made).safe_as(value))
}

/// `pprint` of what fits a line is its `repr`; it breaks longer ones in ways that no template needs.
fn short_repr(value: &Value) -> Result<Value> {
    let text = repr(value)?;
    if text.chars().count() > 78 {
        return Err(Error::new("pprint of a long value is not supported"));
    }
    Ok(Value::str(text))
}

fn words(text: &str) -> usize {
    text.split(|c: char| !(c == '_' || c.is_alphanumeric())).filter(|word| !word.is_empty()).count()
}

/// Jinja's way of titles: words begin after blanks, hyphens and opening brackets.
fn title(text: &str) -> String {
    let begins = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let between = rest.find(|c| !begins(c)).unwrap_or(rest.len());
        let (separator, after) = rest.split_at(between);
        let (word, after) = after.split_at(after.find(begins).unwrap_or(after.len()));
        out.push_str(separator);
        let mut chars = word.chars();
        if let Some(first) = chars.next() {
            out.extend(first.to_uppercase());
            out.push_str(&chars.as_str().to_lowercase());
        }
        rest = after;
    }
    out
}

fn text(name: &str, text: &str, args: Args) -> Result<Value> {
    let made = match name {
        "center" => {
            let [width] = args.bind(name, ["width"], 0)?;
            methods::center(text, width.map_or(Ok(80), |width| width.to_index("the width"))?)?
        }
        "trim" => {
            let [chars] = args.bind(name, ["chars"], 0)?;
            match chars {
                None | Some(Value::None) => strip(text, None, true, true).to_owned(),
                Some(Value::Str(chars)) => strip(text, Some(&chars.text), true, true).to_owned(),
                Some(_) => return Err(Error::new("strip arg must be None or str")),
            }
        }
        "replace" => {
            let [old, new, count] = args.bind(name, ["old", "new", "count"], 2)?;
            let [old, new] = [old, new].map(|v| str_of(&v.unwrap_or(Value::Undefined)));
            let count = match count {
                None | Some(Value::None) => -1,
                Some(count) => count.to_index("count")?,
            };
            methods::replace(text, &old?, &new?, count)?
        }
        "indent" => indent(text, args)?,
        _ => truncate(text, args)?,
    };
    Ok(Value::str(made))
}

fn indent(text: &str, args: Args) -> Result<String> {
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"], 0)?;
    let [first, blank] = [first, blank].map(|flag| flag.is_some_and(|flag| flag.is_true()));
    let indention = match width {
        Some(Value::Str(text)) => text.text.to_string(),
        width => {
            let width = width.map_or(Ok(4), |width| width.to_index("the width"))?;
            let width = usize::try_from(width).unwrap_or(0);
            check_size(width)?;
            " ".repeat(width)
        }
    };
    // So that a last newline stays.
    let text = format!("{text}\n");
    let lines = lines(&text, false);
    check_size(text.len().saturating_add(lines.len().saturating_mul(indention.len())))?;
    let mut out = if first { indention.clone() } else { String::new() };
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&indention);
            }
        }
        out.push_str(line);
    }
    Ok(out)
}

fn truncate(text: &str, args: Args) -> Result<String> {
    let [length, kill, end, leeway] = args.bind("truncate", ["length", "killwords", "end", "leeway"], 0)?;
    let number = |value: Option<Value>, usual| match value {
        None | Some(Value::None) => Ok(usual),
        Some(value) => value.to_index("a length"),
    };
    let (length, leeway) = (number(length, 255)?, number(leeway, 5)?);
    let end = end.map_or(Ok("...".to_owned()), |end| str_of(&end))?;
    let end_len = end.chars().count() as i64;
    if length < end_len || leeway < 0 {
        return Err(Error::new(format!("expected length >= {end_len}, got {length}")));
    }
    if text.chars().count() as i64 <= length + leeway {
        return Ok(text.to_owned());
    }
    let kept: String = text.chars().take((length - end_len) as usize).collect();
    let kept = match kept.rsplit_once(' ') {
        Some((before, _)) if !kill.is_some_and(|kill| kill.is_true()) => before,
        _ => &kept,
    };
    Ok(kept.to_owned() + &end)
}

fn format(value: &Value, args: Args) -> Result<Value> {
    let text = Value::str(str_of(value)?);
    let Value::Str(text) = text else { return Ok(text) };
    let values = match (args.positional.is_empty(), args.named.is_empty()) {
        (false, false) => {
            return Err(Error::new("can't handle positional and keyword arguments at the same time"));
        }
        (true, false) => Value::dict(args.named.into_iter().map(|(name, value)| (Value::str(name), value)))?,
        _ => Value::tuple(args.positional)?,
    };
    percent::format(&text, &values)
}

fn number(name: &str, value: &Value, args: Args) -> Result<Value> {
    match name {
        "abs" => {
            let [] = args.plain(name, 0)?;
            match value {
                Value::Float(x) => Ok(Value::Float(x.abs())),
                _ => match value.as_int() {
                    Some(n) if n < 0 => ops::negative(value),
                    Some(n) => Ok(Value::Int(n)),
                    None => Err(Error::new(format!("bad operand type for abs(): '{}'", value.type_name()))),
                },
            }
        }
        "round" => round(value, args),
        "int" => {
            let [default, base] = args.bind(name, ["default", "base"], 0)?;
            let base = base.map_or(Some(10), |base| base.as_int());
            Ok(to_int(value, base)?.unwrap_or_else(|| default.unwrap_or(Value::Int(0))))
        }
        _ => {
            let [default] = args.bind(name, ["default"], 0)?;
            Ok(to_float(value)?.map_or_else(|| default.unwrap_or(Value::Float(0.0)), Value::Float))
        }
    }
}

fn round(value: &Value, args: Args) -> Result<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"], 0)?;
    let precision = precision.map_or(Ok(0), |p| p.to_index("the precision"))?;
    let method = method.map_or(Ok("common".to_owned()), |method| str_of(&method))?;
    let precision = precision.clamp(-400, 400) as i32;
    let x = match value {
        Value::Float(x) => *x,
        _ => {
            value.as_int().ok_or_else(|| Error::new(format!("cannot round '{}'", value.type_name())))? as f64
        }
    };
    let function: fn(f64) -> f64 = match method.as_str() {
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "common" => return rounded(value, x, precision),
        _ => return Err(Error::new("method must be common, ceil or floor")),
    };
    // Python's `math.ceil` gives an integer, which infinity and nan have none for.
    let power = 10_f64.powi(precision);
    let scaled = function(x * power);
    if !scaled.is_finite() {
        return Err(Error::new("cannot round what is not finite"));
    }
    // An integer has no negative zero.
    Ok(Value::Float((scaled + 0.0) / power))
}

/// Python's `round(value, precision)`: halves go to the even neighbour.
fn rounded(value: &Value, x: f64, precision: i32) -> Result<Value> {
    match value {
        Value::Float(_) if !x.is_finite() => Ok(value.clone()),
        Value::Float(_) if precision > 320 => Ok(value.clone()),
        Value::Float(_) if precision >= 0 => {
            let text = format!("{x:.*}", precision as usize);
            text.parse().map(Value::Float).map_err(|_| Error::new("cannot round"))
        }
        Value::Float(_) => {
            let power = 10_f64.powi(-precision);
            let scaled = (x / power).round_ties_even() * power;
            Ok(Value::Float(if scaled.is_finite() { scaled } else { 0.0_f64.copysign(x) }))
        }
        _ => {
            let n = value.as_int().unwrap_or(0);
            let Some(power) = u32::try_from(-precision).ok().filter(|_| precision < 0) else {
                return Ok(Value::Int(n));
            };
            let Some(power) = 10_i128.checked_pow(power) else { return Ok(Value::Int(0)) };
            let (floor, rest) = (n.div_euclid(power), n.rem_euclid(power));
            let up = rest * 2 > power || rest * 2 == power && floor % 2 != 0;
            Ok(Value::Int((floor + i128::from(up)) * power))
        }
    }
}

/// Python's `int(value)` where it gives a number, else that of the value as a float.
///
/// A text is read in this base, or not as an integer where there is none.
fn to_int(value: &Value, base: Option<i128>) -> Result<Option<Value>> {
    match value {
        Value::Undefined => Err(Error::undefined("as an integer")),
        Value::Float(x) if x.is_infinite() => Err(Error::new("cannot convert float infinity to integer")),
        Value::Float(x) if x.is_nan() => Ok(None),
        Value::Float(x) => whole(*x),
        Value::Str(text) => {
            let base = base.filter(|base| *base == 0 || (2..=36).contains(base));
            match base.map_or(Ok(None), |base| parse_int(&text.text, base as u32))? {
                Some(n) => Ok(Some(Value::Int(n))),
                None => parse_float(&text.text).filter(|x| x.is_finite()).map_or(Ok(None), whole),
            }
        }
        _ => Ok(value.as_int().map(Value::Int)),
    }
}

fn whole(x: f64) -> Result<Option<Value>> {
    if x.abs() >= 1e38 {
        Err(Error::new("the integer is too large"))
    } else {
        Ok(Some(Value::Int(x as i128)))
    }
}

fn to_float(value: &Value) -> Result<Option<f64>> {
    match value {
        Value::Undefined => Err(Error::undefined("as a number")),
        Value::Float(x) => Ok(Some(*x)),
        Value::Str(text) => Ok(parse_float(&text.text)),
        _ => Ok(value.as_int().map(|n| n as f64)),
    }
}

/// Single underscores may stand between digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let fits =
        (0..bytes.len()).all(|at| bytes[at] != b'_' || digit(at.checked_sub(1)) && digit(Some(at + 1)));
    fits.then(|| text.replace('_', ""))
}

fn parse_int(text: &str, base: u32) -> Result<Option<i128>> {
    let text = strip(text, None, true, true);
    let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
    let prefix = digits.get(..2).map(str::to_ascii_lowercase);
    let prefixed = match prefix.as_deref() {
        Some("0x") => Some(16),
        Some("0o") => Some(8),
        Some("0b") => Some(2),
        _ => None,
    };
    let (digits, base) = match prefixed {
        Some(own) if base == 0 || base == own => (digits[2..].strip_prefix('_').unwrap_or(&digits[2..]), own),
        _ if base == 0 && digits.starts_with('0') && !digits.bytes().all(|b| matches!(b, b'0' | b'_')) => {
            return Ok(None);
        }
        _ => (digits, if base == 0 { 10 } else { base }),
    };
    let Some(digits) = without_underscores(digits) else { return Ok(None) };
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii() && c.is_digit(base)) {
        return Ok(None);
    }
    let n = i128::from_str_radix(&format!("{sign}{digits}"), base);
    n.map(Some).map_err(|_| Error::new("the integer is too large"))
}

fn parse_float(text: &str) -> Option<f64> {
    let text = strip(text, None, true, true);
    let unsigned = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    if text.len() - unsigned.len() > 1 {
        return None;
    }
    let named = matches!(unsigned.as_str(), "inf" | "infinity" | "nan");
    if !named
        && !unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'_' | b'+' | b'-'))
    {
        return None;
    }
    without_underscores(text)?.parse().ok()
}
