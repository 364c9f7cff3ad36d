//! Python's ranges and views of dicts, and the objects that jinja2's functions make.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::args::Args;
use super::budget::made;
use super::values::{as_float, as_int, error, to_index, type_name};

/// Longer ranges are refused, as jinja2's sandbox does.
const MAX_RANGE: i64 = 100_000;

#[derive(Clone, Copy, Debug)]
pub(super) enum ViewKind {
    Keys,
    Values,
    Items,
}

/// What `dict.keys()` and its kin show of a dict.
#[derive(Debug)]
pub(super) struct View {
    dict: DynObject,
    kind: ViewKind,
}

impl View {
    pub fn dict(&self) -> &DynObject {
        &self.dict
    }

    /// Of a value of the kind map; of any other, the value itself.
    pub fn of(dict: &Value, kind: ViewKind) -> Value {
        dict.as_object().map_or_else(|| dict.clone(), |d| Value::from_object(Self { dict: d.clone(), kind }))
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let pairs = self.dict.try_iter_pairs().into_iter().flatten();
        Enumerator::Values(match self.kind {
            ViewKind::Keys => pairs.map(|(key, _)| key).collect(),
            ViewKind::Values => pairs.map(|(_, value)| value).collect(),
            ViewKind::Items => pairs.map(|(key, value)| Tuple::from([key, value]).into()).collect(),
        })
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.dict.enumerator_len()
    }
}

/// What stands before the items of a view where it is printed.
pub(super) fn prefix(object: &DynObject) -> Option<&'static str> {
    Some(match object.downcast_ref::<View>()?.kind {
        ViewKind::Keys => "dict_keys([",
        ViewKind::Values => "dict_values([",
        ViewKind::Items => "dict_items([",
    })
}

/// Whether it shows keys or items of a dict, which Python compares as sets.
pub(super) fn is_set_like(value: &Value) -> bool {
    value.downcast_object_ref::<View>().is_some_and(|view| !matches!(view.kind, ViewKind::Values))
}

/// Whether it shows the keys of a dict.
pub(super) fn is_of_keys(value: &Value) -> bool {
    value.downcast_object_ref::<View>().is_some_and(|view| matches!(view.kind, ViewKind::Keys))
}

#[derive(Debug)]
struct Range {
    start: i64,
    stop: i64,
    step: i64,
}

impl Range {
    fn len(&self) -> usize {
        let (from, to) = if self.step > 0 { (self.start, self.stop) } else { (self.stop, self.start) };
        let span = u64::try_from(i128::from(to) - i128::from(from)).unwrap_or(0);
        span.div_ceil(self.step.unsigned_abs()) as usize
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = key.as_usize().filter(|at| *at < self.len())?;
        Some(Value::from(self.start + self.step * at as i64))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            1 => write!(f, "range({}, {})", self.start, self.stop),
            step => write!(f, "range({}, {}, {step})", self.start, self.stop),
        }
    }
}

/// The part of a range, which is a range again; `None` for what is none.
pub(super) fn sliced_range(value: &Value, bounds: impl FnOnce(usize) -> (i64, i64, i64)) -> Option<Value> {
    let range = value.downcast_object_ref::<Range>()?;
    let (start, stop, step) = bounds(range.len());
    let place = |at: i64| range.start + range.step * at;
    Some(Value::from_object(Range {
        start: place(start),
        stop: place(stop),
        step: range.step.saturating_mul(step),
    }))
}

/// What a parameter of a macro is that was not given.
#[derive(Debug)]
pub(super) struct Unset;

impl Object for Unset {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

fn is_range(value: &Value) -> bool {
    value.downcast_object_ref::<Range>().is_some()
}

/// Lists and tuples; minijinja's sums of lists and the like are of another kind.
pub(super) fn is_list(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Seq => true,
        ValueKind::Iterable => value.len().is_some() && !is_no_list(value),
        _ => false,
    }
}

/// Whether the value is one that Python's JSON refuses although it has items.
pub(in crate::prompt) fn is_no_list(value: &Value) -> bool {
    is_range(value) || value.downcast_object_ref::<View>().is_some()
}

pub(super) fn range(args: Args) -> Result<Value, Error> {
    let [first, second, step] = args.plain("range", 1)?;
    let number =
        |value: Option<Value>, usual| value.map_or(Ok(usual), |v| to_index(&v, "a bound of a range"));
    let first = number(first, 0)?;
    let (start, stop) = if second.is_some() { (first, number(second, 0)?) } else { (0, first) };
    let range = Range { start, stop, step: number(step, 1)? };
    if range.step == 0 {
        return Err(error("range() arg 3 must not be zero"));
    }
    if range.len() as u64 > MAX_RANGE as u64 {
        return Err(error(format!("Range too big. The sandbox blocks ranges larger than {MAX_RANGE}.")));
    }
    Ok(Value::from_object(range))
}

/// A pair of `groupby`, whose items have names.
#[derive(Debug)]
pub(super) struct Group([Value; 2]);

impl Group {
    pub fn parts(&self) -> &[Value] {
        &self.0
    }

    pub fn of(grouper: Value, list: Value) -> Value {
        Value::from_object(Self([grouper, list]))
    }
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str() {
            Some("grouper") => Some(self.0[0].clone()),
            Some("list") => Some(self.0[1].clone()),
            Some(_) => None,
            None => self.0.get(key.as_usize()?).cloned(),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:?}, {:?})", self.0[0], self.0[1])
    }
}

/// `dict`: a function with a method.
#[derive(Debug)]
pub(super) struct DictType;

