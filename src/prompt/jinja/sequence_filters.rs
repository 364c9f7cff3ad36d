//! Jinja's filters of lists and dicts.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::rc::Rc;

use super::args::Args;
use super::error::{Error, Result};
use super::objects::Object;
use super::ops::{self, equal, order, order_items};
use super::printing::str_of;
use super::render::Renderer;
use super::value::{Value, check_size};

/// `a.b.0`: what an attribute of a filter's argument looks up, one after the other.
type Path = Vec<Value>;

fn path(attribute: &Value) -> Result<Path> {
    Ok(match attribute {
        Value::None => Vec::new(),
        Value::Str(text) => {
            let part = |part: &str| match part.parse::<i128>() {
                Ok(n) if part.bytes().all(|b| b.is_ascii_digit()) => Value::Int(n),
                _ => Value::str(part),
            };
            text.text.split('.').map(part).collect()
        }
        _ => vec![attribute.clone()],
    })
}

/// Texts in small letters, where the case does not count.
fn folded(value: Value, case_sensitive: bool) -> Value {
    match &value {
        Value::Str(text) if !case_sensitive => Value::str(text.text.to_lowercase()),
        _ => value,
    }
}

fn is_set(flag: &Option<Value>) -> bool {
    flag.as_ref().is_some_and(Value::is_true)
}

