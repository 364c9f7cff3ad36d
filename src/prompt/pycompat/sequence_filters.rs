//! Jinja's filters of lists and dicts that minijinja has in other ways.

use std::cmp::Ordering;
use std::collections::HashSet;

use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::args::Args;
use super::budget::{check, check_items, made};
use super::lookup::Path;
use super::objects::{self, Group, View, ViewKind, check_hashable, check_iterable, sound};
use super::operators::{add, order};
use super::printing::str_of;
use super::values::{as_int, error, is_set, to_index, type_name};

/// `join(d, attribute)`
pub(super) fn join(value: &Value, args: Args) -> Result<Value, Error> {
    let [separator, attribute] = args.bind("join", ["d", "attribute"], 0)?;
    let separator = separator.map_or(Ok(String::new()), |separator| str_of(&separator))?;
    let path = Path::of(attribute.as_ref(), None);
    let mut out = String::new();
    for (index, item) in items_of(value)?.enumerate() {
        if index > 0 {
            out.push_str(&separator);
        }
        let item = path.follow(&item?)?;
        out.push_str(&str_of(&item)?);
        check(out.len())?;
    }
    Ok(Value::from(out))
}

/// The items of a value, of which a generator may fail.
fn items_of(value: &Value) -> Result<impl Iterator<Item = Result<Value, Error>> + use<>, Error> {
    check_iterable(value)?;
    Ok(value.try_iter()?.map(sound))
}

/// The same where all of them will be held at once.
pub(super) fn held_items(value: &Value) -> Result<Vec<Value>, Error> {
    check_held(value)?;
    objects::items(value)
}

/// Refuses what has too many items, or characters, to hold each as a value.
pub(super) fn check_held(value: &Value) -> Result<(), Error> {
    let text = value.as_str().filter(|_| value.kind() == ValueKind::String);
    check_items(text.map_or_else(|| value.len(), |text| Some(text.len())).unwrap_or(0))
}

/// By what an item is sorted or told from others.
struct Key {
    path: Path,
    folds: bool,
}

impl Key {
    fn of(&self, item: &Value) -> Result<Value, Error> {
        let key = self.path.follow(item)?;
        Ok(match key.as_str() {
            Some(text) if self.folds => Value::from(text.to_lowercase()),
            _ => key,
        })
    }
}

