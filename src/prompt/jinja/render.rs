//! Runs a template.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::args::Args;
use super::ast::{Arguments, Body, Expr, ExprKind, For, Literal, Macro, Stmt, StmtKind, Target};
use super::error::{Error, Result};
use super::objects::{Function, Object};
use super::ops;
use super::printing::str_of;
use super::stack::Stack;
use super::value::{MAX_BYTES, Meter, Value, live_bytes};

/// What is written, texts that are being captured included, may have this many bytes.
const MAX_OUTPUT: usize = 256 << 20;

/// The names of one block, and those around it.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    names: RefCell<Vec<(&'a str, Value)>>,
    parent: Option<Scope<'a>>,
}

pub(super) type Scope<'a> = Rc<Frame<'a>>;

impl<'a> Frame<'a> {
    pub fn within(parent: &Scope<'a>) -> Scope<'a> {
        Rc::new(Self { names: RefCell::default(), parent: Some(Rc::clone(parent)) })
    }

    pub fn set(&self, name: &'a str, value: Value) {
        let mut names = self.names.borrow_mut();
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => names.push((name, value)),
        }
    }

    /// Makes these names undefined, unless something was set already.
    fn unset(&self, names: &'a [Box<str>]) {
        self.names.borrow_mut().extend(names.iter().map(|name| (&**name, Value::Undefined)));
    }

    fn get(&self, name: &str) -> Option<Value> {
        let own =
            self.names.borrow().iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        own.or_else(|| self.parent.as_ref()?.get(name))
    }
}

/// What a body of statements ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

/// One rendering.
pub(super) struct Renderer<'a> {
    context: HashMap<String, Value>,
    pub macros: Vec<(&'a Macro, Scope<'a>, Meter)>,
    pub namespaces: Vec<Vec<(Box<str>, Value)>>,
    /// The loops that run, each with its number.
    pub loops: Vec<(usize, &'a For, Scope<'a>)>,
    pub loops_begun: usize,
    steps_left: u64,
    stack: Stack,
    /// Bytes of values that were there before.
    given: usize,
    written: usize,
}

impl<'a> Renderer<'a> {
    pub fn new(context: HashMap<String, Value>, steps: u64, given: usize) -> Self {
        Self {
            context,
            macros: Vec::new(),
            namespaces: Vec::new(),
            loops: Vec::new(),
            loops_begun: 0,
            steps_left: steps,
            stack: Stack::here(),
            given,
            written: 0,
        }
    }

    pub fn run(&mut self, body: &'a Body) -> Result<String> {
        let scope = Rc::new(Frame { names: RefCell::default(), parent: None });
        let mut out = String::new();
        self.enter(body, &scope, &mut out)?;
        Ok(out)
    }

    /// Takes this many steps.
    pub fn charge(&mut self, steps: usize) -> Result<()> {
        match self.steps_left.checked_sub(steps as u64) {
            Some(left) => self.steps_left = left,
            None => return Err(Error::steps()),
        }
        let most = self.given + MAX_BYTES;
        if live_bytes() > most { Err(Error::memory()) } else { Ok(()) }
    }

    pub fn write(&mut self, out: &mut String, text: &str) -> Result<()> {
        self.written += text.len();
        if self.written > MAX_OUTPUT {
            return Err(Error::new(format!("the output exceeds {} MiB", MAX_OUTPUT >> 20)));
        }
        out.push_str(text);
        Ok(())
    }

    /// Forgets this many bytes of what was written aside.
    pub fn uncount(&mut self, bytes: usize) {
        self.written = self.written.saturating_sub(bytes);
    }

    /// What a body writes, as a value.
    pub fn captured(&mut self, body: &'a Body, scope: &Scope<'a>) -> Result<(Value, Flow)> {
        let mut out = String::new();
        let flow = self.enter(body, scope, &mut out)?;
        self.uncount(out.len());
        Ok((Value::str(out), flow))
    }

    /// Runs a body in a frame that is its own.
    pub fn enter(&mut self, body: &'a Body, scope: &Scope<'a>, out: &mut String) -> Result<Flow> {
        scope.unset(&body.unset);
        self.exec(&body.statements, scope, out)
    }

