//! Values that are neither numbers nor texts nor plain containers: ranges, views, iterators, functions.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::error::{Error, Result};
use super::value::{Dict, Key, Meter, Value, depth_above};

#[derive(Clone, Debug)]
pub(super) enum Object {
    Range(Range),
    View(View, Rc<Dict>),
    /// What can be gone through once: a generator.
    Iterator(Rc<Once>),
    /// A macro by its index in the rendering.
    Macro(usize, Option<Rc<str>>),
    /// A namespace by its index in the rendering.
    Namespace(usize),
    Loop(Rc<Loop>),
    /// A method of a value.
    Method(Rc<(Value, Box<str>)>),
    Function(Function),
    Cycler(Rc<Cycler>),
    Joiner(Rc<Joiner>),
}

/// The functions that transformers' templates have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Range,
    Dict,
    DictFromKeys,
    Namespace,
    Cycler,
    Joiner,
    RaiseException,
    StrftimeNow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub start: i64,
    pub stop: i64,
    pub step: i64,
}

impl Range {
    pub fn len(self) -> usize {
        let (from, to, step) = if self.step > 0 {
            (self.start, self.stop, self.step)
        } else {
            (self.stop, self.start, -self.step)
        };
        if to <= from { 0 } else { ((to - from - 1) / step + 1) as usize }
    }

    pub fn get(self, index: usize) -> i64 {
        self.start + self.step * index as i64
    }

    pub fn values(self) -> Vec<Value> {
        (0..self.len()).map(|i| Value::Int(self.get(i).into())).collect()
    }
}

/// What `dict.keys()` and its kin show of a dict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Keys,
    Values,
    Items,
}

impl View {
    pub fn values(self, dict: &Dict) -> Result<Vec<Value>> {
        let each = |(key, value): &(Value, Value)| match self {
            Self::Keys => Ok(key.clone()),
            Self::Values => Ok(value.clone()),
            Self::Items => Value::tuple(vec![key.clone(), value.clone()]),
        };
        dict.entries.iter().map(each).collect()
    }
}

#[derive(Debug)]
pub(super) struct Once {
    items: RefCell<std::vec::IntoIter<Value>>,
    depth: u32,
    _meter: Meter,
}

impl Once {
    pub fn next(&self) -> Option<Value> {
        self.items.borrow_mut().next()
    }

    pub fn rest(&self) -> Vec<Value> {
        std::mem::take(&mut *self.items.borrow_mut()).collect()
    }
}

/// `loop`: where a loop is.
#[derive(Debug)]
pub(super) struct Loop {
    /// What is still to come, before the loop's filter.
    pub rest: RefCell<std::vec::IntoIter<Value>>,
    /// Items after the present one that were looked at already, and passed the filter.
    pub ahead: RefCell<VecDeque<Value>>,
    pub current: RefCell<Option<Value>>,
    pub previous: RefCell<Option<Value>>,
    pub index0: Cell<i64>,
    pub depth0: i64,
    /// The loop's statement in the rendering.
    pub site: usize,
    pub last_changed: RefCell<Option<Vec<Value>>>,
    pub depth: u32,
    pub _meter: Meter,
}

#[derive(Debug)]
pub(super) struct Cycler {
    pub items: Vec<Value>,
    pub at: Cell<usize>,
}

#[derive(Debug)]
pub(super) struct Joiner {
    pub separator: Value,
    pub used: Cell<bool>,
}

impl Value {
    /// What can be gone through once.
    pub fn iterator(items: Vec<Value>) -> Result<Self> {
        let depth = depth_above(items.iter())?;
        let meter = Meter::new(items.capacity() * size_of::<Value>() + size_of::<Once>());
        let once = Once { items: RefCell::new(items.into_iter()), depth, _meter: meter };
        Ok(Self::Object(Object::Iterator(Rc::new(once))))
    }

    pub fn function(function: Function) -> Self {
        Self::Object(Object::Function(function))
    }

    pub fn method(owner: &Value, name: &str) -> Result<Self> {
        depth_above(std::iter::once(owner))?;
        Ok(Self::Object(Object::Method(Rc::new((owner.clone(), name.into())))))
    }
}

impl Object {
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Range(_) => "range",
            Self::View(View::Keys, _) => "dict_keys",
            Self::View(View::Values, _) => "dict_values",
            Self::View(View::Items, _) => "dict_items",
            Self::Iterator(_) => "generator",
            Self::Macro(..) => "Macro",
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Method(_) => "builtin_function_or_method",
            Self::Function(_) => "function",
            Self::Cycler(_) => "Cycler",
            Self::Joiner(_) => "Joiner",
        }
    }

    /// How many items it has, for those that know.
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::Range(range) => Some(range.len()),
            Self::View(_, dict) => Some(dict.entries.len()),
            _ => None,
        }
    }

    pub fn depth(&self) -> u32 {
        match self {
            Self::View(_, dict) => Value::Dict(Rc::clone(dict)).depth(),
            Self::Iterator(once) => once.depth,
            Self::Loop(at) => at.depth,
            Self::Method(method) => 1 + method.0.depth(),
            Self::Cycler(cycler) => 1 + cycler.items.iter().map(Value::depth).max().unwrap_or(0),
            Self::Joiner(joiner) => 1 + joiner.separator.depth(),
            _ => 0,
        }
    }

    pub fn is_callable(&self) -> bool {
        matches!(
            self,
            Self::Macro(..) | Self::Method(_) | Self::Function(_) | Self::Joiner(_) | Self::Loop(_)
        )
    }

    fn address(&self) -> (usize, usize) {
        fn of<T>(rc: &Rc<T>) -> usize {
            Rc::as_ptr(rc).addr()
        }
        match self {
            Self::Range(range) => (0, range.start as usize),
            Self::View(_, dict) => (1, of(dict)),
            Self::Iterator(once) => (2, of(once)),
            Self::Macro(index, _) => (3, *index),
            Self::Namespace(index) => (4, *index),
            Self::Loop(at) => (5, of(at)),
            Self::Method(method) => (6, of(method)),
            Self::Function(function) => (7, *function as usize),
            Self::Cycler(cycler) => (8, of(cycler)),
            Self::Joiner(joiner) => (9, of(joiner)),
        }
    }

    /// Whether two of them are the same thing, or ranges of the same numbers.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Range(a), Self::Range(b)) => {
                a.len() == b.len()
                    && (a.len() == 0 || a.start == b.start && (a.len() == 1 || a.step == b.step))
            }
            (Self::View(a, _), Self::View(b, _)) if a != b => false,
            _ => self.address() == other.address(),
        }
    }

    pub fn key(&self) -> Result<Key> {
        match self {
            Self::Range(range) => match range.len() {
                0 => Ok(Key::Range(0, 0, 0)),
                1 => Ok(Key::Range(1, range.start, 0)),
                len => Ok(Key::Range(len, range.start, range.step)),
            },
            Self::View(..) => Err(Error::new(format!("unhashable type: '{}'", self.type_name()))),
            _ => {
                let (kind, address) = self.address();
                Ok(Key::Object(kind, address))
            }
        }
    }
}
