//! Calls: of macros, methods, recursive loops and functions.

use std::cell::Cell;
use std::rc::Rc;

use super::args::Args;
use super::ast::{Arguments, Expr, ExprKind, Macro};
use super::error::{Error, Kind, Result};
use super::objects::{Cycler, Function, Joiner, Object, Range};
use super::printing::str_of;
use super::render::{Frame, Renderer, Scope, missing};
use super::value::{Meter, Value};
use super::{attributes, methods};
use crate::prompt::strftime;

/// As jinja2's sandbox has it.
const MOST_RANGE: usize = 100_000;

impl<'a> Renderer<'a> {
    pub fn define(&mut self, function: &'a Macro, scope: &Scope<'a>) -> Value {
        let index = self.macros.len();
        self.macros.push((function, Rc::clone(scope), Meter::new(256)));
        Value::Object(Object::Macro(index, function.name.as_deref().map(Into::into)))
    }

    pub fn call_expression(
        &mut self,
        callee: &'a Expr,
        arguments: &'a Arguments,
        scope: &Scope<'a>,
    ) -> Result<Value> {
        if let ExprKind::Attribute(owner, name) = &callee.kind {
            let owner = self.defined(owner, scope)?;
            if attributes::is_method(&owner, name) {
                let args = self.arguments(arguments, scope)?;
                return self.method(&owner, name, args);
            }
            let function = self.attribute(&owner, name)?;
            let args = self.arguments(arguments, scope)?;
            return if function.is_undefined() { Err(missing(callee)) } else { self.call(&function, args) };
        }
        let function = self.eval(callee, scope)?;
        let args = self.arguments(arguments, scope)?;
        if function.is_undefined() { Err(missing(callee)) } else { self.call(&function, args) }
    }

    /// `{% call(…) function(…) %}`
    pub fn call_block(
        &mut self,
        caller: &'a Macro,
        call: &'a Expr,
        scope: &Scope<'a>,
        out: &mut String,
    ) -> Result<()> {
        let ExprKind::Call(callee, arguments) = &call.kind else { return Ok(()) };
        let caller = self.define(caller, scope);
        let function = self.defined(callee, scope)?;
        let mut args = self.arguments(arguments, scope)?;
        args.named.push(("caller".into(), caller));
        let value = self.call(&function, args)?;
        self.write(out, &str_of(&value)?)
    }

    pub fn call(&mut self, function: &Value, args: Args) -> Result<Value> {
        self.charge(1)?;
        match function {
            Value::Object(Object::Macro(index, _)) => self.call_macro(*index, args),
            Value::Object(Object::Method(method)) => self.method(&method.0, &method.1, args),
            Value::Object(Object::Function(function)) => self.function(*function, args),
            Value::Object(Object::Loop(at)) => {
                let [items] = args.plain("loop", 1)?;
                self.recurse(at, &items.unwrap_or(Value::Undefined))
            }
            Value::Object(Object::Joiner(joiner)) => {
                let [] = args.plain("joiner", 0)?;
                let first = !joiner.used.replace(true);
                Ok(if first { Value::str("") } else { joiner.separator.clone() })
            }
            Value::Undefined => Err(Error::undefined("call of what is undefined")),
            _ => Err(Error::new(format!("'{}' object is not callable", function.type_name()))),
        }
    }

    fn method(&mut self, owner: &Value, name: &str, args: Args) -> Result<Value> {
        let value = match owner {
            Value::Str(text) => match name {
                "format" => self.format_text(text, args)?,
                "join" => {
                    let [items] = args.plain("join", 1)?;
                    let items = self.iterate(&items.unwrap_or(Value::Undefined))?;
                    methods::join(&text.text, &items)?
                }
                _ => methods::text(text, name, args)?.safe_as(owner),
            },
            Value::Dict(dict) => methods::dict(dict, name, args)?,
            Value::List(seq) | Value::Tuple(seq) => methods::sequence(owner, &seq.items, name, args)?,
            Value::Object(Object::Loop(at)) => self.loop_method(at, name, args)?,
            Value::Object(Object::Cycler(cycler)) => cycler_method(cycler, name, args)?,
            Value::Object(Object::Function(Function::Dict)) => self.function(Function::DictFromKeys, args)?,
            Value::Object(Object::Range(range)) => methods::sequence(owner, &range.values(), name, args)?,
            _ => methods::number(owner, name, args)?,
        };
        if let Value::Str(text) = &value {
            self.charge(text.text.len() >> 8)?;
        }
        Ok(value)
    }

    fn call_macro(&mut self, index: usize, mut args: Args) -> Result<Value> {
        let (function, scope) = {
            let (function, scope, _) = &self.macros[index];
            (*function, Frame::within(scope))
        };
        let name = function.name.as_deref().unwrap_or("caller");
        let count = function.parameters.len();
        let extra = args.positional.split_off(args.positional.len().min(count));
        let given = args.positional.len();
        let mut values: Vec<Option<Value>> = args.positional.drain(..).map(Some).collect();
        values.extend(function.parameters[given..].iter().map(|parameter| args.take(parameter)));
        let has_caller = function.parameters.iter().any(|parameter| **parameter == *"caller");
        if function.reads.caller && !has_caller {
            scope.set("caller", args.take("caller").unwrap_or(Value::Undefined));
        }
        if function.reads.kwargs {
            let named = args.named.drain(..).map(|(name, value)| (Value::str(name), value));
            scope.set("kwargs", Value::dict(named)?);
        } else if let Some((keyword, _)) = args.named.first() {
            return Err(Error::new(format!("macro '{name}' takes no keyword argument '{keyword}'")));
        }
        if function.reads.varargs {
            scope.set("varargs", Value::tuple(extra)?);
        } else if !extra.is_empty() {
            return Err(Error::new(format!("macro '{name}' takes not more than {count} argument(s)")));
        }
        self.set_parameters(function, values, &scope)?;
        let (text, _) = self.captured(&function.body, &scope)?;
        Ok(text)
    }