impl Renderer<'_> {
    pub fn sequence_filter(&mut self, name: &str, value: Value, args: Args) -> Result<Value> {
        match name {
            "length" | "count" | "list" | "first" | "last" | "reverse" | "items" => {
                let [] = args.plain(name, 0)?;
                match name {
                    "list" => Value::list(self.iterate(&value)?),
                    "first" => self.first(&value),
                    "last" => self.last(&value),
                    "reverse" => self.reverse(&value),
                    "items" => items(&value),
                    _ => length(&value).map(Value::int),
                }
            }
            "join" => self.join(&value, args),
            "sort" => self.sort(&value, args),
            "unique" => self.unique(&value, args),
            "min" | "max" => self.extreme(name, &value, args),
            "sum" => self.sum(&value, args),
            "map" => self.map(&value, args),
            "select" | "reject" | "selectattr" | "rejectattr" => self.select(name, &value, args),
            "dictsort" => self.dictsort(&value, args),
            "groupby" => self.groupby(&value, args),
            "batch" | "slice" => self.chunks(name, &value, args),
            _ => Err(Error::new(format!("No filter named '{name}'."))),
        }
    }

    /// What a path leads to.
    fn follow(&mut self, value: &Value, path: &Path, default: Option<&Value>) -> Result<Value> {
        let mut value = value.clone();
        for part in path {
            value = self.item(&value, part)?;
            if let (Value::Undefined, Some(default)) = (&value, default) {
                value = default.clone();
            }
        }
        self.charge(1)?;
        Ok(value)
    }

    fn first(&mut self, value: &Value) -> Result<Value> {
        if let Value::Object(Object::Iterator(once)) = value {
            return Ok(once.next().unwrap_or(Value::Undefined));
        }
        Ok(self.iterate(value)?.into_iter().next().unwrap_or(Value::Undefined))
    }

    fn last(&mut self, value: &Value) -> Result<Value> {
        if let Value::Object(Object::Iterator(_)) = value {
            return Err(Error::new("'generator' object is not reversible"));
        }
        Ok(self.iterate(value)?.pop().unwrap_or(Value::Undefined))
    }

    fn reverse(&mut self, value: &Value) -> Result<Value> {
        if let Value::Str(text) = value {
            return Ok(Value::str(text.text.chars().rev().collect::<String>()).safe_as(value));
        }
        let mut items = self.iterate(value)?;
        items.reverse();
        // What Python cannot go through backwards becomes a list first.
        if matches!(value, Value::Object(Object::Iterator(_))) {
            Value::list(items)
        } else {
            Value::iterator(items)
        }
    }

    fn join(&mut self, value: &Value, args: Args) -> Result<Value> {
        let [separator, attribute] = args.bind("join", ["d", "attribute"], 0)?;
        let separator = separator.map_or(Ok(String::new()), |d| str_of(&d))?;
        let mut items = self.iterate(value)?;
        if let Some(attribute) = attribute.filter(|a| !matches!(a, Value::None)) {
            let path = path(&attribute)?;
            items = items.iter().map(|item| self.follow(item, &path, None)).collect::<Result<_>>()?;
        }
        let mut out = String::new();
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(&separator);
            }
            match item {
                Value::Str(text) => out.push_str(&text.text),
                _ => out.push_str(&str_of(item)?),
            }
            check_size(out.len())?;
        }
        Ok(Value::str(out))
    }

    /// The items with what they are compared by.
    fn keyed(&mut self, items: Vec<Value>, path: &Path, case: bool) -> Result<Vec<(Value, Value)>> {
        let key = |item: Value| Ok((folded(self.follow(&item, path, None)?, case), item));
        items.into_iter().map(key).collect()
    }

    fn sort(&mut self, value: &Value, args: Args) -> Result<Value> {
        let [reverse, case, attribute] = args.bind("sort", ["reverse", "case_sensitive", "attribute"], 0)?;
        let paths: Vec<Path> = match &attribute {
            Some(Value::Str(text)) => {
                text.text.split(',').map(|part| path(&Value::str(part))).collect::<Result<_>>()?
            }
            attribute => vec![path(attribute.as_ref().unwrap_or(&Value::None))?],
        };
        let items = self.iterate(value)?;
        let mut keyed: Vec<(Vec<Value>, Value)> = Vec::with_capacity(items.len());
        for item in items {
            let key = paths.iter().map(|path| Ok(folded(self.follow(&item, path, None)?, is_set(&case))));
            keyed.push((key.collect::<Result<_>>()?, item));
        }
        self.sorted(&mut keyed, is_set(&reverse), |a, b| order_items(a, b, "<"))?;
        Value::list(keyed.into_iter().map(|(_, item)| item).collect())
    }

    /// Sorts by the keys, equal ones as they were.
    fn sorted<K>(
        &mut self,
        keyed: &mut [(K, Value)],
        reverse: bool,
        order: impl Fn(&K, &K) -> Result<Option<Ordering>>,
    ) -> Result<()> {
        self.charge(keyed.len() * (1 + keyed.len().checked_ilog2().unwrap_or(0) as usize))?;
        let mut failed = None;
        keyed.sort_by(|(a, _), (b, _)| {
            let ordering = match order(a, b) {
                Ok(ordering) => ordering.unwrap_or(Ordering::Equal),
                Err(e) => {
                    failed.get_or_insert(e);
                    Ordering::Equal
                }
            };
            if reverse { ordering.reverse() } else { ordering }
        });
        failed.map_or(Ok(()), Err)
    }

    fn unique(&mut self, value: &Value, args: Args) -> Result<Value> {
        let [case, attribute] = args.bind("unique", ["case_sensitive", "attribute"], 0)?;
        let path = path(&attribute.unwrap_or(Value::None))?;
        let items = self.iterate(value)?;
        let mut seen = HashSet::new();
        let mut kept = Vec::new();
        for (key, item) in self.keyed(items, &path, is_set(&case))? {
            if seen.insert(key.key()?) {
                kept.push(item);
            }
        }
        Value::iterator(kept)
    }

    fn extreme(&mut self, name: &str, value: &Value, args: Args) -> Result<Value> {
        let [case, attribute] = args.bind(name, ["case_sensitive", "attribute"], 0)?;
        let path = path(&attribute.unwrap_or(Value::None))?;
        let items = self.iterate(value)?;
        let mut keyed = self.keyed(items, &path, is_set(&case))?.into_iter();
        let Some(mut best) = keyed.next() else { return Ok(Value::Undefined) };
        let (wanted, sign) = if name == "max" { (Ordering::Greater, ">") } else { (Ordering::Less, "<") };
        for (key, item) in keyed {
            if order(&key, &best.0, sign)? == Some(wanted) {
                best = (key, item);
            }
        }
        Ok(best.1)
    }

    fn sum(&mut self, value: &Value, args: Args) -> Result<Value> {
        let [attribute, start] = args.bind("sum", ["attribute", "start"], 0)?;
        let path = path(&attribute.unwrap_or(Value::None))?;
        let mut sum = start.unwrap_or(Value::Int(0));
        if sum.as_str().is_some() {
            return Err(Error::new("sum() can't sum strings [use ''.join(seq) instead]"));
        }
        for item in self.iterate(value)? {
            let item = self.follow(&item, &path, None)?;
            sum = ops::binary(super::ast::Binary::Add, &sum, &item)?;
            self.charge(1)?;
        }
        Ok(sum)
    }

    fn map(&mut self, value: &Value, mut args: Args) -> Result<Value> {
        if !value.is_true() {
            return Value::iterator(Vec::new());
        }
        let items = self.iterate(value)?;
        let mut made = Vec::with_capacity(items.len());
        if args.positional.is_empty() {
            let attribute =
                args.take("attribute").ok_or_else(|| Error::new("map requires a filter argument"))?;
            let path = path(&attribute)?;
            let default = args.take("default").filter(|default| !matches!(default, Value::None));
            if let Some((name, _)) = args.named.first() {
                return Err(Error::new(format!("Unexpected keyword argument '{name}'")));
            }
            for item in &items {
                made.push(self.follow(item, &path, default.as_ref())?);
            }
        } else {
            let name = args.positional.remove(0);
            let name = name.as_str().ok_or_else(|| Error::new("map takes the name of a filter"))?;
            for item in items {
                let args = Args { positional: args.positional.clone(), named: args.named.clone() };
                self.charge(1)?;
                made.push(self.filter(name, item, args)?);
            }
        }
        Value::iterator(made)
    }

    fn select(&mut self, name: &str, value: &Value, mut args: Args) -> Result<Value> {
        if !value.is_true() {
            return Value::iterator(Vec::new());
        }
        let path = if name.ends_with("attr") {
            if args.positional.is_empty() {
                return Err(Error::new("Missing parameter for attribute name"));
            }
            path(&args.positional.remove(0))?
        } else {
            Path::new()
        };
        let test = if args.positional.is_empty() { None } else { Some(args.positional.remove(0)) };
        let mut kept = Vec::new();
        for item in self.iterate(value)? {
            let looked_at = self.follow(&item, &path, None)?;
            let passes = match &test {
                None => looked_at.is_true(),
                Some(test) => {
                    let test = test.as_str().ok_or_else(|| Error::new("select takes the name of a test"))?;
                    let args = Args { positional: args.positional.clone(), named: args.named.clone() };
                    self.test(test, &looked_at, args)?
                }
            };
            if passes != name.starts_with("reject") {
                kept.push(item);
            }
        }
        Value::iterator(kept)
    }

    fn dictsort(&mut self, value: &Value, args: Args) -> Result<Value> {
        let [case, by, reverse] = args.bind("dictsort", ["case_sensitive", "by", "reverse"], 0)?;
        let Value::Dict(dict) = value else {
            return Err(Error::new(format!("'{}' object has no attribute 'items'", value.type_name())));
        };
        let by_value = match by.as_ref().map(Value::as_str) {
            None | Some(Some("key")) => false,
            Some(Some("value")) => true,
            _ => return Err(Error::new("You can only sort by either \"key\" or \"value\"")),
        };
        let mut keyed = Vec::new();
        for (key, value) in &dict.entries {
            let compared = folded(if by_value { value.clone() } else { key.clone() }, is_set(&case));
            keyed.push((compared, Value::tuple(vec![key.clone(), value.clone()])?));
        }
        self.sorted(&mut keyed, is_set(&reverse), |a, b| order(a, b, "<"))?;
        Value::list(keyed.into_iter().map(|(_, item)| item).collect())
    }

    fn groupby(&mut self, value: &Value, args: Args) -> Result<Value> {
        let [attribute, default, case] =
            args.bind("groupby", ["attribute", "default", "case_sensitive"], 1)?;
        let path = path(&attribute.unwrap_or(Value::None))?;
        let default = default.filter(|default| !matches!(default, Value::None));
        let mut keyed = Vec::new();
        for item in self.iterate(value)? {
            let own = self.follow(&item, &path, default.as_ref())?;
            keyed.push(((folded(own.clone(), is_set(&case)), own), item));
        }
        self.sorted(&mut keyed, false, |a, b| order(&a.0, &b.0, "<"))?;
        let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
        for ((key, own), item) in keyed {
            match groups.last_mut() {
                Some((last, _, items)) if equal(last, &key) => items.push(item),
                _ => groups.push((key, own, vec![item])),
            }
        }
        let group = |(_, own, items)| Value::group(own, Value::list(items)?);
        Value::list(groups.into_iter().map(group).collect::<Result<_>>()?)
    }

    /// `batch` and `slice`.
    fn chunks(&mut self, name: &str, value: &Value, args: Args) -> Result<Value> {
        let count_name = if name == "batch" { "linecount" } else { "slices" };
        let [count, fill] = args.bind(name, [count_name, "fill_with"], 1)?;
        let count = count.unwrap_or(Value::Undefined).to_index(count_name)?;
        let fill = fill.filter(|fill| !matches!(fill, Value::None));
        let items = self.iterate(value)?;
        check_size(count.unsigned_abs() as usize)?;
        let chunks = if name == "batch" { batches(items, count, fill) } else { slices(&items, count, fill)? };
        Value::iterator(chunks.into_iter().map(Value::list).collect::<Result<_>>()?)
    }
}

