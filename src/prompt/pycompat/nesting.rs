//! How deep and how large values of values may be.
//!
//! Dropping, comparing and hashing a value go through all that is in it, one within the other: a template that puts a
//! list into a list again and again would overflow the stack, and one that puts it in twice would take for ever. So
//! lists, tuples and dicts of others know how deep they are, and how much they hold.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Error;
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value, ValueKind};

use super::budget::fits_whole;
use super::lookup::{BoundMethod, is_namespace_or_loop};
use super::objects::{Cycler, Group, Joiner, View, is_no_list};
use super::values::error;

/// Levels of lists and dicts that a template makes; those that it is given count as one.
const DEPTH: usize = 64;
/// Levels of tuples directly within tuples.
const TUPLES: usize = 8;
/// How often a rendering may put a namespace or a loop into a value, as these can be given others later.
const HOLDERS: usize = 16;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// A new rendering begins on this thread.
pub(super) fn reset() {
    HELD.set(0);
}

/// Levels, and values in all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    depth: usize,
    size: usize,
}

impl Extent {
    fn around(items: impl Iterator<Item = Result<Self, Error>>) -> Result<Self, Error> {
        let mut whole = Self { depth: 0, size: 1 };
        for item in items {
            let item = item?;
            whole.depth = whole.depth.max(item.depth);
            whole.size = whole.size.saturating_add(item.size);
            fits_whole(whole.size)?;
        }
        whole.depth += 1;
        Ok(whole)
    }

    fn of(value: &Value, tuples: usize) -> Result<Self, Error> {
        let items =
            |items: &mut dyn Iterator<Item = Value>| Self::around(items.map(|item| Self::of(&item, 0)));
        if let Some(deep) = value.downcast_object_ref::<Deep>() {
            return Ok(deep.extent);
        }
        if let Some(generator) = value.downcast_object_ref::<Generator>() {
            return Ok(generator.extent);
        }
        if value.is_tuple() {
            if tuples == TUPLES {
                return Err(too_deep());
            }
            return Self::around(value.try_iter()?.map(|item| Self::of(&item, tuples + 1)));
        }
        if let Some(group) = value.downcast_object_ref::<Group>() {
            return items(&mut group.parts().iter().cloned());
        }
        if let Some(view) = value.downcast_object_ref::<View>() {
            return items(&mut std::iter::once(Value::from_dyn_object(view.dict().clone())));
        }
        if let Some(method) = value.downcast_object_ref::<BoundMethod>() {
            return items(&mut std::iter::once(method.owner().clone()));
        }
        if let Some(cycler) = value.downcast_object_ref::<Cycler>() {
            return items(&mut cycler.items().iter().cloned());
        }
        if let Some(joiner) = value.downcast_object_ref::<Joiner>() {
            return items(&mut std::iter::once(joiner.separator().clone()));
        }
        Ok(match value.kind() {
            ValueKind::Seq | ValueKind::Map | ValueKind::Iterable | ValueKind::Plain => {
                Self { depth: 1, size: value.len().unwrap_or(0).saturating_add(1) }
            }
            _ => Self { depth: 0, size: 1 },
        })
    }
}

fn too_deep() -> Error {
    error("the value is nested too deeply")
}

/// A namespace or a loop that is put into another value.
pub(super) fn held(value: &Value) -> Result<(), Error> {
    if !is_namespace_or_loop(value) {
        return Ok(());
    }
    HELD.set(HELD.get() + 1);
    if HELD.get() > HOLDERS {
        Err(error("too many namespaces or loops are put into other values"))
    } else {
        Ok(())
    }
}

/// A list, a tuple or a dict that knows its extent, where there are others in it.
pub(super) fn bounded(value: Value) -> Result<Value, Error> {
    let is_container = matches!(value.kind(), ValueKind::Seq | ValueKind::Map)
        || value.kind() == ValueKind::Iterable && value.len().is_some();
    let Some(object) = value.as_object().filter(|_| is_container && !is_no_list(&value)) else {
        return Ok(value);
    };
    if is_namespace_or_loop(&value) || value.downcast_object_ref::<Deep>().is_some() {
        return Ok(value);
    }
    let tuples = usize::from(value.is_tuple());
    let of = |item: &Value| {
        held(item)?;
        Extent::of(item, tuples)
    };
    let extent = match object.repr() {
        ObjectRepr::Map => Extent::around(
            object.try_iter_pairs().into_iter().flatten().flat_map(|(key, item)| [of(&key), of(&item)]),
        ),
        _ => Extent::around(object.try_iter().into_iter().flatten().map(|item| of(&item))),
    }?;
    if extent.depth > DEPTH {
        return Err(too_deep());
    }
    fits_whole(extent.size)?;
    if extent.depth == 1 || value.is_tuple() || value.downcast_object_ref::<Group>().is_some() {
        return Ok(value);
    }
    Ok(Value::from_object(Deep { object: object.clone(), extent }))
}

/// A list or a dict with others in it.
#[derive(Debug)]
struct Deep {
    object: DynObject,
    extent: Extent,
}

impl Object for Deep {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        self.object.repr()
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.object.get_value(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.object.enumerate()
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.object.enumerator_len()
    }
}

/// What is gone through once, and has no length.
#[derive(Debug)]
pub(super) struct Generator {
    rest: Mutex<std::vec::IntoIter<Value>>,
    extent: Extent,
}

impl Generator {
    pub fn of(items: Vec<Value>) -> Result<Value, Error> {
        let extent = Extent::around(items.iter().map(|item| {
            held(item)?;
            Extent::of(item, 0)
        }))?;
        if extent.depth > DEPTH {
            return Err(too_deep());
        }
        Ok(Value::from_object(Self { rest: Mutex::new(items.into_iter()), extent }))
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let generator = self.clone();
        let next = move || generator.rest.lock().unwrap_or_else(PoisonError::into_inner).next();
        Enumerator::Iter(Box::new(std::iter::from_fn(next)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<generator object>")
    }
}