    fn exec(&mut self, body: &'a [Stmt], scope: &Scope<'a>, out: &mut String) -> Result<Flow> {
        self.stack.check()?;
        for stmt in body {
            let flow = self.charge(1).and_then(|()| self.statement(&stmt.kind, scope, out));
            match flow {
                Ok(Flow::Next) => {}
                Ok(flow) => return Ok(flow),
                Err(e) => return Err(e.at(stmt.line)),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, stmt: &'a StmtKind, scope: &Scope<'a>, out: &mut String) -> Result<Flow> {
        match stmt {
            StmtKind::Text(text) => self.write(out, text)?,
            StmtKind::Print(values) => self.print(values, scope, out)?,
            StmtKind::If(conditional) => {
                for (condition, body) in &conditional.branches {
                    if self.eval(condition, scope)?.is_true() {
                        return self.exec(body, scope, out);
                    }
                }
                return self.exec(&conditional.otherwise, scope, out);
            }
            StmtKind::For(each) => return self.for_loop(each, scope, out),
            StmtKind::With(values, body) => return self.with(values, body, scope, out),
            StmtKind::Set(target, value) => {
                let value = self.eval(value, scope)?;
                self.assign(target, value, scope)?;
            }
            StmtKind::SetBlock(target, filter, body) => {
                return self.set_block(target, filter.as_deref(), body, scope);
            }
            StmtKind::Filter(filter, body) => return self.filter_block(filter, body, scope, out),
            StmtKind::Macro(function) => {
                let value = self.define(function, scope);
                scope.set(function.name.as_deref().unwrap_or_default(), value);
            }
            StmtKind::Call(caller, call) => self.call_block(caller, call, scope, out)?,
            StmtKind::Scope(body) => return self.enter(body, &Frame::within(scope), out),
            StmtKind::OtherTemplate(tag) => {
                return Err(Error::new(format!("'{tag}' needs another template, and there is none")));
            }
            StmtKind::Break => return Ok(Flow::Break),
            StmtKind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, values: &'a [Expr], scope: &Scope<'a>, out: &mut String) -> Result<()> {
        for expr in values {
            match self.eval(expr, scope)? {
                Value::Str(text) => self.write(out, &text.text)?,
                value => self.write(out, &str_of(&value)?)?,
            }
        }
        Ok(())
    }

    fn with(
        &mut self,
        values: &'a [(Target, Expr)],
        body: &'a Body,
        scope: &Scope<'a>,
        out: &mut String,
    ) -> Result<Flow> {
        let inner = Frame::within(scope);
        for (target, value) in values {
            let value = self.eval(value, scope)?;
            self.assign(target, value, &inner)?;
        }
        self.enter(body, &inner, out)
    }

    fn set_block(
        &mut self,
        target: &'a Target,
        filter: Option<&'a Expr>,
        body: &'a Body,
        scope: &Scope<'a>,
    ) -> Result<Flow> {
        let (mut text, flow) = self.captured(body, &Frame::within(scope))?;
        if flow != Flow::Next {
            return Ok(flow);
        }
        if let Some(filter) = filter {
            text = self.filter_text(filter, text, scope)?;
        }
        self.assign(target, text, scope)?;
        Ok(Flow::Next)
    }

    fn filter_block(
        &mut self,
        filter: &'a Expr,
        body: &'a Body,
        scope: &Scope<'a>,
        out: &mut String,
    ) -> Result<Flow> {
        let inner = Frame::within(scope);
        let (text, flow) = self.captured(body, &inner)?;
        if flow == Flow::Next {
            let Value::Str(text) = self.filter_text(filter, text, &inner)? else {
                return Err(Error::new("the filter of a block must make a string"));
            };
            self.write(out, &text.text)?;
        }
        Ok(flow)
    }

    /// A chain of filters whose first stands without a value, with this text.
    fn filter_text(&mut self, filter: &'a Expr, text: Value, scope: &Scope<'a>) -> Result<Value> {
        let ExprKind::Filter(inner, name, arguments) = &filter.kind else { return Ok(text) };
        let value = match inner {
            Some(inner) => self.filter_text(inner, text, scope)?,
            None => text,
        };
        let args = self.arguments(arguments, scope)?;
        self.filter(name, value, args)
    }

    pub fn assign(&mut self, target: &'a Target, value: Value, scope: &Scope<'a>) -> Result<()> {
        match target {
            Target::Name(name) => scope.set(name, value),
            Target::Tuple(targets) => {
                let values = self.iterate(&value)?;
                if values.len() != targets.len() {
                    let (expected, got) = (targets.len(), values.len());
                    return Err(Error::new(format!("cannot unpack {got} values into {expected} names")));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value, scope)?;
                }
            }
            Target::Attribute(name, attribute) => {
                let Some(Value::Object(Object::Namespace(index))) = self.lookup(name, scope) else {
                    return Err(Error::new("cannot assign attribute on non-namespace object"));
                };
                self.set_in_namespace(index, attribute.clone(), value)?;
            }
        }
        Ok(())
    }

    pub fn set_in_namespace(&mut self, index: usize, name: Box<str>, value: Value) -> Result<()> {
        if name.starts_with('_') {
            return Err(Error::new(format!("a namespace cannot store '{name}'")));
        }
        let names = &mut self.namespaces[index];
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => names.push((name, value)),
        }
        Ok(())
    }

    pub fn lookup(&self, name: &str, scope: &Scope<'a>) -> Option<Value> {
        scope.get(name).or_else(|| self.context.get(name).cloned()).or_else(|| {
            let function = match name {
                "range" => Function::Range,
                "dict" => Function::Dict,
                "namespace" => Function::Namespace,
                "cycler" => Function::Cycler,
                "joiner" => Function::Joiner,
                "raise_exception" => Function::RaiseException,
                "strftime_now" => Function::StrftimeNow,
                _ => return None,
            };
            Some(Value::function(function))
        })
    }

    pub fn eval(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> Result<Value> {
        self.stack.check().and_then(|()| self.charge(1)).map_err(|e| e.at(expr.line))?;
        self.expression(&expr.kind, scope).map_err(|e| e.at(expr.line))
    }

    fn expression(&mut self, expr: &'a ExprKind, scope: &Scope<'a>) -> Result<Value> {
        match expr {
            ExprKind::Literal(literal) => Ok(constant(literal)),
            ExprKind::Name(name) => Ok(self.lookup(name, scope).unwrap_or(Value::Undefined)),
            ExprKind::List(items) => Value::list(self.all(items, scope)?),
            ExprKind::Tuple(items) => Value::tuple(self.all(items, scope)?),
            ExprKind::Dict(items) => self.dict(items, scope),
            ExprKind::Not(operand) => Ok(Value::Bool(!self.eval(operand, scope)?.is_true())),
            ExprKind::Sign { negative: true, operand } => ops::negative(&self.eval(operand, scope)?),
            ExprKind::Sign { negative: false, operand } => ops::positive(&self.eval(operand, scope)?),
            ExprKind::Binary(op, a, b) => {
                let a = self.eval(a, scope)?;
                let b = self.eval(b, scope)?;
                let value = ops::binary(*op, &a, &b)?;
                self.charge_for(&value)?;
                Ok(value)
            }
            ExprKind::And(a, b) => {
                let a = self.eval(a, scope)?;
                if a.is_true() { self.eval(b, scope) } else { Ok(a) }
            }
            ExprKind::Or(a, b) => {
                let a = self.eval(a, scope)?;
                if a.is_true() { Ok(a) } else { self.eval(b, scope) }
            }
            ExprKind::Concat(items) => {
                let value = ops::concat(&self.all(items, scope)?)?;
                self.charge_for(&value)?;
                Ok(value)
            }
            ExprKind::Compare(first, rest) => self.compare(first, rest, scope),
            ExprKind::Conditional { condition, then, otherwise } => {
                if self.eval(condition, scope)?.is_true() {
                    return self.eval(then, scope);
                }
                otherwise.as_ref().map_or(Ok(Value::Undefined), |e| self.eval(e, scope))
            }
            ExprKind::Attribute(value, name) => {
                let owner = self.eval(value, scope)?;
                match owner {
                    // Python's inner names are hidden, those of what is undefined, too.
                    Value::Undefined if name.starts_with("__") && name.ends_with("__") => {
                        Ok(Value::Undefined)
                    }
                    Value::Undefined => Err(missing(value)),
                    _ => self.attribute(&owner, name),
                }
            }
            ExprKind::Item(value, key) => {
                let owner = self.eval(value, scope)?;
                let key = self.eval(key, scope)?;
                if owner.is_undefined() {
                    return Err(missing(value));
                }
                self.item(&owner, &key)
            }
            ExprKind::Slice(value, bounds) => self.slice_of(value, bounds, scope),
            ExprKind::Call(callee, arguments) => self.call_expression(callee, arguments, scope),
            ExprKind::Filter(value, name, arguments) => {
                let value = value.as_ref().map_or(Ok(Value::Undefined), |e| self.eval(e, scope))?;
                let args = self.arguments(arguments, scope)?;
                let value = self.filter(name, value, args)?;
                self.charge_for(&value)?;
                Ok(value)
            }
            ExprKind::Test(value, name, arguments) => {
                let value = self.eval(value, scope)?;
                let args = self.arguments(arguments, scope)?;
                self.test(name, &value, args).map(Value::Bool)
            }
        }
    }

    /// Steps for the bytes that a new value took to make.
    fn charge_for(&mut self, value: &Value) -> Result<()> {
        match value {
            Value::Str(text) => self.charge(text.text.len() >> 8),
            Value::List(seq) | Value::Tuple(seq) => self.charge(seq.items.len() >> 4),
            _ => Ok(()),
        }
    }

    fn all(&mut self, items: &'a [Expr], scope: &Scope<'a>) -> Result<Vec<Value>> {
        items.iter().map(|item| self.eval(item, scope)).collect()
    }

    fn dict(&mut self, items: &'a [(Expr, Expr)], scope: &Scope<'a>) -> Result<Value> {
        let mut entries = Vec::with_capacity(items.len());
        for (key, value) in items {
            entries.push((self.eval(key, scope)?, self.eval(value, scope)?));
        }
        Value::dict(entries)
    }

    fn compare(
        &mut self,
        first: &'a Expr,
        rest: &'a [(super::ast::Comparison, Expr)],
        scope: &Scope<'a>,
    ) -> Result<Value> {
        let mut left = self.eval(first, scope)?;
        for (comparison, right) in rest {
            let right = self.eval(right, scope)?;
            if !ops::compare(*comparison, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    /// A value that something is asked of; an error that names it where it is not there.
    pub fn defined(&mut self, expr: &'a Expr, scope: &Scope<'a>) -> Result<Value> {
        let value = self.eval(expr, scope)?;
        if value.is_undefined() { Err(missing(expr)) } else { Ok(value) }
    }

    fn slice_of(
        &mut self,
        value: &'a Expr,
        bounds: &'a [Option<Expr>; 3],
        scope: &Scope<'a>,
    ) -> Result<Value> {
        let owner = self.defined(value, scope)?;
        let mut at = [None; 3];
        for (slot, bound) in at.iter_mut().zip(bounds) {
            let Some(bound) = bound else { continue };
            let bound = self.eval(bound, scope)?;
            if !matches!(bound, Value::None) {
                *slot = Some(bound.to_index("a slice index")?);
            }
        }
        super::attributes::slice(&owner, at)
    }

    pub fn arguments(&mut self, arguments: &'a Arguments, scope: &Scope<'a>) -> Result<Args> {
        let mut args = Args::of(self.all(&arguments.positional, scope)?);
        for (name, value) in &arguments.named {
            args.named.push((name.clone(), self.eval(value, scope)?));
        }
        if let Some(rest) = &arguments.rest {
            let rest = self.eval(rest, scope)?;
            args.positional.extend(self.iterate(&rest)?);
        }
        if let Some(rest) = &arguments.rest_named {
            let Value::Dict(dict) = self.eval(rest, scope)? else {
                return Err(Error::new("argument after ** must be a mapping"));
            };
            for (name, value) in &dict.entries {
                let name = name.as_str().ok_or_else(|| Error::new("keywords must be strings"))?;
                if args.named.iter().any(|(known, _)| **known == *name) {
                    return Err(Error::new(format!("multiple values for keyword argument '{name}'")));
                }
                args.named.push((name.into(), value.clone()));
            }
        }
        Ok(args)
    }

    /// The items of what can be gone through.
    pub fn iterate(&mut self, value: &Value) -> Result<Vec<Value>> {
        let items = match value {
            Value::Undefined => Vec::new(),
            Value::Str(text) => {
                super::value::check_size(text.text.len().saturating_mul(32))?;
                let mut bytes = [0; 4];
                text.text.chars().map(|c| Value::str(&*c.encode_utf8(&mut bytes))).collect()
            }
            Value::List(seq) | Value::Tuple(seq) => seq.items.clone(),
            Value::Dict(dict) => dict.entries.iter().map(|(key, _)| key.clone()).collect(),
            Value::Object(Object::Range(range)) => range.values(),
            Value::Object(Object::View(view, dict)) => view.values(dict)?,
            Value::Object(Object::Iterator(once)) => once.rest(),
            _ => return Err(Error::new(format!("'{}' object is not iterable", value.type_name()))),
        };
        self.charge(items.len())?;
        Ok(items)
    }
}

fn constant(literal: &Literal) -> Value {
    match literal {
        Literal::None => Value::None,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(n) => Value::Int(*n),
        Literal::Float(x) => Value::Float(*x),
        Literal::Str(text) => Value::str(text.clone()),
    }
}

/// The error of asking something of what is not there.
pub(super) fn missing(expr: &Expr) -> Error {
    match described(expr) {
        Some(name) => Error::undefined(&format!("'{name}' is undefined")),
        None => Error::undefined("an expression"),
    }
}

/// `a.b['c']` as it is written.
fn described(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name.to_string()),
        ExprKind::Attribute(owner, name) => Some(format!("{}.{name}", described(owner)?)),
        ExprKind::Item(owner, key) => match &key.kind {
            ExprKind::Literal(Literal::Str(name)) => Some(format!("{}['{name}']", described(owner)?)),
            ExprKind::Literal(Literal::Int(n)) => Some(format!("{}[{n}]", described(owner)?)),
            _ => Some(format!("{}[…]", described(owner)?)),
        },
        _ => None,
    }
}
