//! The values of a rendering: Python's, without what a template cannot reach.
//!
//! Values live on the thread that renders. Their bytes are counted as they come and go, so that a rendering can be
//! stopped before a template takes the host's memory.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::error::{Error, Result};
use super::objects::Object;

/// Deeper values are refused: printing, comparing and dropping them recurses.
pub(super) const MAX_DEPTH: u32 = 96;

/// Bytes that the values of one rendering may hold at a time, beyond those that it was given.
pub(super) const MAX_BYTES: usize = 256 << 20;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that the values of this thread hold.
pub(super) fn live_bytes() -> usize {
    LIVE.get()
}

/// Refuses a text or list of this many bytes before it is made.
pub(super) fn check_size(bytes: usize) -> Result<()> {
    if bytes > MAX_BYTES { Err(Error::memory()) } else { Ok(()) }
}

/// Counts the bytes of one value for as long as it lives.
#[derive(Debug)]
pub(super) struct Meter(usize);

impl Meter {
    pub fn new(bytes: usize) -> Self {
        LIVE.set(LIVE.get() + bytes);
        Self(bytes)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        LIVE.set(LIVE.get().saturating_sub(self.0));
    }
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Undefined,
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Rc<Text>),
    List(Rc<Seq>),
    Tuple(Rc<Seq>),
    Dict(Rc<Dict>),
    Object(Object),
}

/// A string.
#[derive(Debug)]
pub(super) struct Text {
    pub text: Box<str>,
    /// Whether it is markup to Jinja: what is added to it is escaped.
    pub safe: bool,
    _meter: Meter,
}

/// A list or a tuple.
#[derive(Debug)]
pub(super) struct Seq {
    pub items: Vec<Value>,
    /// Whether this tuple is one of `groupby`, whose items have the names `grouper` and `list`.
    pub group: bool,
    depth: u32,
    _meter: Meter,
}

/// A dict, in the order of insertion.
#[derive(Debug)]
pub(super) struct Dict {
    pub entries: Vec<(Value, Value)>,
    index: HashMap<Key, usize>,
    depth: u32,
    _meter: Meter,
}

/// What makes two keys of a dict one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Undefined,
    None,
    Int(i128),
    Float(u64),
    Str(Box<str>),
    Tuple(Vec<Key>),
    /// Ranges of the same numbers: how many, the first, and the step.
    Range(usize, i64, i64),
    /// Objects are themselves alone.
    Object(usize, usize),
}

impl Value {
    pub fn str(text: impl Into<Box<str>>) -> Self {
        Self::text_of(text.into(), false)
    }

    /// A string that is markup.
    pub fn markup(text: impl Into<Box<str>>) -> Self {
        Self::text_of(text.into(), true)
    }

    fn text_of(text: Box<str>, safe: bool) -> Self {
        let meter = Meter::new(text.len() + size_of::<Text>());
        Self::Str(Rc::new(Text { text, safe, _meter: meter }))
    }

    pub fn list(items: Vec<Value>) -> Result<Self> {
        Ok(Self::List(Rc::new(Seq::new(items, false)?)))
    }

    pub fn tuple(items: Vec<Value>) -> Result<Self> {
        Ok(Self::Tuple(Rc::new(Seq::new(items, false)?)))
    }

    /// A tuple of `groupby`.
    pub fn group(grouper: Value, list: Value) -> Result<Self> {
        Ok(Self::Tuple(Rc::new(Seq::new(vec![grouper, list], true)?)))
    }

    pub fn dict(entries: impl IntoIterator<Item = (Value, Value)>) -> Result<Self> {
        Ok(Self::Dict(Rc::new(Dict::new(entries)?)))
    }

    pub fn int(n: usize) -> Self {
        Self::Int(n as i128)
    }

    pub fn from_json(json: &serde_json::Value) -> Result<Self> {
        Ok(match json {
            serde_json::Value::Null => Self::None,
            serde_json::Value::Bool(b) => Self::Bool(*b),
            serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => Self::Int(n.into()),
                (None, Some(n)) => Self::Int(n.into()),
                (None, None) => Self::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::str(text.as_str()),
            serde_json::Value::Array(items) => {
                Self::list(items.iter().map(Self::from_json).collect::<Result<_>>()?)?
            }
            serde_json::Value::Object(map) => {
                let entry =
                    |(key, value): (&String, _)| Ok((Self::str(key.as_str()), Self::from_json(value)?));
                Self::dict(map.iter().map(entry).collect::<Result<Vec<_>>>()?)?
            }
        })
    }