    /// Defaults see the parameters before them.
    fn set_parameters(
        &mut self,
        function: &'a Macro,
        values: Vec<Option<Value>>,
        scope: &Scope<'a>,
    ) -> Result<()> {
        for (name, value) in function.parameters.iter().zip(&values) {
            scope.set(name, value.clone().unwrap_or(Value::Undefined));
        }
        let first_default = function.parameters.len() - function.defaults.len();
        for (index, value) in values.iter().enumerate() {
            if value.is_none() && index >= first_default {
                let value = self.eval(&function.defaults[index - first_default], scope)?;
                scope.set(&function.parameters[index], value);
            }
        }
        Ok(())
    }

    fn function(&mut self, function: Function, args: Args) -> Result<Value> {
        match function {
            Function::Range => range(args),
            Function::Dict => self.new_dict(args),
            Function::DictFromKeys => {
                let [keys, value] = args.plain("fromkeys", 1)?;
                let keys = self.iterate(&keys.unwrap_or(Value::Undefined))?;
                let value = value.unwrap_or(Value::None);
                Value::dict(keys.into_iter().map(|key| (key, value.clone())))
            }
            Function::Namespace => {
                let Value::Dict(dict) = self.new_dict(args)? else { return Ok(Value::Undefined) };
                let index = self.namespaces.len();
                self.namespaces.push(Vec::new());
                for (name, value) in &dict.entries {
                    self.set_in_namespace(index, str_of(name)?.into(), value.clone())?;
                }
                Ok(Value::Object(Object::Namespace(index)))
            }
            Function::Cycler => {
                let [] = Args { named: args.named, positional: Vec::new() }.plain("cycler", 0)?;
                if args.positional.is_empty() {
                    return Err(Error::new("at least one item has to be provided"));
                }
                let _ = Value::list(args.positional.clone())?;
                Ok(Value::Object(Object::Cycler(Rc::new(Cycler {
                    items: args.positional,
                    at: Cell::new(0),
                }))))
            }
            Function::Joiner => {
                let [separator] = args.bind("joiner", ["sep"], 0)?;
                let separator = separator.unwrap_or_else(|| Value::str(", "));
                Ok(Value::Object(Object::Joiner(Rc::new(Joiner { separator, used: Cell::new(false) }))))
            }
            Function::RaiseException => {
                let [message] = args.bind("raise_exception", ["message"], 1)?;
                Err(Error::of(Kind::Raised, str_of(&message.unwrap_or(Value::Undefined))?))
            }
            Function::StrftimeNow => {
                let [format] = args.bind("strftime_now", ["format"], 1)?;
                let format = format.unwrap_or(Value::Undefined);
                let format = format.as_str().ok_or_else(|| Error::new("strftime_now takes a string"))?;
                Ok(Value::str(strftime::now(format)))
            }
        }
    }

    /// `dict(pairs, **named)`
    fn new_dict(&mut self, mut args: Args) -> Result<Value> {
        let named = std::mem::take(&mut args.named);
        let [source] = args.plain("dict", 0)?;
        let mut entries = match source {
            None => Vec::new(),
            Some(Value::Undefined) => return Err(Error::undefined("dict of it")),
            Some(Value::Dict(dict)) => dict.entries.clone(),
            Some(source) => {
                let mut entries = Vec::new();
                for pair in self.iterate(&source)? {
                    let mut pair = self.iterate(&pair)?;
                    let (Some(value), Some(key), None) = (pair.pop(), pair.pop(), pair.pop()) else {
                        return Err(Error::new("dict takes pairs"));
                    };
                    entries.push((key, value));
                }
                entries
            }
        };
        entries.extend(named.into_iter().map(|(name, value)| (Value::str(name), value)));
        Value::dict(entries)
    }
}

fn range(args: Args) -> Result<Value> {
    let [first, second, step] = args.plain("range", 1)?;
    let number = |value: &Value| value.to_index("an argument of range");
    let first = first.as_ref().map_or(Ok(0), number)?;
    let (start, stop) = match &second {
        None => (0, first),
        Some(stop) => (first, number(stop)?),
    };
    let step = step.as_ref().map_or(Ok(1), number)?;
    if step == 0 {
        return Err(Error::new("range() arg 3 must not be zero"));
    }
    if [start, stop, step].iter().any(|n| n.unsigned_abs() > 1 << 60) {
        return Err(Error::new("the range is too large"));
    }
    let range = Range { start, stop, step };
    if range.len() > MOST_RANGE {
        return Err(Error::new(format!(
            "Range too big. The sandbox blocks ranges larger than {MOST_RANGE}."
        )));
    }
    Ok(Value::Object(Object::Range(range)))
}

fn cycler_method(cycler: &Cycler, name: &str, args: Args) -> Result<Value> {
    let [] = args.plain(name, 0)?;
    let at = cycler.at.get();
    match name {
        "next" => {
            cycler.at.set((at + 1) % cycler.items.len());
            Ok(cycler.items[at].clone())
        }
        _ => {
            cycler.at.set(0);
            Ok(Value::None)
        }
    }
}