fn batches(items: Vec<Value>, count: i64, fill: Option<Value>) -> Vec<Vec<Value>> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    for item in items {
        if chunk.len() as i64 == count {
            chunks.push(std::mem::take(&mut chunk));
        }
        chunk.push(item);
    }
    if !chunk.is_empty() {
        if let Some(fill) = fill {
            chunk.resize(chunk.len().max(usize::try_from(count).unwrap_or(0)), fill);
        }
        chunks.push(chunk);
    }
    chunks
}

fn slices(items: &[Value], count: i64, fill: Option<Value>) -> Result<Vec<Vec<Value>>> {
    if count == 0 {
        return Err(Error::new("division by zero"));
    }
    let count = usize::try_from(count).unwrap_or(0);
    check_size(count.saturating_mul(size_of::<Value>()))?;
    let (each, longer) = if count == 0 { (0, 0) } else { (items.len() / count, items.len() % count) };
    let mut from = 0;
    let slice = |index: usize| {
        let len = each + usize::from(index < longer);
        let mut slice = items[from..from + len].to_vec();
        from += len;
        if index >= longer {
            slice.extend(fill.clone());
        }
        slice
    };
    Ok((0..count).map(slice).collect())
}

/// Python's `len(value)`, and that of what is undefined.
pub(super) fn length(value: &Value) -> Result<usize> {
    match value {
        Value::Undefined => Ok(0),
        Value::Str(text) => Ok(text.text.chars().count()),
        Value::List(seq) | Value::Tuple(seq) => Ok(seq.items.len()),
        Value::Dict(dict) => Ok(dict.entries.len()),
        Value::Object(object) if object.len().is_some() => Ok(object.len().unwrap_or(0)),
        _ => Err(Error::new(format!("object of type '{}' has no len()", value.type_name()))),
    }
}

fn items(value: &Value) -> Result<Value> {
    match value {
        Value::Undefined => Value::iterator(Vec::new()),
        Value::Dict(dict) => Value::iterator(super::objects::View::Items.values(Rc::as_ref(dict))?),
        _ => Err(Error::new("Can only get item pairs from a mapping.")),
    }
}
