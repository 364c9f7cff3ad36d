//! The filters `int`, `float`, `round` and `abs`.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::args::Args;
use super::printing::str_of;
use super::strings::strip;
use super::values::{as_float, as_int, error, to_index, type_name};

pub(super) fn abs(value: &Value, args: Args) -> Result<Value, Error> {
    let [] = args.plain("abs", 0)?;
    match (as_float(value), as_int(value)) {
        (Some(x), _) => Ok(Value::from(x.abs())),
        (_, Some(n)) => n.checked_abs().map(Value::from).ok_or_else(too_large),
        _ => Err(error(format!("bad operand type for abs(): '{}'", type_name(value)))),
    }
}

fn too_large() -> Error {
    error("the integer is too large")
}

/// `int(default, base)`: what is no number is the default.
pub(super) fn int(value: &Value, args: Args) -> Result<Value, Error> {
    let [default, base] = args.bind("int", ["default", "base"], 0)?;
    let base = base.map_or(Some(10), |base| as_int(&base));
    let number = match value.kind() {
        ValueKind::Undefined => return Err(Error::from(minijinja::ErrorKind::UndefinedError)),
        ValueKind::String => int_of_text(value.as_str().unwrap_or_default(), base)?,
        _ => match as_float(value) {
            Some(x) if x.is_infinite() => return Err(error("cannot convert float infinity to integer")),
            Some(x) => whole(x)?,
            None => as_int(value),
        },
    };
    Ok(number.map_or_else(|| default.unwrap_or_else(|| Value::from(0)), Value::from))
}

/// A text in this base, or not as an integer where there is none; else that of the text as a float.
fn int_of_text(text: &str, base: Option<i128>) -> Result<Option<i128>, Error> {
    let base = base.filter(|base| *base == 0 || (2..=36).contains(base));
    match base.map_or(Ok(None), |base| parse_int(text, base as u32))? {
        Some(n) => Ok(Some(n)),
        None => parse_float(text).filter(|x| x.is_finite()).map_or(Ok(None), whole),
    }
}

fn whole(x: f64) -> Result<Option<i128>, Error> {
    if x.is_nan() {
        return Ok(None);
    }
    if x.abs() >= 1e38 { Err(too_large()) } else { Ok(Some(x as i128)) }
}

/// `float(default)`: what is no number is the default.
pub(super) fn float(value: &Value, args: Args) -> Result<Value, Error> {
    let [default] = args.bind("float", ["default"], 0)?;
    let number = match value.kind() {
        ValueKind::Undefined => return Err(Error::from(minijinja::ErrorKind::UndefinedError)),
        ValueKind::String => parse_float(value.as_str().unwrap_or_default()),
        _ => as_float(value).or_else(|| as_int(value).map(|n| n as f64)),
    };
    Ok(number.map_or_else(|| default.unwrap_or_else(|| Value::from(0.0)), Value::from))
}

/// `round(precision, method)`
pub(super) fn round(value: &Value, args: Args) -> Result<Value, Error> {
    let [precision, method] = args.bind("round", ["precision", "method"], 0)?;
    let precision = precision.map_or(Ok(0), |p| to_index(&p, "the precision"))?;
    let method = method.map_or(Ok("common".to_owned()), |method| str_of(&method))?;
    let precision = precision.clamp(-400, 400) as i32;
    let x = as_float(value).or_else(|| as_int(value).map(|n| n as f64));
    let x = x.ok_or_else(|| error(format!("cannot round '{}'", type_name(value))))?;
    let function: fn(f64) -> f64 = match method.as_str() {
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "common" => return rounded(value, x, precision),
        _ => return Err(error("method must be common, ceil or floor")),
    };
    // Python's `math.ceil` gives an integer, which infinity and nan have none for.
    let power = 10_f64.powi(precision);
    let scaled = function(x * power);
    if !scaled.is_finite() {
        return Err(error("cannot round what is not finite"));
    }
    // An integer has no negative zero.
    Ok(Value::from((scaled + 0.0) / power))
}

/// Python's `round(value, precision)`: halves go to the even neighbour.
fn rounded(value: &Value, x: f64, precision: i32) -> Result<Value, Error> {
    if let Some(n) = as_int(value) {
        return Ok(Value::from(rounded_int(n, precision)));
    }
    if !x.is_finite() || precision > 320 {
        return Ok(value.clone());
    }
    if precision >= 0 {
        let text = format!("{x:.*}", precision as usize);
        return text.parse::<f64>().map(Value::from).map_err(|_| error("cannot round"));
    }
    let power = 10_f64.powi(-precision);
    let scaled = (x / power).round_ties_even() * power;
    Ok(Value::from(if scaled.is_finite() { scaled } else { 0.0_f64.copysign(x) }))
}

fn rounded_int(n: i128, precision: i32) -> i128 {
    let Some(power) = u32::try_from(-precision).ok().filter(|_| precision < 0) else { return n };
    let Some(power) = 10_i128.checked_pow(power) else { return 0 };
    let (floor, rest) = (n.div_euclid(power), n.rem_euclid(power));
    let up = rest > power - rest || rest == power - rest && floor % 2 != 0;
    floor.saturating_add(i128::from(up)).saturating_mul(power)
}

/// Single underscores may stand between digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let fits =
        (0..bytes.len()).all(|at| bytes[at] != b'_' || digit(at.checked_sub(1)) && digit(Some(at + 1)));
    fits.then(|| text.replace('_', ""))
}

fn parse_int(text: &str, base: u32) -> Result<Option<i128>, Error> {
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
    n.map(Some).map_err(|_| error("the integer is too large"))
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