    /// Texts made of markup are markup.
    pub fn safe_as(self, source: &Value) -> Self {
        match (&self, source) {
            (Self::Str(text), Self::Str(source)) if source.safe => Self::markup(text.text.clone()),
            (Self::List(seq) | Self::Tuple(seq), Self::Str(markup)) if markup.safe => {
                let items = seq.items.iter().map(|item| item.clone().safe_as(source)).collect();
                let is_list = matches!(self, Self::List(_));
                let made = if is_list { Self::list(items) } else { Self::tuple(items) };
                made.unwrap_or(self)
            }
            _ => self,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(&text.text),
            _ => None,
        }
    }

    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined)
    }

    /// Numbers and truth values as integers.
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Bool(b) => Some((*b).into()),
            _ => None,
        }
    }

    /// An integer argument, as a count or index.
    pub fn to_index(&self, what: &str) -> Result<i64> {
        let n = self
            .as_int()
            .ok_or_else(|| Error::new(format!("{what} must be an integer, not {}", self.type_name())))?;
        Ok(n.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }

    /// Python's `bool(value)`.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Undefined | Self::None => false,
            Self::Bool(b) => *b,
            Self::Int(n) => *n != 0,
            Self::Float(x) => *x != 0.0,
            Self::Str(text) => !text.text.is_empty(),
            Self::List(seq) | Self::Tuple(seq) => !seq.items.is_empty(),
            Self::Dict(dict) => !dict.entries.is_empty(),
            Self::Object(object) => object.len() != Some(0),
        }
    }

    /// The name of the type in Python.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Object(object) => object.type_name(),
        }
    }

    /// How many levels of values are in this one.
    pub fn depth(&self) -> u32 {
        match self {
            Self::List(seq) | Self::Tuple(seq) => seq.depth,
            Self::Dict(dict) => dict.depth,
            Self::Object(object) => object.depth(),
            _ => 0,
        }
    }

    /// What a dict knows this value by; an error where Python says "unhashable".
    pub fn key(&self) -> Result<Key> {
        Ok(match self {
            Self::Undefined => Key::Undefined,
            Self::None => Key::None,
            Self::Bool(b) => Key::Int((*b).into()),
            Self::Int(n) => Key::Int(*n),
            Self::Float(x) if x.fract() == 0.0 && x.abs() < 1e36 => Key::Int(*x as i128),
            Self::Float(x) => Key::Float(x.to_bits()),
            Self::Str(text) => Key::Str(text.text.clone()),
            Self::Tuple(seq) => Key::Tuple(seq.items.iter().map(Self::key).collect::<Result<_>>()?),
            Self::Object(object) => object.key()?,
            Self::List(_) | Self::Dict(_) => {
                return Err(Error::new(format!("unhashable type: '{}'", self.type_name())));
            }
        })
    }
}

/// One more than the depth of the deepest of these.
pub(super) fn depth_above<'a>(items: impl Iterator<Item = &'a Value>) -> Result<u32> {
    let depth = 1 + items.map(Value::depth).max().unwrap_or(0);
    if depth > MAX_DEPTH { Err(Error::new("the value is nested too deeply")) } else { Ok(depth) }
}

impl Seq {
    fn new(items: Vec<Value>, group: bool) -> Result<Self> {
        let depth = depth_above(items.iter())?;
        let meter = Meter::new(size_of::<Self>() + items.capacity() * size_of::<Value>());
        Ok(Self { items, group, depth, _meter: meter })
    }
}

impl Dict {
    /// A later value of the same key takes the place of the earlier one.
    pub fn new(pairs: impl IntoIterator<Item = (Value, Value)>) -> Result<Self> {
        let mut entries: Vec<(Value, Value)> = Vec::new();
        let mut index: HashMap<Key, usize> = HashMap::new();
        for (key, value) in pairs {
            match index.entry(key.key()?) {
                std::collections::hash_map::Entry::Occupied(at) => entries[*at.get()].1 = value,
                std::collections::hash_map::Entry::Vacant(at) => {
                    at.insert(entries.len());
                    entries.push((key, value));
                }
            }
        }
        let depth = depth_above(entries.iter().flat_map(|(key, value)| [key, value]))?;
        let meter =
            Meter::new(size_of::<Self>() + entries.len() * (3 * size_of::<Value>() + size_of::<Key>()));
        Ok(Self { entries, index, depth, _meter: meter })
    }

    pub fn get(&self, key: &Value) -> Result<Option<&Value>> {
        Ok(self.index.get(&key.key()?).map(|at| &self.entries[*at].1))
    }

    pub fn get_str(&self, key: &str) -> Option<&Value> {
        self.index.get(&Key::Str(key.into())).map(|at| &self.entries[*at].1)
    }
}
