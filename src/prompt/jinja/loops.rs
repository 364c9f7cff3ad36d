//! `{% for %}` and its `loop`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::args::Args;
use super::ast::For;
use super::error::{Error, Result};
use super::objects::Loop;
use super::ops::equal;
use super::render::{Flow, Frame, Renderer, Scope};
use super::value::{Meter, Value, depth_above};

impl<'a> Renderer<'a> {
    pub fn for_loop(&mut self, each: &'a For, scope: &Scope<'a>, out: &mut String) -> Result<Flow> {
        let items = self.eval(&each.items, scope)?;
        self.loop_over(each, &items, 0, scope, out)?;
        Ok(Flow::Next)
    }

    fn loop_over(
        &mut self,
        each: &'a For,
        items: &Value,
        depth0: i64,
        scope: &Scope<'a>,
        out: &mut String,
    ) -> Result<()> {
        let items = self.iterate(items)?;
        let site = self.loops_begun;
        self.loops_begun += 1;
        self.loops.push((site, each, Rc::clone(scope)));
        let result = begin(items, site, depth0).and_then(|at| {
            let result = self.turns(each, &Rc::new(at), scope, out);
            self.loops.pop();
            result
        });
        if !result? {
            return Ok(());
        }
        self.enter(&each.otherwise, &Frame::within(scope), out).map(drop)
    }

    /// Whether no turn came to its end: as in jinja2, `else` runs then.
    fn turns(&mut self, each: &'a For, at: &Rc<Loop>, scope: &Scope<'a>, out: &mut String) -> Result<bool> {
        let mut none_ended = true;
        while let Some(item) = self.advance(at)? {
            let inner = Frame::within(scope);
            inner.set("loop", Value::Object(super::objects::Object::Loop(Rc::clone(at))));
            self.assign(&each.target, item, &inner)?;
            match self.enter(&each.body, &inner, out)? {
                Flow::Break => break,
                Flow::Continue => {}
                Flow::Next => none_ended = false,
            }
        }
        // What a loop compared with may hold the loop.
        at.last_changed.take();
        Ok(none_ended)
    }

    /// Looks one item further: whether there was one that passes the loop's filter.
    fn look(&mut self, at: &Rc<Loop>) -> Result<bool> {
        let site = self.loops.iter().rev().find(|(site, ..)| *site == at.site);
        let Some((each, scope)) = site.map(|(_, each, scope)| (*each, Rc::clone(scope))) else {
            return Ok(false);
        };
        loop {
            let next = at.rest.borrow_mut().next();
            let Some(item) = next else { return Ok(false) };
            if let Some(filter) = &each.filter {
                let inner = Frame::within(&scope);
                self.assign(&each.target, item.clone(), &inner)?;
                if !self.eval(filter, &inner)?.is_true() {
                    continue;
                }
            }
            at.ahead.borrow_mut().push_back(item);
            return Ok(true);
        }
    }

    /// The item after the present one.
    fn following(&mut self, at: &Rc<Loop>) -> Result<Option<Value>> {
        if at.ahead.borrow().is_empty() {
            self.look(at)?;
        }
        Ok(at.ahead.borrow().front().cloned())
    }

    fn advance(&mut self, at: &Rc<Loop>) -> Result<Option<Value>> {
        self.charge(1)?;
        let next = self.following(at)?;
        at.ahead.borrow_mut().pop_front();
        if next.is_some() {
            at.index0.set(at.index0.get() + 1);
            let previous = at.current.replace(next.clone());
            *at.previous.borrow_mut() = previous;
        }
        Ok(next)
    }

    /// How many items there are, which looks at all of them.
    fn loop_len(&mut self, at: &Rc<Loop>) -> Result<i64> {
        while self.look(at)? {}
        Ok(at.index0.get() + 1 + at.ahead.borrow().len() as i64)
    }

    pub fn loop_attribute(&mut self, at: &Rc<Loop>, name: &str) -> Result<Value> {
        let index0 = at.index0.get();
        Ok(match name {
            "index" => Value::Int((index0 + 1).into()),
            "index0" => Value::Int(index0.into()),
            "first" => Value::Bool(index0 == 0),
            "last" => Value::Bool(self.following(at)?.is_none()),
            "length" => Value::Int(self.loop_len(at)?.into()),
            "revindex" => Value::Int((self.loop_len(at)? - index0).into()),
            "revindex0" => Value::Int((self.loop_len(at)? - index0 - 1).into()),
            "previtem" => at.previous.borrow().clone().unwrap_or(Value::Undefined),
            "nextitem" => self.following(at)?.unwrap_or(Value::Undefined),
            "depth" => Value::Int((at.depth0 + 1).into()),
            "depth0" => Value::Int(at.depth0.into()),
            _ => Value::Undefined,
        })
    }

    pub fn loop_method(&mut self, at: &Rc<Loop>, name: &str, args: Args) -> Result<Value> {
        if !args.named.is_empty() {
            return Err(Error::new(format!("loop.{name} takes no keyword arguments")));
        }
        let values = args.positional;
        if name == "cycle" {
            if values.is_empty() {
                return Err(Error::new("no items for cycling given"));
            }
            return Ok(values[at.index0.get().max(0) as usize % values.len()].clone());
        }
        let same =
            |old: &Vec<Value>| old.len() == values.len() && old.iter().zip(&values).all(|(a, b)| equal(a, b));
        let changed = !at.last_changed.borrow().as_ref().is_some_and(same);
        if changed {
            *at.last_changed.borrow_mut() = Some(values);
        }
        Ok(Value::Bool(changed))
    }

    /// `loop(items)`: the same loop over other items.
    pub fn recurse(&mut self, at: &Rc<Loop>, items: &Value) -> Result<Value> {
        let site = self.loops.iter().rev().find(|(site, each, _)| *site == at.site && each.recursive);
        let Some((_, each, scope)) = site else {
            return Err(Error::new("The loop must have the 'recursive' marker to be called recursively"));
        };
        let (each, scope) = (*each, Rc::clone(scope));
        let mut out = String::new();
        self.loop_over(each, items, at.depth0 + 1, &scope, &mut out)?;
        self.uncount(out.len());
        Ok(Value::str(out))
    }
}

fn begin(items: Vec<Value>, site: usize, depth0: i64) -> Result<Loop> {
    let depth = depth_above(items.iter())?;
    let meter = Meter::new(size_of::<Loop>() + items.len() * size_of::<Value>());
    Ok(Loop {
        rest: RefCell::new(items.into_iter()),
        ahead: RefCell::default(),
        current: RefCell::new(None),
        previous: RefCell::new(None),
        index0: Cell::new(-1),
        depth0,
        site,
        last_changed: RefCell::new(None),
        depth,
        _meter: meter,
    })
}
