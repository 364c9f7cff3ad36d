//! Python's operators, under the names that rewritten templates call them by.

use std::cmp::Ordering;

use minijinja::value::{Rest, Tuple, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use super::budget::{check, check_items, made};
use super::nesting::{self, Generator};
use super::objects::{self, Failure, is_list};
use super::printing::str_of;
use super::sequence_filters::check_held;
use super::text_filters::escaped_within;
use super::values::{as_float, as_int, error, to_index, type_name};
use super::{lookup, percent, strings};

type Binary = fn(&Value, &Value) -> Result<Value, Error>;

pub(super) fn install(env: &mut Environment<'static>) {
    let binaries: [(&str, Binary); 6] = [
        ("__sub", sub),
        ("__mul", mul),
        ("__div", div),
        ("__floordiv", floor_div),
        ("__rem", rem),
        ("__pow", pow),
    ];
    for (name, function) in binaries {
        env.add_function(name, move |a: &Value, b: &Value| function(a, b).and_then(made));
    }
    env.add_function("__add", |terms: Rest<Value>| folded(&terms, add));
    env.add_function("__concat", |terms: Rest<Value>| concat(&terms));
    env.add_function("__lt", |a: &Value, b: &Value| ordered(a, b, "<", Ordering::is_lt));
    env.add_function("__le", |a: &Value, b: &Value| ordered(a, b, "<=", Ordering::is_le));
    env.add_function("__gt", |a: &Value, b: &Value| ordered(a, b, ">", Ordering::is_gt));
    env.add_function("__ge", |a: &Value, b: &Value| ordered(a, b, ">=", Ordering::is_ge));
    env.add_function("__in", contains);
    env.add_function("__neg", |value: &Value| signed(value, "-"));
    env.add_function("__slice", slice);
    env.add_function("__item", lookup::item);
    env.add_function("__attr", lookup::attribute);
    env.add_function("__compare", |state: &mut State, terms: Rest<Value>| compare(state, &terms));
    env.add_function("__pos", |value: &Value| signed(value, "+"));
    env.add_function("__flag", || minijinja::functions::namespace(None));
    env.add_function("__with_rest", lookup::with_rest);
    env.add_function("__iterable", iterable);
    env.add_function("__made", made);
    env.add_function("__held", |value: Value, _: &Value| nesting::held(&value).map(|()| value));
    env.add_function("__dict", |parts: Rest<Value>| dict(&parts));
    env.add_function("__is_unset", |value: &Value| value.downcast_object_ref::<objects::Unset>().is_some());
    env.add_global("__unset", Value::from_object(objects::Unset));
    env.add_global("__undefined", Value::UNDEFINED);
    env.add_filter("__filter", |state: &mut State, value: Value, name: &str, args: Rest<ValueOrKwargs>| {
        filter(state, value, name, &args.into_values())
    });
    env.add_filter("__text", only_text);
    add_tests(env);
}

/// The tests that compute.
fn add_tests(env: &mut Environment<'static>) {
    env.add_test("odd", |value: &Value| Ok::<_, Error>(rem(value, &Value::from(2))? == Value::from(1)));
    env.add_test("even", |value: &Value| Ok::<_, Error>(rem(value, &Value::from(2))? == Value::from(0)));
    env.add_test("divisibleby", |value: &Value, by: &Value| {
        Ok::<_, Error>(rem(value, by)? == Value::from(0))
    });
    type Order = (&'static [&'static str], &'static str, fn(Ordering) -> bool);
    let orders: [Order; 4] = [
        (&["lt", "lessthan", "<"], "<", Ordering::is_lt),
        (&["le", "<="], "<=", Ordering::is_le),
        (&["gt", "greaterthan", ">"], ">", Ordering::is_gt),
        (&["ge", ">="], ">=", Ordering::is_ge),
    ];
    for (names, operator, holds) in orders {
        for name in names {
            env.add_test(*name, move |a: &Value, b: &Value| ordered(a, b, operator, holds));
        }
    }
    env.add_test("in", contains);
    env.add_test("lower", |value: &Value| Ok::<_, Error>(strings::is_lower(&str_of(value)?)));
    env.add_test("upper", |value: &Value| Ok::<_, Error>(strings::is_upper(&str_of(value)?)));
    env.add_test("filter", |state: &State, name: &Value| {
        known(name, |name| minijinja::tests::is_filter(state, name))
    });
    env.add_test("test", |state: &State, name: &Value| {
        known(name, |name| minijinja::tests::is_test(state, name))
    });
}

/// Whether a name is known; what cannot be a key cannot be asked for.
fn known(name: &Value, is_known: impl Fn(&str) -> bool) -> Result<bool, Error> {
    objects::check_hashable(name)?;
    Ok(name.as_str().is_some_and(is_known))
}

fn folded(terms: &[Value], operator: Binary) -> Result<Value, Error> {
    let mut terms = terms.iter();
    let mut sum = terms.next().cloned().unwrap_or_default();
    for term in terms {
        sum = made(operator(&sum, term)?)?;
    }
    Ok(sum)
}

/// A number as Python's arithmetic takes it.
#[derive(Clone, Copy)]
enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Self> {
        as_int(value).map(Self::Int).or_else(|| as_float(value).map(Self::Float))
    }

    fn float(self) -> f64 {
        match self {
            Self::Int(n) => n as f64,
            Self::Float(x) => x,
        }
    }
}