impl Object for DictType {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        dict(Args::of(args)?)
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "fromkeys" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let [keys, value] = Args::of(args)?.plain(method, 1)?;
        let value = value.unwrap_or_else(|| Value::from(()));
        let keys = keys.unwrap_or_default();
        dict_of(items(&keys)?.into_iter().map(|key| (key, value.clone())))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<class 'dict'>")
    }
}

/// `dict(…)` of a dict or of pairs, and of names.
pub(super) fn dict(args: Args) -> Result<Value, Error> {
    let [given] = Args { positional: args.positional, named: Vec::new() }.plain("dict", 0)?;
    let mut pairs = Vec::new();
    if let Some(given) = given {
        if given.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        let is_map = given.kind() == ValueKind::Map;
        for item in items(&given)? {
            pairs.push(if is_map { (item.clone(), given.get_item(&item)?) } else { pair(&item)? });
        }
    }
    pairs.extend(args.named.into_iter().map(|(name, value)| (Value::from(name), value)));
    dict_of(pairs)
}

/// What a generator comes to where it fails: nothing, unless somebody goes so far.
#[derive(Debug)]
pub(super) struct Failure(ErrorKind, String);

impl Failure {
    pub fn of(e: &Error) -> Value {
        Value::from_object(Self(e.kind(), e.detail().unwrap_or_default().to_owned()))
    }
}

impl Object for Failure {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// An item that a generator gave, or what it failed at.
pub(super) fn sound(item: Value) -> Result<Value, Error> {
    match item.downcast_object_ref::<Failure>() {
        Some(Failure(kind, what)) if what.is_empty() => Err(Error::from(*kind)),
        Some(Failure(kind, what)) => Err(Error::new(*kind, what.clone())),
        None => Ok(item),
    }
}

/// All items of a value.
pub(super) fn items(value: &Value) -> Result<Vec<Value>, Error> {
    check_iterable(value)?;
    value.try_iter()?.map(sound).collect()
}

/// Refuses what has no items; minijinja goes through `none` as if it had none of them.
pub(super) fn check_iterable(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
            Err(error(format!("'{}' object is not iterable", type_name(value))))
        }
        _ => Ok(()),
    }
}

/// A dict of pairs. As in Python, `1`, `1.0` and `true` are one key, and lists and dicts are none.
pub(super) fn dict_of(pairs: impl IntoIterator<Item = (Value, Value)>) -> Result<Value, Error> {
    let mut places: HashMap<Value, usize> = HashMap::new();
    let mut kept: Vec<(Value, Value)> = Vec::new();
    for (key, value) in pairs {
        check_hashable(&key)?;
        let whole =
            as_float(&key).filter(|x| x.fract() == 0.0 && x.abs() < 1e18).map(|x| Value::from(x as i64));
        let plain = whole.or_else(|| as_int(&key).map(Value::from)).unwrap_or_else(|| key.clone());
        match places.entry(plain) {
            Entry::Occupied(place) => kept[*place.get()].1 = value,
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push((key, value));
            }
        }
    }
    made(Value::from_pairs(kept))
}

/// Refuses what can be no key: lists and dicts, and tuples that hold some.
pub(super) fn check_hashable(key: &Value) -> Result<(), Error> {
    match key.kind() {
        ValueKind::Seq if key.is_tuple() => key.try_iter()?.try_for_each(|item| check_hashable(&item)),
        ValueKind::Map => Err(error(format!("unhashable type: '{}'", type_name(key)))),
        _ if is_set_like(key) => Err(error("unhashable type: a view of a dict")),
        _ if is_list(key) && !is_no_list(key) => Err(error(format!("unhashable type: '{}'", type_name(key)))),
        _ => Ok(()),
    }
}

fn pair(item: &Value) -> Result<(Value, Value), Error> {
    let mut parts = item.try_iter()?;
    match (parts.next(), parts.next(), parts.next()) {
        (Some(key), Some(value), None) => Ok((key, value)),
        _ => Err(error("an item of what a dict is made of is no pair")),
    }
}

/// `cycler(…)`
#[derive(Debug)]
pub(super) struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Cycler {
    pub fn items(&self) -> &[Value] {
        &self.items
    }

    pub fn of(args: Args) -> Result<Value, Error> {
        if args.positional.is_empty() || !args.named.is_empty() {
            return Err(error("cycler takes items"));
        }
        // As a list, so that it counts as one.
        made(Value::from(args.positional.clone()))?;
        Ok(Value::from_object(Self { items: args.positional, at: AtomicUsize::new(0) }))
    }

    fn current(&self) -> Value {
        self.items[self.at.load(Ordering::Relaxed) % self.items.len()].clone()
    }
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("current")).then(|| self.current())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let [] = Args::of(args)?.plain(method, 0)?;
        match method {
            "next" => {
                let current = self.current();
                self.at.fetch_add(1, Ordering::Relaxed);
                Ok(current)
            }
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<jinja2.utils.Cycler object>")
    }
}

/// `joiner(…)`: nothing at the first call, then the separator.
#[derive(Debug)]
pub(super) struct Joiner {
    separator: Value,
    used: AtomicBool,
}

impl Joiner {
    pub fn separator(&self) -> &Value {
        &self.separator
    }

    pub fn of(args: Args) -> Result<Value, Error> {
        let [separator] = args.bind("joiner", ["sep"], 0)?;
        let separator = separator.unwrap_or_else(|| Value::from(", "));
        made(Value::from(vec![separator.clone()]))?;
        Ok(Value::from_object(Self { separator, used: AtomicBool::new(false) }))
    }
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let [] = Args::of(args)?.plain("joiner", 0)?;
        let used = self.used.swap(true, Ordering::Relaxed);
        Ok(if used { self.separator.clone() } else { Value::from("") })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<jinja2.utils.Joiner object>")
    }
}
