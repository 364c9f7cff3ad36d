//! The filters that call other filters and tests for each item.

use minijinja::value::{Kwargs, Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, State};

use super::args::Args;
use super::lookup::Path;
use super::objects::Failure;
use super::operators::filter;
use super::sequence_filters::held_items;
use super::values::{error, want_text};

pub(super) fn install(env: &mut Environment<'static>) {
    env.add_filter("map", |state: &mut State, value: &Value, args: Rest<ValueOrKwargs>| {
        map(state, value, Args::of(&args.into_values())?)
    });
    for (name, wanted, of_attribute) in [
        ("select", true, false),
        ("reject", false, false),
        ("selectattr", true, true),
        ("rejectattr", false, true),
    ] {
        env.add_filter(name, move |state: &mut State, value: &Value, args: Rest<ValueOrKwargs>| {
            chosen(state, value, Args::of(&args.into_values())?, wanted, of_attribute)
        });
    }
}

/// The items; what counts as false has none, whatever it is.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    if value.is_true() { held_items(value) } else { Ok(Vec::new()) }
}

/// Arguments with those that have names behind them, as minijinja hands them over.
fn joined(positional: Vec<Value>, named: &[(String, Value)]) -> Vec<Value> {
    let mut all = positional;
    if !named.is_empty() {
        all.push(Kwargs::from_iter(named.iter().cloned()).into());
    }
    all
}

/// `map(filter, …)` or `map(attribute=…, default=…)`
fn map(state: &mut State, value: &Value, mut args: Args) -> Result<Value, Error> {
    let items = items(value)?;
    if items.is_empty() {
        return Ok(Value::from(items));
    }
    if args.positional.is_empty() && args.named.iter().any(|(name, _)| name == "attribute") {
        let [attribute, default] = args.bind("map", ["attribute", "default"], 0)?;
        let path = Path::of(attribute.as_ref(), default);
        return Ok(until_one_fails(items, |item| path.follow(&item).map(Some)));
    }
    if args.positional.is_empty() {
        return Err(error("map requires a filter argument"));
    }
    let name = args.positional.remove(0);
    let name = want_text(&name, "the name of a filter")?;
    let rest = joined(args.positional, &args.named);
    Ok(until_one_fails(items, |item| filter(state, item, name, &rest).map(Some)))
}

/// What is made of the items, up to the first of which nothing can be made.
fn until_one_fails(items: Vec<Value>, mut make: impl FnMut(Value) -> Result<Option<Value>, Error>) -> Value {
    let mut results = Vec::new();
    for item in items {
        match make(item) {
            Ok(result) => results.extend(result),
            Err(e) => {
                results.push(Failure::of(&e));
                break;
            }
        }
    }
    Value::from(results)
}

/// `select` and its kin: the items for which a test is as it is wanted.
fn chosen(
    state: &mut State,
    value: &Value,
    mut args: Args,
    wanted: bool,
    of_attribute: bool,
) -> Result<Value, Error> {
    let items = items(value)?;
    if items.is_empty() {
        return Ok(Value::from(items));
    }
    if of_attribute && args.positional.is_empty() {
        return Err(error("Missing parameter for attribute name"));
    }
    let attribute = of_attribute.then(|| args.positional.remove(0));
    let path = Path::of(attribute.as_ref(), None);
    let test = (!args.positional.is_empty()).then(|| args.positional.remove(0));
    let rest = joined(args.positional, &args.named);
    let name = test.as_ref().map(|name| want_text(name, "the name of a test")).transpose()?;
    Ok(until_one_fails(items, |item| {
        let tested = path.follow(&item)?;
        let holds = match name {
            None => tested.is_true(),
            Some(name) => {
                let mut values = vec![tested];
                values.extend(rest.iter().cloned());
                state.perform_test(name, &values)?
            }
        };
        Ok((holds == wanted).then_some(item))
    }))
}