/// Two numbers by the one function or the other; `None` where one is no number.
fn arithmetic(
    a: &Value,
    b: &Value,
    ints: fn(i128, i128) -> Option<i128>,
    floats: fn(f64, f64) -> f64,
) -> Option<Result<Value, Error>> {
    Some(match (Number::of(a)?, Number::of(b)?) {
        (Number::Int(a), Number::Int(b)) => {
            ints(a, b).map(Value::from).ok_or_else(|| error("the integer is too large"))
        }
        (a, b) => Ok(Value::from(floats(a.float(), b.float()))),
    })
}

fn unsupported(operator: &str, a: &Value, b: &Value) -> Error {
    if a.is_undefined() || b.is_undefined() {
        return Error::from(ErrorKind::UndefinedError);
    }
    let (a, b) = (type_name(a), type_name(b));
    error(format!("unsupported operand type(s) for {operator}: '{a}' and '{b}'"))
}

/// A list or a tuple, not a range.
fn is_real_list(value: &Value) -> bool {
    is_list(value) && !objects::is_no_list(value)
}

pub(super) fn add(a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(sum) = arithmetic(a, b, i128::checked_add, |a, b| a + b) {
        return sum;
    }
    match (a.kind(), b.kind()) {
        (ValueKind::String, ValueKind::String) => joined(a, b),
        _ if is_real_list(a) && is_real_list(b) && a.is_tuple() == b.is_tuple() => {
            check_items(a.len().unwrap_or(0) + b.len().unwrap_or(0))?;
            let items: Vec<Value> = a.try_iter()?.chain(b.try_iter()?).collect();
            Ok(if a.is_tuple() { Tuple::from(items).into() } else { Value::from(items) })
        }
        _ => Err(unsupported("+", a, b)),
    }
}

/// Two texts, one behind the other; if one is safe, the other is escaped.
fn joined(a: &Value, b: &Value) -> Result<Value, Error> {
    let is_safe = a.is_safe() || b.is_safe();
    let mut out = String::new();
    for text in [a, b] {
        let plain = text.as_str().unwrap_or_default();
        check(out.len().saturating_add(plain.len()))?;
        if is_safe && !text.is_safe() { out.push_str(&escaped_within(plain)?) } else { out.push_str(plain) }
    }
    Ok(if is_safe { Value::from_safe_string(out) } else { Value::from(out) })
}

/// All as plain text, as without autoescaping: nothing is escaped, and nothing stays safe.
fn concat(terms: &[Value]) -> Result<Value, Error> {
    let mut out = String::new();
    for term in terms {
        let text = str_of(term)?;
        check(out.len().saturating_add(text.len()))?;
        out.push_str(&text);
    }
    made(Value::from(out))
}

fn sub(a: &Value, b: &Value) -> Result<Value, Error> {
    arithmetic(a, b, i128::checked_sub, |a, b| a - b).unwrap_or_else(|| Err(unsupported("-", a, b)))
}