/// `min` and `max`; of equal items the first.
pub(super) fn extreme(name: &str, value: &Value, args: Args) -> Result<Value, Error> {
    let [case_sensitive, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
    let key = Key { path: Path::of(attribute.as_ref(), None), folds: !is_set(case_sensitive) };
    let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
    let mut best: Option<(Value, Value)> = None;
    for item in items_of(value)? {
        let item = item?;
        let key = key.of(&item)?;
        let better = match &best {
            Some((_, than)) => compared(&key, than)? == wanted,
            None => true,
        };
        if better {
            best = Some((item, key));
        }
    }
    Ok(best.map(|(item, _)| item).unwrap_or_default())
}

/// `sort(reverse, case_sensitive, attribute)`, by several attributes where commas stand between them.
pub(super) fn sort(value: &Value, args: Args) -> Result<Value, Error> {
    let [reverse, case_sensitive, attribute] =
        args.bind("sort", ["reverse", "case_sensitive", "attribute"], 0)?;
    let folds = !is_set(case_sensitive);
    let key = |attribute: Option<&Value>| Key { path: Path::of(attribute, None), folds };
    let keys: Vec<Key> = match attribute.as_ref().and_then(Value::as_str) {
        Some(paths) => paths.split(',').map(|path| key(Some(&Value::from(path)))).collect(),
        None => vec![key(attribute.as_ref())],
    };
    let of = |item: Value| {
        let keys = keys.iter().map(|key| Ok(plain(&key.of(&item)?))).collect::<Result<Vec<_>, Error>>()?;
        Ok((keys, item))
    };
    let mut items = held_items(value)?.into_iter().map(of).collect::<Result<Vec<_>, Error>>()?;
    let descends = is_set(reverse);
    let in_order = |a: &[Value], b: &[Value]| match a.iter().zip(b).find(|(a, b)| a != b) {
        // What is equal needs no order.
        None => Ok(Ordering::Equal),
        Some((a, b)) => compared(a, b),
    };
    sort_by(&mut items, |(a, _), (b, _)| if descends { in_order(b, a) } else { in_order(a, b) })?;
    Ok(items.into_iter().map(|(_, item)| item).collect())
}

/// Sorts by an order that not all values have.
fn sort_by<T>(items: &mut [T], order: impl Fn(&T, &T) -> Result<Ordering, Error>) -> Result<(), Error> {
    let mut failed = None;
    items.sort_by(|a, b| match order(a, b) {
        Ok(order) => order,
        Err(e) => {
            failed.get_or_insert(e);
            Ordering::Equal
        }
    });
    failed.map_or(Ok(()), Err)
}

/// Sorts the keys of a dict as Python does.
pub(in crate::prompt) fn sort_keys(keys: &mut [Value]) -> Result<(), Error> {
    sort_by(keys, compared)
}

/// `groupby(attribute, default, case_sensitive)`: pairs of what a group has in common, as its first item has it, and
/// the group.
pub(super) fn groupby(value: &Value, args: Args) -> Result<Value, Error> {
    let [attribute, default, case_sensitive] =
        args.bind("groupby", ["attribute", "default", "case_sensitive"], 1)?;
    let whole = Path::of(attribute.as_ref(), default);
    let folds = !is_set(case_sensitive);
    let of = |item: Value| {
        let own = whole.follow(&item)?;
        let folded = own.as_str().filter(|_| folds).map(|text| Value::from(text.to_lowercase()));
        Ok((folded.unwrap_or_else(|| plain(&own)), own, item))
    };
    let mut items = held_items(value)?.into_iter().map(of).collect::<Result<Vec<_>, Error>>()?;
    sort_by(&mut items, |(a, ..), (b, ..)| compared(a, b))?;
    let groups = items.chunk_by(|(a, ..), (b, ..)| a == b);
    let group = |group: &[(Value, Value, Value)]| {
        let list = made(group.iter().map(|(_, _, item)| item.clone()).collect())?;
        Ok(Group::of(group.first().map(|(_, own, _)| own.clone()).unwrap_or_default(), list))
    };
    groups.map(group).collect()
}

/// `sum(attribute, start)`: by the operator `+`.
pub(super) fn sum(value: &Value, args: Args) -> Result<Value, Error> {
    let [attribute, start] = args.bind("sum", ["attribute", "start"], 0)?;
    let path = Path::of(attribute.as_ref(), None);
    let mut sum = start.unwrap_or_else(|| Value::from(0));
    if sum.kind() == ValueKind::String {
        return Err(error("sum() can't sum strings [use ''.join(seq) instead]"));
    }
    for item in items_of(value)? {
        sum = made(add(&sum, &path.follow(&item?)?)?)?;
    }
    Ok(sum)
}

/// `list`: items, or a text's characters.
pub(super) fn list(value: &Value, args: Args) -> Result<Value, Error> {
    let [] = args.plain("list", 0)?;
    Ok(Value::from(held_items(value)?))
}

/// `reverse`: a text is a text again.
pub(super) fn reverse(value: &Value, args: Args) -> Result<Value, Error> {
    let [] = args.plain("reverse", 0)?;
    if let Some(text) = value.as_str().filter(|_| value.kind() == ValueKind::String) {
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut items = held_items(value)?;
    items.reverse();
    Ok(Value::from(items))
}

/// `batch(linecount, fill_with)`: lists of so many items, of which the last one is filled up.
pub(super) fn batch(value: &Value, args: Args) -> Result<Value, Error> {
    let [count, fill] = args.bind("batch", ["linecount", "fill_with"], 1)?;
    let count = to_index(&count.unwrap_or_default(), "linecount")?;
    let fill = fill.filter(|fill| !fill.is_none());
    let mut batches = Vec::new();
    let mut batch: Vec<Value> = Vec::new();
    for item in held_items(value)? {
        if i64::try_from(batch.len()).is_ok_and(|len| len == count) {
            batches.push(made(Value::from(std::mem::take(&mut batch)))?);
        }
        batch.push(item);
    }
    if !batch.is_empty() {
        let missing = usize::try_from(count).unwrap_or(0).saturating_sub(batch.len());
        if let Some(fill) = fill {
            check_items(missing)?;
            batch.extend(std::iter::repeat_n(fill, missing));
        }
        batches.push(made(Value::from(batch))?);
    }
    Ok(Value::from(batches))
}

/// `slice(slices, fill_with)`: so many lists, of which the last ones are filled up.
pub(super) fn slice(value: &Value, args: Args) -> Result<Value, Error> {
    let [slices, fill] = args.bind("slice", ["slices", "fill_with"], 1)?;
    let slices = to_index(&slices.unwrap_or_default(), "slices")?;
    let items = held_items(value)?;
    let count = match usize::try_from(slices) {
        Ok(0) => return Err(error("integer division or modulo by zero")),
        // Python's `range` of a negative number is empty.
        Err(_) => return Ok(Value::from(Vec::<Value>::new())),
        Ok(count) => count,
    };
    check_items(count)?;
    let (each, longer) = (items.len() / count, items.len() % count);
    let fill = fill.filter(|fill| !fill.is_none());
    let mut rest = items.into_iter();
    let slice = |index: usize| {
        let mut slice: Vec<Value> = rest.by_ref().take(each + usize::from(index < longer)).collect();
        if let Some(fill) = fill.clone().filter(|_| index >= longer) {
            slice.push(fill);
        }
        made(Value::from(slice))
    };
    (0..count).map(slice).collect()
}

/// `unique(case_sensitive, attribute)`
pub(super) fn unique(value: &Value, args: Args) -> Result<Value, Error> {
    let [case_sensitive, attribute] = args.bind("unique", ["case_sensitive", "attribute"], 0)?;
    let key = Key { path: Path::of(attribute.as_ref(), None), folds: !is_set(case_sensitive) };
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for item in held_items(value)? {
        let key = key.of(&item)?;
        check_hashable(&key)?;
        if seen.insert(plain(&key)) {
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

/// A boolean as the number that it is in Python.
fn plain(value: &Value) -> Value {
    as_int(value).map_or_else(|| value.clone(), Value::from)
}

/// The order of two values, which Python has only between values of a kind.
fn compared(a: &Value, b: &Value) -> Result<Ordering, Error> {
    Ok(order(a, b, "<")?.unwrap_or(Ordering::Equal))
}

/// `dictsort(case_sensitive, by, reverse)`
pub(super) fn dictsort(value: &Value, args: Args) -> Result<Value, Error> {
    let [case_sensitive, by, reverse] = args.bind("dictsort", ["case_sensitive", "by", "reverse"], 0)?;
    let by = by.unwrap_or_else(|| Value::from("key"));
    if !matches!(by.as_str(), Some("key" | "value")) {
        return Err(error("You can only sort by either \"key\" or \"value\""));
    }
    if value.kind() != ValueKind::Map {
        return Err(error(format!("'{}' object has no attribute 'items'", type_name(value))));
    }
    let key = Key { path: Path::of(None, None), folds: !is_set(case_sensitive) };
    let of = |name: Value| {
        let item = value.get_item(&name)?;
        Ok((key.of(if by.as_str() == Some("key") { &name } else { &item })?, name, item))
    };
    let mut items = held_items(value)?.into_iter().map(of).collect::<Result<Vec<_>, Error>>()?;
    let descends = is_set(reverse);
    sort_by(&mut items, |(a, ..), (b, ..)| if descends { compared(b, a) } else { compared(a, b) })?;
    let pair = |(_, name, item): (Value, Value, Value)| Value::from(Tuple::from([name, item]));
    Ok(items.into_iter().map(pair).collect())
}

/// `first` and `last`
pub(super) fn end(name: &str, value: &Value, args: Args) -> Result<Value, Error> {
    let [] = args.plain(name, 0)?;
    if name == "last" && value.kind() == ValueKind::Iterable && value.len().is_none() {
        return Err(error("'generator' object is not reversible"));
    }
    let mut items = items_of(value)?;
    let found = if name == "first" { items.next() } else { items.last() };
    Ok(found.transpose()?.unwrap_or_default())
}

/// The pairs of a dict.
pub(super) fn items(value: &Value, args: Args) -> Result<Value, Error> {
    let [] = args.plain("items", 0)?;
    match value.kind() {
        ValueKind::Undefined => Ok(Value::from(Vec::<Value>::new())),
        ValueKind::Map => Ok(View::of(value, ViewKind::Items)),
        _ => Err(Error::new(ErrorKind::InvalidOperation, "Can only get item pairs from a mapping.")),
    }
}