fn mul(a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(product) = arithmetic(a, b, i128::checked_mul, |a, b| a * b) {
        return product;
    }
    match (as_int(a), as_int(b)) {
        (None, Some(count)) => repeated(a, count).unwrap_or_else(|| Err(unsupported("*", a, b))),
        (Some(count), None) => repeated(b, count).unwrap_or_else(|| Err(unsupported("*", a, b))),
        _ => Err(unsupported("*", a, b)),
    }
}

/// A text or a list so many times; `None` for anything else.
fn repeated(value: &Value, count: i128) -> Option<Result<Value, Error>> {
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    if value.kind() == ValueKind::String {
        let text = value.as_str()?;
        let repeated = check(text.len().saturating_mul(count)).map(|()| text.repeat(count));
        return Some(
            repeated.map(|text| if value.is_safe() { Value::from_safe_string(text) } else { text.into() }),
        );
    }
    is_real_list(value).then(|| {
        let items: Vec<Value> = value.try_iter()?.collect();
        check_items(items.len().saturating_mul(count))?;
        let count = if items.is_empty() { 0 } else { count };
        let repeated: Vec<Value> = std::iter::repeat_n(items, count).flatten().collect();
        Ok(if value.is_tuple() { Tuple::from(repeated).into() } else { Value::from(repeated) })
    })
}

fn numbers(operator: &str, a: &Value, b: &Value) -> Result<(Number, Number), Error> {
    Number::of(a).zip(Number::of(b)).ok_or_else(|| unsupported(operator, a, b))
}

fn not_zero(divisor: Number) -> Result<(), Error> {
    if divisor.float() == 0.0 { Err(error("division by zero")) } else { Ok(()) }
}

fn div(a: &Value, b: &Value) -> Result<Value, Error> {
    let (a, b) = numbers("/", a, b)?;
    not_zero(b)?;
    Ok(Value::from(a.float() / b.float()))
}

fn floor_div(a: &Value, b: &Value) -> Result<Value, Error> {
    match numbers("//", a, b)? {
        (Number::Int(a), Number::Int(b)) => {
            not_zero(Number::Int(b))?;
            let quotient = a.checked_div(b).ok_or_else(|| error("the integer is too large"))?;
            Ok(Value::from(quotient - i128::from(a % b != 0 && (a < 0) != (b < 0))))
        }
        (a, b) => {
            not_zero(b)?;
            Ok(Value::from(float_division(a.float(), b.float()).0))
        }
    }
}

fn rem(a: &Value, b: &Value) -> Result<Value, Error> {
    if a.kind() == ValueKind::String {
        return percent::format(a, b);
    }
    match numbers("%", a, b)? {
        (Number::Int(a), Number::Int(b)) => {
            not_zero(Number::Int(b))?;
            let rest = a.checked_rem(b).unwrap_or(0);
            Ok(Value::from(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }))
        }
        (a, b) => {
            not_zero(b)?;
            Ok(Value::from(float_division(a.float(), b.float()).1))
        }
    }
}

/// Quotient and rest as CPython's `float_divmod` has them: the rest has the divisor's sign.
fn float_division(a: f64, b: f64) -> (f64, f64) {
    let mut rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 {
        if (b < 0.0) != (rest < 0.0) {
            rest += b;
            quotient -= 1.0;
        }
    } else {
        rest = 0.0_f64.copysign(b);
    }
    if quotient == 0.0 {
        return (0.0_f64.copysign(a / b), rest);
    }
    let floor = quotient.floor();
    (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, rest)
}

fn pow(a: &Value, b: &Value) -> Result<Value, Error> {
    match numbers("** or pow()", a, b)? {
        (Number::Int(a), Number::Int(b)) if b >= 0 => {
            let power = u32::try_from(b).ok().and_then(|b| a.checked_pow(b));
            power.map(Value::from).ok_or_else(|| error("the integer is too large"))
        }
        (a, b) => {
            let (a, b) = (a.float(), b.float());
            if a == 0.0 && b < 0.0 {
                return Err(error("0.0 cannot be raised to a negative power"));
            }
            let power = a.powf(b);
            if power.is_nan() && !a.is_nan() && !b.is_nan() {
                return Err(error("complex numbers are not supported"));
            }
            if power.is_infinite() && a.is_finite() && b.is_finite() {
                return Err(error("(34, 'Numerical result out of range')"));
            }
            Ok(Value::from(power))
        }
    }
}

/// `-value` and `+value`
fn signed(value: &Value, sign: &str) -> Result<Value, Error> {
    let is_minus = sign == "-";
    match Number::of(value) {
        Some(Number::Int(n)) if is_minus => {
            n.checked_neg().map(Value::from).ok_or_else(|| error("the integer is too large"))
        }
        Some(Number::Int(n)) => Ok(Value::from(n)),
        Some(Number::Float(x)) => Ok(Value::from(if is_minus { -x } else { x })),
        None if value.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
        None => Err(error(format!("bad operand type for unary {sign}: '{}'", type_name(value)))),
    }
}

fn ordered(a: &Value, b: &Value, operator: &str, holds: fn(Ordering) -> bool) -> Result<bool, Error> {
    Ok(order(a, b, operator)?.is_some_and(holds))
}

/// The order of two values of a kind; none between what is no number and anything.
pub(super) fn order(a: &Value, b: &Value, operator: &str) -> Result<Option<Ordering>, Error> {
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return Ok(match (a, b) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        });
    }
    if a.kind() == ValueKind::String && b.kind() == ValueKind::String {
        return Ok(Some(a.as_str().cmp(&b.as_str())));
    }
    if is_real_list(a) && is_real_list(b) && a.is_tuple() == b.is_tuple() {
        for (a, b) in a.try_iter()?.zip(b.try_iter()?) {
            if a != b {
                return order(&a, &b, operator);
            }
        }
        return Ok(Some(a.len().cmp(&b.len())));
    }
    if a.is_undefined() || b.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if objects::is_set_like(a) && objects::is_set_like(b) {
        return order_of_sets(&objects::items(a)?, &objects::items(b)?);
    }
    let (a, b) = (type_name(a), type_name(b));
    Err(error(format!("'{operator}' not supported between instances of '{a}' and '{b}'")))
}

/// Of sets the smaller one is that which the other has all of.
fn order_of_sets(a: &[Value], b: &[Value]) -> Result<Option<Ordering>, Error> {
    check(a.len().saturating_mul(b.len()))?;
    let is_in = |a: &[Value], b: &[Value]| a.iter().all(|item| b.contains(item));
    Ok(match (is_in(a, b), is_in(b, a)) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
        (false, false) => None,
    })
}

/// `value in container`
fn contains(state: &mut State, value: &Value, container: &Value) -> Result<bool, Error> {
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::String if value.kind() != ValueKind::String => {
            let kind = type_name(value);
            Err(error(format!("'in <string>' requires string as left operand, not {kind}")))
        }
        ValueKind::String => {
            Ok(container.as_str().unwrap_or_default().contains(value.as_str().unwrap_or_default()))
        }
        ValueKind::Map => Ok(lookup::in_dict(container, value)?.is_some()),
        _ if objects::is_of_keys(container) => {
            objects::check_hashable(value)?;
            minijinja::tests::is_in(state, value, container)
        }
        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
            let kind = type_name(container);
            Err(error(format!("argument of type '{kind}' is not iterable")))
        }
        ValueKind::Iterable if container.len().is_none() => Ok(objects::items(container)?.contains(value)),
        _ => minijinja::tests::is_in(state, value, container),
    }
}

fn iterable(value: Value) -> Result<Value, Error> {
    objects::check_iterable(&value)?;
    // Loops tell their last round, for which they have to know how many there are.
    if value.kind() == ValueKind::Iterable && value.len().is_none() {
        return made(Value::from(objects::items(&value)?));
    }
    Ok(value)
}

/// A dict of keys and values in turn.
fn dict(parts: &[Value]) -> Result<Value, Error> {
    objects::dict_of(parts.chunks_exact(2).map(|part| (part[0].clone(), part[1].clone())))
}

/// `value[start:stop:step]`, where `none` is an end that is not given.
fn slice(value: &Value, start: &Value, stop: &Value, step: &Value) -> Result<Value, Error> {
    let bound = |value: &Value| match value.is_none() {
        true => Ok(None),
        false => to_index(value, "slice indices").map(Some),
    };
    let bounds = Bounds { start: bound(start)?, stop: bound(stop)?, step: bound(step)?.unwrap_or(1) };
    if bounds.step == 0 {
        return Err(error("slice step cannot be zero"));
    }
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if let Some(text) = value.as_str().filter(|_| value.kind() == ValueKind::String) {
        let part = strings::sliced(text, |len| bounds.indices(len));
        return made(if value.is_safe() { Value::from_safe_string(part) } else { Value::from(part) });
    }
    if let Some(range) = objects::sliced_range(value, |len| bounds.of(len)) {
        return Ok(range);
    }
    if !is_list(value) {
        return Err(error(format!("'{}' object is not subscriptable", type_name(value))));
    }
    let len = value.len().unwrap_or(0);
    check_items(len)?;
    let items: Vec<Value> = value.try_iter()?.collect();
    let part: Vec<Value> = bounds.indices(len).filter_map(|at| items.get(at).cloned()).collect();
    made(if value.is_tuple() { Tuple::from(part).into() } else { Value::from(part) })
}

struct Bounds {
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
}

impl Bounds {
    /// First place, the one that is beyond the last, and the step, as `slice.indices` of Python.
    fn of(&self, len: usize) -> (i64, i64, i64) {
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let (lowest, highest) = if self.step < 0 { (-1, len - 1) } else { (0, len) };
        let place = |bound: Option<i64>, usual: i64| {
            bound.map_or(usual, |at| if at < 0 { at.saturating_add(len) } else { at }.clamp(lowest, highest))
        };
        let (first, last) = if self.step < 0 { (highest, lowest) } else { (lowest, highest) };
        (place(self.start, first), place(self.stop, last), self.step)
    }

    fn indices(&self, len: usize) -> impl Iterator<Item = usize> + use<> {
        let (start, stop, step) = self.of(len);
        let mut at = Some(start);
        std::iter::from_fn(move || {
            let here = at.filter(|at| if step < 0 { *at > stop } else { *at < stop })?;
            at = here.checked_add(step);
            usize::try_from(here).ok()
        })
    }
}

/// Any filter: what it makes counts.
pub(super) fn filter(state: &mut State, value: Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if matches!(name, "split" | "lines" | "zip" | "chain") {
        check_held(&value)?;
    }
    let mut values = vec![value];
    values.extend(args.iter().cloned());
    let result = state.apply_filter(name, &values).map_err(|e| match e.kind() {
        ErrorKind::UnknownFilter => {
            Error::new(ErrorKind::UnknownFilter, format!("there is no filter {name}"))
        }
        _ => e,
    });
    // Python's generators: they are gone through once, have no length, and fail only where somebody goes through them.
    let items = match (name, result.and_then(made)) {
        (
            "map" | "select" | "reject" | "selectattr" | "rejectattr" | "unique" | "batch" | "slice"
            | "items",
            result,
        ) => {
            result.and_then(|items| Ok(items.try_iter()?.collect())).unwrap_or_else(|e| vec![Failure::of(&e)])
        }
        ("reverse", Ok(result)) if result.kind() != ValueKind::String => result.try_iter()?.collect(),
        (_, result) => return result,
    };
    Generator::of(items)
}

/// What the filters of a block have made of it, which Python then joins to the text around.
fn only_text(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => Ok(value),
        _ => Err(error(format!("a filter of a block gives a text, not {}", type_name(&value)))),
    }
}

/// `a < b <= c`: values with the names of operators between them, of which the first that fails ends it.
fn compare(state: &mut State, terms: &[Value]) -> Result<Value, Error> {
    let mut left = terms.first().cloned().unwrap_or_default();
    for pair in terms.get(1..).unwrap_or_default().chunks_exact(2) {
        let right = &pair[1];
        let holds = match pair[0].as_str().unwrap_or_default() {
            "==" => left == *right,
            "!=" => left != *right,
            "in" => contains(state, &left, right)?,
            "not in" => !contains(state, &left, right)?,
            operator @ "<" => ordered(&left, right, operator, Ordering::is_lt)?,
            operator @ "<=" => ordered(&left, right, operator, Ordering::is_le)?,
            operator @ ">" => ordered(&left, right, operator, Ordering::is_gt)?,
            operator => ordered(&left, right, operator, Ordering::is_ge)?,
        };
        if !holds {
            return Ok(Value::from(false));
        }
        left = right.clone();
    }
    Ok(Value::from(true))
}
